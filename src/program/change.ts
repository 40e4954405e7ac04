import { leaf } from '../netlink/attribute.js';
import { be32, cString } from '../netlink/bytes.js';
import { NLM_F_CREATE } from '../netlink/constants.js';
import {
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELOBJ,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSET,
  NFT_MSG_DELSETELEM,
  NFT_MSG_NEWTABLE,
  NFTA_CHAIN_NAME,
  NFTA_OBJ_NAME,
  NFTA_OBJ_TYPE,
  NFTA_RULE_CHAIN,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_NAME,
  NFTA_TABLE_NAME,
  NFTA_TABLE_USERDATA,
} from '../nftables/constants.js';
import type { ElementDifference } from '../nftables/packed-elements.js';
import type { Segment } from '../nftables/transaction.js';
import { fill } from './attach.js';
import { type Blueprint, type BlueprintSet, SHARED_TABLE } from './blueprint.js';
import {
  digestSegment,
  digestsOf,
  editSegments,
  fillSegment,
  HELD_SET,
  type HeldState,
  NOTHING_HELD,
  planElements,
} from './held.js';
import { type Inventory, inventoryOf, NO_RULES } from './inventory.js';
import { layOut } from './layout.js';
import { ownTable } from './ownership.js';
import type { ProgramMessage } from './program.js';
import type { Ownership } from './slot.js';
import type { TemplateAttribute } from './template.js';

/** What turns the shared table into what it should be, less hooks and devices. */
export interface Change {
  messages: ProgramMessage[];
  /** Behind those: the elements of the configuration's sets. */
  elements: Segment[];
  /** Sets that go, or are made anew: they lose the elements of devices. */
  emptied: string[];
  /**
   * Takes away what somebody else has put into the table, and what nothing leads to when all else is in force; before,
   * a rule of theirs may.
   */
  afterwards: ProgramMessage[];
}

const table: TemplateAttribute = leaf(NFTA_TABLE_NAME, cString(SHARED_TABLE));

/** A message that names one object of the shared table. */
export function aboutShared(
  operation: number,
  label: string,
  ...attributes: TemplateAttribute[]
): ProgramMessage {
  return { operation, flags: 0, label, attributes: [table, ...attributes] };
}

function deleteRules(chain: string): ProgramMessage {
  return aboutShared(NFT_MSG_DELRULE, `DELRULE of ${chain}`, leaf(NFTA_RULE_CHAIN, cString(chain)));
}

function deleteChain(chain: string): ProgramMessage {
  return aboutShared(NFT_MSG_DELCHAIN, `DELCHAIN ${chain}`, leaf(NFTA_CHAIN_NAME, cString(chain)));
}

function deleteSet(set: string): ProgramMessage {
  return aboutShared(NFT_MSG_DELSET, `DELSET ${set}`, leaf(NFTA_SET_NAME, cString(set)));
}

function deleteObject({ name, type }: { name: string; type: number }): ProgramMessage {
  const which = [leaf(NFTA_OBJ_NAME, cString(name)), leaf(NFTA_OBJ_TYPE, be32(type))];
  return aboutShared(NFT_MSG_DELOBJ, `DELOBJ ${name}`, ...which);
}

/** Without elements it is about all of them (nf_tables_delsetelem()). */
function emptySet(set: string): ProgramMessage {
  return aboutShared(NFT_MSG_DELSETELEM, `DELSETELEM of ${set}`, leaf(NFTA_SET_ELEM_LIST_SET, cString(set)));
}

/** Empties sets of the shared table: all that was in them is gone. */
export function emptySets(sets: readonly string[]): ProgramMessage[] {
  return sets.map(emptySet);
}

/** Empties a base chain and takes it away. */
export function deleteBase(chain: string): ProgramMessage[] {
  return [deleteRules(chain), deleteChain(chain)];
}

/**
 * Compares what there is with what should be. What is alike is not touched: its counters, and the elements of devices
 * in its sets, stay. What differs is emptied and filled again in the same transaction, so that no frame meets half of it.
 * @param installed undefined when the kernel has no such table.
 * @param ownership whose a table is to be that is made.
 * @param held what is known of the elements of the configuration's sets.
 */
