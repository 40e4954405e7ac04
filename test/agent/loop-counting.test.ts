/** The elements in which is counted what passes: made when there is nothing else to do, for devices that are admitted. */
import assert from 'node:assert/strict';
import { indexesBySet } from './state.js';
import { type Case, inlineSettings, operations, Rig, underEach } from './support.js';

const MAIN = ['ingress.admitted', 'egress.admitted'];

/** Where devices have elements that count what passes. */
function counting(rig: Rig): number[][] {
  const sets = indexesBySet(rig.kernel);
  return MAIN.map((set) => [...(sets.get(set) ?? [])].sort((a, b) => a - b));
}

/** A loop whose clock the test sets. */
function startedBy(the: Case, clock: { now: number }): Rig {
  const rig = new Rig(the.guardAll(), the.kernel(), undefined, () => clock.now);
  rig.start();
  return rig;
}

underEach(
  'they are made half a second after the last device has come, many at a time, and once',
  (the) => {
    const clock = { now: 0 };
    const rig = startedBy(the, clock);
    for (let number = 0; number < 149; number++) rig.addDevice(`macvtap${number}`);
    rig.step();
    clock.now = 400;
    rig.addDevice('macvtap149');
    rig.step();
    clock.now = 899;
    rig.transactions();
    rig.step();
    assert.deepEqual([rig.transactions(), counting(rig)], [[], [[], []]]);
    assert.equal(rig.loop.untilDue, 1);
    clock.now = 900;
    rig.step();
    const [first, ...more] = rig.transactions();
    assert.ok(first);
    assert.deepEqual([operations(first).length, more.length], [2 * 128, 0]);
    clock.now = 1_400;
    rig.step();
    const all = Array.from({ length: 150 }, (_, at) => at + 2);
    assert.deepEqual(counting(rig), [all, all]);
    rig.transactions();
    clock.now = 10_000;
    rig.step();
    rig.reload(the.guardAll());
    rig.step();
    clock.now = 20_000;
    rig.step();
    assert.deepEqual(rig.transactions(), []);
    // Nor by the next agent, which finds them.
    const next = new Rig(the.guardAll(), rig.kernel, undefined, () => clock.now);
    next.start();
    clock.now = 30_000;
    next.step();
    assert.deepEqual(next.transactions(), []);
    assert.deepEqual(rig.kernel.refusals, []);
  },
  inlineSettings,
);

underEach(
  'they are made even if devices come all the time',
  (the) => {
    const clock = { now: 0 };
    const rig = startedBy(the, clock);
    for (clock.now = 0; clock.now < 10_000; clock.now += 400) {
      rig.addDevice(`macvtap${clock.now / 400}`);
      rig.step();
      rig.step();
    }
    assert.deepEqual(counting(rig), [[], []]);
    rig.step();
    assert.equal(counting(rig)[0]?.length, 25);
  },
  inlineSettings,
);

underEach('a device that is gone by then, or that nothing admits, has none', (the) => {
  const clock = { now: 0 };
  const rig = startedBy(the, clock);
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap1');
  rig.step();
  rig.kernel.removeLink('macvtap0');
  rig.step();
  clock.now = 1_000;
  rig.step();
  assert.deepEqual(counting(rig), [[3], [3]]);
  rig.kernel.removeLink('macvtap1');
  rig.step();
  assert.deepEqual([...indexesBySet(rig.kernel).values()].flat(), []);
});

underEach(
  'that they cannot be made is told, and counts nothing less',
  (the) => {
    const clock = { now: 0 };
    const rig = startedBy(the, clock);
    rig.addDevice('macvtap0');
    rig.step();
    rig.events();
    clock.now = 1_000;
    rig.kernel.refuseNext(12);
    rig.step();
    const [warning, ...more] = rig.events();
    assert.match(warning ?? '', /longer to be counted/);
    assert.deepEqual(more, []);
    assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
  },
  inlineSettings,
);
