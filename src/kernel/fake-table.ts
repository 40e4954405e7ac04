import type { Chain } from '../nftables/chain.js';
import { NFT_SET_ELEM_INTERVAL_END } from '../nftables/constants.js';
import type { SetElement } from '../nftables/element.js';
import type { NamedObject } from '../nftables/object.js';
import type { Rule } from '../nftables/rule.js';
import type { InFamily } from '../nftables/ruleset.js';
import type { SetDefinition } from '../nftables/set.js';
import type { Table } from '../nftables/table.js';

/** One table of a fake kernel with all it holds, as assertions want it. */
export interface FakeTable extends InFamily<Table> {
  /** In the order in which they were made; `rules` in the order of evaluation. */
  chains: (Chain & { rules: Rule[] })[];
  sets: (SetDefinition & { elements: SetElement[] })[];
  objects: NamedObject[];
}

export interface ChainState {
  chain: Chain;
  rules: Rule[];
}

export interface SetState {
  set: SetDefinition;
  elements: Map<string, SetElement>;
}

/** A table as the fake kernel keeps it. What is inside chains, rules, sets, elements and objects never changes. */
export interface TableState {
  family: number;
  table: Table;
  chains: Map<string, ChainState>;
  sets: Map<string, SetState>;
  objects: Map<string, NamedObject>;
  /** Chains, rules, sets and objects of a table are numbered together. */
  lastHandle: bigint;
}

/** In the order in which they were made. */
export type Tables = ReadonlyMap<string, TableState>;

export function tableKey(family: number, name: string): string {
  return `${family} ${name}`;
}

export function objectKey(name: string, type: number): string {
  return `${type} ${name}`;
}

/** An interval's end is an element of its own, which may have the key of the next one's beginning. */
export function elementKey({ key, keyEnd, flags = 0 }: SetElement): string {
  const hex = (bytes: Uint8Array | undefined) => (bytes ? Buffer.from(bytes).toString('hex') : '*');
  return `${hex(key)} ${hex(keyEnd)} ${flags & NFT_SET_ELEM_INTERVAL_END}`;
}

export function newTable(family: number, table: Table): TableState {
  return { family, table, chains: new Map(), sets: new Map(), objects: new Map(), lastHandle: 0n };
}

export function copyTable(state: TableState): TableState {
  return {
    ...state,
    chains: new Map(
      [...state.chains].map(([name, { chain, rules }]) => [name, { chain, rules: [...rules] }]),
    ),
    sets: new Map(
      [...state.sets].map(([name, { set, elements }]) => [name, { set, elements: new Map(elements) }]),
    ),
    objects: new Map(state.objects),
  };
}

/** A copy that shares nothing with the kernel's own. */
export function snapshot({ family, table, chains, sets, objects }: TableState): FakeTable {
  return structuredClone({
    family,
    ...table,
    chains: [...chains.values()].map(({ chain, rules }) => ({ ...chain, rules })),
    sets: [...sets.values()].map(({ set, elements }) => ({ ...set, elements: [...elements.values()] })),
    objects: [...objects.values()],
  });
}
