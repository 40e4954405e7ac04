/** When everything is compared without a reason. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Schedule } from '#src/agent/schedule.js';

test('a round that takes long is followed by a pause that is a thousand times as long', () => {
  let now = 0;
  const schedule = new Schedule(() => now, 10_000);
  schedule.begin();
  now = 500;
  schedule.end();
  for (now of [10_500, 500_499]) assert.equal(schedule.isDue, false, String(now));
  now = 500_500;
  assert.equal(schedule.isDue, true);
});

test('never is never, but for what has to be tried again', () => {
  let now = 0;
  const schedule = new Schedule(() => now, 0);
  now = 1e12;
  assert.equal(schedule.isDue, false);
  schedule.fail();
  assert.deepEqual([schedule.isDue, schedule.isFailing, schedule.untilDue], [false, true, 100]);
  now += 100;
  assert.deepEqual([schedule.isDue, schedule.untilDue], [true, 0]);
  for (let times = 0; times < 20; times++) {
    now += schedule.untilDue;
    schedule.fail();
  }
  now += 59_999;
  assert.equal(schedule.isDue, false);
  now += 1;
  assert.equal(schedule.isDue, true);
  schedule.begin();
  schedule.end();
  assert.deepEqual([schedule.isDue, schedule.isFailing], [false, false]);
});

test('rounds that fail because events asked for them put the next attempt off no further', () => {
  let now = 0;
  const schedule = new Schedule(() => now, 60_000);
  schedule.fail();
  for (now of [1, 50, 99]) {
    schedule.begin();
    schedule.fail();
  }
  now = 100;
  assert.equal(schedule.isDue, true);
  schedule.begin();
  schedule.fail();
  assert.equal(schedule.untilDue, 200);
});

test('schedules that share a thread share the time as well', () => {
  let now = 0;
  const schedule = new Schedule(() => now, 10_000);
  schedule.companions = 3;
  schedule.begin();
  now = 500;
  schedule.end();
  assert.equal(schedule.untilDue, 1_500_000);
  schedule.hasten();
  assert.deepEqual([schedule.isDue, schedule.untilDue], [true, 0]);
});
