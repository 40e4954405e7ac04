/** The loop's daily work: devices are there, appear, change their names and go away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeKernel } from '#src/kernel/fake.js';
import { parseAttributes, readHost32 } from '#src/netlink/attribute.js';
import { parseRecord } from '#src/program/record.js';
import { bind, guard, guardAll, operations, plan, program, Rig } from './support.js';

const ATTACH_2 = [
  'NEWTABLE tapwall.2.guard',
  'DELTABLE tapwall.2.guard',
  'NEWTABLE tapwall.2.guard',
  'NEWCHAIN tapwall.2.guard ingress',
  'NEWCHAIN tapwall.2.guard egress',
  'NEWRULE tapwall.2.guard ingress',
  'NEWRULE tapwall.2.guard egress',
];

test('devices that are there at the start get their policies, then the agent is ready', () => {
  const rig = new Rig(guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.loop.start();
  assert.deepEqual(rig.events(), [
    'attached macvtap0 2 guard new',
    'attached macvtap1 3 guard new',
    'ready 2/2',
  ]);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap0', 'tapwall.3.guard guard macvtap1']);
  assert.equal(rig.transactions().length, 2);
  // Their creation is queued as well, for the socket was there before them; it is no news.
  assert.equal(rig.loop.step(0), false);
  assert.deepEqual(rig.events(), []);
  assert.deepEqual(rig.transactions(), []);
});

test('a device that appears gets its policy in one transaction', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  const [attached, ...more] = rig.take();
  assert.deepEqual(more, []);
  assert.ok(attached?.event === 'attached' && attached.microseconds >= 0);
  assert.deepEqual(attached, {
    event: 'attached',
    device: 'macvtap0',
    index: 2,
    policy: 'guard',
    digest: guard.digest,
    tables: ['tapwall.2.guard'],
    replaced: false,
    kept: false,
    microseconds: attached.microseconds,
  });
  assert.deepEqual(rig.transactions().map(operations), [ATTACH_2]);
});

test('what is installed carries the facts of its device', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0', { index: 0x01234567, mac: '52:54:00:aa:bb:cc' });
  rig.loop.step(0);
  const [table, ...others] = rig.kernel.tables();
  assert.deepEqual(others, []);
  assert.equal(table?.name, 'tapwall.19088743.guard');
  assert.deepEqual(parseRecord(table.userdata), {
    origin: 'agent',
    digest: guard.digest,
    device: 'macvtap0',
    mac: '52:54:00:aa:bb:cc',
    policy: 'guard',
  });
  assert.deepEqual(
    table.chains.map(({ name, hook }) => [name, hook?.number, hook?.devices]),
    [
      ['ingress', 0, [{ name: 'macvtap0' }]],
      ['egress', 1, [{ name: 'macvtap0' }]],
    ],
  );
  for (const { rules } of table.chains) {
    const [index] = parseAttributes(rules[0]?.expressions?.[0]?.data ?? new Uint8Array());
    assert.equal(index && readHost32(index), 0x01234567);
  }
});

test('however many events a new device has, it has one transaction', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.kernel.updateLink('macvtap0', { mac: '02:00:00:00:00:09', alias: 'web' });
  rig.kernel.updateLink('macvtap0', { up: false });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new']);
  assert.equal(rig.transactions().length, 1);
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), []);
  assert.equal(rig.transactions().length, 0);
});

test('a renamed device gets its policy again under the new name, in one transaction', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.transactions();
  rig.kernel.updateLink('macvtap0', { name: 'macvtap-web' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap-web 2 guard replaced']);
  assert.deepEqual(rig.transactions().map(operations), [ATTACH_2]);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap-web']);
});

test('a name that was passed through is never filtered for: the device would stand open meanwhile', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.transactions();
  rig.kernel.updateLink('macvtap0', { name: 'macvtap1' });
  rig.kernel.updateLink('macvtap1', { name: 'macvtap2' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap2 2 guard replaced']);
  assert.equal(rig.transactions().length, 1);
  rig.kernel.updateLink('macvtap2', { name: 'macvtap3' });
  rig.kernel.removeLink('macvtap3');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['detached macvtap3 2 gone tapwall.2.guard']);
});

test('two devices that exchange their names end behind their own policies', () => {
  const web = program('web', { rules: 2 });
  const rig = Rig.started(plan([guard, web], [bind('web', { mac: '02:00:00:00:00:02' }), bind('guard')]));
  rig.addDevice('macvtap0', { mac: '02:00:00:00:00:02' });
  rig.addDevice('macvtap1', { mac: '02:00:00:00:00:03' });
  rig.loop.step(0);
  rig.kernel.updateLink('macvtap0', { name: 'macvtap9' });
  rig.kernel.updateLink('macvtap1', { name: 'macvtap0' });
  rig.kernel.updateLink('macvtap9', { name: 'macvtap1' });
  rig.loop.step(0);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard web macvtap1', 'tapwall.3.guard guard macvtap0']);
});

test('a device renamed out of the prefixes is let go, and taken again when it comes back', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.kernel.updateLink('macvtap0', { name: 'mine0' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['detached mine0 2 unbound tapwall.2.guard']);
  assert.deepEqual(rig.installed(), []);
  rig.kernel.updateLink('mine0', { alias: 'mine', up: true });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), []);
  rig.kernel.updateLink('mine0', { name: 'macvtap7' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap7 2 guard new']);
});

test('an unmatched device that left the prefixes is told of again under its next name', () => {
  const rig = Rig.started(plan([guard], [bind('guard', { alias: 'web' })]));
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['unmatched macvtap0 2']);
  rig.kernel.updateLink('macvtap0', { name: 'mine0' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), []);
  rig.kernel.updateLink('mine0', { name: 'macvtap1' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['unmatched macvtap1 2']);
});

test('with a device exactly its own tables go', () => {
  const rig = Rig.started(plan([program('both', { tables: ['in', 'out'] })], [bind('both')]));
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap0 2 both new', 'attached macvtap1 3 both new']);
  rig.transactions();
  rig.kernel.removeLink('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['detached macvtap0 2 gone tapwall.2.in,tapwall.2.out']);
  assert.deepEqual(rig.transactions().map(operations), [
    ['NEWTABLE tapwall.2.in', 'DELTABLE tapwall.2.in', 'NEWTABLE tapwall.2.out', 'DELTABLE tapwall.2.out'],
  ]);
  assert.deepEqual(rig.installed(), ['tapwall.3.in both macvtap1', 'tapwall.3.out both macvtap1']);
});

test('the next device of a name inherits nothing', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.kernel.removeLink('macvtap0');
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), [
    'detached macvtap0 2 gone tapwall.2.guard',
    'attached macvtap0 3 guard new',
  ]);
  assert.deepEqual(rig.installed(), ['tapwall.3.guard guard macvtap0']);
});

test('a device that is deleted and made anew with the same index is a new one', () => {
  const web = program('web', { rules: 2 });
  const rig = Rig.started(plan([guard, web], [bind('web', { mac: '02:00:00:00:00:02' }), bind('guard')]));
  rig.addDevice('macvtap0', { mac: '02:00:00:00:00:02', index: 7 });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap0 7 web new']);
  rig.kernel.removeLink('macvtap0');
  rig.addDevice('macvtap0', { mac: '02:00:00:00:00:03', index: 7 });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), [
    'detached macvtap0 7 gone tapwall.7.guard',
    'attached macvtap0 7 guard new',
  ]);
});

test('a device goes with its parent', () => {
  const rig = Rig.started(guardAll());
  rig.kernel.addLink({ name: 'enp88s0' });
  rig.addDevice('macvtap0', { parent: 'enp88s0' });
  rig.loop.step(0);
  rig.events();
  rig.kernel.removeLink('enp88s0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['detached macvtap0 3 gone tapwall.3.guard']);
  assert.deepEqual(rig.installed(), []);
});

test('a device that came and went before the loop looked leaves nothing, on any kernel', () => {
  for (const namesInAdvance of [true, false]) {
    const rig = Rig.started(guardAll(), new FakeKernel({ namesInAdvance }));
    rig.addDevice('macvtap0');
    rig.kernel.removeLink('macvtap0');
    rig.loop.step(0);
    assert.deepEqual(rig.installed(), []);
    // Older kernels refuse a hook on what is not there, and that is no failure.
    const expected = ['attached macvtap0 2 guard new', 'detached macvtap0 2 gone tapwall.2.guard'];
    assert.deepEqual(rig.events(), namesInAdvance ? expected : []);
    assert.deepEqual(
      rig.kernel.refusals.map(({ code }) => code),
      namesInAdvance ? [] : ['ENOENT'],
    );
  }
});

test('a device renamed before the loop looked is no failure on a kernel that wants the device there', () => {
  const rig = Rig.started(guardAll(), new FakeKernel({ namesInAdvance: false }));
  rig.addDevice('macvtap0');
  rig.kernel.updateLink('macvtap0', { name: 'macvtap1' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap1 2 guard new']);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap1']);
});

test('links other than macvtap are left alone, whatever their names', () => {
  const rig = new Rig(guardAll());
  rig.kernel.addLink({ name: 'macvtap0', kind: 'macvlan' });
  rig.kernel.addLink({ name: 'macvtap1' });
  rig.loop.start();
  rig.kernel.addLink({ name: 'macvtap2', kind: 'veth' });
  rig.kernel.updateLink('macvtap1', { name: 'macvtap3', up: true });
  rig.addDevice('tap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['ready 0/0']);
  assert.deepEqual(rig.transactions(), []);
});

test('a loop in one network namespace does not see another', () => {
  const kernel = new FakeKernel();
  const rig = new Rig(guardAll(), kernel, kernel.createNamespace());
  rig.addDevice('macvtap0');
  kernel.addLink({ name: 'macvtap1', kind: 'macvtap' });
  rig.loop.start();
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new', 'ready 1/1']);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap0']);
  assert.deepEqual(kernel.tables(), []);
});

test('a step says whether the waker was signalled, and handles events as well', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.waker.signal();
  assert.equal(rig.loop.step(0), true);
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new']);
  assert.equal(rig.loop.step(0), false);
});

test('the plan’s warnings come first', () => {
  const rig = new Rig(guardAll({ warnings: ['this kernel has no egress hook'] }));
  rig.loop.start();
  assert.deepEqual(rig.events(), ['warning this kernel has no egress hook', 'ready 0/0']);
});

test('200 devices at once: 200 transactions, and none is lost', () => {
  const rig = Rig.started(guardAll());
  const names = Array.from({ length: 200 }, (_, number) => `macvtap${number}`);
  for (const name of names) rig.addDevice(name);
  rig.loop.step(0);
  assert.equal(rig.transactions().length, 200);
  assert.deepEqual(
    rig.take().map((event) => event.event === 'attached' && event.device),
    names,
  );
  assert.equal(rig.installed().length, 200);
  for (const name of names) rig.kernel.removeLink(name);
  rig.loop.step(0);
  assert.deepEqual(rig.installed(), []);
  assert.equal(rig.transactions().length, 200);
});
