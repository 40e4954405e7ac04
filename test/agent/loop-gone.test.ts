/** Devices that go away, and what they must not leave. */
import assert from 'node:assert/strict';
import { indexesBySet } from './state.js';
import { bind, fileSettings, operations, program, underEach } from './support.js';

underEach(
  'with a device exactly its own tables go',
  (the) => {
    const rig = the.started(the.plan([program('both', { tables: ['in', 'out'] })], [bind('both')]));
    rig.addDevice('macvtap0');
    rig.addDevice('macvtap1');
    rig.step();
    assert.deepEqual(rig.events(), ['attached macvtap0 2 both new', 'attached macvtap1 3 both new']);
    rig.transactions();
    rig.kernel.removeLink('macvtap0');
    rig.step();
    const [detached, ...more] = rig.take();
    assert.deepEqual(more, []);
    assert.ok(detached?.event === 'detached');
    assert.deepEqual([detached.reason, detached.tables], ['gone', ['tapwall.2.in', 'tapwall.2.out']]);
    const [first] = rig.transactions().map(operations);
    assert.deepEqual(
      first?.filter((word) => word.includes('TABLE')),
      ['NEWTABLE tapwall.2.in', 'DELTABLE tapwall.2.in', 'NEWTABLE tapwall.2.out', 'DELTABLE tapwall.2.out'],
    );
    assert.deepEqual(rig.installed(), ['3 both macvtap1']);
  },
  fileSettings,
);

underEach('with a device go its elements and its counters, whether frames made them or not', (the) => {
  const rig = the.started(the.guardAll());
  for (const name of ['macvtap0', 'macvtap1', 'macvtap9']) rig.addDevice(name);
  rig.step();
  rig.sendFrames(2);
  rig.transactions();
  rig.kernel.removeLink('macvtap0');
  rig.kernel.removeLink('macvtap9');
  rig.step();
  for (const [set, indexes] of indexesBySet(rig.kernel)) {
    const isMember = set === 'device.policy' || set === 'mac.assigned';
    assert.deepEqual(indexes, isMember ? [3] : [], set);
  }
  assert.deepEqual(rig.installed(), ['3 guard macvtap1']);
  assert.deepEqual(rig.kernel.refusals, []);
  const words = rig.transactions().flatMap(operations);
  const destroys = words.filter((word) => word.startsWith('DESTROYSETELEM')).length;
  assert.equal(destroys, the.setting.destroys ? 2 * 8 : 0);
});

underEach('an unmatched device that was counted leaves nothing either', (the) => {
  const rig = the.started(the.plan([the.policy('guard')], []));
  rig.addDevice('macvtap9');
  rig.step();
  rig.sendFrames(2);
  rig.events();
  rig.kernel.removeLink('macvtap9');
  rig.step();
  // It was never admitted, so it is not told of as detached.
  assert.deepEqual(rig.events(), []);
});

underEach('the next device of a name inherits nothing', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  rig.events();
  rig.kernel.removeLink('macvtap0');
  rig.addDevice('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['detached macvtap0 2 gone', 'attached macvtap0 3 guard new']);
  assert.deepEqual(rig.installed(), ['3 guard macvtap0']);
});

underEach('a device that is deleted and made anew with the same index is a new one', (the) => {
  const policies = [the.policy('guard'), the.policy('web', { rules: 2 })];
  const rig = the.started(the.plan(policies, [bind('web', { mac: '02:00:00:00:00:02' }), bind('guard')]));
  rig.addDevice('macvtap0', { mac: '02:00:00:00:00:02', index: 7 });
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 7 web new']);
  rig.kernel.removeLink('macvtap0');
  rig.addDevice('macvtap0', { mac: '02:00:00:00:00:03', index: 7 });
  rig.step();
  assert.deepEqual(rig.events(), ['detached macvtap0 7 gone', 'attached macvtap0 7 guard new']);
  assert.deepEqual(rig.installed(), ['7 guard macvtap0']);
});

underEach('a device goes with its parent', (the) => {
  const rig = the.started(the.guardAll());
  rig.kernel.addLink({ name: 'enp88s0' });
  rig.addDevice('macvtap0', { parent: 'enp88s0' });
  rig.step();
  rig.events();
  rig.kernel.removeLink('enp88s0');
  rig.step();
  assert.deepEqual(rig.events(), ['detached macvtap0 3 gone']);
  assert.deepEqual(rig.installed(), []);
});

underEach('a device that came and went before the loop looked leaves nothing', (the) => {
  for (const name of ['macvtap0', 'macvtap9']) {
    const rig = the.started(the.guardAll());
    rig.addDevice(name);
    rig.kernel.removeLink(name);
    rig.step();
    assert.deepEqual(rig.installed(), []);
    // Its last event is read with its first, so nothing was tried.
    assert.deepEqual(rig.events(), []);
    assert.deepEqual(rig.kernel.refusals, []);
  }
});
