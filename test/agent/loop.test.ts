/** The loop's daily work: devices are there and appear. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeKernel } from '#src/kernel/fake.js';
import { parseAttributes, readHost32 } from '#src/netlink/attribute.js';
import { parseRecord } from '#src/program/record.js';
import { ATTACH_2, hookOperations, JOIN } from './expected.js';
import { numberIn, sharedTable } from './state.js';
import {
  bind,
  Case,
  fileSettings,
  inline,
  inlineSettings,
  operations,
  program,
  SETTINGS,
  underEach,
} from './support.js';

underEach('devices that are there at the start get their policies, then the agent is ready', (the) => {
  const rig = the.rig(the.guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.start();
  assert.deepEqual(rig.events(), [
    'attached macvtap0 2 guard new',
    'attached macvtap1 3 guard new',
    'ready 2/2',
  ]);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 guard macvtap1']);
  // Both in one transaction, and before any hook that is in force before they are admitted: a door cuts nobody off.
  const transactions = rig.transactions().map(operations);
  const standing = the.setting.placement === 'prefix' || the.setting.placement === 'names' ? 2 : 0;
  const admitted = the.setting.placement === 'device' ? 1 : 0;
  assert.equal(transactions.length, 1 + admitted + the.stepsTo('macvtap0', 'macvtap1') + standing);
  assert.ok(transactions[0]?.includes('NEWTABLE tapwall'));
  assert.equal(transactions[1]?.filter((one) => one === 'NEWSETELEM tapwall device.policy').length, 2);
  const hooking = transactions.findIndex((one) =>
    one.some((word) => /^NEWCHAIN tapwall (in|e)gress(\.names\.0)?$/.test(word)),
  );
  assert.equal(hooking, standing === 0 ? -1 : 2);
  if (admitted > 0) assert.ok(!transactions[1]?.some((one) => one.startsWith('NEWCHAIN')));
  // Their creation is queued as well, for the socket was there before them; it is no news.
  assert.equal(rig.step(), false);
  assert.deepEqual(rig.events(), []);
  assert.deepEqual(rig.transactions(), []);
});

underEach('a device that appears gets its policy in one transaction', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  const [attached, ...more] = rig.take();
  assert.deepEqual(more, []);
  assert.ok(attached?.event === 'attached' && attached.microseconds >= 0);
  assert.deepEqual(attached, {
    event: 'attached',
    device: 'macvtap0',
    index: 2,
    policy: 'guard',
    tables: the.setting.kind === 'file' ? ['tapwall.2.guard'] : [],
    replaced: false,
    kept: false,
    inAdvance: ['prefix', 'names'].includes(the.setting.placement),
    microseconds: attached.microseconds,
  });
  const [now, late] = hookOperations(the, 'macvtap0', 2);
  const first =
    the.setting.kind === 'inline'
      ? [...JOIN, ...now]
      : ['NEWSETELEM tapwall device.policy', ...ATTACH_2, ...now];
  assert.deepEqual(rig.transactions().map(operations), late.length > 0 ? [first, late] : [first]);
});

underEach(
  'what is installed for one device alone carries its facts',
  (the) => {
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0', { index: 0x01234567, mac: '52:54:00:aa:bb:cc' });
    rig.step();
    const [table, ...others] = rig.kernel.tables().filter(({ name }) => name !== 'tapwall');
    assert.deepEqual(others, []);
    assert.equal(table?.name, 'tapwall.19088743.guard');
    const { digest } = program('guard');
    assert.deepEqual(parseRecord(table.userdata), {
      origin: 'agent',
      digest,
      device: 'macvtap0',
      mac: '52:54:00:aa:bb:cc',
      policy: 'guard',
    });
    assert.deepEqual(
      table.chains.map(({ name, hook }) => [name, hook?.number, hook?.devices]),
      [
        ['tapwall.passed.ingress', 0, [{ name: 'macvtap0' }]],
        ['tapwall.passed.egress', 1, [{ name: 'macvtap0' }]],
        ['ingress', 0, [{ name: 'macvtap0' }]],
        ['egress', 1, [{ name: 'macvtap0' }]],
      ],
    );
    for (const { rules } of table.chains.slice(2)) {
      const [index] = parseAttributes(rules[0]?.expressions?.[0]?.data ?? new Uint8Array());
      assert.equal(index && readHost32(index), 0x01234567);
    }
  },
  fileSettings,
);

underEach(
  'what a device joins says its index, its MAC and its policy',
  (the) => {
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0', { index: 0x01234567, mac: '52:54:00:aa:bb:cc' });
    rig.step();
    const set = (name: string) => sharedTable(rig.kernel)?.sets.find((one) => one.name === name)?.elements;
    const [policy, ...policies] = set('device.policy') ?? [];
    const [mac, ...macs] = set('mac.assigned') ?? [];
    assert.deepEqual([policies, macs], [[], []]);
    assert.equal(numberIn(policy?.key), 0x01234567);
    const [key] = parseAttributes(mac?.key ?? new Uint8Array());
    // Each field of a concatenation is padded to four bytes.
    assert.equal(Buffer.from(key?.value ?? []).toString('hex'), '67452301525400aabbcc0000');
  },
  inlineSettings,
);

underEach('however many events a new device has, it is put in line once', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.kernel.updateLink('macvtap0', { mac: '02:00:00:00:00:09', alias: 'web' });
  rig.kernel.updateLink('macvtap0', { up: false });
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new']);
  assert.equal(rig.transactions().length, the.stepsTo('macvtap0'));
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.step();
  assert.deepEqual(rig.events(), []);
  assert.equal(rig.transactions().length, 0);
});

underEach('links other than macvtap are left alone, whatever their names', (the) => {
  const rig = the.rig(the.guardAll());
  rig.kernel.addLink({ name: 'macvtap8', kind: 'macvlan' });
  rig.kernel.addLink({ name: 'macvtap9' });
  rig.start();
  rig.transactions();
  rig.kernel.addLink({ name: 'macvtap12', kind: 'veth' });
  rig.kernel.updateLink('macvtap9', { name: 'macvtap13', up: true });
  rig.addDevice('tap0');
  rig.step();
  assert.deepEqual(rig.events(), ['ready 0/0']);
  assert.deepEqual(rig.transactions(), []);
});

underEach('a loop in one network namespace does not see another', (the) => {
  const kernel = the.kernel();
  const rig = the.rig(the.guardAll(), kernel, kernel.createNamespace());
  rig.addDevice('macvtap0');
  kernel.addLink({ name: 'macvtap1', kind: 'macvtap' });
  rig.start();
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new', 'ready 1/1']);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
  assert.deepEqual(kernel.tables(), []);
});

underEach('a step says whether the waker was signalled, and handles events as well', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.waker.signal();
  assert.equal(rig.step(), true);
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new']);
  assert.equal(rig.step(), false);
});

test('the plan’s warnings come first, and ready says the placement', () => {
  for (const setting of SETTINGS) {
    const the = new Case(setting);
    const rig = the.rig(the.guardAll({ warnings: ['this kernel has no egress hook'] }));
    rig.start();
    const [warning, ready, ...more] = rig.take();
    assert.deepEqual(more, []);
    assert.deepEqual(warning, { event: 'warning', message: 'this kernel has no egress hook' });
    assert.ok(ready?.event === 'ready');
    assert.equal(ready.placement, setting.placement);
  }
});

test('a kernel without an egress hook has one direction', () => {
  for (const placement of ['prefix', 'names', 'device', 'chain'] as const) {
    const the = new Case({ label: '', placement, namesInAdvance: true, destroys: true, kind: 'inline' });
    const plan = the.guardAll();
    plan.blueprint.bases.delete(1);
    const rig = the.rig(plan, new FakeKernel());
    rig.addDevice('macvtap9');
    rig.loop.start();
    assert.deepEqual(rig.events(), ['attached macvtap9 2 guard new', 'ready 1/1']);
    rig.transactions();
    rig.loop.reload(plan);
    assert.deepEqual(rig.transactions(), []);
    const bases = sharedTable(rig.kernel)?.chains.filter(({ hook }) => hook) ?? [];
    assert.deepEqual(new Set(bases.map(({ hook }) => hook?.number)), new Set([0]));
  }
});

test('policies of both kinds, side by side, in one transaction', () => {
  for (const setting of inlineSettings) {
    const the = new Case(setting);
    const policies = [inline('guard'), program('web', { rules: 2 })];
    const rig = the.started(the.plan(policies, [bind('web', { alias: 'web' }), bind('guard')]));
    rig.addDevice('macvtap0');
    rig.addDevice('macvtap1', { alias: 'web', up: true });
    rig.step();
    assert.equal(rig.transactions().length, the.stepsTo('macvtap0', 'macvtap1'));
    assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 web macvtap1']);
    rig.kernel.updateLink('macvtap1', { alias: '' });
    rig.step();
    assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 guard macvtap1']);
    // What the last policy needed goes in the transaction that brings the next.
    const transactions = rig.transactions().map(operations);
    assert.equal(transactions.length, 1);
    assert.ok(transactions[0]?.includes('DELTABLE tapwall.3.guard'));
    assert.deepEqual(rig.kernel.refusals, []);
  }
});
