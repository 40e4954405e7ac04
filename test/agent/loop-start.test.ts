/** What the loop finds at its start, from its predecessor, from hands and from strangers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeKernel } from '#src/kernel/fake.js';
import {
  addForeignTables,
  attachByHand,
  bind,
  deleteTables,
  guard,
  guardAll,
  plan,
  program,
  Rig,
} from './support.js';

/** A kernel that an agent left with a policy on each of its devices. */
function leftBehind(devices: readonly string[], before = guardAll()): FakeKernel {
  const rig = new Rig(before);
  for (const name of devices) rig.addDevice(name);
  rig.loop.start();
  rig.loop.stop({ detach: false });
  rig.transactions();
  return rig.kernel;
}

test('what is up to date is kept, and nothing is sent', () => {
  const kernel = leftBehind(['macvtap0', 'macvtap1']);
  const tables = kernel.tables();
  const generation = kernel.generation();
  const rig = new Rig(guardAll(), kernel);
  rig.loop.start();
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
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['detached macvtap0 2 gone tapwall.2.guard']);
});

test('another version of the policy replaces what is there in one transaction', () => {
  const kernel = leftBehind(['macvtap0'], plan([program('guard', { rules: 3 })], [bind('guard')]));
  const rig = new Rig(guardAll(), kernel);
  rig.loop.start();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard replaced', 'ready 1/1']);
  assert.equal(rig.transactions().length, 1);
  assert.deepEqual(
    kernel.tables().flatMap(({ chains }) => chains.map(({ rules }) => rules.length)),
    [1, 1],
  );
});

test('a table that was left for another name of the device is replaced', () => {
  const kernel = leftBehind(['macvtap0']);
  kernel.updateLink('macvtap0', { name: 'macvtap1' });
  const rig = new Rig(guardAll(), kernel);
  rig.loop.start();
  assert.deepEqual(rig.events(), ['attached macvtap1 2 guard replaced', 'ready 1/1']);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap1']);
});

test('of two tables one is missing: both are made anew', () => {
  const both = plan([program('both', { tables: ['in', 'out'] })], [bind('both')]);
  const kernel = leftBehind(['macvtap0'], both);
  deleteTables(kernel, 'tapwall.2.in');
  const rig = new Rig(both, kernel);
  rig.loop.start();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 both replaced', 'ready 1/1']);
  assert.deepEqual(rig.installed(), ['tapwall.2.in both macvtap0', 'tapwall.2.out both macvtap0']);
});

test('tables of devices that are gone are removed', () => {
  const kernel = leftBehind(['macvtap0', 'macvtap1']);
  kernel.removeLink('macvtap0');
  kernel.addLink({ name: 'macvtap0', kind: 'macvtap' });
  const rig = new Rig(guardAll(), kernel);
  rig.loop.start();
  assert.deepEqual(rig.events(), [
    'attached macvtap1 3 guard kept',
    'attached macvtap0 4 guard new',
    'detached macvtap0 2 stale tapwall.2.guard',
    'ready 2/2',
  ]);
  assert.deepEqual(rig.installed(), ['tapwall.3.guard guard macvtap1', 'tapwall.4.guard guard macvtap0']);
});

test('what an agent left on a device that no binding matches any more is removed', () => {
  const kernel = leftBehind(['macvtap0']);
  const rig = new Rig(plan([guard], []), kernel);
  rig.loop.start();
  assert.deepEqual(rig.events(), [
    'detached macvtap0 2 unbound tapwall.2.guard',
    'unmatched macvtap0 2',
    'ready 0/1',
  ]);
  assert.deepEqual(rig.installed(), []);
});

test('what an agent left on a device outside the prefixes is removed, and the device left alone', () => {
  const kernel = leftBehind(['macvtap0']);
  kernel.updateLink('macvtap0', { name: 'mine0' });
  const rig = new Rig(guardAll(), kernel);
  rig.loop.start();
  assert.deepEqual(rig.events(), ['detached mine0 2 unbound tapwall.2.guard', 'ready 0/0']);
  assert.deepEqual(rig.installed(), []);
});

