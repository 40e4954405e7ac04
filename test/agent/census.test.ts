/** What a loop says of itself to whoever counts. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { bind, inlineSettings, underEach } from './support.js';

const { EINVAL } = constants.errno;

underEach(
  'devices are counted by state, policy and how hooks reach them',
  (the) => {
    const rig = the.started(
      the.plan(
        [the.policy('guard'), the.policy('web')],
        [bind('guard', { device: 'macvtap[01]' }), bind('web', { device: 'macvtap9' })],
      ),
    );
    for (const name of ['macvtap0', 'macvtap1', 'macvtap2', 'macvtap9']) rig.addDevice(name);
    rig.step();
    const { placement } = the.setting;
    // The one name that is not hooked in advance.
    const reached = placement === 'names' ? 'device' : placement;
    assert.deepEqual(rig.loop.census(), [
      { state: 'attached', policy: 'guard', placement, devices: 2 },
      { state: 'unmatched', policy: undefined, placement, devices: 1 },
      { state: 'attached', policy: 'web', placement: reached, devices: 1 },
    ]);
  },
  inlineSettings,
);

underEach(
  'what the kernel takes and refuses is counted, and each comparison',
  (the) => {
    const rig = the.started(the.guardAll());
    const before = rig.tally.read('transactions');
    const compared = rig.tally.read('reconciliations');
    assert.equal(rig.tally.read('refusals'), 0);
    rig.addDevice('macvtap0');
    rig.step();
    assert.equal(rig.tally.read('transactions') - before, rig.transactions().length);
    assert.equal(rig.tally.read('reconciliations'), compared);
    rig.kernel.refuseNext(EINVAL);
    rig.addDevice('macvtap1');
    rig.step();
    assert.equal(rig.tally.read('refusals'), rig.kernel.refusals.length);
    assert.ok(rig.kernel.refusals.length > 0);
    rig.reload(the.guardAll());
    assert.equal(rig.tally.read('reconciliations'), compared + 1);
  },
  inlineSettings,
);
