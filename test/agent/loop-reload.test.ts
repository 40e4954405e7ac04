/** Another plan, and the end. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { attachByHand, bind, guard, guardAll, operations, plan, program, Rig } from './support.js';

test('a reload that changes nothing sends nothing', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.loop.step(0);
  rig.events();
  rig.transactions();
  const tables = rig.kernel.tables();
  rig.loop.reload(guardAll({ file: 'other.yaml', warnings: ['a word'] }));
  const [warning, reloaded, ...more] = rig.take();
  assert.deepEqual(more, []);
  assert.deepEqual(warning, { event: 'warning', message: 'a word' });
  assert.ok(reloaded?.event === 'reloaded');
  assert.deepEqual(reloaded, {
    event: 'reloaded',
    file: 'other.yaml',
    policies: 1,
    bindings: 1,
    microseconds: reloaded.microseconds,
  });
  assert.deepEqual(rig.transactions(), []);
  assert.deepEqual(rig.kernel.tables(), tables);
});

test('a policy that changed is replaced in one transaction for each device, the others are not touched', () => {
  const bindings = [bind('web', { alias: 'web' }), bind('guard')];
  const rig = Rig.started(plan([guard, program('web')], bindings));
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1', { alias: 'web' });
  rig.addDevice('macvtap2', { alias: 'web' });
  rig.loop.step(0);
  rig.events();
  rig.transactions();
  const untouched = rig.kernel.tables().filter(({ name }) => name === 'tapwall.2.guard');
  rig.loop.reload(plan([guard, program('web', { rules: 2 })], bindings));
  assert.deepEqual(rig.events(), [
    'attached macvtap1 3 web replaced',
    'attached macvtap2 4 web replaced',
    'reloaded',
  ]);
  const transactions = rig.transactions();
  assert.equal(transactions.length, 2);
  assert.deepEqual(
    new Set(transactions.flatMap((one) => one.operations.map(({ table }) => table))),
    new Set(['tapwall.3.guard', 'tapwall.4.guard']),
  );
  assert.deepEqual(
    rig.kernel.tables().filter(({ name }) => name === 'tapwall.2.guard'),
    untouched,
  );
});

test('a binding that was taken away: its devices are let go, and told of', () => {
  const rig = Rig.started(
    plan([guard], [bind('guard', { device: 'macvtap0' }), bind('guard', { device: 'macvtap1' })]),
  );
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.loop.step(0);
  rig.events();
  rig.loop.reload(plan([guard], [bind('guard', { device: 'macvtap1' })]));
  assert.deepEqual(rig.events(), [
    'detached macvtap0 2 unbound tapwall.2.guard',
    'unmatched macvtap0 2',
    'reloaded',
  ]);
  assert.deepEqual(rig.installed(), ['tapwall.3.guard guard macvtap1']);
});

test('other bindings give a device another policy, its old tables going in the same transaction', () => {
  const both = program('both', { tables: ['in', 'out'] });
  const rig = Rig.started(plan([both], [bind('both')]));
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.transactions();
  rig.loop.reload(guardAll());
  const [transaction, ...others] = rig.transactions().map(operations);
  assert.deepEqual(others, []);
  assert.deepEqual(transaction?.slice(0, 6), [
    'NEWTABLE tapwall.2.in',
    'DELTABLE tapwall.2.in',
    'NEWTABLE tapwall.2.out',
    'DELTABLE tapwall.2.out',
    'NEWTABLE tapwall.2.guard',
    'DELTABLE tapwall.2.guard',
  ]);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap0']);
});

test('other prefixes: some devices are let go, some are found', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('vm0');
  rig.loop.step(0);
  rig.events();
  rig.loop.reload(guardAll({ prefixes: ['vm'] }));
  assert.deepEqual(rig.events(), [
    'detached macvtap0 2 unbound tapwall.2.guard',
    'attached vm0 3 guard new',
    'reloaded',
  ]);
  assert.deepEqual(rig.installed(), ['tapwall.3.guard guard vm0']);
});

test('what somebody else deleted comes back at a reload', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.flushRuleset();
  rig.loop.reload(guardAll());
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new', 'reloaded']);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap0']);
});

test('a device that vanished before the reload is detached by it, and its event is no news then', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.kernel.removeLink('macvtap0');
  rig.loop.reload(guardAll());
  assert.deepEqual(rig.events(), ['detached macvtap0 2 gone tapwall.2.guard', 'reloaded']);
  rig.loop.step(0);
  assert.deepEqual(rig.events(), []);
});

test('with a device goes all that was attached to it meanwhile', () => {
  const rig = Rig.started(plan([guard], []));
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  attachByHand(rig.kernel, 'macvtap0', guard);
  rig.events();
  rig.kernel.loseEvents();
  rig.kernel.removeLink('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['overflow', 'detached macvtap0 2 gone tapwall.2.guard']);
});

test('stopping leaves the filters, and the loop does nothing more', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.transactions();
  rig.loop.stop({ detach: false });
  assert.deepEqual(rig.events(), ['stopped 0']);
  assert.deepEqual(rig.transactions(), []);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap0']);
  assert.throws(() => rig.loop.step(0), { code: 'EBADF' });
});

test('stopping with detach takes the agent’s own filters along, closed devices included', () => {
  const hopeless = program('hopeless', { hopeless: true });
  const rig = Rig.started(
    plan(
      [guard, hopeless],
      [bind('guard', { device: 'macvtap0' }), bind('hopeless', { device: 'macvtap1' })],
    ),
  );
  for (const name of ['macvtap0', 'macvtap1', 'macvtap2']) rig.addDevice(name);
  attachByHand(rig.kernel, 'macvtap2', program('by-hand'));
  rig.loop.step(0);
  rig.events();
  rig.loop.stop({ detach: true });
  assert.deepEqual(rig.events(), [
    'detached macvtap0 2 exit tapwall.2.guard',
    'detached macvtap1 3 exit tapwall.3.closed',
    'stopped 2',
  ]);
  assert.deepEqual(rig.installed(), ['tapwall.4.guard by-hand macvtap2']);
});

test('stopping with detach leaves what was attached by hand over the agent’s', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  attachByHand(rig.kernel, 'macvtap0', program('by-hand'));
  rig.events();
  rig.loop.stop({ detach: true });
  assert.deepEqual(rig.events(), ['stopped 0']);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard by-hand macvtap0']);
});

test('what cannot be removed at the end is a warning, and is not counted', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.loop.step(0);
  rig.events();
  rig.kernel.refuseNext(constants.errno.EPERM);
  rig.loop.stop({ detach: true });
  const [warning, ...rest] = rig.events();
  assert.match(warning ?? '', /^warning cannot remove tapwall\.2\.guard of macvtap0: .*EPERM/);
  assert.deepEqual(rest, ['detached macvtap1 3 exit tapwall.3.guard', 'stopped 1']);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap0']);
});
