import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgentEvent } from '#src/agent/event.js';
import { Outbox } from '#src/agent/outbox.js';
import type { WorkerMessage } from '#src/agent/worker.js';

const event = (message: string): AgentEvent => ({ event: 'warning', message });

function open(): { outbox: Outbox; sent: string[]; clock: { now: number } } {
  const sent: string[] = [];
  const clock = { now: 0 };
  const words = (one: AgentEvent) => (one.event === 'warning' ? one.message : one.event);
  const send = (message: WorkerMessage) => {
    sent.push('events' in message ? message.events.map(words).join(' ') : Object.keys(message).join(' '));
  };
  return { outbox: new Outbox(send, () => clock.now), sent, clock };
}

test('the first event goes at once, those close behind it together', () => {
  const { outbox, sent, clock } = open();
  assert.equal(outbox.sendDue(), Number.POSITIVE_INFINITY);
  outbox.add(event('a'));
  assert.equal(outbox.sendDue(), Number.POSITIVE_INFINITY);
  assert.deepEqual(sent, ['a']);
  clock.now = 0.5;
  outbox.add(event('b'));
  assert.equal(outbox.sendDue(), 1.5);
  outbox.add(event('c'));
  clock.now = 2;
  outbox.sendDue();
  assert.deepEqual(sent, ['a', 'b c']);
});

test('many do not wait for the last, and nobody waits for `ready`', () => {
  const { outbox, sent } = open();
  outbox.add({ event: 'ready', devices: 0, attached: 0, placement: 'prefix', microseconds: 1 });
  assert.deepEqual(sent, ['ready']);
  for (let number = 0; number < 100; number++) outbox.add(event(String(number)));
  assert.equal(sent.length, 2);
  assert.equal(sent[1]?.split(' ').length, 64);
  outbox.flush();
  outbox.flush();
  assert.deepEqual(
    sent.slice(1).flatMap((one) => one.split(' ')),
    Array.from({ length: 100 }, (_, number) => String(number)),
  );
});

test('an answer comes behind the events that came before it', () => {
  const { outbox, sent } = open();
  outbox.add(event('a'));
  outbox.sendDue();
  outbox.add(event('b'));
  outbox.post({ answered: 1, answer: [] });
  assert.deepEqual(sent, ['a', 'b', 'answered answer']);
});
