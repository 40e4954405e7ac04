import type { NetlinkSocket } from '../kernel/socket.js';
import { leaf, parseAttributes, readText } from '../netlink/attribute.js';
import { cString, HOST_LITTLE_ENDIAN, viewOf } from '../netlink/bytes.js';
import type { Message } from '../netlink/message.js';
import {
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETOBJ,
  NFT_MSG_GETRULE,
  NFT_MSG_GETSET,
  NFT_MSG_GETSETELEM,
  NFT_MSG_GETTABLE,
  NFTA_DATA_VALUE,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_TABLE,
  NFTA_TABLE_NAME,
} from '../nftables/constants.js';
import { readElementValues, type SetElement } from '../nftables/element.js';
import { dumpRequest } from '../nftables/message.js';
import { readPackedElements } from '../nftables/packed-dump.js';
import type { PackedElements } from '../nftables/packed-elements.js';
import { parseRuleset, type Ruleset } from '../nftables/ruleset.js';
import type { Table } from '../nftables/table.js';
import { SHARED_TABLE } from '../program/blueprint.js';
import { type Contents, contentsOf, isFixed } from '../program/contents.js';
import { HELD_SET, readDigests } from '../program/held.js';
import { type Inventory, takeInventory } from '../program/inventory.js';
import type { Member } from '../program/member.js';

/** What the kernel holds of the shared table. */
export interface SharedState {
  table: Table;
  inventory: Inventory;
  /** All that the policies have put there; absent unless it was asked for. */
  contents: Contents | undefined;
  /** By interface index: the elements by which each device is a member. Its counters are not among them. */
  members: Map<number, Member[]>;
  /** The counters of each device, by interface index. */
  counted: Map<number, Member[]>;
  /** What the sets of the configuration are said to hold, by name. */
  digests: Map<string, string>;
}

/** What to read of the shared table. */
export interface Reading {
  /** Whether what the policies have put into sets is read, and all rules. */
  deep?: boolean;
  /** Sets whose elements are not part of that: they are told of by digests, and compared by themselves. */
  apart?: ReadonlySet<string>;
}

const NONE_APART: ReadonlySet<string> = new Set();

/** One element per device: what was admitted, and what was dropped for each reason. */
const COUNTERS = /^(?:ingress|egress)\.(?:admitted(?:\.early)?|dropped\..+)$/;
/** Those of what was admitted. */
const ADMITTED = /^(?:ingress|egress)\.admitted(?:\.early)?$/;
/** Maps from a policy's mark to its chains, which are the blueprint's. */
const POLICY_MAPS = /^policy\.(?:ingress|egress)$/;

export function isCounter(set: string): boolean {
  return COUNTERS.test(set);
}

/** Whether a set counts what the door lets through, to a device's own tables where it has such. */
export function countsAdmitted(set: string): boolean {
  return ADMITTED.test(set);
}

/** Whether devices are members of a set. Names of the user's sets have no dot. */
export function hasMembers(set: string): boolean {
  return set.includes('.') && !isCounter(set) && !isPolicyMap(set) && set !== HELD_SET;
}

export function isPolicyMap(set: string): boolean {
  return POLICY_MAPS.test(set);
}

function dataOf(data: Uint8Array | undefined): Uint8Array | undefined {
  return data && parseAttributes(data).find(({ type }) => type === NFTA_DATA_VALUE)?.value;
}

const ofTable = [leaf(NFTA_TABLE_NAME, cString(SHARED_TABLE))];

/** The messages that a set's dump consists of. @throws KernelError ENOENT where there is none. */
export function dumpSet(netfilter: NetlinkSocket, set: string): Message[] {
  const which = [
    leaf(NFTA_SET_ELEM_LIST_TABLE, cString(SHARED_TABLE)),
    leaf(NFTA_SET_ELEM_LIST_SET, cString(set)),
  ];
  return netfilter.dump(dumpRequest(NFT_MSG_GETSETELEM, which), `the dump of set ${set}`);
}

/** The elements of one set of the shared table, with all that there is to them. */
export function dumpElements(netfilter: NetlinkSocket, set: string): SetElement[] {
  return parseRuleset(dumpSet(netfilter, set)).elements.flatMap(({ elements }) => elements);
}

/** The interface index that an element's key begins with; undefined for a key that has none. */
export function indexOfKey(key: Uint8Array): number | undefined {
  return key.length < 4 ? undefined : viewOf(key).getUint32(0, HOST_LITTLE_ENDIAN);
}

/** The elements of a set of the configuration; undefined for what is none of tapwall's doing. */
export function readHeld(
  netfilter: NetlinkSocket,
  set: string,
  form: PackedElements,
): PackedElements | undefined {
  return readPackedElements(dumpSet(netfilter, set), form);
}

