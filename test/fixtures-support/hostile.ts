/**
 * Hostile bytes for decoders: every truncation of every fixture, lengths that lie, arbitrary bytes and fixtures with
 * bytes changed. A decoder gives a value or throws MALFORMED_MESSAGE; it throws nothing else, it does not hang, and
 * it does not read behind the end.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { TapwallError } from '#src/error.js';
import { attributeTrees, encodeTrees } from './arbitrary.js';
import { fixtureNames, readFixture } from './hex.js';
import { startWatchdog, type Watchdog } from './watchdog.js';

export interface Decoder {
  name: string;
  /**
   * `datagram`: whole messages, as a socket gives them. `payload`: what is behind a message's header. `attributes`:
   * what is behind the family header as well.
   */
  input: 'datagram' | 'payload' | 'attributes';
  decode(bytes: Uint8Array): unknown;
  /** True for one that throws nothing at all: what it cannot read is not for it. */
  neverThrows?: boolean;
  /** Other errors that the decoder throws on purpose. */
  mayThrow?(error: unknown): boolean;
}

/** A step takes microseconds. */
const HANG_MS = 20_000;
const HEADER = 16;
const NFTABLES = 10;
/** sizeof(struct nfgenmsg), sizeof(struct ifinfomsg). */
const FAMILY_HEADERS = { nftables: 4, links: 16 };

type Outcome = { value: unknown } | { error: string };

function attempt(decoder: Decoder, bytes: Uint8Array, what: string): Outcome {
  const { name, decode, neverThrows = false, mayThrow } = decoder;
  try {
    return { value: decode(bytes) };
  } catch (error) {
    const isOurs = error instanceof TapwallError && !neverThrows;
    if (isOurs && (error.code === 'MALFORMED_MESSAGE' || mayThrow?.(error))) return { error: error.message };
    throw new Error(`${name} on ${what}: ${Buffer.from(bytes).toString('hex')}`, { cause: error });
  }
}

/** The part of a message that a decoder reads. */
function inputOf(decoder: Decoder, message: Uint8Array): Uint8Array {
  if (decoder.input === 'datagram') return message;
  const payload = message.subarray(HEADER);
  if (decoder.input === 'payload') return payload;
  return payload.subarray(message[5] === NFTABLES ? FAMILY_HEADERS.nftables : FAMILY_HEADERS.links);
}

/** With the length in its header that it really has, so that what is inside is reached. */
function honest(message: Uint8Array): Uint8Array {
  if (message.length < HEADER) return message;
  const copy = message.slice();
  new DataView(copy.buffer).setUint32(0, copy.length, true);
  return copy;
}

const MESSAGE_LENGTHS = [0, 3, 15, 0x7fffffff, 0x80000000, 0xfffffffd, 0xffffffff];
const ATTRIBUTE_LENGTHS = [0, 3, 0x7fff, 0xffff];

/** The message with one length changed at a time: its own, and whatever is at a place where an attribute may begin. */
function* withLies(message: Uint8Array): Generator<{ lie: string; bytes: Uint8Array }> {
  const bytes = message.slice();
  const view = new DataView(bytes.buffer);
  for (const length of [...MESSAGE_LENGTHS, message.length + 1]) {
    view.setUint32(0, length, true);
    yield { lie: `message length ${length}`, bytes };
  }
  view.setUint32(0, message.length, true);
  for (let offset = HEADER; offset + 4 <= message.length; offset += 4) {
    const truth = view.getUint16(offset, true);
    for (const length of [...ATTRIBUTE_LENGTHS, message.length - offset + 1]) {
      view.setUint16(offset, length, true);
      yield { lie: `length ${length} at ${offset}`, bytes };
    }
    view.setUint16(offset, truth, true);
  }
}

const mutations = fc.array(fc.record({ at: fc.nat(4095), to: fc.nat(255) }), { minLength: 1, maxLength: 6 });

export function testHostileBytes(decoders: readonly Decoder[]): void {
  const datagramDecoders = decoders.filter(({ input }) => input === 'datagram');
  const { stackTraceLimit } = Error;
  let watchdog: Watchdog;
  before(() => {
    watchdog = startWatchdog(HANG_MS);
    // Most of a million errors would be made for nothing but their stack.
    Error.stackTraceLimit = 0;
  });
  after(() => {
    Error.stackTraceLimit = stackTraceLimit;
    return watchdog.close();
  });

  const count = { values: 0, errors: 0 };
  const tryAll = (message: Uint8Array, what: string, among = decoders) => {
    for (const decoder of among) {
      watchdog.beat(`${decoder.name} on ${what}`);
      if ('value' in attempt(decoder, inputOf(decoder, message), what)) count.values++;
      else count.errors++;
    }
  };

  for (const name of fixtureNames()) {
    test(`every truncation and every lying length: ${name}`, () => {
      Object.assign(count, { values: 0, errors: 0 });
      readFixture(name).messages.forEach(({ bytes }, index) => {
        const which = `${name}, message ${index + 1}`;
        for (let end = 0; end <= bytes.length; end++) {
          const start = bytes.subarray(0, end);
          tryAll(start, `${which}, the first ${end} bytes`);
          tryAll(honest(start), `${which}, ${end} bytes and no lie`, datagramDecoders);
        }
        for (const { lie, bytes: lying } of withLies(bytes)) tryAll(lying, `${which}, ${lie}`);
      });
      // Some were values and some were refused, or this proved nothing.
      assert.ok(count.values > 0, 'nothing was decoded');
      const refuses = decoders.some(({ neverThrows }) => !neverThrows);
      assert.equal(count.errors > 0, refuses, 'nothing was refused');
    });
  }

  const messages = fixtureNames().flatMap((name) => readFixture(name).messages.map(({ bytes }) => bytes));
  for (const decoder of decoders) {
    const isContained = (bytes: Uint8Array) => {
      watchdog.beat(`${decoder.name} on ${Buffer.from(bytes).toString('hex')}`);
      const outcome = attempt(decoder, bytes, 'arbitrary bytes');
      // The same bytes with others before and behind them: nothing but what was given is read.
      const roomy = new Uint8Array(bytes.length + 32).fill(0xff);
      roomy.set(bytes, 16);
      assert.deepEqual(attempt(decoder, roomy.subarray(16, 16 + bytes.length), 'arbitrary bytes'), outcome);
    };

    test(`arbitrary bytes: ${decoder.name}`, () => {
      fc.assert(fc.property(fc.uint8Array({ maxLength: 256 }), isContained), { numRuns: 500 });
    });

    test(`arbitrary attributes: ${decoder.name}`, () => {
      fc.assert(
        fc.property(fc.constantFrom(0, 4, 16, 20), attributeTrees(24), (header, trees) => {
          isContained(new Uint8Array(Buffer.concat([new Uint8Array(header), encodeTrees(trees)])));
        }),
        { numRuns: 500 },
      );
    });

    test(`fixtures with bytes changed: ${decoder.name}`, () => {
      fc.assert(
        fc.property(fc.nat(messages.length - 1), mutations, (which, changes) => {
          const bytes = messages[which]?.slice() ?? assert.fail();
          for (const { at, to } of changes) bytes[at % bytes.length] = to;
          isContained(inputOf(decoder, bytes));
          isContained(inputOf(decoder, honest(bytes)));
        }),
        { numRuns: 500 },
      );
    });
  }
}
