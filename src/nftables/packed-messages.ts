import { type Attribute, encodeAttributes, leaf, nest } from '../netlink/attribute.js';
import { align, be32, cString, HOST_LITTLE_ENDIAN, host32, viewOf } from '../netlink/bytes.js';
import {
  ATTRIBUTE_HEADER_LENGTH,
  MESSAGE_HEADER_LENGTH,
  NLM_F_CREATE,
  NLM_F_REQUEST,
} from '../netlink/constants.js';
import { writeHeader } from '../netlink/message.js';
import {
  NFPROTO_NETDEV,
  NFT_MSG_DELSETELEM,
  NFT_MSG_NEWSETELEM,
  NFT_SET_ELEM_INTERVAL_END,
  NFTA_DATA_VALUE,
  NFTA_LIST_ELEM,
  NFTA_SET_ELEM_FLAGS,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_TABLE,
  NFTA_SET_ELEM_USERDATA,
} from './constants.js';
import { generalHeader, messageType, NFGENMSG_LENGTH } from './message.js';
import { countElements, type PackedElements } from './packed-elements.js';
import type { Segment } from './transaction.js';
import { encodeUserdata } from './userdata.js';

/** Packed elements as the messages that bring them to a set, and take them away. */

/** A list of elements is one nest, whose length has 16 bits. */
const LIST_LIMIT = 0xffff & ~3;

/**
 * NFTNL_UDATA_SET_ELEM_FLAGS with SET_ELEM_F_INTERVAL_OPEN (nft, src/mergesort.c and interval.c): the interval has no end
 * of its own since it goes on to the last key there is. nft writes it, and lists the interval rightly then.
 */
const OPEN_END = encodeUserdata([{ type: 1, value: host32(1) }]);

/** What stands in front of each key, and behind it. */
interface ElementForm {
  head: Uint8Array;
  tail: Uint8Array;
  /** All in all. */
  size: number;
}

function formOf(keyLength: number, before: readonly Attribute[], behind: readonly Attribute[]): ElementForm {
  const value = leaf(NFTA_DATA_VALUE, new Uint8Array(keyLength));
  const inside = [...before, nest(NFTA_SET_ELEM_KEY, [value]), ...behind];
  const bytes = encodeAttributes([nest(NFTA_LIST_ELEM, inside)]);
  const tailLength = encodeAttributes(behind).length;
  const keyAt = bytes.length - tailLength - align(keyLength);
  return { head: bytes.slice(0, keyAt), tail: bytes.slice(keyAt + keyLength), size: bytes.length };
}

/**
 * How nft tells an interval: a first key, and the key behind the last one with a flag. One that ends with the greatest
 * key has no end. And before the first interval, unless it begins with 0, an end at 0 says that nothing does.
 */
export function hasZeroEnd({ isInterval, keyLength, bytes }: PackedElements): boolean {
  return isInterval && bytes.length > 0 && !isZero(bytes, 0, keyLength);
}

/** How many elements the kernel says that a set with these has (nft_rbtree_usize(): half of what intervals take). */
export function countTold(packed: PackedElements): number {
  const count = countElements(packed);
  if (!packed.isInterval) return count;
  const { bytes, keyLength } = packed;
  const isOpen = bytes.length > 0 && isGreatest(bytes, bytes.length - keyLength, keyLength);
  return Math.floor((2 * count + (hasZeroEnd(packed) ? 1 : 0) - (isOpen ? 1 : 0)) / 2);
}

function isZero(bytes: Uint8Array, start: number, length: number): boolean {
  for (let at = start; at < start + length; at++) if (bytes[at] !== 0) return false;
  return true;
}

/** Writes elements into messages, as many as a list can hold into each. */
class ElementWriter {
  readonly starts: number[] = [];
  readonly #bytes: Uint8Array;
  readonly #type: number;
  readonly #flags: number;
  readonly #front: Uint8Array;
  #end = 0;
  #listAt = 0;

