import { TapwallError } from '../error.js';
import { type Attribute, type LeafAttribute, parseAttributes } from '../netlink/attribute.js';
import {
  copyBytes,
  cString,
  equalBytes,
  HOST_LITTLE_ENDIAN,
  parseString,
  utf8,
  viewOf,
} from '../netlink/bytes.js';
import { type FixedSlot, NAME_SLOT_LENGTH, slotLength, type TextPart } from './slot.js';

/** An attribute with slots. Plain data: it goes through a structured clone unharmed. */
export type TemplateAttribute =
  | { type: number; flags: number; value: Uint8Array; slots?: FixedSlot[] }
  | { type: number; flags: number; text: TextPart[] }
  | { type: number; flags: number; nested: TemplateAttribute[] };

/** What stood for the device and for other links while a policy was compiled. */
export interface Markers {
  /** Exactly 15 bytes of ASCII, random. */
  name: string;
  index: number;
  links: readonly { name: string; index: number }[];
}

/** Finds markers in payloads and turns them into slots. */
export class Marking {
  readonly #name: Uint8Array;
  readonly #numbers: { value: number; order: 'host' | 'network'; add: 0 | 1; link?: string }[] = [];
  readonly #markers: Markers;

  constructor(markers: Markers) {
    this.#markers = markers;
    this.#name = utf8(markers.name);
    const targets: { index: number; link?: string }[] = [
      { index: markers.index },
      ...markers.links.map((link) => ({ index: link.index, link: link.name })),
    ];
    for (const { index, ...link } of targets) {
      // An interval set holds the first value behind the interval, and in network order.
      for (const add of [0, 1] as const) {
        for (const order of ['host', 'network'] as const) {
          this.#numbers.push({ value: index + add, order, add, ...link });
        }
      }
    }
  }

  mark(attribute: Attribute): TemplateAttribute {
    if ('nested' in attribute) {
      const { type, flags, nested } = attribute;
      return { type, flags, nested: nested.map((inner) => this.mark(inner)) };
    }
    return this.#markLeaf(attribute);
  }

  /**
   * An attribute whose payload is a NUL-terminated string: the marker's length may change there.
   * @throws TapwallError POLICY_NOT_PORTABLE when there is a marker in text that is not UTF-8.
   */
  markText(attribute: LeafAttribute): TemplateAttribute {
    const { type, flags, value } = attribute;
    const string = parseString(value);
    if (!equalBytes(cString(string), value)) {
      // An included file may hold any bytes, and nft takes them.
      if (this.#findNames(value).length === 0) return { type, flags, value: copyBytes(value) };
      throw new TapwallError(
        'POLICY_NOT_PORTABLE',
        `a text with the device's name in it is not UTF-8: ${string}`,
      );
    }
    const pieces = string.split(this.#markers.name);
    const text: TextPart[] = [];
    pieces.forEach((piece, index) => {
      if (index > 0) text.push({ slot: 'name' });
      if (piece !== '') text.push({ text: piece });
    });
    return { type, flags, text };
  }

  #markLeaf({ type, flags, value }: LeafAttribute): TemplateAttribute {
    const slots: FixedSlot[] = [...this.#findNames(value), ...this.#findNumbers(value)];
    // Slots are blanked, so that two compilations of one policy can be compared.
    const blanked = copyBytes(value);
    for (const slot of slots) blanked.fill(0, slot.offset, slot.offset + slotLength(slot));
    return slots.length > 0 ? { type, flags, value: blanked, slots } : { type, flags, value: blanked };
  }

  #findNames(value: Uint8Array): FixedSlot[] {
    const slots: FixedSlot[] = [];
    const haystack = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    for (
      let at = haystack.indexOf(this.#name);
      at >= 0;
      at = haystack.indexOf(this.#name, at + NAME_SLOT_LENGTH)
    ) {
      slots.push({ kind: 'name', offset: at });
    }
    return slots;
  }

  #findNumbers(value: Uint8Array): FixedSlot[] {
    const slots: FixedSlot[] = [];
    const view = viewOf(value);
    for (let offset = 0; offset + 4 <= value.length; offset += 4) {
      const host = view.getUint32(offset, HOST_LITTLE_ENDIAN);
      const network = view.getUint32(offset);
      for (const { value: wanted, order, add, link } of this.#numbers) {
        if ((order === 'host' ? host : network) !== wanted) continue;
        slots.push({ kind: 'index', offset, order, add, ...(link === undefined ? {} : { link }) });
        break;
      }
    }
    return slots;
  }
}

/** Parses an opaque payload one level deeper, so that a string inside it can change its length. */
export function openNest({ type, flags, value }: LeafAttribute): Attribute {
  return { type, flags, nested: parseAttributes(value) };
}

/** True when two templates are the same, slots included. */
export function equalTemplates(a: TemplateAttribute, b: TemplateAttribute): boolean {
  if (a.type !== b.type || a.flags !== b.flags) return false;
  if ('value' in a) {
    return (
      'value' in b &&
      equalBytes(a.value, b.value) &&
      JSON.stringify(a.slots ?? []) === JSON.stringify(b.slots ?? [])
    );
  }
  if ('text' in a) return 'text' in b && JSON.stringify(a.text) === JSON.stringify(b.text);
  return (
    'nested' in b &&
    a.nested.length === b.nested.length &&
    a.nested.every((inner, index) => {
      const other = b.nested[index];
      return other !== undefined && equalTemplates(inner, other);
    })
  );
}
