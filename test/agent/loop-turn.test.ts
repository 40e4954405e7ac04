/** A loop that shares its thread with others: what one turn takes, and what it leaves for the next. */
import assert from 'node:assert/strict';
import { inlineSettings, underEach } from './support.js';

const QUIET = { links: false, changes: false };
const LINKS = { links: true, changes: false };

underEach('a turn reads no more events than it may, and the next goes on', (the) => {
  const rig = the.started(the.guardAll());
  for (let number = 0; number < 5; number++) rig.addDevice(`macvtap${number}`);
  rig.loop.handle(LINKS, { mostEvents: 2 });
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new', 'attached macvtap1 3 guard new']);
  rig.loop.handle(LINKS, { mostEvents: 2 });
  assert.deepEqual(rig.events(), ['attached macvtap2 4 guard new', 'attached macvtap3 5 guard new']);
  rig.loop.handle(LINKS, { mostEvents: 2 });
  assert.deepEqual(rig.events(), ['attached macvtap4 6 guard new']);
});

underEach(
  'time counts from when the thread woke, also for what an earlier turn left',
  (the) => {
    const rig = the.started(the.guardAll());
    const microseconds = () =>
      rig.take().flatMap((event) => (event.event === 'attached' ? [event.microseconds] : []));
    const past = (seconds: bigint) => process.hrtime.bigint() - seconds * 1_000_000_000n;
    for (let number = 0; number < 3; number++) rig.addDevice(`macvtap${number}`);
    rig.loop.handle(LINKS, { woke: past(100n), mostEvents: 2 });
    rig.loop.handle(LINKS, { woke: past(0n), mostEvents: 2 });
    const times = microseconds();
    assert.equal(times.length, 3);
    assert.ok(
      times.every((time) => time >= 100_000_000),
      String(times),
    );
    rig.addDevice('macvtap9');
    rig.loop.handle(LINKS, { woke: past(0n) });
    assert.ok(microseconds().every((time) => time < 100_000_000));
  },
  inlineSettings,
);

underEach(
  'what need not be waited for at a start is due afterwards, and only when the turn allows it',
  (the) => {
    const kernel = the.kernel();
    const first = the.started(the.guardAll(), kernel);
    first.loop.stop({ detach: false });
    const rig = the.rig(the.guardAll(), kernel);
    rig.loop.begin();
    assert.equal(rig.loop.untilDue, 0);
    const before = kernel.generation();
    rig.loop.handle(QUIET, { compares: false });
    assert.equal(rig.loop.untilDue, 0);
    rig.loop.handle(QUIET);
    // With reconcileMs 0 nothing is due after the one round.
    assert.equal(rig.loop.untilDue, Number.POSITIVE_INFINITY);
    assert.equal(kernel.generation(), before);
    assert.deepEqual(rig.events(), ['ready 0/0']);
  },
  inlineSettings,
);
