/** The end. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { sharedTable } from './state.js';
import { attachByHand, bind, program, underEach } from './support.js';

underEach('stopping leaves the filters, and the loop does nothing more', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  rig.events();
  rig.transactions();
  rig.loop.stop({ detach: false });
  assert.deepEqual(rig.events(), ['stopped 0']);
  assert.deepEqual(rig.transactions(), []);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
  assert.throws(() => rig.loop.step(0), { code: 'EBADF' });
});

underEach('stopping with detach takes the agent’s own filters along, closed devices included', (the) => {
  const rig = the.started(
    the.plan(
      [the.guard, the.hopeless],
      [bind('guard', { device: 'macvtap0' }), bind('hopeless', { device: 'macvtap1' })],
    ),
  );
  for (const name of ['macvtap0', 'macvtap1', 'macvtap2']) rig.addDevice(name);
  attachByHand(rig.kernel, 'macvtap2', program('mine'));
  rig.step();
  rig.events();
  rig.loop.stop({ detach: true });
  // The one that was closed had nothing; the door that closed it is gone, too.
  assert.deepEqual(rig.events(), ['detached macvtap0 2 exit', 'stopped 1']);
  assert.deepEqual(rig.installed(), ['4 -/mine macvtap2']);
  assert.equal(sharedTable(rig.kernel), undefined);
});

underEach('stopping with detach leaves what was attached by hand over the agent’s', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  attachByHand(rig.kernel, 'macvtap0', program('mine'));
  rig.events();
  rig.loop.stop({ detach: true });
  assert.deepEqual(rig.events(), ['stopped 0']);
  assert.deepEqual(rig.installed(), ['2 -/mine macvtap0']);
  assert.deepEqual(rig.kernel.refusals, []);
});

underEach('what cannot be removed at the end is a warning, and stays', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.step();
  rig.events();
  rig.kernel.refuseNext(constants.errno.EPERM);
  rig.loop.stop({ detach: true });
  const [warning, ...rest] = rig.events();
  assert.match(warning ?? '', /^warning cannot take the filters away: .*EPERM/);
  assert.deepEqual(rest, ['stopped 0']);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 guard macvtap1']);
});

underEach('stopping with detach is few transactions, however many devices there are', (the) => {
  const rig = the.started(the.guardAll());
  for (let number = 0; number < 300; number++) rig.addDevice(`macvtap${number}`);
  rig.step();
  rig.events();
  rig.transactions();
  rig.loop.stop({ detach: true });
  assert.equal(rig.events().length, 301);
  assert.equal(rig.transactions().length, the.setting.kind === 'file' ? 3 : 1);
  assert.deepEqual(rig.kernel.tables(), []);
});
