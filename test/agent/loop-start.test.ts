/** What the loop finds at its start, from its predecessor, from hands and from strangers. */
import assert from 'node:assert/strict';
import type { FakeKernel } from '#src/kernel/fake.js';
import { swapMarks } from './shared-plan.js';
import { indexesBySet, installed } from './state.js';
import {
  addForeignTables,
  attachByHand,
  bind,
  type Case,
  deleteTables,
  fileSettings,
  inlineSettings,
  operations,
  program,
  underEach,
} from './support.js';

/** A kernel that an agent left with a policy on each of its devices. */
function leftBehind(the: Case, devices: readonly string[], before = the.guardAll()): FakeKernel {
  const rig = the.rig(before);
  for (const name of devices) rig.addDevice(name);
  rig.start();
  rig.loop.stop({ detach: false });
  rig.transactions();
  return rig.kernel;
}

underEach('what is up to date is kept, and nothing is sent', (the) => {
  const kernel = leftBehind(the, ['macvtap0', 'macvtap1']);
  const tables = kernel.tables();
  const generation = kernel.generation();
  const rig = the.rig(the.guardAll(), kernel);
  rig.start();
  assert.deepEqual(rig.events(), [
    'attached macvtap0 2 guard kept',
    'attached macvtap1 3 guard kept',
    'ready 2/2',
  ]);
  assert.deepEqual(rig.transactions(), []);
  assert.equal(kernel.generation(), generation);
  assert.deepEqual(kernel.tables(), tables);
  // It is known as its own from now on.
  kernel.removeLink('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['detached macvtap0 2 gone']);
});

underEach(
  'another version of the policy replaces what is there in one transaction',
  (the) => {
    const kernel = leftBehind(
      the,
      ['macvtap0'],
      the.plan([the.policy('guard', { rules: 3 })], [bind('guard')]),
    );
    const rig = the.rig(the.guardAll(), kernel);
    rig.start();
    assert.deepEqual(rig.events(), ['attached macvtap0 2 guard replaced', 'ready 1/1']);
    assert.equal(rig.transactions().length, 1);
    const own = kernel.tables().filter(({ name }) => name !== 'tapwall');
    assert.deepEqual(
      own.flatMap(({ chains }) => chains.map(({ rules }) => rules.length)),
      [0, 0, 1, 1],
    );
  },
  fileSettings,
);

underEach(
  'another version of an inline policy replaces its rules in one transaction, and no device is touched',
  (the) => {
    const before = the.plan([the.policy('guard', { rules: 3 }), the.web], [bind('guard')]);
    const kernel = leftBehind(the, ['macvtap0', 'macvtap9'], before);
    const elements = indexesBySet(kernel);
    const rig = the.rig(the.plan([the.guard, the.web], [bind('guard')]), kernel);
    rig.start();
    // The devices have what they had: that is all there is to say of them.
    assert.deepEqual(rig.events(), [
      'attached macvtap0 2 guard kept',
      'attached macvtap9 3 guard kept',
      'ready 2/2',
    ]);
    assert.deepEqual(rig.transactions().map(operations), [
      ['ingress', 'egress']
        .flatMap((word) => [`DELRULE tapwall policy.guard.${word}.rules`])
        .concat(['ingress', 'egress'].flatMap((word) => [`NEWRULE tapwall policy.guard.${word}.rules`])),
    ]);
    assert.deepEqual(indexesBySet(kernel), elements);
  },
  inlineSettings,
);

underEach(
  'a table that was left for another name of the device is replaced',
  (the) => {
    const kernel = leftBehind(the, ['macvtap0']);
    kernel.updateLink('macvtap0', { name: 'macvtap1' });
    const rig = the.rig(the.guardAll(), kernel);
    rig.start();
    assert.deepEqual(rig.events(), ['attached macvtap1 2 guard replaced', 'ready 1/1']);
    assert.deepEqual(rig.installed(), ['2 guard macvtap1']);
  },
  fileSettings,
);

underEach('hooks that were left for another name of a device are moved', (the) => {
  for (const [from, to] of [
    ['macvtap0', 'macvtap1'],
    ['macvtap0', 'macvtap9'],
    ['macvtap9', 'macvtap0'],
    ['macvtap9', 'macvtap8'],
  ] as const) {
    const kernel = leftBehind(the, [from]);
    kernel.updateLink(from, { name: to });
    const rig = the.rig(the.guardAll(), kernel);
    // That every device is behind the door, and no hook stands on another name, is seen to at every start.
    rig.start();
    assert.deepEqual(rig.installed(), [`2 guard ${to}`]);
    assert.deepEqual(kernel.refusals, []);
  }
});

underEach(
  'of two tables one is missing: both are made anew',
  (the) => {
    const both = the.plan([the.policy('both', { tables: ['in', 'out'] })], [bind('both')]);
    const kernel = leftBehind(the, ['macvtap0'], both);
    deleteTables(kernel, 'tapwall.2.in');
    const rig = the.rig(both, kernel);
    rig.start();
    assert.deepEqual(rig.events(), ['attached macvtap0 2 both replaced', 'ready 1/1']);
    assert.deepEqual(rig.installed(), ['2 both macvtap0']);
    assert.equal(kernel.tables().length, 3);
  },
  fileSettings,
);

underEach('tables of devices that are gone are removed', (the) => {
  const kernel = leftBehind(the, ['macvtap0', 'macvtap1']);
  kernel.removeLink('macvtap0');
  kernel.addLink({ name: 'macvtap0', kind: 'macvtap' });
  const rig = the.rig(the.guardAll(), kernel);
  rig.start();
  assert.deepEqual(rig.events(), [
    'attached macvtap1 3 guard kept',
    'attached macvtap0 4 guard new',
    // Only a table of its own says what it was called.
    the.setting.kind === 'file' ? 'detached macvtap0 2 stale' : 'detached interface 2 2 stale',
    'ready 2/2',
  ]);
  assert.deepEqual(rig.installed(), ['3 guard macvtap1', '4 guard macvtap0']);
});

underEach('what an agent left on a device that no binding matches any more is removed', (the) => {
  const kernel = leftBehind(the, ['macvtap0']);
  const rig = the.rig(the.plan([the.guard], []), kernel);
  rig.start();
  assert.deepEqual(rig.events(), ['detached macvtap0 2 unbound', 'unmatched macvtap0 2 closed', 'ready 0/1']);
  assert.deepEqual(rig.installed(), []);
});

underEach(
  'what an agent left on a device outside the prefixes is removed, and the device left alone',
  (the) => {
    const kernel = leftBehind(the, ['macvtap0']);
    kernel.updateLink('macvtap0', { name: 'mine0' });
    const rig = the.rig(the.guardAll(), kernel);
    rig.start();
    assert.deepEqual(rig.events(), ['detached mine0 2 unbound', 'ready 0/0']);
    assert.deepEqual(rig.installed(), []);
  },
);

underEach('tables of others stay, whatever their names', (the) => {
  const kernel = the.kernel();
  const foreign = ['filter', 'tapwall.2', 'tapwall.2.mine', 'tapwall.7.guard', 'tapwall.x.guard'];
  addForeignTables(kernel, ...foreign);
  const rig = the.rig(the.guardAll(), kernel);
  rig.addDevice('macvtap0');
  rig.start();
  assert.deepEqual(rig.installed(), ['2 guard macvtap0', ...foreign.sort()]);
  kernel.removeLink('macvtap0');
  rig.step();
  kernel.loseEvents();
  rig.step();
  rig.reload(the.guardAll());
  rig.loop.stop({ detach: true });
  assert.deepEqual(rig.installed(), [...foreign].sort());
});

underEach('somebody else’s table of the shared one’s name is left alone, and no agent starts', (the) => {
  const kernel = the.kernel();
  addForeignTables(kernel, 'tapwall');
  const tables = kernel.tables();
  const rig = the.rig(the.guardAll(), kernel);
  rig.addDevice('macvtap0');
  assert.throws(() => rig.loop.start(), { code: 'FOREIGN_TABLE' });
  assert.deepEqual(kernel.tables(), tables);
});

underEach('an attachment made by hand stays on a device that no binding matches', (the) => {
  const kernel = the.kernel();
  const rig = the.rig(the.plan([the.guard], []), kernel);
  rig.addDevice('macvtap0');
  attachByHand(kernel, 'macvtap0', program('mine'));
  rig.start();
  // Its own tables filter it, so the door lets it pass.
  assert.deepEqual(rig.installed(), ['2 by-hand/mine macvtap0']);
  rig.transactions();
  kernel.updateLink('macvtap0', { up: true });
  rig.step();
  rig.reload(the.plan([the.guard], []));
  assert.deepEqual(rig.events(), ['ready 0/1', 'reloaded']);
  assert.deepEqual(rig.transactions(), []);
  rig.loop.stop({ detach: true });
  assert.deepEqual(rig.events(), ['stopped 0']);
  assert.deepEqual(rig.installed(), ['2 -/mine macvtap0']);
});

underEach('an attachment made by hand goes with its device', (the) => {
  const kernel = the.kernel();
  const rig = the.rig(the.plan([the.guard], []), kernel);
  rig.addDevice('macvtap0');
  attachByHand(kernel, 'macvtap0', program('mine'));
  rig.start();
  kernel.removeLink('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['ready 0/1', 'detached macvtap0 2 gone']);
});

underEach('an attachment made by hand is replaced where a binding matches, be it the same policy', (the) => {
  for (const byHand of [program('guard'), program('mine', { tables: ['other'] })]) {
    const kernel = the.kernel();
    const rig = the.rig(the.guardAll(), kernel);
    rig.addDevice('macvtap0');
    attachByHand(kernel, 'macvtap0', byHand);
    rig.start();
    assert.deepEqual(rig.events(), ['attached macvtap0 2 guard replaced', 'ready 1/1']);
    assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
    rig.loop.stop({ detach: true });
    assert.deepEqual(rig.installed(), []);
  }
});

underEach('an attachment made by hand is replaced when a binding comes to match', (the) => {
  const kernel = the.kernel();
  const rig = the.rig(the.plan([the.guard], [bind('guard', { alias: 'vm' })]), kernel);
  rig.addDevice('macvtap0');
  attachByHand(kernel, 'macvtap0', program('mine', { tables: ['other'] }));
  rig.start();
  rig.events();
  kernel.updateLink('macvtap0', { alias: 'vm', up: true });
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard replaced']);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
});

underEach('an attachment made by hand outside the prefixes stays', (the) => {
  const kernel = the.kernel();
  const rig = the.rig(the.guardAll(), kernel);
  rig.addDevice('mine0');
  attachByHand(kernel, 'mine0', program('mine'));
  rig.start();
  rig.loop.stop({ detach: true });
  assert.deepEqual(rig.events(), ['ready 0/0', 'stopped 0']);
  assert.deepEqual(rig.installed(), ['2 -/mine mine0']);
});

underEach('an attachment made by hand over the agent’s stays when the binding goes', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  attachByHand(rig.kernel, 'macvtap0', program('mine', { tables: ['other'] }));
  rig.events();
  rig.reload(the.plan([the.guard], []));
  assert.deepEqual(rig.events(), ['reloaded']);
  assert.deepEqual(rig.installed(), ['2 by-hand/mine macvtap0']);
});

underEach(
  'a table in which a mark stands for another policy is closed until all is changed',
  (the) => {
    const kernel = the.kernel();
    const first = the.started(the.plan([the.guard, the.web], [bind('guard')]), kernel);
    first.addDevice('macvtap0');
    first.step();
    first.loop.stop({ detach: false });
    kernel.transactions.length = 0;
    swapMarks('guard', 'web');
    try {
      // What the device's mark leads to after each transaction, if to anything.
      const seen: string[] = [];
      kernel.onTransaction = () => seen.push(...installed(kernel));
      const second = the.rig(the.plan([the.guard, the.web], [bind('guard')]), kernel);
      second.start();
      assert.equal(seen[0], '2 - macvtap0');
      assert.ok(!seen.includes('2 web macvtap0'), seen.join());
      assert.deepEqual(second.installed(), ['2 guard macvtap0']);
      second.loop.stop({ detach: false });
      // One whose marks are the same is left alone.
      const generation = kernel.generation();
      the.rig(the.plan([the.guard, the.web], [bind('guard')]), kernel).start();
      assert.equal(kernel.generation(), generation);
    } finally {
      swapMarks('guard', 'web');
    }
  },
  inlineSettings.filter(({ placement }) => placement === 'prefix' || placement === 'chain'),
);