/** Reads the shared table; undefined when there is none. */
export function readShared(
  netfilter: NetlinkSocket,
  { deep = false, apart = NONE_APART }: Reading = {},
): SharedState | undefined {
  const tables = netfilter.dump(dumpRequest(NFT_MSG_GETTABLE), 'the dump of the tables');
  const table = parseRuleset(tables).tables.find(({ name }) => name === SHARED_TABLE);
  if (!table) return undefined;
  const ruleset = parseRuleset([
    ...tables,
    ...netfilter.dump(dumpRequest(NFT_MSG_GETCHAIN), 'the dump of the chains'),
    ...netfilter.dump(dumpRequest(NFT_MSG_GETSET, ofTable), 'the dump of the sets'),
    ...netfilter.dump(dumpRequest(NFT_MSG_GETRULE, ofTable), 'the dump of the rules'),
    ...netfilter.dump(dumpRequest(NFT_MSG_GETOBJ, ofTable), 'the dump of the named objects'),
  ]);
  const inventory = takeInventory(ruleset);
  if (!inventory) return undefined;
  const contents = deep ? contentsOf(ofShared(netfilter, ruleset, apart)) : undefined;
  const digests = inventory.sets.has(HELD_SET)
    ? readDigests(readElementValues(HELD_SET, dumpSet(netfilter, HELD_SET)))
    : new Map<string, string>();
  const state: SharedState = {
    table,
    inventory,
    contents,
    members: new Map(),
    counted: new Map(),
    digests,
  };
  for (const set of inventory.sets.keys()) {
    if (!hasMembers(set) && !isCounter(set)) continue;
    const byDevice = isCounter(set) ? state.counted : state.members;
    for (const element of readElementValues(set, dumpSet(netfilter, set))) addMember(byDevice, element);
  }
  return state;
}

/** The shared table alone, with the elements that are policies' own and not devices'. */
function ofShared(netfilter: NetlinkSocket, ruleset: Ruleset, apart: ReadonlySet<string>): Ruleset {
  const own = <T extends { table: string }>(objects: T[]) =>
    objects.filter(({ table }) => table === SHARED_TABLE);
  const sets = own(ruleset.sets);
  const fixed = sets.filter(
    (set) => isFixed(set) && !hasMembers(set.name) && !isCounter(set.name) && !apart.has(set.name),
  );
  const { elements } = parseRuleset(fixed.flatMap(({ name }) => dumpSet(netfilter, name)));
  return { ...ruleset, chains: own(ruleset.chains), rules: own(ruleset.rules), sets, elements };
}

/** Reads the contents of a shared table, as {@link readShared} does. */
export function readContents(netfilter: NetlinkSocket, apart: ReadonlySet<string>): Contents {
  return contentsOf(
    ofShared(
      netfilter,
      parseRuleset([
        ...netfilter.dump(dumpRequest(NFT_MSG_GETCHAIN), 'the dump of the chains'),
        ...netfilter.dump(dumpRequest(NFT_MSG_GETSET, ofTable), 'the dump of the sets'),
        ...netfilter.dump(dumpRequest(NFT_MSG_GETRULE, ofTable), 'the dump of the rules'),
      ]),
      apart,
    ),
  );
}

/** NFTA_DATA_VERDICT and NFTA_VERDICT_CHAIN of linux/netfilter/nf_tables.h. */
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CHAIN = 2;

/** The marks that the kernel knows policies by, so that they can be kept; none where there is no shared table. */
export function readMarks(netfilter: NetlinkSocket): Map<string, number> {
  const marks = new Map<string, number>();
  const sets = parseRuleset(netfilter.dump(dumpRequest(NFT_MSG_GETSET), 'the dump of the sets')).sets;
  const map = sets.find(({ table, name }) => table === SHARED_TABLE && name === 'policy.ingress');
  if (!map) return marks;
  for (const { key, data } of dumpElements(netfilter, map.name)) {
    const mark = dataOf(key);
    const verdict = data && parseAttributes(data).find(({ type }) => type === NFTA_DATA_VERDICT);
    const chain = verdict && parseAttributes(verdict.value).find(({ type }) => type === NFTA_VERDICT_CHAIN);
    const [, policy] = (chain && /^policy\.(.+)\.ingress(?:\.marked)?$/.exec(readText(chain))) ?? [];
    const number = mark && indexOfKey(mark);
    if (policy !== undefined && number !== undefined) marks.set(policy, number);
  }
  return marks;
}

function addMember(byDevice: Map<number, Member[]>, member: Member): void {
  const index = indexOfKey(member.key);
  if (index === undefined) return;
  const known = byDevice.get(index);
  if (known) known.push(member);
  else byDevice.set(index, [member]);
}
