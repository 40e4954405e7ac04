import { TapwallError } from '../error.js';
import { align, HOST_LITTLE_ENDIAN, viewOf } from '../netlink/bytes.js';
import {
  ATTRIBUTE_HEADER_LENGTH,
  MAXIMUM_ATTRIBUTE_LENGTH,
  MESSAGE_HEADER_LENGTH,
  NLM_F_REQUEST,
} from '../netlink/constants.js';
import { writeHeader } from '../netlink/message.js';
import { NFPROTO_NETDEV } from '../nftables/constants.js';
import { generalHeader, messageType, NFGENMSG_LENGTH } from '../nftables/message.js';
import type { ProgramMessage } from './program.js';
import type { FixedSlot, TextPart } from './slot.js';
import type { TemplateAttribute } from './template.js';

/** The lengths that decide a program's byte layout. */
export interface Shape {
  /** Bytes of the device's name. */
  nameLength: number;
  /** Decimal digits of its index. */
  indexLength: number;
}

/** Something to write at a place in the laid-out bytes. */
export type Poke = FixedSlot | { kind: 'text'; offset: number; slot: 'name' | 'index' };

/** Messages as bytes for one shape, with the places to write to. To attach is to copy and poke. */
export interface Layout {
  bytes: Uint8Array;
  pokes: Poke[];
  /** Where each message begins, for its sequence number. */
  messages: number[];
}

function textLength(parts: readonly TextPart[], shape: Shape): number {
  let length = 1;
  for (const part of parts) {
    if ('text' in part) length += Buffer.byteLength(part.text);
    else length += part.slot === 'name' ? shape.nameLength : shape.indexLength;
  }
  return length;
}

function payloadLength(attribute: TemplateAttribute, shape: Shape): number {
  if ('value' in attribute) return attribute.value.length;
  if ('text' in attribute) return textLength(attribute.text, shape);
  return attributesLength(attribute.nested, shape);
}

function attributesLength(attributes: readonly TemplateAttribute[], shape: Shape): number {
  let length = 0;
  for (const attribute of attributes)
    length += align(ATTRIBUTE_HEADER_LENGTH + payloadLength(attribute, shape));
  return length;
}

class LayoutWriter {
  readonly bytes: Uint8Array;
  readonly pokes: Poke[] = [];
  readonly #view: DataView;
  readonly #shape: Shape;
  #offset = 0;

  constructor(length: number, shape: Shape) {
    this.bytes = new Uint8Array(length);
    this.#view = viewOf(this.bytes);
    this.#shape = shape;
  }

  message({ operation, flags, attributes, label }: ProgramMessage): number {
    const start = this.#offset;
    this.#offset += MESSAGE_HEADER_LENGTH;
    this.bytes.set(generalHeader(NFPROTO_NETDEV), this.#offset);
    this.#offset += NFGENMSG_LENGTH;
    this.#attributes(attributes, label);
    const header = { type: messageType(operation), flags: NLM_F_REQUEST | flags, sequence: 0 };
    writeHeader(this.bytes, start, { length: this.#offset - start, ...header });
    return start;
  }

  #attributes(attributes: readonly TemplateAttribute[], label: string): void {
    for (const attribute of attributes) {
      const start = this.#offset;
      this.#offset += ATTRIBUTE_HEADER_LENGTH;
      if ('value' in attribute) this.#fixed(attribute);
      else if ('text' in attribute) this.#text(attribute.text);
      else this.#attributes(attribute.nested, label);
      const length = this.#offset - start;
      if (length > MAXIMUM_ATTRIBUTE_LENGTH) {
        throw new TapwallError(
          'POLICY_NOT_PORTABLE',
          `${label}: ${length} bytes in one attribute, of at most ${MAXIMUM_ATTRIBUTE_LENGTH}`,
        );
      }
      this.#view.setUint16(start, length, HOST_LITTLE_ENDIAN);
      this.#view.setUint16(start + 2, attribute.type | attribute.flags, HOST_LITTLE_ENDIAN);
      this.#offset = align(this.#offset);
    }
  }

  #fixed({ value, slots = [] }: { value: Uint8Array; slots?: FixedSlot[] }): void {
    this.bytes.set(value, this.#offset);
    for (const slot of slots) this.pokes.push({ ...slot, offset: this.#offset + slot.offset });
    this.#offset += value.length;
  }

  #text(parts: readonly TextPart[]): void {
    for (const part of parts) {
      if ('text' in part) {
        const text = Buffer.from(part.text);
        this.bytes.set(text, this.#offset);
        this.#offset += text.length;
      } else {
        this.pokes.push({ kind: 'text', offset: this.#offset, slot: part.slot });
        this.#offset += part.slot === 'name' ? this.#shape.nameLength : this.#shape.indexLength;
      }
    }
    this.#offset += 1;
  }
}

/** @throws TapwallError POLICY_NOT_PORTABLE when an attribute does not fit its 16-bit length. */
export function layOut(messages: readonly ProgramMessage[], shape: Shape): Layout {
  let length = 0;
  for (const { attributes } of messages) {
    length += MESSAGE_HEADER_LENGTH + NFGENMSG_LENGTH + attributesLength(attributes, shape);
  }
  const writer = new LayoutWriter(length, shape);
  const starts = messages.map((message) => writer.message(message));
  return { bytes: writer.bytes, pokes: writer.pokes, messages: starts };
}
