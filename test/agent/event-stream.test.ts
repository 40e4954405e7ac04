import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AgentEvent } from '#src/agent/event.js';
import { EventStream, type StreamedEvent } from '#src/agent/event-stream.js';
import { TapwallError } from '#src/error.js';

const event = (message: string): AgentEvent => ({ event: 'warning', message });
const words = (one: StreamedEvent): string =>
  one.event === 'missed' ? `missed ${one.events}` : one.event === 'warning' ? one.message : one.event;

async function all(stream: EventStream): Promise<string[]> {
  const seen: string[] = [];
  for await (const one of stream) seen.push(words(one));
  return seen;
}

function open(options: { limit?: number; signal?: AbortSignal } = {}): {
  stream: EventStream;
  closed: () => number;
} {
  let closed = 0;
  const stream = new EventStream(options, () => {
    closed += 1;
  });
  return { stream, closed: () => closed };
}

describe('a stream of events', () => {
  it('gives what came before and after somebody waits, in order, and ends', async () => {
    const { stream, closed } = open();
    stream.push(event('a'));
    const reading = all(stream);
    await new Promise(setImmediate);
    stream.push(event('b'));
    stream.push(event('c'));
    stream.end();
    stream.push(event('d'));
    assert.deepEqual(await reading, ['a', 'b', 'c']);
    assert.equal(closed(), 1);
  });

  it('drops the oldest beyond its limit, and says how many', async () => {
    const { stream } = open({ limit: 2 });
    for (const name of ['a', 'b', 'c', 'd', 'e']) stream.push(event(name));
    stream.end();
    assert.deepEqual(await all(stream), ['missed 3', 'd', 'e']);
  });

  it('counts what is missed anew after it has told', async () => {
    const { stream } = open({ limit: 1 });
    for (const name of ['a', 'b', 'c']) stream.push(event(name));
    const first = await stream.next();
    assert.deepEqual(first.value, { event: 'missed', events: 2 });
    stream.push(event('d'));
    stream.end();
    assert.deepEqual(await all(stream), ['missed 1', 'd']);
  });

  it('answers requests that wait together in their order', async () => {
    const { stream } = open();
    const both = Promise.all([stream.next(), stream.next(), stream.next()]);
    stream.push(event('a'));
    stream.push(event('b'));
    stream.end();
    assert.deepEqual(
      (await both).map(({ value, done }) => (done ? 'done' : words(value))),
      ['a', 'b', 'done'],
    );
  });

  it('ends without an error when its signal aborts, whether somebody waits or not', async () => {
    const waiting = new AbortController();
    const { stream, closed } = open({ signal: waiting.signal });
    const reading = all(stream);
    waiting.abort();
    assert.deepEqual(await reading, []);
    assert.equal(closed(), 1);

    const aborted = AbortSignal.abort();
    const late = open({ signal: aborted });
    late.stream.push(event('a'));
    assert.deepEqual(await all(late.stream), []);
    assert.equal(late.closed(), 1);
  });

  it('is closed by break, and keeps nothing', async () => {
    const { stream, closed } = open();
    stream.push(event('a'));
    stream.push(event('b'));
    for await (const one of stream) {
      assert.equal(words(one), 'a');
      break;
    }
    assert.equal(closed(), 1);
    assert.deepEqual(await stream.next(), { value: undefined, done: true });
  });

  it('throws what the agent ended of, after what came before it, and once', async () => {
    const error = new TapwallError('UNKNOWN', 'the thread ended');
    const { stream } = open();
    stream.push(event('a'));
    stream.fail(error);
    assert.equal(words((await stream.next()).value as StreamedEvent), 'a');
    await assert.rejects(stream.next(), error);
    assert.deepEqual(await stream.next(), { value: undefined, done: true });

    const waiting = open();
    const next = waiting.stream.next();
    waiting.stream.fail(error);
    await assert.rejects(next, error);
  });

  it('refuses a limit that makes no sense', () => {
    for (const limit of [0, -1, 1.5, Number.NaN]) assert.throws(() => open({ limit }), RangeError);
  });
});
