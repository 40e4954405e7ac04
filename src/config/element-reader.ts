import { type PackedElements, packElements } from '../nftables/packed-elements.js';
import type { SetType } from './set-element.js';
import { toHostOrder } from './value-bytes.js';

const BLANK = 0x20;
const TAB = 0x09;
const DOT = 0x2e;
const SLASH = 0x2f;
const HYPHEN = 0x2d;
const ZERO = 0x30;

/** What came of the text of one element. `other`: it is none, or one that only nft can read. */
export type ElementOutcome = 'read' | 'backwards' | 'other';

const FIRST_CAPACITY = 64;

/** Reads the elements of one set, from text as bytes to keys as bytes. */
export class ElementReader {
  readonly #type: SetType;
  #rows: Uint8Array;
  #end = 0;
  #haveInterval = false;

  /** @param expected about how many elements will come. */
  constructor(type: SetType, expected = FIRST_CAPACITY) {
    this.#type = type;
    this.#rows = new Uint8Array(2 * type.keyLength * Math.max(1, expected));
  }

  /** How many elements were read, each as often as it came. */
  get count(): number {
    return this.#end / (2 * this.#type.keyLength);
  }

  /** Whether one of them was a prefix or a range. */
  get haveInterval(): boolean {
    return this.#haveInterval;
  }

  /** Reads a value, a prefix or a range; of a type of several parts a value for each. */
  read(text: Uint8Array, start: number, end: number): ElementOutcome {
    const { parts, keyLength } = this.#type;
    if (this.#end + 2 * keyLength > this.#rows.length) this.#grow();
    if (parts.length > 1) return this.#readParts(text, start, end);
    const [part] = parts;
    if (!part) return 'other';
    const [first, last] = [this.#end, this.#end + keyLength];
    const mark = indexOfMark(text, start, end);
    if (!part.read(text, start, mark, this.#rows, first)) return 'other';
    if (mark === end) {
      this.#rows.copyWithin(last, first, last);
    } else if (text[mark] === SLASH) {
      const length = part.prefixBits === undefined ? -1 : readLength(text, mark + 1, end);
      if (length < 0 || length > 8 * keyLength) return 'other';
      fillPrefix(this.#rows, first, keyLength, length);
    } else {
      if (!part.read(text, mark + 1, end, this.#rows, last)) return 'other';
      if (isBehind(this.#rows, first, last, keyLength)) return 'backwards';
    }
    if (mark !== end) this.#haveInterval = true;
    this.#end += 2 * keyLength;
    return 'read';
  }

  /** @param isInterval whether the set has `flags interval`. */
  finish(isInterval: boolean): PackedElements {
    const { keyLength, parts } = this.#type;
    if (isInterval) return packElements(keyLength, true, this.#rows.slice(0, this.#end));
    const keys = new Uint8Array(this.#end / 2);
    for (let at = 0; at < keys.length; at += keyLength) {
      // A view of each would take longer than copying it.
      for (let byte = 0; byte < keyLength; byte++) keys[at + byte] = this.#rows[2 * at + byte] ?? 0;
      let partAt = at;
      for (const { bytes, paddedBytes, isHostOrder } of parts) {
        if (isHostOrder) toHostOrder(keys, partAt, bytes);
        partAt += paddedBytes;
      }
    }
    return packElements(keyLength, false, keys);
  }

  #readParts(text: Uint8Array, start: number, end: number): ElementOutcome {
    const { parts, keyLength } = this.#type;
    const rows = this.#rows;
    let target = this.#end;
    let position = start;
    rows.fill(0, target, target + keyLength);
    for (const [index, part] of parts.entries()) {
      if (index > 0) {
        const dot = skipBlanks(text, position, end);
        if (dot === position || text[dot] !== DOT) return 'other';
        position = skipBlanks(text, dot + 1, end);
        if (position === dot + 1) return 'other';
      }
      const partEnd = indexOfBlank(text, position, end);
      if (!part.read(text, position, partEnd, rows, target)) return 'other';
      target += part.paddedBytes;
      position = partEnd;
    }
    if (position !== end) return 'other';
    this.#end += 2 * keyLength;
    return 'read';
  }

  #grow(): void {
    const rows = new Uint8Array(2 * this.#rows.length);
    rows.set(this.#rows);
    this.#rows = rows;
  }
}

/** Where a prefix's length or a range's end begins; the end where none does. */
function indexOfMark(text: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) if (text[at] === SLASH || text[at] === HYPHEN) return at;
  return end;
}

function isBlank(character: number | undefined): boolean {
  return character === BLANK || character === TAB;
}

function skipBlanks(text: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && isBlank(text[at])) at++;
  return at;
}

function indexOfBlank(text: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && !isBlank(text[at])) at++;
  return at;
}

/** A prefix's length; -1 if it is none. */
function readLength(text: Uint8Array, start: number, end: number): number {
  if (end === start || end - start > 3 || (text[start] === ZERO && end - start > 1)) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (text[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** From an address in a prefix to the first and the last, as nft does: what lies behind the prefix says nothing. */
function fillPrefix(rows: Uint8Array, first: number, keyLength: number, length: number): void {
  for (let byte = 0; byte < keyLength; byte++) {
    const bits = Math.min(8, Math.max(0, length - 8 * byte));
    const mask = 0xff >> bits;
    const value = rows[first + byte] ?? 0;
    rows[first + byte] = value & ~mask;
    rows[first + keyLength + byte] = value | mask;
  }
}

function isBehind(rows: Uint8Array, first: number, last: number, length: number): boolean {
  for (let at = 0; at < length; at++) {
    const difference = (rows[first + at] ?? 0) - (rows[last + at] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}
