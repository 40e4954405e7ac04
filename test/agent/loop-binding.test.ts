/** Which policy a device gets, and when it gets another. */
import assert from 'node:assert/strict';
import { bind, fileSettings, operations, underEach } from './support.js';

underEach('a device that no binding matches is told of once', (the) => {
  const rig = the.rig(the.plan([the.guard], [bind('guard', { device: 'macvtap9' })]));
  rig.addDevice('macvtap0');
  rig.start();
  assert.deepEqual(rig.events(), ['unmatched macvtap0 2 closed', 'ready 0/1']);
  assert.deepEqual(rig.installed(), []);
  rig.transactions();
  rig.kernel.updateLink('macvtap0', { up: true, alias: 'x' });
  rig.step();
  rig.kernel.loseEvents();
  rig.step();
  assert.deepEqual(rig.events(), ['overflow']);
  assert.deepEqual(rig.transactions(), []);
  rig.kernel.removeLink('macvtap0');
  rig.step();
  // It was never admitted. What it may have been counted for goes, and its hooks.
  assert.deepEqual(rig.events(), []);
  assert.equal(rig.transactions().length, the.stepsToRemove('macvtap0'));
});

underEach('a device that no binding matches appears: closed, and nothing of it but its hooks', (the) => {
  const rig = the.started(the.plan([the.guard], [bind('guard', { device: 'macvtap9' })]));
  rig.addDevice('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['unmatched macvtap0 2 closed']);
  assert.deepEqual(rig.installed(), []);
  assert.equal(rig.transactions().length, the.hasOwnHooks('macvtap0') ? the.stepsTo('macvtap0') : 0);
});

underEach('unmatched: accept admits what no binding matches, and says so', (the) => {
  const plan = the.plan([the.guard], [bind('guard', { alias: 'vm' })], { unmatched: { action: 'accept' } });
  const rig = the.started(plan);
  rig.addDevice('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 (accept) new']);
  assert.deepEqual(rig.installed(), ['2 by-hand macvtap0']);
  rig.transactions();
  rig.kernel.updateLink('macvtap0', { alias: 'vm', up: true });
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard replaced']);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
  assert.equal(rig.transactions().length, 1);
  // The next agent of the same configuration has nothing to do; one that closes the door closes it.
  rig.kernel.updateLink('macvtap0', { alias: '' });
  rig.step();
  rig.events();
  rig.transactions();
  rig.reload(plan);
  assert.deepEqual([rig.events(), rig.transactions()], [['reloaded'], []]);
  rig.reload({ ...plan, unmatched: { action: 'drop' } });
  assert.deepEqual(rig.events(), ['detached macvtap0 2 unbound', 'unmatched macvtap0 2 closed', 'reloaded']);
  assert.deepEqual(rig.installed(), []);
});

underEach('unmatched: policy gives a policy to what no binding matches', (the) => {
  const rig = the.started(
    the.plan([the.guard, the.web], [bind('guard', { alias: 'vm' })], {
      unmatched: { action: 'policy', policy: 'web' },
    }),
  );
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1', { alias: 'vm' });
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 web new', 'attached macvtap1 3 guard new']);
  assert.deepEqual(rig.installed(), ['2 web macvtap0', '3 guard macvtap1']);
});

underEach('an alias that is set later changes the binding, in one transaction', (the) => {
  const rig = the.started(the.plan([the.guard, the.web], [bind('web', { alias: 'web*' }), bind('guard')]));
  rig.addDevice('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new']);
  rig.transactions();
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.kernel.updateLink('macvtap0', { alias: 'web-1' });
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 web replaced']);
  assert.equal(rig.transactions().length, 1);
  rig.kernel.updateLink('macvtap0', { alias: '' });
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard replaced']);
  assert.equal(rig.transactions().length, 1);
});

underEach(
  'an alias set while the device is down counts when it goes up: the kernel says nothing before',
  (the) => {
    const rig = the.started(the.plan([the.guard, the.web], [bind('web', { alias: 'web' }), bind('guard')]));
    rig.addDevice('macvtap0');
    rig.kernel.updateLink('macvtap0', { alias: 'web' });
    rig.step();
    rig.kernel.updateLink('macvtap0', { up: true });
    rig.step();
    assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new', 'attached macvtap0 2 web replaced']);
  },
);