  constructor(capacity: number, operation: number, table: string, set: string) {
    this.#type = messageType(operation);
    this.#flags = NLM_F_REQUEST | (operation === NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);
    this.#front = encodeAttributes([
      leaf(NFTA_SET_ELEM_LIST_TABLE, cString(table)),
      leaf(NFTA_SET_ELEM_LIST_SET, cString(set)),
    ]);
    const most = LIST_LIMIT - MOST_ELEMENT_BYTES;
    const messages = Math.ceil(capacity / most) + 1;
    this.#bytes = new Uint8Array(capacity + messages * (this.#front.length + MESSAGE_OVERHEAD));
  }

  /** @param add what is added to the key as a number in network order, 0 or 1. */
  add(
    { head, tail, size }: ElementForm,
    keys: Uint8Array,
    start: number,
    keyLength: number,
    add: 0 | 1,
  ): void {
    if (this.#listAt === 0 || this.#end + size - this.#listAt > LIST_LIMIT) this.#begin();
    const bytes = this.#bytes;
    let end = this.#end;
    // Byte by byte: a call of set() for each few bytes takes longer.
    for (let at = 0; at < head.length; at++) bytes[end++] = head[at] ?? 0;
    for (let at = 0; at < keyLength; at++) bytes[end++] = keys[start + at] ?? 0;
    for (let at = end - 1, carry = add; carry !== 0; at--) {
      const byte = (bytes[at] ?? 0) + 1;
      bytes[at] = byte;
      if (byte <= 0xff) carry = 0;
    }
    for (let at = 0; at < tail.length; at++) bytes[end++] = tail[at] ?? 0;
    this.#end = end;
  }

  #begin(): void {
    this.#finish();
    this.starts.push(this.#end);
    const header = this.#end + MESSAGE_HEADER_LENGTH;
    this.#bytes.set(generalHeader(NFPROTO_NETDEV), header);
    this.#bytes.set(this.#front, header + NFGENMSG_LENGTH);
    this.#listAt = header + NFGENMSG_LENGTH + this.#front.length;
    this.#end = this.#listAt + ATTRIBUTE_HEADER_LENGTH;
  }

  #finish(): void {
    const start = this.starts.at(-1);
    if (start === undefined) return;
    writeListHeader(this.#bytes, this.#listAt, this.#end - this.#listAt);
    writeHeader(this.#bytes, start, {
      length: this.#end - start,
      type: this.#type,
      flags: this.#flags,
      sequence: 0,
    });
  }

  /** All messages, less sequence numbers. */
  finish(label: string): Segment {
    this.#finish();
    return {
      bytes: this.#bytes.subarray(0, this.#end),
      starts: this.starts,
      labels: this.starts.map(() => label),
    };
  }
}

const MESSAGE_OVERHEAD = MESSAGE_HEADER_LENGTH + NFGENMSG_LENGTH + ATTRIBUTE_HEADER_LENGTH;
/** An element with the longest key, 64 bytes, and its flags or user data. */
const MOST_ELEMENT_BYTES = 128;

function writeListHeader(bytes: Uint8Array, at: number, length: number): void {
  bytes.set(encodeAttributes([nest(NFTA_SET_ELEM_LIST_ELEMENTS, [])]), at);
  viewOf(bytes).setUint16(at, length, HOST_LITTLE_ENDIAN);
}

/** To which set elements go. */
export interface SetName {
  table: string;
  set: string;
}

/**
 * The messages that bring elements to a set.
 * @param zeroEnd whether the end at 0 is among them, which intervals have before their first.
 */
export function addElements(name: SetName, packed: PackedElements, zeroEnd = hasZeroEnd(packed)): Segment {
  return elementSegment(NFT_MSG_NEWSETELEM, name, packed, zeroEnd);
}

/** The same for those that take elements away: all of them must be there. */
export function removeElements(name: SetName, packed: PackedElements, zeroEnd = hasZeroEnd(packed)): Segment {
  return elementSegment(NFT_MSG_DELSETELEM, name, packed, zeroEnd);
}

function elementSegment(
  operation: number,
  { table, set }: SetName,
  packed: PackedElements,
  zeroEnd: boolean,
): Segment {
  const { keyLength, isInterval, bytes } = packed;
  const isNew = operation === NFT_MSG_NEWSETELEM;
  const plain = formOf(keyLength, [], []);
  const end = formOf(keyLength, [leaf(NFTA_SET_ELEM_FLAGS, be32(NFT_SET_ELEM_INTERVAL_END))], []);
  const open = isNew ? formOf(keyLength, [], [leaf(NFTA_SET_ELEM_USERDATA, OPEN_END)]) : plain;
  const both = isInterval ? open.size + end.size : plain.size;
  const writer = new ElementWriter(countElements(packed) * both + end.size, operation, table, set);
  if (zeroEnd) writer.add(end, new Uint8Array(keyLength), 0, keyLength, 0);
  if (isInterval) {
    for (let at = 0; at < bytes.length; at += 2 * keyLength) {
      const last = at + keyLength;
      const isOpen = isGreatest(bytes, last, keyLength);
      writer.add(isOpen ? open : plain, bytes, at, keyLength, 0);
      if (!isOpen) writer.add(end, bytes, last, keyLength, 1);
    }
  } else {
    for (let at = 0; at < bytes.length; at += keyLength) writer.add(plain, bytes, at, keyLength, 0);
  }
  return writer.finish(`${isNew ? 'NEWSETELEM' : 'DELSETELEM'} ${set}`);
}

function isGreatest(bytes: Uint8Array, start: number, length: number): boolean {
  for (let at = start; at < start + length; at++) if (bytes[at] !== 0xff) return false;
  return true;
}
