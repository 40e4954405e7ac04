import { HOST_LITTLE_ENDIAN, writeHost32 } from '../netlink/bytes.js';
import { NLM_F_ACK } from '../netlink/constants.js';
import { encodeRequest } from '../netlink/message.js';
import { type Batch, batchBegin, batchEnd, type Operation } from './batch.js';

/**
 * Some messages of a transaction, laid out but for their sequence numbers. Transactions are put together from
 * such pieces, which their makers keep ready as bytes.
 */
export interface Segment {
  bytes: Uint8Array;
  /** Writes what `bytes` has only places for, where they have been copied to; absent when they are whole. */
  patch?: ((target: Uint8Array, at: number) => void) | undefined;
  /** Where each message begins. */
  starts: readonly number[];
  /** What an error calls each. */
  labels: readonly string[];
}

/** Where a message has its flags and its sequence number (struct nlmsghdr). */
const FLAGS_AT = 6;
const SEQUENCE_AT = 8;

/** The transaction's frame, less the sequence numbers. */
const BEGIN = batchBegin(0);
const END = batchEnd(0);

export function encodeSegment(operations: readonly Operation[]): Segment {
  const parts = operations.map(({ request }) => encodeRequest(request, 0));
  const starts: number[] = [];
  let length = 0;
  for (const part of parts) {
    starts.push(length);
    length += part.length;
  }
  return { bytes: Buffer.concat(parts, length), starts, labels: operations.map(({ label }) => label) };
}

/** How many sequence numbers a transaction of these pieces uses. */
export function transactionLength(segments: readonly Segment[]): number {
  let count = 2;
  for (const { starts } of segments) count += starts.length;
  return count;
}

/** Bytes of a transaction of these pieces. */
export function transactionSize(segments: readonly Segment[]): number {
  let size = BEGIN.length + END.length;
  for (const { bytes } of segments) size += bytes.length;
  return size;
}

/**
 * Memory for transactions that are sent one after the other: allocating for each costs more than writing it. What was
 * built in it is valid until the next is.
 */
export class TransactionMemory {
  #bytes = Buffer.alloc(64 << 10);
  #taken: Uint8Array = this.#bytes;

  take(size: number): Uint8Array {
    // Nearly all transactions are as long as the one before.
    if (size === this.#taken.length) return this.#taken;
    if (size > this.#bytes.length) this.#bytes = Buffer.alloc(2 * size);
    this.#taken = this.#bytes.subarray(0, size);
    return this.#taken;
  }
}

/**
 * Puts pieces into one transaction. Only its last message asks for an acknowledgement: the kernel reports the errors of
 * all the others unasked, and an answer to the last proves that all was read.
 * @param generation when given, the kernel refuses with ERESTART unless it is the current one.
 * @param memory for the bytes; they get memory of their own unless it is given.
 */
export function encodeTransaction(
  segments: readonly Segment[],
  firstSequence: number,
  generation?: number,
  memory?: TransactionMemory,
): Batch {
  const begin = generation === undefined ? BEGIN : batchBegin(0, generation);
  const size = transactionSize(segments) - BEGIN.length + begin.length;
  const bytes = memory?.take(size) ?? Buffer.allocUnsafe(size);
  bytes.set(begin);
  writeHost32(bytes, SEQUENCE_AT, firstSequence);
  let sequence = firstSequence;
  let offset = begin.length;
  let last: number | undefined;
  for (const segment of segments) {
    bytes.set(segment.bytes, offset);
    segment.patch?.(bytes, offset);
    for (const start of segment.starts) {
      last = offset + start;
      writeHost32(bytes, last + SEQUENCE_AT, ++sequence);
    }
    offset += segment.bytes.length;
  }
  if (last !== undefined) {
    const low = last + FLAGS_AT + (HOST_LITTLE_ENDIAN ? 0 : 1);
    bytes[low] = (bytes[low] ?? 0) | NLM_F_ACK;
  }
  bytes.set(END, offset);
  writeHost32(bytes, offset + SEQUENCE_AT, ++sequence);
  return { bytes, firstSequence, labels: labelsOf(segments) };
}

function labelsOf(segments: readonly Segment[]): readonly string[] {
  const [only] = segments;
  if (segments.length === 1 && only) return only.labels;
  const labels: string[] = [];
  for (const segment of segments) for (const label of segment.labels) labels.push(label);
  return labels;
}