// Only policies that are files have tables.
underEach(
  'a policy with other tables replaces the old ones in the same transaction',
  (the) => {
    const both = the.policy('both', { tables: ['guard', 'more'] });
    const rig = the.started(the.plan([the.web, both], [bind('web', { alias: 'web' }), bind('both')]));
    rig.addDevice('macvtap0');
    rig.step();
    rig.transactions();
    rig.kernel.updateLink('macvtap0', { alias: 'web', up: true });
    rig.step();
    const [transaction, ...others] = rig.transactions().map(operations);
    assert.deepEqual(others, []);
    assert.ok(transaction?.includes('DELTABLE tapwall.2.more'));
    assert.deepEqual(rig.installed(), ['2 web macvtap0']);
  },
  fileSettings,
);

underEach('a device that loses its binding loses its policy, and gets it back', (the) => {
  const rig = the.started(the.plan([the.guard], [bind('guard', { alias: 'vm' })]));
  rig.addDevice('macvtap0', { alias: 'vm' });
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.step();
  rig.kernel.updateLink('macvtap0', { alias: '' });
  rig.step();
  rig.kernel.updateLink('macvtap0', { alias: 'vm' });
  rig.step();
  assert.deepEqual(rig.events(), [
    'attached macvtap0 2 guard new',
    'detached macvtap0 2 unbound',
    'unmatched macvtap0 2 closed',
    'attached macvtap0 2 guard new',
  ]);
});

underEach('a MAC that is changed later does not change the binding', (the) => {
  const bindings = [bind('web', { mac: '02:00:00:00:00:aa' }), bind('guard')];
  const rig = the.started(the.plan([the.guard, the.web], bindings));
  rig.addDevice('macvtap0', { mac: '02:00:00:00:00:bb' });
  rig.step();
  rig.transactions();
  // A guest can do this through its tap.
  rig.kernel.updateLink('macvtap0', { mac: '02:00:00:00:00:aa', up: true });
  rig.step();
  rig.kernel.loseEvents();
  rig.step();
  rig.reload(the.plan([the.guard, the.web], bindings));
  assert.deepEqual(rig.transactions(), []);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
  // Nor for the next agent: the record holds the MAC of the first moment.
  const next = the.rig(the.plan([the.guard, the.web], bindings), rig.kernel);
  next.start();
  assert.deepEqual(next.events(), ['attached macvtap0 2 guard kept', 'ready 1/1']);
});

underEach('a binding by parent goes by the parent’s name', (the) => {
  const rig = the.started(
    the.plan(
      [the.guard, the.web],
      [bind('web', { parent: 'enp88s0' }), bind('guard', { parent: 'enp99s0' })],
    ),
  );
  rig.kernel.addLink({ name: 'enp88s0' });
  rig.kernel.addLink({ name: 'enp99s0' });
  rig.kernel.addLink({ name: 'enp77s0' });
  rig.addDevice('macvtap0', { parent: 'enp99s0' });
  rig.addDevice('macvtap1', { parent: 'enp88s0' });
  rig.addDevice('macvtap2', { parent: 'enp77s0' });
  rig.addDevice('macvtap3');
  rig.step();
  assert.deepEqual(rig.events().sort(), [
    'attached macvtap0 5 guard new',
    'attached macvtap1 6 web new',
    'unmatched macvtap2 7 closed',
    'unmatched macvtap3 8 closed',
  ]);
});

underEach('a parent in another namespace never matches by name, whatever has its index here', (the) => {
  const rig = the.rig(the.plan([the.guard], [bind('guard', { parent: 'enp88s0' })]));
  const { index } = rig.kernel.addLink({ name: 'enp88s0' });
  rig.kernel.addLink({ name: 'macvtap0', kind: 'macvtap', parentElsewhere: index });
  rig.start();
  rig.kernel.addLink({ name: 'macvtap1', kind: 'macvtap', parentElsewhere: index });
  rig.step();
  assert.deepEqual(rig.events(), ['unmatched macvtap0 3 closed', 'ready 0/1', 'unmatched macvtap1 4 closed']);
  assert.deepEqual(rig.installed(), []);
});

underEach('only names with one of the prefixes are looked at', (the) => {
  const rig = the.started(
    the.guardAll({ prefixes: ['vm', 'macvtap1'], names: new Set(['macvtap1', 'vm0']) }),
  );
  for (const name of ['macvtap0', 'macvtap1', 'macvtap10', 'vm-web', 'xvm']) rig.addDevice(name);
  rig.step();
  assert.deepEqual(rig.events(), [
    'attached macvtap1 3 guard new',
    'attached macvtap10 4 guard new',
    'attached vm-web 5 guard new',
  ]);
});
