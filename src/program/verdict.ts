import { encodeAttributes, leaf, nest, parseAttributes, readBe32, readText } from '../netlink/attribute.js';
import { be32, cString } from '../netlink/bytes.js';
import { NF_ACCEPT, NF_DROP } from '../nftables/constants.js';
import type { SetElement } from '../nftables/element.js';
import type { Expression } from '../nftables/rule.js';

/** enum nft_immediate_attributes, nft_data_attributes and nft_verdict_attributes, linux/netfilter/nf_tables.h. */
const NFTA_IMMEDIATE_DATA = 2;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;
/** enum nft_verdicts. */
const NFT_GOTO = -4;

/** Chains that take the place of final verdicts. */
export interface VerdictChains {
  accept: string;
  drop: string;
  /** A set that counts in the elements that are found in it: a rule that looks there has counted its frame. */
  counter: string;
}

/** The target of the data if it holds a verdict that ends the evaluation. */
function targetOf(data: Uint8Array, chains: VerdictChains): string | undefined {
  const verdict = parseAttributes(data).find(({ type }) => type === NFTA_DATA_VERDICT);
  const code = verdict && parseAttributes(verdict.value).find(({ type }) => type === NFTA_VERDICT_CODE);
  if (!code) return undefined;
  switch (readBe32(code)) {
    case NF_ACCEPT:
      return chains.accept;
    case NF_DROP:
      return chains.drop;
    default:
      return undefined;
  }
}

function goto(chain: string) {
  return nest(NFTA_DATA_VERDICT, [
    leaf(NFTA_VERDICT_CODE, be32(NFT_GOTO >>> 0)),
    leaf(NFTA_VERDICT_CHAIN, cString(chain)),
  ]);
}

/**
 * An expression whose `accept` or `drop` goes to a chain instead, which counts the frame for its device and then
 * decides the same.
 */
export function countVerdict(expression: Expression, chains: VerdictChains): Expression {
  if (expression.name !== 'immediate' || !expression.data) return expression;
  const attributes = parseAttributes(expression.data);
  const data = attributes.find(({ type }) => type === NFTA_IMMEDIATE_DATA);
  const target = data && targetOf(data.value, chains);
  if (target === undefined) return expression;
  const changed = attributes.map((attribute) =>
    attribute === data ? { type: data.type, flags: data.flags, nested: [goto(target)] } : attribute,
  );
  return { ...expression, data: encodeAttributes(changed) };
}

/** The same for an element of a verdict map. */
export function countElementVerdict(element: SetElement, chains: VerdictChains): SetElement {
  const target = element.data && targetOf(element.data, chains);
  return target === undefined ? element : { ...element, data: encodeAttributes([goto(target)]) };
}

/** The chain that an expression jumps or goes to; undefined for any other expression. */
export function jumpTarget({ name, data }: Expression): string | undefined {
  if (name !== 'immediate' || !data) return undefined;
  for (const outer of parseAttributes(data)) {
    if (outer.type !== NFTA_IMMEDIATE_DATA) continue;
    for (const verdict of parseAttributes(outer.value)) {
      if (verdict.type !== NFTA_DATA_VERDICT) continue;
      const chain = parseAttributes(verdict.value).find(({ type }) => type === NFTA_VERDICT_CHAIN);
      if (chain) return readText(chain);
    }
  }
  return undefined;
}
