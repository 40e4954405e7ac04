/**
 * Events get lost when the socket's buffer is full. Linux says so once, with ENOBUFS and ahead of what is queued, and
 * goes on losing events without a word until the queue has been read to its end (netlink_overrun(), captured on 6.18).
 */
import assert from 'node:assert/strict';
import { bind, underEach } from './support.js';

underEach('a device whose events were lost is found, with all that is there read once', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  rig.events();
  rig.transactions();
  rig.kernel.loseEvents();
  rig.addDevice('macvtap1');
  rig.step();
  assert.deepEqual(rig.events(), ['overflow', 'attached macvtap1 3 guard new']);
  assert.equal(rig.transactions().length, the.stepsTo('macvtap1'));
  rig.addDevice('macvtap2');
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap2 4 guard new']);
});

underEach('a device that vanished meanwhile is detached', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.step();
  rig.events();
  rig.kernel.loseEvents();
  rig.kernel.removeLink('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['overflow', 'detached macvtap0 2 gone']);
  assert.deepEqual(rig.installed(), ['3 guard macvtap1']);
});

underEach('what changed meanwhile is brought in line: name, alias, prefix', (the) => {
  const rig = the.started(the.plan([the.guard], [bind('guard', { alias: 'vm*' })]));
  for (const name of ['macvtap0', 'macvtap1', 'macvtap2', 'macvtap3']) {
    rig.addDevice(name, name === 'macvtap1' ? {} : { alias: 'vm' });
  }
  rig.step();
  rig.events();
  rig.kernel.loseEvents();
  rig.kernel.updateLink('macvtap0', { name: 'macvtap9' });
  rig.kernel.updateLink('macvtap1', { alias: 'vm', up: true });
  rig.kernel.updateLink('macvtap2', { alias: '', up: true });
  rig.kernel.updateLink('macvtap3', { name: 'mine3' });
  rig.step();
  assert.deepEqual(rig.events(), [
    'overflow',
    ...(the.movesOnRename('macvtap0', 'macvtap9') ? ['attached macvtap9 2 guard replaced'] : []),
    'attached macvtap1 3 guard new',
    'detached macvtap2 4 unbound',
    'unmatched macvtap2 4 closed',
    'detached mine3 5 unbound',
  ]);
  assert.deepEqual(rig.installed(), ['2 guard macvtap9', '3 guard macvtap1']);
});

underEach('an old name that was queued before the loss does not come back', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  rig.events();
  rig.kernel.updateLink('macvtap0', { name: 'macvtap1' });
  rig.kernel.loseEvents();
  rig.kernel.updateLink('macvtap1', { name: 'macvtap2' });
  rig.step();
  const moved = the.movesOnRename('macvtap0', 'macvtap2') ? ['attached macvtap2 2 guard replaced'] : [];
  assert.deepEqual(rig.events(), ['overflow', ...moved]);
  assert.deepEqual(rig.installed(), ['2 guard macvtap2']);
});

underEach('a device that was queued before the loss and is gone does not come back', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.kernel.loseEvents();
  rig.kernel.removeLink('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['overflow']);
  assert.deepEqual(rig.installed(), []);
});

underEach('what happens while everything is read again is not lost', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.kernel.loseEvents();
  rig.addDevice('macvtap1');
  rig.onEvent = (event) => {
    if (event.event === 'attached' && event.device === 'macvtap1') rig.addDevice('macvtap2');
  };
  rig.step();
  rig.step();
  assert.deepEqual(rig.events(), [
    'overflow',
    'attached macvtap0 2 guard new',
    'attached macvtap1 3 guard new',
    'attached macvtap2 4 guard new',
  ]);
});

underEach('events that are lost again while everything is read are no less found', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.kernel.loseEvents();
  rig.onEvent = (event) => {
    if (event.event !== 'attached' || event.device !== 'macvtap0') return;
    rig.kernel.loseEvents();
    rig.addDevice('macvtap1');
  };
  rig.step();
  assert.deepEqual(rig.events(), [
    'overflow',
    'attached macvtap0 2 guard new',
    'overflow',
    'attached macvtap1 3 guard new',
  ]);
});

underEach('tables that somebody else deleted meanwhile come back', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  rig.events();
  rig.flushRuleset();
  rig.kernel.loseEvents();
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new', 'repaired', 'overflow']);
});

underEach('a device that took the index of another while events were lost is another', (the) => {
  const policies = [the.policy('guard'), the.policy('web', { rules: 2 })];
  const rig = the.started(the.plan(policies, [bind('web', { mac: '02:00:00:00:00:02' }), bind('guard')]));
  rig.addDevice('macvtap0', { mac: '02:00:00:00:00:02', index: 7 });
  rig.step();
  rig.sendFrames(7);
  assert.deepEqual(rig.events(), ['attached macvtap0 7 web new']);
  rig.kernel.loseEvents();
  rig.kernel.removeLink('macvtap0');
  rig.addDevice('macvtap1', { mac: '02:00:00:00:00:03', index: 7 });
  rig.step();
  assert.deepEqual(rig.events(), ['overflow', 'attached macvtap1 7 guard replaced']);
  assert.deepEqual(rig.installed(), ['7 guard macvtap1']);
});
