import { HOST_LITTLE_ENDIAN } from '../netlink/bytes.js';
import { type PackedElements, recordLength } from '../nftables/packed-elements.js';
import { type DataType, readSetType } from './set-element.js';

/** Packed elements as nft writes them: `192.0.2.1`, `10.0.0.0-10.255.255.255`, `192.0.2.1 . 53`. */
export function textOfElements(packed: PackedElements, type: string): string[] {
  const read = readSetType(type);
  if ('flaw' in read) return [];
  const { keyLength, isInterval, bytes } = packed;
  const length = recordLength(packed);
  return Array.from({ length: bytes.length / length }, (_, number) => {
    const at = number * length;
    const first = textOfKey(bytes.subarray(at, at + keyLength), read.parts, isInterval);
    if (!isInterval) return first;
    const last = textOfKey(bytes.subarray(at + keyLength, at + length), read.parts, isInterval);
    return first === last ? first : `${first}-${last}`;
  });
}

function textOfKey(key: Uint8Array, parts: readonly DataType[], isInterval: boolean): string {
  let at = 0;
  const texts = parts.map((part) => {
    const value = key.slice(at, at + part.bytes);
    at += part.paddedBytes;
    // Intervals have an order that bytes have.
    return part.write(part.isHostOrder && !isInterval && HOST_LITTLE_ENDIAN ? value.reverse() : value);
  });
  return texts.join(' . ');
}
