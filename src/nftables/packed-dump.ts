import { eachAttribute } from '../netlink/attribute.js';
import type { Message } from '../netlink/message.js';
import {
  NFT_SET_ELEM_INTERVAL_END,
  NFTA_DATA_VALUE,
  NFTA_SET_ELEM_FLAGS,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_USERDATA,
} from './constants.js';
import { eachElement } from './element.js';
import { type PackedElements, packElements } from './packed-elements.js';
import { hasZeroEnd } from './packed-messages.js';
import { sortRecords } from './record-sort.js';

/** Behind its key: whether an element is an interval's end, which sorts before the beginning of the next. */
const END = 0;
const BEGINNING = 1;

/** Elements of a dump, one behind the other: the key, and for an interval set what it is. */
class Rows {
  readonly #keyLength: number;
  readonly #length: number;
  #bytes: Uint8Array;
  #end = 0;

  constructor(keyLength: number, isInterval: boolean, capacity: number) {
    this.#keyLength = keyLength;
    this.#length = isInterval ? keyLength + 1 : keyLength;
    this.#bytes = new Uint8Array(this.#length * capacity);
  }

  /** @returns false when there is no room, or the key has another length. */
  add(bytes: Uint8Array, start: number, end: number, kind: number): boolean {
    const at = this.#end;
    if (end - start !== this.#keyLength || at + this.#length > this.#bytes.length) return false;
    for (let byte = 0; byte < this.#keyLength; byte++) this.#bytes[at + byte] = bytes[start + byte] ?? 0;
    if (this.#length > this.#keyLength) this.#bytes[at + this.#keyLength] = kind;
    this.#end = at + this.#length;
    return true;
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }
}

/** An element of the dumps has a header of its own, one around its key and one around the key's value. */
const FEWEST_BYTES = 12;

/**
 * Reads the dump of a set whose elements are nothing but keys.
 * @returns undefined when something else is in it, or intervals that nobody would make so: none of tapwall's doing.
 * @throws TapwallError MALFORMED_MESSAGE
 */
export function readPackedElements(
  messages: readonly Message[],
  { keyLength, isInterval }: Pick<PackedElements, 'keyLength' | 'isInterval'>,
): PackedElements | undefined {
  const total = messages.reduce((sum, { payload }) => sum + payload.length, 0);
  const rows = new Rows(keyLength, isInterval, Math.ceil(total / FEWEST_BYTES));
  let isKnown = true;
  eachElement(messages, (attributes, view, start, end) => {
    isKnown = readElement(attributes, view, start, end, rows) && isKnown;
  });
  if (!isKnown) return undefined;
  return isInterval ? intervalsOf(rows.bytes, keyLength) : packElements(keyLength, false, rows.bytes.slice());
}

function readElement(bytes: Uint8Array, view: DataView, start: number, end: number, rows: Rows): boolean {
  let isKnown = true;
  let kind = BEGINNING;
  let keyStart = 0;
  let keyEnd = 0;
  eachAttribute(view, start, end, (type, from, to) => {
    if (type === NFTA_SET_ELEM_KEY) {
      eachAttribute(view, from, to, (inner, valueStart, valueEnd) => {
        if (inner !== NFTA_DATA_VALUE) return;
        keyStart = valueStart;
        keyEnd = valueEnd;
      });
    } else if (type === NFTA_SET_ELEM_FLAGS && to - from === 4) {
      const flags = view.getUint32(from);
      if (flags === NFT_SET_ELEM_INTERVAL_END) kind = END;
      else if (flags !== 0) isKnown = false;
    } else if (type !== NFTA_SET_ELEM_USERDATA) {
      isKnown = false;
    }
  });
  return isKnown && rows.add(bytes, keyStart, keyEnd, kind);
}

/** From beginnings and ends to first and last keys. */
function intervalsOf(rows: Uint8Array, keyLength: number): PackedElements | undefined {
  const length = keyLength + 1;
  const sorted = sortRecords(rows, length, length);
  const bytes = new Uint8Array((sorted.length / length) * 2 * keyLength);
  let end = 0;
  let isOpen = false;
  let zeroEnd = false;
  for (let at = 0; at < sorted.length; at += length) {
    if (sorted[at + keyLength] === BEGINNING) {
      if (isOpen) return undefined;
      bytes.set(sorted.subarray(at, at + keyLength), end);
      isOpen = true;
      continue;
    }
    if (!isOpen) {
      // The end at 0, which stands before everything.
      if (at > 0 || !isZero(sorted, keyLength)) return undefined;
      zeroEnd = true;
      continue;
    }
    const last = end + keyLength;
    bytes.set(sorted.subarray(at, at + keyLength), last);
    takeOne(bytes, last, keyLength);
    end = last + keyLength;
    isOpen = false;
  }
  if (isOpen) {
    bytes.fill(0xff, end + keyLength, end + 2 * keyLength);
    end += 2 * keyLength;
  }
  const packed = { keyLength, isInterval: true, bytes: bytes.slice(0, end) };
  // Without it where it should be, or with it where it shouldn't, single elements can't be changed.
  return zeroEnd === hasZeroEnd(packed) ? packed : undefined;
}

function isZero(bytes: Uint8Array, length: number): boolean {
  return bytes.subarray(0, length).every((byte) => byte === 0);
}

/** Subtracts one from a number in network order. */
function takeOne(bytes: Uint8Array, start: number, length: number): void {
  for (let at = start + length - 1; at >= start; at--) {
    const byte = bytes[at] ?? 0;
    bytes[at] = byte - 1;
    if (byte !== 0) return;
  }
}
