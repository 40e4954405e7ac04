import { createHash } from 'node:crypto';
import { sortRecords } from './record-sort.js';

/**
 * The elements of a set as bytes, for sets of up to millions: an object for each would cost a hundred times as much.
 * Plain data, so that it can be posted to a worker.
 */
export interface PackedElements {
  /** Bytes of a key, as the kernel holds it: each part of a concatenation begins at a multiple of four bytes. */
  keyLength: number;
  /** Whether the set has `flags interval`: then each element is a first and a last key. */
  isInterval: boolean;
  /** One element behind the other, by their (first) keys as numbers in network order; none twice, intervals apart. */
  bytes: Uint8Array;
}

/** What makes one set's elements those of another. */
export interface ElementDifference {
  removed: PackedElements;
  added: PackedElements;
}

/** Bytes of one element in {@link PackedElements.bytes}. */
export function recordLength({ keyLength, isInterval }: Omit<PackedElements, 'bytes'>): number {
  return isInterval ? 2 * keyLength : keyLength;
}

/** How many elements there are; of intervals, how many intervals. */
export function countElements(packed: PackedElements): number {
  return packed.bytes.length / recordLength(packed);
}

/** 16 hexadecimal digits: equal ones, equal elements. */
export function digestOfElements({ keyLength, isInterval, bytes }: PackedElements): string {
  const hash = createHash('sha256').update(`${keyLength}:${isInterval}:`).update(bytes);
  return hash.digest('hex').slice(0, 16);
}

/**
 * Sorts elements and takes away what is there twice. Intervals that touch or overlap become one, as nft's `auto-merge`
 * makes them: the kernel takes none that overlap.
 * @param bytes keys, or first and last keys, in network order; it is the result's from now on.
 */
export function packElements(keyLength: number, isInterval: boolean, bytes: Uint8Array): PackedElements {
  const length = isInterval ? 2 * keyLength : keyLength;
  const sorted = sortRecords(bytes, length, keyLength);
  const kept = isInterval ? mergeIntervals(sorted, keyLength) : dropRepeated(sorted, keyLength);
  return { keyLength, isInterval, bytes: kept };
}

function dropRepeated(bytes: Uint8Array, length: number): Uint8Array {
  let end = 0;
  for (let at = 0; at < bytes.length; at += length) {
    if (end > 0 && compareAt(bytes, end - length, bytes, at, length) === 0) continue;
    if (end !== at) bytes.copyWithin(end, at, at + length);
    end += length;
  }
  return bytes.subarray(0, end);
}

function mergeIntervals(bytes: Uint8Array, keyLength: number): Uint8Array {
  const length = 2 * keyLength;
  let end = 0;
  for (let at = 0; at < bytes.length; at += length) {
    const last = end - keyLength;
    if (end > 0 && reaches(bytes, last, at, keyLength)) {
      if (compareAt(bytes, last, bytes, at + keyLength, keyLength) < 0) {
        bytes.copyWithin(last, at + keyLength, at + length);
      }
      continue;
    }
    if (end !== at) bytes.copyWithin(end, at, at + length);
    end += length;
  }
  return bytes.subarray(0, end);
}

/** Whether the key at `first` is not behind the one after that at `last`. */
function reaches(bytes: Uint8Array, last: number, first: number, length: number): boolean {
  if (compareAt(bytes, first, bytes, last, length) <= 0) return true;
  // One more than the last: the same but for a row of 0xff at the end that became 0, and what stands before it.
  for (let at = length - 1; at >= 0; at--) {
    const byte = bytes[last + at] ?? 0;
    if (byte === 0xff) {
      if (bytes[first + at] !== 0) return false;
      continue;
    }
    return bytes[first + at] === byte + 1 && compareAt(bytes, first, bytes, last, at) === 0;
  }
  return false;
}

/** Below 0 if the bytes of `a` come first, 0 if they are the same. */
function compareAt(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, length: number): number {
  for (let at = 0; at < length; at++) {
    const difference = (a[aAt + at] ?? 0) - (b[bAt + at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** @returns undefined for elements of another form: then there is nothing to compare. */
export function differenceOf(before: PackedElements, after: PackedElements): ElementDifference | undefined {
  const { keyLength, isInterval } = after;
  if (before.keyLength !== keyLength || before.isInterval !== isInterval) return undefined;
  const length = recordLength(after);
  const removed = new Rows(before.bytes, length);
  const added = new Rows(after.bytes, length);
  let [left, right] = [0, 0];
  while (left < before.bytes.length || right < after.bytes.length) {
    const order =
      left === before.bytes.length
        ? 1
        : right === after.bytes.length
          ? -1
          : compareAt(before.bytes, left, after.bytes, right, length);
    if (order < 0) removed.take(left);
    if (order > 0) added.take(right);
    if (order <= 0) left += length;
    if (order >= 0) right += length;
  }
  return {
    removed: { keyLength, isInterval, bytes: removed.bytes },
    added: { keyLength, isInterval, bytes: added.bytes },
  };
}

/** Records that are taken out of others. */
class Rows {
  readonly #source: Uint8Array;
  readonly #length: number;
  readonly #starts: number[] = [];

  constructor(source: Uint8Array, length: number) {
    this.#source = source;
    this.#length = length;
  }

  take(start: number): void {
    this.#starts.push(start);
  }

  get bytes(): Uint8Array {
    const bytes = new Uint8Array(this.#starts.length * this.#length);
    for (const [at, start] of this.#starts.entries()) {
      bytes.set(this.#source.subarray(start, start + this.#length), at * this.#length);
    }
    return bytes;
  }
}

/** Whether both hold the same. */
export function sameElements(a: PackedElements, b: PackedElements): boolean {
  return (
    a.keyLength === b.keyLength && a.isInterval === b.isInterval && Buffer.compare(a.bytes, b.bytes) === 0
  );
}
