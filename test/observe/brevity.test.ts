import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { AgentEvent } from '#src/agent/event.js';
import { Brevity } from '#src/observe/brevity.js';

const unmatched: AgentEvent = { event: 'unmatched', device: 'macvtap0', index: 7, closed: true };
const warning: AgentEvent = { event: 'warning', message: 'w' };
const gone: AgentEvent = {
  event: 'detached',
  device: 'macvtap0',
  index: 7,
  reason: 'gone',
  tables: [],
  microseconds: 1,
};

it('tells of thousands of devices with one trouble in a few lines and their number', () => {
  let now = 0;
  const brevity = new Brevity(() => now);
  const told = Array.from({ length: 4_000 }, () => brevity.admits(unmatched)).filter(Boolean).length;
  assert.equal(told, 20);
  assert.equal(brevity.admits(warning), true);
  now = 9_999;
  assert.deepEqual(brevity.sums(), []);
  now = 10_000;
  assert.deepEqual(brevity.sums(), ['and 3980 more devices match no binding; --json tells of each']);
  assert.equal(brevity.admits(unmatched), true);
  assert.deepEqual(brevity.sums(), []);
});

it('leaves nothing out that happens to each device anyway, and sums up at the end', () => {
  const brevity = new Brevity(() => 0);
  assert.ok(Array.from({ length: 100 }, () => brevity.admits(gone)).every(Boolean));
  for (let times = 0; times < 25; times++) brevity.admits(warning);
  assert.deepEqual(brevity.sums(), []);
  assert.deepEqual(brevity.sums(true), ['and 5 more warnings; --json tells of each']);
  assert.deepEqual(brevity.sums(true), []);
});
