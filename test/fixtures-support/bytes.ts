/**
 * What the tests expect, byte by byte. Nothing here comes from src/netlink: a mistake that both sides shared would
 * not be seen.
 */
import { concat } from './hex.js';

export { concat } from './hex.js';

export function hex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits.replaceAll(/\s/g, ''), 'hex'));
}

/** With the NUL that ends it. */
export function text(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(`${value}\0`));
}

function number(length: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  write(new DataView(bytes.buffer));
  return bytes;
}

/** Network byte order, as nf_tables has its numbers. */
export const n16 = (value: number) => number(2, (view) => view.setUint16(0, value));
export const n32 = (value: number) => number(4, (view) => view.setUint32(0, value));
export const n64 = (value: bigint) => number(8, (view) => view.setBigUint64(0, value));
/** Little-endian, as the host of the fixtures has its own. */
export const h16 = (value: number) => number(2, (view) => view.setUint16(0, value, true));
export const h32 = (value: number) => number(4, (view) => view.setUint32(0, value, true));

/** An attribute without flags, which is how the kernel writes nests as well. */
export function attribute(type: number, ...payload: Uint8Array[]): Uint8Array {
  const value = concat(payload);
  return concat([h16(4 + value.length), h16(type), value, new Uint8Array(-value.length & 3)]);
}

/** With NLA_F_NESTED, as libmnl writes nests. */
export function nested(type: number, ...attributes: Uint8Array[]): Uint8Array {
  return attribute(type | 0x8000, ...attributes);
}

export interface Header {
  type: number;
  flags?: number;
  sequence?: number;
  portId?: number;
}

/** struct nlmsghdr, and what follows it. */
export function message(
  { type, flags = 0, sequence = 0, portId = 0 }: Header,
  ...payload: Uint8Array[]
): Uint8Array {
  const body = concat(payload);
  return concat([h32(16 + body.length), h16(type), h16(flags), h32(sequence), h32(portId), body]);
}

/** An entry of libnftnl's user data. */
export function userdata(type: number, value: Uint8Array): Uint8Array {
  return concat([Uint8Array.of(type, value.length), value]);
}
