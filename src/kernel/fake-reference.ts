import { type LeafAttribute, parseAttributes, readText } from '../netlink/attribute.js';
import { NFT_CHAIN_BINDING, NFT_SET_ANONYMOUS } from '../nftables/constants.js';
import type { SetElement } from '../nftables/element.js';
import type { Expression, Rule } from '../nftables/rule.js';
import { Refusal, refusalOf } from './fake-answer.js';
import type { TableState } from './fake-table.js';

/**
 * What rules and elements of a table hold on to: chains by verdicts, sets by lookups. As in the kernel, neither can be
 * deleted while it is held, and what is anonymous goes with the rule that holds it.
 */

/** Of linux/netfilter/nf_tables.h: enum nft_immediate_attributes, nft_data_attributes, nft_verdict_attributes. */
const NFTA_IMMEDIATE_DATA = 2;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CHAIN = 2;
/** NFTA_LOOKUP_SET, NFTA_DYNSET_SET_NAME and NFTA_OBJREF_SET_NAME. */
const SET_NAME_ATTRIBUTES: ReadonlyMap<string, number> = new Map([
  ['lookup', 1],
  ['dynset', 1],
  ['objref', 4],
]);

interface References {
  chain: string | undefined;
  set: string | undefined;
}

const NONE: References = { chain: undefined, set: undefined };

/** Expressions and elements never change, and are looked at again and again. */
const known = new WeakMap<Expression | SetElement, References>();

function find(bytes: Uint8Array, type: number): LeafAttribute | undefined {
  return parseAttributes(bytes).find((one) => one.type === type);
}

function verdictChain(data: Uint8Array | undefined): string | undefined {
  const verdict = data && find(data, NFTA_DATA_VERDICT);
  const chain = verdict && find(verdict.value, NFTA_VERDICT_CHAIN);
  return chain && readText(chain);
}

function referencesOf(held: Expression | SetElement): References {
  let references = known.get(held);
  if (!references) {
    references = NONE;
    // What cannot be read holds nothing: the fake kernel knows few expressions.
    refusalOf(() => {
      references = 'name' in held ? ofExpression(held) : { ...NONE, chain: verdictChain(held.data) };
    });
    known.set(held, references);
  }
  return references;
}

function ofExpression({ name, data }: Expression): References {
  if (!data) return NONE;
  if (name === 'immediate') {
    return { ...NONE, chain: verdictChain(find(data, NFTA_IMMEDIATE_DATA)?.value) };
  }
  const type = SET_NAME_ATTRIBUTES.get(name);
  const set = type === undefined ? undefined : find(data, type);
  return { ...NONE, set: set && readText(set) };
}

/**
 * Refuses to hold what is not there, as nft_verdict_init() and nft_set_lookup_global() do. Nothing leads into a base
 * chain.
 */
export function checkReference({ chains, sets }: TableState, held: Expression | SetElement): void {
  const { chain, set } = referencesOf(held);
  if (set !== undefined && !sets.has(set)) throw new Refusal('ENOENT');
  if (chain === undefined) return;
  const target = chains.get(chain);
  if (!target) throw new Refusal('ENOENT');
  if (target.chain.hook) throw new Refusal('EOPNOTSUPP');
}

/** How many rules and elements lead to a chain, but for its own rules. */
export function usesOfChain({ chains, sets }: TableState, name: string): number {
  let uses = 0;
  for (const [owner, { rules }] of chains) {
    if (owner === name) continue;
    for (const { expressions = [] } of rules) {
      for (const expression of expressions) if (referencesOf(expression).chain === name) uses++;
    }
  }
  for (const { elements } of sets.values()) {
    for (const element of elements.values()) {
      if (element.data && referencesOf(element).chain === name) uses++;
    }
  }
  return uses;
}

export function isSetUsed({ chains }: TableState, name: string): boolean {
  for (const { rules } of chains.values()) {
    for (const { expressions = [] } of rules) {
      for (const expression of expressions) if (referencesOf(expression).set === name) return true;
    }
  }
  return false;
}

/** Takes away the anonymous sets and chains of a rule that has gone (nft_lookup_deactivate(), nft_immediate_deactivate()). */
export function releaseRule(state: TableState, { expressions = [] }: Rule): void {
  for (const expression of expressions) {
    const { chain, set } = referencesOf(expression);
    if (set !== undefined && (state.sets.get(set)?.set.flags ?? 0) & NFT_SET_ANONYMOUS)
      state.sets.delete(set);
    const bound = chain === undefined ? undefined : state.chains.get(chain);
    if (chain === undefined || !bound || !((bound.chain.flags ?? 0) & NFT_CHAIN_BINDING)) continue;
    state.chains.delete(chain);
    for (const rule of bound.rules) releaseRule(state, rule);
  }
}
