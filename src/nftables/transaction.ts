import { HOST_LITTLE_ENDIAN, viewOf } from '../netlink/bytes.js';
import { NLM_F_ACK } from '../netlink/constants.js';
import { encodeRequest } from '../netlink/message.js';
import { type Batch, batchBegin, batchEnd, type Operation } from './batch.js';

/**
 * Some messages of a transaction, laid out but for their sequence numbers. Transactions are put together from
 * such pieces, which their makers keep ready as bytes.
 */
export interface Segment {
  bytes: Uint8Array;
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
  return segments.reduce((count, { starts }) => count + starts.length, 2);
}

/** Bytes of a transaction of these pieces. */
export function transactionSize(segments: readonly Segment[]): number {
  return segments.reduce((size, { bytes }) => size + bytes.length, BEGIN.length + END.length);
}

/**
 * Memory for transactions that are sent one after the other: allocating for each costs more than writing it. What was
 * built in it is valid until the next is.
 */
export class TransactionMemory {
  #bytes = Buffer.alloc(64 << 10);

  take(size: number): Uint8Array {
    if (size > this.#bytes.length) this.#bytes = Buffer.alloc(2 * size);
    return this.#bytes.subarray(0, size);
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
  const view = viewOf(bytes);
  bytes.set(begin);
  view.setUint32(SEQUENCE_AT, firstSequence, HOST_LITTLE_ENDIAN);
  let sequence = firstSequence;
  let offset = begin.length;
  let last: number | undefined;
  for (const segment of segments) {
    bytes.set(segment.bytes, offset);
    for (const start of segment.starts) {
      last = offset + start;
      view.setUint32(last + SEQUENCE_AT, ++sequence, HOST_LITTLE_ENDIAN);
    }
    offset += segment.bytes.length;
  }
  if (last !== undefined) {
    const flags = view.getUint16(last + FLAGS_AT, HOST_LITTLE_ENDIAN);
    view.setUint16(last + FLAGS_AT, flags | NLM_F_ACK, HOST_LITTLE_ENDIAN);
  }
  bytes.set(END, offset);
  view.setUint32(offset + SEQUENCE_AT, ++sequence, HOST_LITTLE_ENDIAN);
  return { bytes, firstSequence, labels: labelsOf(segments) };
}

function labelsOf(segments: readonly Segment[]): readonly string[] {
  const [only] = segments;
  if (segments.length === 1 && only) return only.labels;
  const labels: string[] = [];
  for (const segment of segments) for (const label of segment.labels) labels.push(label);
  return labels;
}