test('tables of others stay, whatever their names', () => {
  const kernel = new FakeKernel();
  const foreign = ['filter', 'tapwall', 'tapwall.2', 'tapwall.2.mine', 'tapwall.7.guard', 'tapwall.x.guard'];
  addForeignTables(kernel, ...foreign);
  const rig = new Rig(guardAll(), kernel);
  rig.addDevice('macvtap0');
  rig.loop.start();
  assert.deepEqual(rig.installed(), [...foreign, 'tapwall.2.guard guard macvtap0'].sort());
  kernel.removeLink('macvtap0');
  rig.loop.step(0);
  kernel.loseEvents();
  rig.loop.step(0);
  rig.loop.reload(guardAll());
  rig.loop.stop({ detach: true });
  assert.deepEqual(rig.installed(), [...foreign].sort());
});

test('an attachment made by hand stays on a device that no binding matches', () => {
  const kernel = new FakeKernel();
  const rig = new Rig(plan([guard], []), kernel);
  rig.addDevice('macvtap0');
  attachByHand(kernel, 'macvtap0', program('by-hand'));
  rig.loop.start();
  kernel.updateLink('macvtap0', { up: true });
  rig.loop.step(0);
  rig.loop.reload(plan([guard], []));
  assert.deepEqual(rig.events(), ['ready 0/1', 'reloaded']);
  rig.loop.stop({ detach: true });
  assert.deepEqual(rig.events(), ['stopped 0']);
  assert.deepEqual(rig.transactions(), []);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard by-hand macvtap0']);
});

test('an attachment made by hand goes with its device', () => {
  const kernel = new FakeKernel();
  const rig = new Rig(plan([guard], []), kernel);
  rig.addDevice('macvtap0');
  attachByHand(kernel, 'macvtap0', program('by-hand'));
  rig.loop.start();
  kernel.removeLink('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['ready 0/1', 'detached macvtap0 2 gone tapwall.2.guard']);
});

test('an attachment made by hand is replaced where a binding matches, be it the same policy', () => {
  for (const byHand of [guard, program('by-hand', { tables: ['other'] })]) {
    const kernel = new FakeKernel();
    const rig = new Rig(guardAll(), kernel);
    rig.addDevice('macvtap0');
    attachByHand(kernel, 'macvtap0', byHand);
    rig.loop.start();
    assert.deepEqual(rig.events(), ['attached macvtap0 2 guard replaced', 'ready 1/1']);
    assert.equal(rig.transactions().length, 1);
    assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap0']);
    rig.loop.stop({ detach: true });
    assert.deepEqual(rig.installed(), []);
  }
});

test('an attachment made by hand is replaced when a binding comes to match', () => {
  const kernel = new FakeKernel();
  const rig = new Rig(plan([guard], [bind('guard', { alias: 'vm' })]), kernel);
  rig.addDevice('macvtap0');
  attachByHand(kernel, 'macvtap0', program('by-hand', { tables: ['other'] }));
  rig.loop.start();
  rig.events();
  kernel.updateLink('macvtap0', { alias: 'vm', up: true });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard replaced']);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap0']);
});

test('an attachment made by hand outside the prefixes stays', () => {
  const kernel = new FakeKernel();
  const rig = new Rig(guardAll(), kernel);
  rig.addDevice('mine0');
  attachByHand(kernel, 'mine0', program('by-hand'));
  rig.loop.start();
  rig.loop.stop({ detach: true });
  assert.deepEqual(rig.events(), ['ready 0/0', 'stopped 0']);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard by-hand mine0']);
});

test('an attachment made by hand over the agent’s stays when the binding goes', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  attachByHand(rig.kernel, 'macvtap0', program('by-hand', { tables: ['other'] }));
  rig.events();
  rig.loop.reload(plan([guard], []));
  assert.deepEqual(rig.events(), ['reloaded']);
  assert.deepEqual(rig.installed(), ['tapwall.2.other by-hand macvtap0']);
});
