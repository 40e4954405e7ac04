/** Another plan. */
import assert from 'node:assert/strict';
import {
  attachByHand,
  bind,
  fileSettings,
  inlineSettings,
  operations,
  program,
  underEach,
} from './support.js';

underEach('a reload that changes nothing sends nothing', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.step();
  rig.events();
  rig.transactions();
  const tables = rig.kernel.tables();
  rig.reload(the.guardAll({ file: 'other.yaml', warnings: ['a word'] }));
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

underEach('a binding that was taken away: its devices are let go, and told of', (the) => {
  const rig = the.started(
    the.plan([the.guard], [bind('guard', { device: 'macvtap0' }), bind('guard', { device: 'macvtap1' })]),
  );
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.step();
  rig.events();
  rig.reload(the.plan([the.guard], [bind('guard', { device: 'macvtap1' })]));
  assert.deepEqual(rig.events(), ['detached macvtap0 2 unbound', 'unmatched macvtap0 2 closed', 'reloaded']);
  assert.deepEqual(rig.installed(), ['3 guard macvtap1']);
});

underEach(
  'other bindings give a device another policy, its old tables going in the same transaction',
  (the) => {
    const both = the.policy('both', { tables: ['in', 'out'] });
    const rig = the.started(the.plan([both], [bind('both')]));
    rig.addDevice('macvtap0');
    rig.step();
    rig.transactions();
    rig.reload(the.guardAll());
    const [transaction, ...others] = rig.transactions().map(operations);
    assert.deepEqual(others, []);
    const own = transaction?.filter((word) => / tapwall\.2\./.test(word));
    assert.deepEqual(own?.slice(0, 6), [
      'NEWTABLE tapwall.2.in',
      'DELTABLE tapwall.2.in',
      'NEWTABLE tapwall.2.out',
      'DELTABLE tapwall.2.out',
      'NEWTABLE tapwall.2.guard',
      'DELTABLE tapwall.2.guard',
    ]);
    assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
  },
  fileSettings,
);

underEach('other prefixes: some devices are let go, some are found', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('vm0');
  rig.step();
  rig.events();
  rig.reload(the.guardAll({ prefixes: ['vm'] }));
  assert.deepEqual(rig.events(), ['detached macvtap0 2 unbound', 'attached vm0 3 guard new', 'reloaded']);
  assert.deepEqual(rig.installed(), ['3 guard vm0']);
});

underEach('what somebody else deleted comes back at a reload', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  rig.events();
  rig.flushRuleset();
  rig.reload(the.guardAll());
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new', 'reloaded']);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
});

underEach(
  'a device that vanished before the reload is detached by it, and its event is no news then',
  (the) => {
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0');
    rig.step();
    rig.events();
    rig.kernel.removeLink('macvtap0');
    rig.reload(the.guardAll());
    assert.deepEqual(rig.events(), ['detached macvtap0 2 gone', 'reloaded']);
    rig.step();
    assert.deepEqual(rig.events(), []);
  },
);

underEach('with a device goes all that was attached to it meanwhile', (the) => {
  const rig = the.started(the.plan([the.guard], []));
  rig.addDevice('macvtap0');
  rig.step();
  attachByHand(rig.kernel, 'macvtap0', program('mine'));
  rig.events();
  rig.kernel.loseEvents();
  rig.kernel.removeLink('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['detached macvtap0 2 gone', 'repaired', 'overflow']);
});

underEach('another placement: what stood is taken away, and no device is open afterwards', (the) => {
  for (const placement of ['prefix', 'names', 'device', 'chain'] as const) {
    if (!the.setting.namesInAdvance && (placement === 'prefix' || placement === 'names')) continue;
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0');
    rig.addDevice('macvtap9');
    rig.step();
    rig.events();
    rig.transactions();
    rig.reload(the.guardAll({ placement }));
    assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 guard macvtap9']);
    assert.deepEqual(rig.kernel.refusals, []);
    // One for each direction's hooks, and what they take the place of goes when both stand.
    assert.ok(rig.transactions().length <= 4);
    rig.kernel.removeLink('macvtap9');
    rig.addDevice('macvtap8');
    rig.step();
    assert.deepEqual(rig.installed(), ['2 guard macvtap0', '4 guard macvtap8']);
  }
});

underEach(
  'other names that are hooked in advance: no device stands open, and none is hooked twice',
  (the) => {
    const rig = the.started(the.guardAll());
    for (const name of ['macvtap0', 'macvtap8', 'macvtap9']) rig.addDevice(name);
    rig.step();
    rig.reload(the.guardAll({ names: new Set(['macvtap8', 'macvtap7']) }));
    rig.reload(the.guardAll({ names: new Set() }));
    rig.reload(the.guardAll());
    assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 guard macvtap8', '4 guard macvtap9']);
    assert.deepEqual(rig.kernel.refusals, []);
  },
  inlineSettings,
);
