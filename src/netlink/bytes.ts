import { endianness } from 'node:os';

/**
 * Netlink headers are in the byte order of the host; nf_tables numbers are in network order.
 * Every multi-byte access in the codec says which of the two it means.
 */
export const HOST_LITTLE_ENDIAN = endianness() === 'LE';

const encoder = new TextEncoder();
/** A byte order mark is a character like any other here: what was read must be written back. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Rounds up to netlink's alignment of 4 bytes. */
export function align(length: number): number {
  return (length + 3) & ~3;
}

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

export function be16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  viewOf(bytes).setUint16(0, value);
  return bytes;
}

export function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value);
  return bytes;
}

export function be64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, value);
  return bytes;
}

export function host32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeHost32(bytes, 0, value);
  return bytes;
}

/** By hand, where making a DataView would cost more than what is written. */
export function writeHost32(target: Uint8Array, offset: number, value: number): void {
  if (HOST_LITTLE_ENDIAN) {
    target[offset] = value;
    target[offset + 1] = value >>> 8;
    target[offset + 2] = value >>> 16;
    target[offset + 3] = value >>> 24;
  } else {
    target[offset] = value >>> 24;
    target[offset + 1] = value >>> 16;
    target[offset + 2] = value >>> 8;
    target[offset + 3] = value;
  }
}

/** A NUL-terminated string, as NLA_NUL_STRING attributes want it. */
export function cString(text: string): Uint8Array {
  const encoded = encoder.encode(text);
  const bytes = new Uint8Array(encoded.length + 1);
  bytes.set(encoded);
  return bytes;
}

/** The text up to the first NUL; the kernel sends some strings with and some without one. */
export function parseString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** A copy that shares no memory with the original, which a Buffer's own `slice` does. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  // Most are a few bytes long: a call into C++ would take longer.
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
