import ipaddr from 'ipaddr.js';
import { HOST_LITTLE_ENDIAN } from '../netlink/bytes.js';

/**
 * Values of nft's data types, from the bytes of their text to the bytes that the kernel compares. A list may have a million
 * of them, so none becomes a string, and each takes some tens of nanoseconds.
 */

/**
 * Writes the value that the text from `start` to `end` stands for.
 * @returns false when it is none of this type in the form that needs no knowledge of nft's: `010` is eight to it.
 */
export type ValueReader = (
  text: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
) => boolean;

const DOT = 0x2e;
const COLON = 0x3a;
const ZERO = 0x30;

/** A decimal digit's value; something above 9 for any other character. */
function digitOf(character: number | undefined): number {
  return character === undefined || character < ZERO ? 99 : character - ZERO;
}

/** A hexadecimal digit's value, or -1. */
function hexOf(character: number | undefined): number {
  const digit = digitOf(character);
  if (digit <= 9) return digit;
  const letter = ((character ?? 0) | 0x20) - 0x61;
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

/** `192.0.2.1`: four decimal numbers without needless zeros. */
export const readIp4: ValueReader = (text, start, end, target, at) => {
  if (end - start < 7 || end - start > 15) return false;
  let position = start;
  for (let part = 0; part < 4; part++) {
    if (part > 0 && text[position++] !== DOT) return false;
    const first = position;
    let value = 0;
    while (position < end && position - first < 3) {
      const digit = digitOf(text[position]);
      if (digit > 9) break;
      value = value * 10 + digit;
      position++;
    }
    const digits = position - first;
    if (digits === 0 || value > 255 || (digits > 1 && text[first] === ZERO)) return false;
    target[at + part] = value;
  }
  return position === end;
};

const IP6_BYTES = 16;
/** With an IPv4 address at the end. */
const LONGEST_IP6 = 45;

/** `2001:db8::1`, `::ffff:192.0.2.1`; no zone. */
export const readIp6: ValueReader = (text, start, end, target, at) => {
  if (end - start < 2 || end - start > LONGEST_IP6) return false;
  let filled = 0;
  let gap = -1;
  let position = start;
  if (text[position] === COLON) {
    if (text[position + 1] !== COLON) return false;
    gap = 0;
    position += 2;
  }
  while (position < end) {
    if (filled === IP6_BYTES) return false;
    const first = position;
    let value = 0;
    for (; position < end && position - first < 4; position++) {
      const digit = hexOf(text[position]);
      if (digit < 0) break;
      value = value * 16 + digit;
    }
    if (position < end && text[position] === DOT) {
      if (filled > IP6_BYTES - 4 || !readIp4(text, first, end, target, at + filled)) return false;
      filled += 4;
      break;
    }
    if (position === first) return false;
    target[at + filled] = value >> 8;
    target[at + filled + 1] = value & 0xff;
    filled += 2;
    if (position === end) break;
    if (text[position++] !== COLON) return false;
    if (text[position] === COLON) {
      if (gap >= 0) return false;
      gap = filled;
      position++;
    } else if (position === end) {
      return false;
    }
  }
  return closeGap(target, at, filled, gap);
};

/** Moves what stands behind `::` to the end, and puts zeros between. */
function closeGap(target: Uint8Array, at: number, filled: number, gap: number): boolean {
  if (gap < 0) return filled === IP6_BYTES;
  if (filled === IP6_BYTES) return false;
  const behind = filled - gap;
  target.copyWithin(at + IP6_BYTES - behind, at + gap, at + filled);
  target.fill(0, at + gap, at + IP6_BYTES - behind);
  return true;
}

const MAC_BYTES = 6;

/** `52:54:00:aa:bb:cc`; nft lets a part have one digit. */
export const readMac: ValueReader = (text, start, end, target, at) => {
  let position = start;
  for (let part = 0; part < MAC_BYTES; part++) {
    if (part > 0 && text[position++] !== COLON) return false;
    const high = position < end ? hexOf(text[position++]) : -1;
    if (high < 0) return false;
    const low = position < end ? hexOf(text[position]) : -1;
    if (low >= 0) position++;
    target[at + part] = low >= 0 ? high * 16 + low : high;
  }
  return position === end;
};

const LETTER_X = 0x78;
/** Of 2³². */
const MOST_DIGITS = 10;

/** A number in decimal without needless zeros, or in hexadecimal behind `0x`, in network order. */
export function numberReader(length: 1 | 2 | 4): ValueReader {
  const limit = 2 ** (8 * length);
  return (text, start, end, target, at) => {
    const isHex = text[start] === ZERO && ((text[start + 1] ?? 0) | 0x20) === LETTER_X;
    const first = isHex ? start + 2 : start;
    if (end <= first || end - first > MOST_DIGITS) return false;
    if (!isHex && text[first] === ZERO && end - first > 1) return false;
    let value = 0;
    for (let position = first; position < end; position++) {
      const digit = isHex ? hexOf(text[position]) : digitOf(text[position]);
      if (digit < 0 || digit > 15 || (!isHex && digit > 9)) return false;
      value = value * (isHex ? 16 : 10) + digit;
    }
    if (value >= limit) return false;
    for (let byte = length - 1; byte >= 0; byte--) {
      target[at + byte] = value % 256;
      value = Math.floor(value / 256);
    }
    return true;
  };
}

/** Turns a number in network order into one in the host's. */
export function toHostOrder(bytes: Uint8Array, at: number, length: number): void {
  if (HOST_LITTLE_ENDIAN) bytes.subarray(at, at + length).reverse();
}

export function writeAddress(value: Uint8Array): string {
  return ipaddr.fromByteArray([...value]).toString();
}

export function writeMac(value: Uint8Array): string {
  return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export function writeNumber(value: Uint8Array): string {
  return String(value.reduce((sum, byte) => sum * 256 + byte, 0));
}
