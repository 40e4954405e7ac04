/** Which policy a device gets, and when it gets another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bind, guard, guardAll, operations, plan, program, Rig } from './support.js';

const web = program('web', { rules: 2 });

test('a device that no binding matches is told of once', () => {
  const rig = new Rig(plan([guard], [bind('guard', { device: 'macvtap9' })]));
  rig.addDevice('macvtap0');
  rig.loop.start();
  assert.deepEqual(rig.events(), ['unmatched macvtap0 2', 'ready 0/1']);
  rig.kernel.updateLink('macvtap0', { up: true, alias: 'x' });
  rig.loop.step(0);
  rig.kernel.loseEvents();
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['overflow']);
  rig.kernel.removeLink('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), []);
  assert.deepEqual(rig.transactions(), []);
});

test('an alias that is set later changes the binding, in one transaction', () => {
  const rig = Rig.started(plan([guard, web], [bind('web', { alias: 'web*' }), bind('guard')]));
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new']);
  rig.transactions();
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.kernel.updateLink('macvtap0', { alias: 'web-1' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap0 2 web replaced']);
  assert.equal(rig.transactions().length, 1);
  rig.kernel.updateLink('macvtap0', { alias: '' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard replaced']);
  assert.equal(rig.transactions().length, 1);
});

test('an alias set while the device is down counts when it goes up: the kernel says nothing before', () => {
  const rig = Rig.started(plan([guard, web], [bind('web', { alias: 'web' }), bind('guard')]));
  rig.addDevice('macvtap0');
  rig.kernel.updateLink('macvtap0', { alias: 'web' });
  rig.loop.step(0);
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new', 'attached macvtap0 2 web replaced']);
});

test('a policy with other tables replaces the old ones in the same transaction', () => {
  const both = program('both', { tables: ['guard', 'more'] });
  const rig = Rig.started(plan([web, both], [bind('web', { alias: 'web' }), bind('both')]));
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.transactions();
  rig.kernel.updateLink('macvtap0', { alias: 'web', up: true });
  rig.loop.step(0);
  const [transaction, ...others] = rig.transactions().map(operations);
  assert.deepEqual(others, []);
  assert.ok(transaction?.includes('DELTABLE tapwall.2.more'));
  assert.deepEqual(rig.installed(), ['tapwall.2.guard web macvtap0']);
});

test('a device that loses its binding loses its policy, and gets it back', () => {
  const rig = Rig.started(plan([guard], [bind('guard', { alias: 'vm' })]));
  rig.addDevice('macvtap0', { alias: 'vm' });
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.loop.step(0);
  rig.kernel.updateLink('macvtap0', { alias: '' });
  rig.loop.step(0);
  rig.kernel.updateLink('macvtap0', { alias: 'vm' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), [
    'attached macvtap0 2 guard new',
    'detached macvtap0 2 unbound tapwall.2.guard',
    'unmatched macvtap0 2',
    'attached macvtap0 2 guard new',
  ]);
});

test('a MAC that is changed later does not change the binding', () => {
  const bindings = [bind('web', { mac: '02:00:00:00:00:aa' }), bind('guard')];
  const rig = Rig.started(plan([guard, web], bindings));
  rig.addDevice('macvtap0', { mac: '02:00:00:00:00:bb' });
  rig.loop.step(0);
  rig.transactions();
  // A guest can do this through its tap.
  rig.kernel.updateLink('macvtap0', { mac: '02:00:00:00:00:aa', up: true });
  rig.loop.step(0);
  rig.kernel.loseEvents();
  rig.loop.step(0);
  rig.loop.reload(plan([guard, web], bindings));
  assert.deepEqual(rig.transactions(), []);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap0']);
  // Nor for the next agent: the record holds the MAC of the first moment.
  const next = new Rig(plan([guard, web], bindings), rig.kernel);
  next.loop.start();
  assert.deepEqual(next.events(), ['attached macvtap0 2 guard kept', 'ready 1/1']);
});

test('a binding by parent goes by the parent’s name', () => {
  const rig = Rig.started(
    plan([guard, web], [bind('web', { parent: 'enp88s0' }), bind('guard', { parent: 'enp99s0' })]),
  );
  rig.kernel.addLink({ name: 'enp88s0' });
  rig.kernel.addLink({ name: 'enp99s0' });
  rig.kernel.addLink({ name: 'enp77s0' });
  rig.addDevice('macvtap0', { parent: 'enp99s0' });
  rig.addDevice('macvtap1', { parent: 'enp88s0' });
  rig.addDevice('macvtap2', { parent: 'enp77s0' });
  rig.addDevice('macvtap3');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), [
    'attached macvtap0 5 guard new',
    'attached macvtap1 6 web new',
    'unmatched macvtap2 7',
    'unmatched macvtap3 8',
  ]);
});

test('a parent in another namespace never matches by name, whatever has its index here', () => {
  const rig = new Rig(plan([guard], [bind('guard', { parent: 'enp88s0' })]));
  const { index } = rig.kernel.addLink({ name: 'enp88s0' });
  rig.kernel.addLink({ name: 'macvtap0', kind: 'macvtap', parentElsewhere: index });
  rig.loop.start();
  rig.kernel.addLink({ name: 'macvtap1', kind: 'macvtap', parentElsewhere: index });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['unmatched macvtap0 3', 'ready 0/1', 'unmatched macvtap1 4']);
  assert.deepEqual(rig.transactions(), []);
});

test('only names with one of the prefixes are looked at', () => {
  const rig = Rig.started(guardAll({ prefixes: ['vm', 'macvtap1'] }));
  for (const name of ['macvtap0', 'macvtap1', 'macvtap10', 'vm-web', 'xvm']) rig.addDevice(name);
  rig.loop.step(0);
  assert.deepEqual(rig.events(), [
    'attached macvtap1 3 guard new',
    'attached macvtap10 4 guard new',
    'attached vm-web 5 guard new',
  ]);
});
