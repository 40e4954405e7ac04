import { TapwallError } from '../error.js';
import { align, HOST_LITTLE_ENDIAN, parseString, viewOf } from './bytes.js';
import {
  ATTRIBUTE_HEADER_LENGTH,
  MAXIMUM_ATTRIBUTE_LENGTH,
  NLA_F_NESTED,
  NLA_TYPE_MASK,
} from './constants.js';

/** One attribute whose payload is taken as it is. */
export interface LeafAttribute {
  type: number;
  /** NLA_F_NESTED and NLA_F_NET_BYTEORDER as they came, so that what was parsed can be written back unchanged. */
  flags: number;
  value: Uint8Array;
}

/** One attribute whose payload is a list of attributes. */
export interface NestedAttribute {
  type: number;
  flags: number;
  nested: Attribute[];
}

export type Attribute = LeafAttribute | NestedAttribute;

export function leaf(type: number, value: Uint8Array): LeafAttribute {
  return { type, flags: 0, value };
}

/** A nest as libnftnl writes it, with NLA_F_NESTED set. */
export function nest(type: number, nested: Attribute[]): NestedAttribute {
  return { type, flags: NLA_F_NESTED, nested };
}

function malformed(what: string): TapwallError {
  return new TapwallError('MALFORMED_MESSAGE', `malformed netlink attribute: ${what}`);
}

/**
 * Splits a buffer into attributes. Values are views into `bytes`, not copies. The kernel pads the last
 * attribute of a message or leaves the padding away; both are accepted.
 * @throws TapwallError MALFORMED_MESSAGE when a length is below the header's or runs past the end.
 */
export function parseAttributes(bytes: Uint8Array): LeafAttribute[] {
  const attributes: LeafAttribute[] = [];
  eachAttribute(viewOf(bytes), 0, bytes.length, (type, start, end, flags) => {
    attributes.push({ type, flags, value: bytes.subarray(start, end) });
  });
  return attributes;
}

/**
 * Says where the attributes between two offsets are, and makes no object for any: for messages that come by the
 * thousand, of which only some attributes matter.
 * @throws TapwallError MALFORMED_MESSAGE as `parseAttributes` does.
 */
export function eachAttribute(
  view: DataView,
  start: number,
  end: number,
  visit: (type: number, start: number, end: number, flags: number) => void,
): void {
  let offset = start;
  while (offset < end) {
    if (end - offset < ATTRIBUTE_HEADER_LENGTH) {
      throw malformed(`${end - offset} bytes left where a header needs ${ATTRIBUTE_HEADER_LENGTH}`);
    }
    const length = view.getUint16(offset, HOST_LITTLE_ENDIAN);
    const rawType = view.getUint16(offset + 2, HOST_LITTLE_ENDIAN);
    if (length < ATTRIBUTE_HEADER_LENGTH) throw malformed(`length ${length} at offset ${offset - start}`);
    if (offset + length > end) {
      throw malformed(`length ${length} at offset ${offset - start} runs past the end (${end - start})`);
    }
    visit(
      rawType & NLA_TYPE_MASK,
      offset + ATTRIBUTE_HEADER_LENGTH,
      offset + length,
      rawType & ~NLA_TYPE_MASK,
    );
    offset += align(length);
  }
}

/** Bytes that an attribute takes, its header and padding included. */
export function attributeSize(attribute: Attribute): number {
  return align(ATTRIBUTE_HEADER_LENGTH + payloadSize(attribute));
}

function payloadSize(attribute: Attribute): number {
  if ('value' in attribute) return attribute.value.length;
  let size = 0;
  for (const inner of attribute.nested) size += attributeSize(inner);
  return size;
}

/**
 * Writes attributes one after the other into `target`, which must be large enough and zero where padding falls.
 * @returns the offset behind the last one, aligned.
 * @throws TapwallError MALFORMED_MESSAGE when a payload does not fit the 16-bit length.
 */
export function writeAttributes(target: Uint8Array, start: number, attributes: readonly Attribute[]): number {
  const view = viewOf(target);
  let offset = start;
  for (const attribute of attributes) {
    let end = offset + ATTRIBUTE_HEADER_LENGTH;
    if ('value' in attribute) {
      target.set(attribute.value, end);
      end += attribute.value.length;
    } else {
      end = writeAttributes(target, end, attribute.nested);
    }
    const length = end - offset;
    if (length > MAXIMUM_ATTRIBUTE_LENGTH) {
      throw malformed(
        `attribute ${attribute.type} of ${length} bytes is longer than ${MAXIMUM_ATTRIBUTE_LENGTH}`,
      );
    }
    view.setUint16(offset, length, HOST_LITTLE_ENDIAN);
    view.setUint16(offset + 2, attribute.type | attribute.flags, HOST_LITTLE_ENDIAN);
    offset = align(end);
  }
  return offset;
}

export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  let size = 0;
  for (const attribute of attributes) size += attributeSize(attribute);
  const bytes = new Uint8Array(size);
  writeAttributes(bytes, 0, attributes);
  return bytes;
}

function fixed(attribute: LeafAttribute, length: number): DataView {
  if (attribute.value.length < length) {
    throw malformed(`attribute ${attribute.type} has ${attribute.value.length} bytes, expected ${length}`);
  }
  return viewOf(attribute.value);
}

export function readU8(attribute: LeafAttribute): number {
  return fixed(attribute, 1).getUint8(0);
}

export function readBe16(attribute: LeafAttribute): number {
  return fixed(attribute, 2).getUint16(0);
}

export function readBe32(attribute: LeafAttribute): number {
  return fixed(attribute, 4).getUint32(0);
}

export function readBe64(attribute: LeafAttribute): bigint {
  return fixed(attribute, 8).getBigUint64(0);
}

export function readHost32(attribute: LeafAttribute): number {
  return fixed(attribute, 4).getUint32(0, HOST_LITTLE_ENDIAN);
}

export function readText(attribute: LeafAttribute): string {
  return parseString(attribute.value);
}
