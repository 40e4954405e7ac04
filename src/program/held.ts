import { encodeAttributes, leaf } from '../netlink/attribute.js';
import { host32, utf8 } from '../netlink/bytes.js';
import { NLM_F_CREATE } from '../netlink/constants.js';
import { NFT_MSG_NEWSETELEM, NFTA_DATA_VALUE } from '../nftables/constants.js';
import { type ElementValues, elementListSchema, type SetElement } from '../nftables/element.js';
import { nftablesRequest } from '../nftables/message.js';
import {
  countElements,
  differenceOf,
  digestOfElements,
  type ElementDifference,
  type PackedElements,
} from '../nftables/packed-elements.js';
import { addElements, hasZeroEnd, removeElements } from '../nftables/packed-messages.js';
import { encodeSegment, type Segment } from '../nftables/transaction.js';
import { encodeUserdata, readUserdata } from '../nftables/userdata.js';
import { type Blueprint, type BlueprintSet, DIGEST_TYPE, SHARED_TABLE } from './blueprint.js';

/**
 * The elements of the configuration's sets. There may be a million, so they are no messages of the blueprint: they stay
 * packed until they are sent, and of a set that stands only what differs is sent. Which elements a set holds is known by a
 * digest. The kernel lets nobody change the user data of a set that stands, so it is in that of an element of another
 * set, which is emptied and filled with each change.
 */
export const HELD_SET = 'sets.held';

/** What a set of the blueprint holds beside what devices and packets put there. */
export interface HeldElements {
  packed: PackedElements;
  digest: string;
  /** Whether single elements can be told apart from what packets put there, and changed. */
  isEditable: boolean;
  /** The most that the set can hold; undefined for no limit. */
  capacity: number | undefined;
}

export function heldElements(
  packed: PackedElements,
  { isEditable, capacity }: Pick<HeldElements, 'isEditable' | 'capacity'>,
): HeldElements {
  return { packed, digest: digestOfElements(packed), isEditable, capacity };
}

/** The blueprint with elements in its sets, by name. */
export function withElements(blueprint: Blueprint, elements: ReadonlyMap<string, HeldElements>): Blueprint {
  const sets = blueprint.sets.map((set) => {
    const held = elements.get(set.name);
    return held ? { ...set, held } : set;
  });
  return { ...blueprint, sets };
}

/** The same without them, where nothing depends on them. */
export function withoutElements(blueprint: Blueprint): Blueprint {
  return { ...blueprint, sets: blueprint.sets.map(({ held: _, ...set }) => set) };
}

/** The sets whose elements are told of by digests, and the one that tells. */
export function setsApart({ sets }: Blueprint): Set<string> {
  const names = sets.filter(({ held }) => held).map(({ name }) => name);
  return new Set([...names, HELD_SET]);
}

/** By name of the set, the digest of what it should hold. */
export function digestsOf({ sets }: Blueprint): Map<string, string> {
  return new Map(sets.flatMap(({ name, held }) => (held ? [[name, held.digest] as const] : [])));
}

/** The same as the kernel holds it, from the elements of {@link HELD_SET}. */
export function readDigests(elements: readonly Pick<ElementValues, 'userdata'>[]): Map<string, string> {
  const digests = new Map<string, string>();
  for (const { userdata } of elements) {
    const value = readUserdata(userdata).find(({ type }) => type === DIGEST_TYPE)?.value;
    const [name, digest] = value ? Buffer.from(value).toString('latin1').split(' ') : [];
    if (name !== undefined && digest !== undefined) digests.set(name, digest);
  }
  return digests;
}

/** The elements that tell of the sets, in {@link HELD_SET}, which is empty. */
export function digestSegment(blueprint: Blueprint): Segment {
  const elements = [...digestsOf(blueprint)].map(
    ([name, digest], at): SetElement => ({
      key: encodeAttributes([leaf(NFTA_DATA_VALUE, host32(at + 1))]),
      userdata: encodeUserdata([{ type: DIGEST_TYPE, value: utf8(`${name} ${digest}`) }]),
    }),
  );
  const list = elementListSchema.encode({ table: SHARED_TABLE, set: HELD_SET, elements });
  const request = nftablesRequest(NFT_MSG_NEWSETELEM, NLM_F_CREATE, list);
  return encodeSegment([{ request, label: `NEWSETELEM ${HELD_SET}` }]);
}

/** What the kernel holds of the sets of a table. */
export interface HeldState {
  /** By name, the digests in {@link HELD_SET}. */
  digests: ReadonlyMap<string, string>;
  /** What sets hold whose elements were read; undefined for what is none of tapwall's doing. */
  present: ReadonlyMap<string, PackedElements | undefined>;
}

export const NOTHING_HELD: HeldState = { digests: new Map(), present: new Map() };

/**
 * What is to be done about the elements of a set that stands as it should.
 * @returns `anew` when it has to be made again: nobody knows what is in it, or to change it would take as long.
 */
export function planElements(
  { name, held }: BlueprintSet,
  { digests, present }: HeldState,
): ElementDifference | 'anew' | undefined {
  if (!held) return undefined;
  if (!present.has(name)) return digests.get(name) === held.digest ? undefined : 'anew';
  const before = present.get(name);
  const difference = before && differenceOf(before, held.packed);
  if (!before || !difference) return 'anew';
  const [removed, added] = [countElements(difference.removed), countElements(difference.added)];
  if (removed + added === 0) return undefined;
  const wanted = countElements(held.packed);
  // The kernel takes no place back before all is in force.
  const places = (countElements(before) + added) * (held.packed.isInterval ? 2 : 1) + 1;
  if (held.capacity !== undefined && places > held.capacity) return 'anew';
  return removed + added > Math.max(wanted, FEW) ? 'anew' : difference;
}

/** So many changes are no reason to make a set anew, and the rules that use it. */
const FEW = 1_000;

/** The messages that make of what a set holds what it should hold. */
export function editSegments(
  { name }: BlueprintSet,
  held: PackedElements,
  before: PackedElements,
  { removed, added }: ElementDifference,
): Segment[] {
  const set = { table: SHARED_TABLE, set: name };
  const [hadZeroEnd, hasOne] = [hasZeroEnd(before), hasZeroEnd(held)];
  return [
    removeElements(set, removed, hadZeroEnd && !hasOne),
    addElements(set, added, hasOne && !hadZeroEnd),
  ].filter(({ starts }) => starts.length > 0);
}

/** The messages that fill a set that has just been made. */
export function fillSegment(name: string, packed: PackedElements): Segment {
  return addElements({ table: SHARED_TABLE, set: name }, packed);
}
