/** The kernel says no. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { FakeKernel } from '#src/kernel/fake.js';
import {
  addForeignTables,
  bind,
  deleteTables,
  guard,
  guardAll,
  operations,
  plan,
  program,
  Rig,
} from './support.js';

const { EBUSY, EINVAL, ENOMEM, EPERM } = constants.errno;
const hopeless = program('hopeless', { hopeless: true });

test('a device whose policy is refused is closed, and the event says what the kernel said', () => {
  const rig = Rig.started(guardAll());
  rig.kernel.refuseNext(EINVAL, 'Table has too many chains');
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  const [failed, ...more] = rig.take();
  assert.deepEqual(more, []);
  assert.ok(failed?.event === 'failed');
  assert.deepEqual(failed, {
    event: 'failed',
    device: 'macvtap0',
    index: 2,
    policy: 'guard',
    closed: true,
    error: {
      code: 'EINVAL',
      errno: EINVAL,
      message: 'the kernel refused NEWRULE egress rule 1: EINVAL, "Table has too many chains"',
      operation: 'NEWRULE egress rule 1',
      sequence: failed.error['sequence'],
      extendedAck: { message: 'Table has too many chains' },
    },
  });
  assert.deepEqual(rig.installed(), ['tapwall.2.closed closed macvtap0']);
  assert.deepEqual(
    rig.kernel.tables().flatMap(({ chains }) => chains.map(({ name, policy }) => [name, policy])),
    [
      ['ingress', 0],
      ['egress', 0],
    ],
  );
});

test('refused twice: the device is open, and the event says so', () => {
  const rig = Rig.started(guardAll());
  rig.kernel.refuseNext(EINVAL);
  rig.kernel.refuseNext(ENOMEM);
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['failed macvtap0 2 guard EINVAL open']);
  assert.deepEqual(rig.installed(), []);
});

test('a policy that was refused is not tried again on every event, be the device closed or open', () => {
  for (const refusals of [[EINVAL], [EINVAL, EINVAL]]) {
    const rig = Rig.started(guardAll());
    for (const errno of refusals) rig.kernel.refuseNext(errno);
    rig.addDevice('macvtap0');
    rig.kernel.updateLink('macvtap0', { up: true });
    rig.kernel.updateLink('macvtap0', { alias: 'a', mac: '02:00:00:00:00:09' });
    rig.loop.step(0);
    rig.kernel.updateLink('macvtap0', { up: false });
    rig.loop.step(0);
    assert.equal(rig.events().length, 1);
    assert.equal(rig.kernel.refusals.length, refusals.length);
  }
});

test('what was refused is tried again under another name, with another policy, and when all is read again', () => {
  const rig = Rig.started(plan([guard, hopeless], [bind('guard', { alias: 'ok' }), bind('hopeless')]));
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.kernel.updateLink('macvtap0', { name: 'macvtap1' });
  rig.loop.step(0);
  rig.kernel.loseEvents();
  rig.loop.step(0);
  assert.deepEqual(rig.events(), [
    'failed macvtap0 2 hopeless ENOENT closed',
    'failed macvtap1 2 hopeless ENOENT closed',
    'overflow',
    'failed macvtap1 2 hopeless ENOENT closed',
  ]);
  assert.deepEqual(rig.installed(), ['tapwall.2.closed closed macvtap1']);
  rig.transactions();
  rig.kernel.updateLink('macvtap1', { alias: 'ok', up: true });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap1 2 guard replaced']);
  // Never open in between: the closed table goes in the transaction that brings the policy.
  const [transaction, ...others] = rig.transactions().map(operations);
  assert.deepEqual(others, []);
  assert.ok(transaction?.includes('DELTABLE tapwall.2.closed'));
});

test('a device that was elsewhere when its next policy was tried gets it when it is back', () => {
  const bindings = [bind('guard', { alias: 'ok' }), bind('hopeless')];
  const rig = Rig.started(plan([guard, hopeless], bindings), new FakeKernel({ namesInAdvance: false }));
  rig.addDevice('macvtap0');
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.kernel.refuseNext(EINVAL);
  rig.kernel.refuseNext(EINVAL);
  rig.loop.step(0);
  rig.events();
  rig.kernel.updateLink('macvtap0', { name: 'macvtap1' });
  rig.kernel.updateLink('macvtap1', { alias: 'ok' });
  rig.kernel.updateLink('macvtap1', { name: 'macvtap0' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new']);
});

test('a device that was closed goes as any other', () => {
  const rig = Rig.started(plan([hopeless], [bind('hopeless')]));
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.kernel.removeLink('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['detached macvtap0 2 gone tapwall.2.closed']);
  assert.deepEqual(rig.installed(), []);
});

test('a closed device is opened at a start with a policy that the kernel takes', () => {
  const before = Rig.started(plan([hopeless], [bind('hopeless')]));
  before.addDevice('macvtap0');
  before.loop.step(0);
  before.loop.stop({ detach: false });
  const rig = new Rig(guardAll(), before.kernel);
  rig.loop.start();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard replaced', 'ready 1/1']);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap0']);
});

test('a policy that is refused where another was in force closes the device', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.loop.reload(plan([hopeless], [bind('hopeless')]));
  assert.deepEqual(rig.events(), ['failed macvtap0 2 hopeless ENOENT closed', 'reloaded']);
  assert.deepEqual(rig.installed(), ['tapwall.2.closed closed macvtap0']);
});

test('refused twice where another policy was in force: that one stays, and is still the agent’s', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.kernel.refuseNext(EPERM);
  rig.kernel.refuseNext(EPERM);
  rig.loop.reload(plan([program('web', { rules: 2 })], [bind('web')]));
  assert.deepEqual(rig.events(), ['failed macvtap0 2 web EPERM open', 'reloaded']);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap0']);
  rig.loop.stop({ detach: true });
  assert.deepEqual(rig.installed(), []);
});

test('the failure of one device does not touch the next', () => {
  const rig = Rig.started(guardAll());
  rig.kernel.refuseNext(EINVAL);
  for (const name of ['macvtap0', 'macvtap1', 'macvtap2']) rig.addDevice(name);
  rig.loop.step(0);
  assert.deepEqual(rig.events(), [
    'failed macvtap0 2 guard EINVAL closed',
    'attached macvtap1 3 guard new',
    'attached macvtap2 4 guard new',
  ]);
});

test('a policy that names a link which is not there closes the device until the link is', () => {
  const forward = program('forward', { link: 'mirror0' });
  assert.deepEqual(forward.links, ['mirror0']);
  const rig = Rig.started(plan([forward], [bind('forward')]));
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['failed macvtap0 2 forward LINK_NOT_FOUND closed']);
  assert.deepEqual(rig.installed(), ['tapwall.2.closed closed macvtap0']);
  assert.deepEqual(rig.kernel.refusals, []);
  rig.kernel.addLink({ name: 'mirror0' });
  rig.addDevice('macvtap1');
  rig.loop.step(0);
  rig.loop.reload(plan([forward], [bind('forward')]));
  assert.deepEqual(rig.events(), [
    'attached macvtap1 4 forward new',
    'attached macvtap0 2 forward replaced',
    'reloaded',
  ]);
});

test('a name that is no text is refused, for it could not be written back', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap\ufffd');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['failed macvtap\ufffd 2 guard NOT_SUPPORTED open']);
  assert.deepEqual(rig.transactions(), []);
});

test('tables that cannot be removed are a warning, and the loop goes on', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.kernel.refuseNext(EBUSY);
  rig.kernel.removeLink('macvtap0');
  rig.addDevice('macvtap1');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), [
    'warning cannot remove tapwall.2.guard of macvtap0: the kernel refused DELTABLE tapwall.2.guard: EBUSY',
    'attached macvtap1 3 guard new',
  ]);
  rig.loop.reload(guardAll());
  assert.deepEqual(rig.events(), ['detached macvtap0 2 stale tapwall.2.guard', 'reloaded']);
  assert.deepEqual(rig.installed(), ['tapwall.3.guard guard macvtap1']);
});

test('tables of an unbound device that could not be removed are removed when all is read again', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.kernel.refuseNext(EBUSY);
  rig.loop.reload(plan([guard], []));
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.loop.step(0);
  const [warning, ...more] = rig.events();
  assert.match(warning ?? '', /^warning cannot remove tapwall\.2\.guard of macvtap0/);
  assert.deepEqual(more, ['unmatched macvtap0 2', 'reloaded']);
  assert.equal(rig.kernel.refusals.length, 1);
  rig.loop.reload(plan([guard], []));
  assert.deepEqual(rig.events(), ['detached macvtap0 2 unbound tapwall.2.guard', 'reloaded']);
  assert.deepEqual(rig.installed(), []);
});

test('tables that could not be removed are replaced with the rest when a binding matches again', () => {
  const other = program('other', { tables: ['other'] });
  const rig = Rig.started(
    plan([guard, other], [bind('guard', { alias: 'a' }), bind('other', { alias: 'b' })]),
  );
  rig.addDevice('macvtap0', { alias: 'a' });
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.loop.step(0);
  rig.kernel.refuseNext(EBUSY);
  rig.kernel.updateLink('macvtap0', { alias: '' });
  rig.loop.step(0);
  rig.kernel.updateLink('macvtap0', { alias: 'b' });
  rig.loop.step(0);
  assert.deepEqual(rig.events().at(-1), 'attached macvtap0 2 other replaced');
  assert.deepEqual(rig.installed(), ['tapwall.2.other other macvtap0']);
});

test('tables that somebody else deleted are no reason to fail', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.loop.step(0);
  rig.events();
  deleteTables(rig.kernel, 'tapwall.2.guard', 'tapwall.3.guard');
  addForeignTables(rig.kernel, 'filter');
  rig.kernel.removeLink('macvtap0');
  rig.loop.step(0);
  rig.loop.reload(guardAll());
  assert.deepEqual(rig.events(), [
    'detached macvtap0 2 gone tapwall.2.guard',
    'attached macvtap1 3 guard new',
    'reloaded',
  ]);
  assert.deepEqual(rig.kernel.refusals, []);
});
