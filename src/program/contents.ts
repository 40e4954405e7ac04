import { parseAttributes } from '../netlink/attribute.js';
import type { SetElement } from '../nftables/element.js';
import type { Expression, Rule } from '../nftables/rule.js';
import type { Ruleset } from '../nftables/ruleset.js';
import type { SetDefinition } from '../nftables/set.js';

/**
 * What rules and sets hold, as texts that are equal when two dumps of one kernel say the same. Handles and what counts
 * is left out. The digests in user data say what tapwall has put there; this says what is there.
 */
export interface Contents {
  /** The rules of each chain, in the order of evaluation. */
  chains: Map<string, string[]>;
  /** Each named set: how it is made, and its elements where they are the policy's own. */
  sets: Map<string, string>;
}

/** NFT_SET_TIMEOUT and NFT_SET_EVAL of linux/netfilter/nf_tables.h: the elements come and go with frames. */
const CHANGING = 0x10 | 0x20;

/** NFTA_QUOTA_CONSUMED of enum nft_quota_attributes. */
const NFTA_QUOTA_CONSUMED = 4;

function text(bytes: Uint8Array | undefined): string {
  return bytes ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1') : '-';
}

/** An expression less what frames change of it. */
function textOfExpression({ name, data }: Expression): string {
  if (name === 'counter' || name === 'last') return name;
  if (name !== 'quota' || !data) return `${name} ${text(data)}`;
  const kept = parseAttributes(data).filter(({ type }) => type !== NFTA_QUOTA_CONSUMED);
  return `${name} ${kept.map(({ type, value }) => `${type} ${text(value)}`).join()}`;
}

function textOfRule({ expressions = [], userdata }: Rule): string {
  return `${expressions.map(textOfExpression).join('\n')}\n${text(userdata)}`;
}

function textOfSet(set: SetDefinition): string {
  const { keyType, keyLength, dataType, dataLength, objectType, flags = 0, policy } = set;
  const { timeout, gcInterval, userdata, description, expression, expressions = [] } = set;
  const numbers = [keyType, keyLength, dataType, dataLength, objectType, flags, policy, timeout, gcInterval];
  const all = expression ? [expression, ...expressions] : expressions;
  return [numbers.join(), text(userdata), text(description), ...all.map(textOfExpression)].join('\n');
}

function textOfElement({ key, keyEnd, data, object, flags = 0 }: SetElement): string {
  return `${text(key)} ${text(keyEnd)} ${text(data)} ${object ?? ''} ${flags}`;
}

/** Whether the elements of a set are all the policy's own, and stay what they are. */
export function isFixed({ flags = 0 }: Pick<SetDefinition, 'flags'>): boolean {
  return (flags & CHANGING) === 0;
}

/** @param ruleset of one table; elements only of the sets whose elements are to be compared. */
export function contentsOf({ chains, rules, sets, elements }: Ruleset): Contents {
  const contents: Contents = { chains: new Map(), sets: new Map() };
  for (const { name } of chains) if (name !== undefined) contents.chains.set(name, []);
  for (const rule of rules) contents.chains.get(rule.chain)?.push(textOfRule(rule));
  const lists = new Map(elements.map((list) => [list.set, list.elements]));
  for (const set of sets) {
    const own = (lists.get(set.name) ?? []).map(textOfElement).sort();
    contents.sets.set(set.name, [textOfSet(set), ...own].join('\n'));
  }
  return contents;
}

/** Whether a chain holds exactly these rules. */
export function sameRules(present: readonly string[] | undefined, wanted: readonly string[]): boolean {
  return present?.length === wanted.length && present.every((rule, at) => rule === wanted[at]);
}
