/**
 * Events get lost when the socket's buffer is full. Linux says so once, with ENOBUFS and ahead of what is queued, and
 * goes on losing events without a word until the queue has been read to its end (netlink_overrun(), captured on 6.18).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bind, guard, guardAll, plan, Rig } from './support.js';

test('a device whose events were lost is found, with all that is there read once', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.transactions();
  rig.kernel.loseEvents();
  rig.addDevice('macvtap1');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['overflow', 'attached macvtap1 3 guard new']);
  assert.equal(rig.transactions().length, 1);
  rig.addDevice('macvtap2');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['attached macvtap2 4 guard new']);
});

test('a device that vanished meanwhile is detached', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.loop.step(0);
  rig.events();
  rig.kernel.loseEvents();
  rig.kernel.removeLink('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['overflow', 'detached macvtap0 2 gone tapwall.2.guard']);
  assert.deepEqual(rig.installed(), ['tapwall.3.guard guard macvtap1']);
});

test('what changed meanwhile is brought in line: name, alias, prefix', () => {
  const rig = Rig.started(plan([guard], [bind('guard', { alias: 'vm*' })]));
  for (const name of ['macvtap0', 'macvtap1', 'macvtap2', 'macvtap3']) {
    rig.addDevice(name, name === 'macvtap1' ? {} : { alias: 'vm' });
  }
  rig.loop.step(0);
  rig.events();
  rig.kernel.loseEvents();
  rig.kernel.updateLink('macvtap0', { name: 'macvtap9' });
  rig.kernel.updateLink('macvtap1', { alias: 'vm', up: true });
  rig.kernel.updateLink('macvtap2', { alias: '', up: true });
  rig.kernel.updateLink('macvtap3', { name: 'mine3' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), [
    'overflow',
    'attached macvtap9 2 guard replaced',
    'attached macvtap1 3 guard new',
    'detached macvtap2 4 unbound tapwall.4.guard',
    'unmatched macvtap2 4',
    'detached mine3 5 unbound tapwall.5.guard',
  ]);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap9', 'tapwall.3.guard guard macvtap1']);
});

test('an old name that was queued before the loss does not come back', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.kernel.updateLink('macvtap0', { name: 'macvtap1' });
  rig.kernel.loseEvents();
  rig.kernel.updateLink('macvtap1', { name: 'macvtap2' });
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['overflow', 'attached macvtap2 2 guard replaced']);
  assert.deepEqual(rig.installed(), ['tapwall.2.guard guard macvtap2']);
});

test('a device that was queued before the loss and is gone does not come back', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.kernel.loseEvents();
  rig.kernel.removeLink('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['overflow']);
  assert.deepEqual(rig.installed(), []);
});

test('what happens while everything is read again is not lost', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.kernel.loseEvents();
  rig.addDevice('macvtap1');
  rig.onEvent = (event) => {
    if (event.event === 'attached' && event.device === 'macvtap1') rig.addDevice('macvtap2');
  };
  rig.loop.step(0);
  rig.loop.step(0);
  assert.deepEqual(rig.events(), [
    'overflow',
    'attached macvtap0 2 guard new',
    'attached macvtap1 3 guard new',
    'attached macvtap2 4 guard new',
  ]);
});

test('events that are lost again while everything is read are no less found', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.kernel.loseEvents();
  rig.onEvent = (event) => {
    if (event.event !== 'attached' || event.device !== 'macvtap0') return;
    rig.kernel.loseEvents();
    rig.addDevice('macvtap1');
  };
  rig.loop.step(0);
  assert.deepEqual(rig.events(), [
    'overflow',
    'attached macvtap0 2 guard new',
    'overflow',
    'attached macvtap1 3 guard new',
  ]);
});

test('tables that somebody else deleted meanwhile come back', () => {
  const rig = Rig.started(guardAll());
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  rig.events();
  rig.flushRuleset();
  rig.kernel.loseEvents();
  rig.loop.step(0);
  assert.deepEqual(rig.events(), ['overflow', 'attached macvtap0 2 guard new']);
});
