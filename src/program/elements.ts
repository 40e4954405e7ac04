import { type Attribute, attributeSize, leaf } from '../netlink/attribute.js';
import { be32, cString } from '../netlink/bytes.js';
import {
  NFT_SET_ELEM_INTERVAL_END,
  NFTA_LIST_ELEM,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_KEY_END,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_SET_ID,
  NFTA_SET_ELEM_LIST_TABLE,
} from '../nftables/constants.js';
import { elementSchema, type SetElement } from '../nftables/element.js';
import type { FixedSlot, TextPart } from './slot.js';
import type { Marking, TemplateAttribute } from './template.js';

/**
 * A list of elements is one nest with a 16-bit length; half of that leaves room for the rest, and is what the
 * kernel's own dumps use.
 */
const LIST_LIMIT = 32_000;

interface MarkedElement {
  key: Uint8Array;
  keyEnd: Uint8Array;
  /** What is blanked in the two, in words: whose index, and then whether it is the one behind. */
  slots: string;
  /** 0 for the end of an interval, which sorts before the beginning of the next. */
  rank: 0 | 1;
  size: number;
  template: TemplateAttribute;
}

const NONE = new Uint8Array();

/** Two compilations have different markers in their keys, so keys are compared with the slots blanked. */
function blankedKey(
  attributes: readonly TemplateAttribute[],
  type: number,
): { value: Uint8Array; slots: string } {
  const attribute = attributes.find((one) => one.type === type);
  if (!attribute || !('value' in attribute)) return { value: NONE, slots: '' };
  const slots = (attribute.slots ?? []).map(wordsFor);
  return { value: attribute.value, slots: slots.join() };
}

function wordsFor(slot: FixedSlot): string {
  return slot.kind === 'index'
    ? `${slot.offset} ${slot.order} ${slot.link ?? ''} ${slot.add}`
    : `${slot.offset}`;
}

function markElement(element: SetElement, marking: Marking): MarkedElement {
  const attribute: Attribute = { type: NFTA_LIST_ELEM, flags: 0, nested: elementSchema.encode(element) };
  const template = marking.mark(attribute);
  const inside = 'nested' in template ? template.nested : [];
  const key = blankedKey(inside, NFTA_SET_ELEM_KEY);
  const keyEnd = blankedKey(inside, NFTA_SET_ELEM_KEY_END);
  return {
    key: key.value,
    keyEnd: keyEnd.value,
    slots: `${key.slots} to ${keyEnd.slots}`,
    rank: (element.flags ?? 0) & NFT_SET_ELEM_INTERVAL_END ? 0 : 1,
    size: attributeSize(attribute),
    template,
  };
}

/**
 * The order in which nft sends elements: by key, and where one interval ends as another begins, the end first.
 * The kernel dumps hash sets in an order that differs from one namespace to the next, so no two may be alike.
 */
function compareElements(a: MarkedElement, b: MarkedElement): number {
  return (
    Buffer.compare(a.key, b.key) ||
    Buffer.compare(a.keyEnd, b.keyEnd) ||
    (a.slots < b.slots ? -1 : a.slots > b.slots ? 1 : a.rank - b.rank)
  );
}

/** The NEWSETELEM messages for one set, each within what one attribute can hold. */
export function elementMessages(
  { table, set, id }: { table: TextPart[]; set: string; id: number },
  elements: readonly SetElement[],
  marking: Marking,
): TemplateAttribute[][] {
  const lists: TemplateAttribute[][] = [];
  let size = LIST_LIMIT;
  for (const element of elements.map((one) => markElement(one, marking)).sort(compareElements)) {
    size += element.size;
    if (size > LIST_LIMIT) {
      lists.push([]);
      size = element.size;
    }
    lists.at(-1)?.push(element.template);
  }
  return lists.map((nested) => [
    { type: NFTA_SET_ELEM_LIST_TABLE, flags: 0, text: table },
    leaf(NFTA_SET_ELEM_LIST_SET, cString(set)),
    leaf(NFTA_SET_ELEM_LIST_SET_ID, be32(id)),
    { type: NFTA_SET_ELEM_LIST_ELEMENTS, flags: 0, nested },
  ]);
}