export function planChange(
  installed: Installed | undefined,
  blueprint: Blueprint,
  ownership: Ownership = 'none',
  held: HeldState = NOTHING_HELD,
): Change {
  const wanted = inventoryOf(blueprint);
  const before = installed ?? { sets: new Map(), chains: new Map() };
  const edits = new Map<BlueprintSet, ElementDifference>();
  const refilled = new Set<string>();
  for (const set of blueprint.sets) {
    if (before.sets.get(set.name) !== set.digest) continue;
    const edit = planElements(set, held);
    if (edit === 'anew') refilled.add(set.name);
    else if (edit) edits.set(set, edit);
  }
  const sets = blueprint.sets.filter(
    ({ name, digest }) => before.sets.get(name) !== digest || refilled.has(name),
  );
  const lostSets = [...before.sets.keys()].filter(
    (name) => wanted.sets.get(name) !== before.sets.get(name) || refilled.has(name),
  );
  const differing = new Set([...lostSets, ...sets.map(({ name }) => name)]);
  // The rules that use a set stand in the way of making it anew.
  const chains = blueprint.chains.filter(
    ({ name, uses }) =>
      !before.chains.has(name) ||
      before.chains.get(name) !== wanted.chains.get(name) ||
      uses.some((set) => differing.has(set)),
  );
  const { chains: strangeChains, sets: strangeSets } = strangersIn(before, wanted);
  const goneChains = [...before.chains.keys()].filter(
    (name) => !wanted.chains.has(name) && !strangeChains.includes(name),
  );
  const rewritten = chains.filter(({ name }) => before.chains.has(name));
  const messages: ProgramMessage[] = [];
  if (!installed) messages.push(newTable(blueprint.userdata, ownership));
  messages.push(
    ...[...strangeChains, ...goneChains, ...rewritten.map(({ name }) => name)].map(deleteRules),
    ...strangeSets.map(emptySet),
    ...lostSets.map(deleteSet),
    ...goneChains.map(deleteChain),
    ...sets.map(({ create }) => create),
    ...chains.filter(({ name }) => !before.chains.has(name)).map(({ create }) => create),
    ...chains.flatMap((chain) => [...chain.sets, ...chain.chains]),
    ...sets.flatMap(({ elements }) => elements),
    ...chains.flatMap(({ elements }) => elements),
    ...chains.flatMap(({ rules }) => rules),
  );
  const afterwards = [
    ...strangeChains.map(deleteChain),
    ...strangeSets.map(deleteSet),
    ...(installed?.objects ?? []).map(deleteObject),
  ];
  const elements = [
    ...sets.flatMap(({ name, held: own }) => (own ? [fillSegment(name, own.packed)] : [])),
    ...[...edits].flatMap(([set, difference]) => editsOf(set, held, difference)),
    ...digestSegments(before, blueprint, held, differing),
  ].filter(({ starts }) => starts.length > 0);
  return { messages, elements, emptied: [...differing], afterwards };
}

function editsOf(set: BlueprintSet, { present }: HeldState, difference: ElementDifference): Segment[] {
  const before = present.get(set.name);
  return before && set.held ? editSegments(set, set.held.packed, before, difference) : [];
}

/** Tells anew what the sets hold, where that was another. */
function digestSegments(
  before: Objects,
  blueprint: Blueprint,
  { digests }: HeldState,
  made: ReadonlySet<string>,
): Segment[] {
  const wanted = digestsOf(blueprint);
  if (wanted.size === 0) return [];
  const isMade = made.has(HELD_SET) || !before.sets.has(HELD_SET);
  const isTold = wanted.size === digests.size && [...wanted].every(([set, one]) => digests.get(set) === one);
  if (isTold && !isMade) return [];
  return [...(isMade ? [] : [sharedSegment([emptySet(HELD_SET)])]), digestSegment(blueprint)];
}

/** All of a change but for what comes afterwards, in the order in which it has to be sent. */
export function changeSegments(
  { messages, elements }: Change,
  links: ReadonlyMap<string, number> = NO_LINKS,
): Segment[] {
  return [...(messages.length > 0 ? [sharedSegment(messages, links)] : []), ...elements];
}

/** Whether all is as it should be. */
export function isNoChange({ messages, elements, afterwards }: Change): boolean {
  return messages.length + elements.length + afterwards.length === 0;
}

type Objects = Pick<Inventory, 'sets' | 'chains'>;
type Installed = Objects & Pick<Inventory, 'objects'>;

/** What is not wanted and has no digest: what tapwall has put there has one, but for a chain without rules. */
function strangersIn(before: Objects, wanted: Objects): { chains: string[]; sets: string[] } {
  const strange = (objects: Objects['sets'], known: Objects['sets']) =>
    [...objects]
      .filter(([name, digest]) => !known.has(name) && (digest === undefined || digest === NO_RULES))
      .map(([name]) => name);
  return { chains: strange(before.chains, wanted.chains), sets: strange(before.sets, wanted.sets) };
}

/** Whether somebody else may have put something into the table, which rules of theirs may lead to. */
export function hasStrangers(installed: Installed, blueprint: Blueprint): boolean {
  const { chains, sets } = strangersIn(installed, inventoryOf(blueprint));
  return chains.length > 0 || sets.length > 0 || installed.objects.length > 0;
}

function newTable(userdata: Uint8Array, ownership: Ownership): ProgramMessage {
  const attribute = leaf(NFTA_TABLE_USERDATA, userdata);
  const message = aboutShared(NFT_MSG_NEWTABLE, `NEWTABLE ${SHARED_TABLE}`, attribute);
  return { ...ownTable(message, ownership), flags: NLM_F_CREATE };
}

const NO_LINKS: ReadonlyMap<string, number> = new Map();

/**
 * Lays messages of the shared table out as bytes.
 * @param links indexes of the other links that rules name; what takes things away names none.
 * @throws TapwallError LINK_NOT_FOUND when one is not among them.
 */
export function sharedSegment(
  messages: readonly ProgramMessage[],
  links: ReadonlyMap<string, number> = NO_LINKS,
): Segment {
  const { bytes, pokes, messages: starts } = layOut(messages, { nameLength: 0, indexLength: 0 });
  fill(bytes, pokes, { index: 0, name: '', mac: '', origin: 'agent', links });
  return { bytes, starts, labels: messages.map(({ label }) => label) };
}
