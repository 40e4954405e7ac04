import {
  type Attribute,
  encodeAttributes,
  type LeafAttribute,
  leaf,
  parseAttributes,
  readBe32,
  readBe64,
  readText,
} from '../netlink/attribute.js';
import { be32, cString } from '../netlink/bytes.js';
import { type Chain, hookDevices } from '../nftables/chain.js';
import {
  NFT_CHAIN_BASE,
  NFT_CHAIN_BINDING,
  NFT_OBJECT_QUOTA,
  NFT_SET_ELEM_INTERVAL_END,
} from '../nftables/constants.js';
import type { SetElement } from '../nftables/element.js';
import type { NamedObject } from '../nftables/object.js';
import { type Expression, expressionSchema, type Rule } from '../nftables/rule.js';
import type { SetDefinition } from '../nftables/set.js';

/**
 * From what the kernel says of an object to what it takes for one. The two are nearly the same; each difference
 * stands here with the kernel function that makes it (net/netfilter, 6.18).
 */

/** enum nft_immediate_attributes, nft_data_attributes, nft_verdict_attributes. */
const NFTA_IMMEDIATE_DATA = 2;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CHAIN = 2;
/** enum nft_exthdr_attributes. */
const NFTA_EXTHDR_DREG = 1;
const NFTA_EXTHDR_OFFSET = 3;
const NFTA_EXTHDR_LEN = 4;
const NFTA_EXTHDR_FLAGS = 5;
const NFTA_EXTHDR_SREG = 7;
/** enum nft_dynset_attributes. */
const NFTA_DYNSET_TIMEOUT = 6;
const NFTA_DYNSET_EXPR = 7;
const NFTA_DYNSET_EXPRESSIONS = 10;
/** enum nft_quota_attributes and nft_quota_flags. */
const NFTA_QUOTA_FLAGS = 2;
const NFT_QUOTA_F_INV = 0x1;

/** Names for the anonymous chains of a policy: the kernel's own count up over the whole host. */
export type ChainNames = ReadonlyMap<string, string>;

export function anonymousChainNames(chains: readonly Chain[]): ChainNames {
  const names = new Map<string, string>();
  for (const { name, flags = 0 } of chains) {
    if (name !== undefined && flags & NFT_CHAIN_BINDING) names.set(name, `__chain${names.size}`);
  }
  return names;
}

/** A chain as a request: what only the kernel says is left away, and the hook is in the form every kernel reads. */
export function chainToInstall(
  { handle: _handle, use: _use, flags = 0, hook, name, ...chain }: Chain,
  names: ChainNames,
): Chain {
  const result: Chain = chain;
  if (name !== undefined) result.name = names.get(name) ?? name;
  const settable = flags & ~NFT_CHAIN_BASE;
  if (settable !== 0) result.flags = settable;
  if (hook) {
    const { devices: _devices, device: _device, ...rest } = hook;
    const [device] = hookDevices(hook);
    result.hook = device && 'name' in device ? { ...rest, device: device.name } : rest;
  }
  return result;
}

export function ruleToInstall(
  { handle: _handle, position: _position, expressions, chain, ...rule }: Rule,
  names: ChainNames,
): Rule {
  const result: Rule = { ...rule, chain: names.get(chain) ?? chain };
  if (expressions)
    result.expressions = expressions.map((expression) => expressionToInstall(expression, names));
  return result;
}

export function setToInstall(
  { handle: _handle, backend: _backend, count: _count, ...set }: SetDefinition,
  id: number,
  names: ChainNames,
): SetDefinition {
  const result: SetDefinition = { ...set, id };
  if (set.expression) result.expression = expressionToInstall(set.expression, names);
  if (set.expressions) result.expressions = set.expressions.map((one) => expressionToInstall(one, names));
  return result;
}

export function objectToInstall({ handle: _handle, use: _use, ...object }: NamedObject): NamedObject {
  if (object.type !== NFT_OBJECT_QUOTA || !object.data) return object;
  return { ...object, data: quotaToInstall(object.data) };
}

/** A jiffy or two, by which the kernel's clock for timeouts may differ from ours. */
const CLOCK_SLACK_MS = 50n;
const SECOND_MS = 1000n;

/**
 * @param setTimeout the set's own timeout in milliseconds.
 * @param elapsedMs how long the element was in the scratch namespace before it was dumped, at most.
 */
export function elementToInstall(
  { expiration, timeout, ...element }: SetElement,
  setTimeout: bigint | undefined,
  elapsedMs: number,
  names: ChainNames,
): SetElement {
  const result: SetElement = element;
  // An interval's end never expires, and nft_add_set_elem() takes no timeout for it, though one of 0 is dumped.
  const isEnd = ((element.flags ?? 0) & NFT_SET_ELEM_INTERVAL_END) !== 0;
  if (timeout !== undefined && !isEnd) result.timeout = timeout;
  const whole = timeout ?? setTimeout;
  if (expiration !== undefined && whole !== undefined && !isEnd) {
    // What has passed since the element was made is not part of the policy; an `expires` of the user's is.
    const latest = expiration + BigInt(Math.ceil(elapsedMs)) + CLOCK_SLACK_MS;
    if (latest < whole) {
      const seconds = (latest / SECOND_MS) * SECOND_MS;
      result.expiration = seconds > expiration ? seconds : expiration;
    }
  }
  if (element.expression) result.expression = expressionToInstall(element.expression, names);
  if (element.expressions) {
    result.expressions = element.expressions.map((one) => expressionToInstall(one, names));
  }
  return result;
}

export function expressionToInstall(expression: Expression, names: ChainNames): Expression {
  const { name, data } = expression;
  if (!data) return expression;
  switch (name) {
    case 'immediate':
      return names.size > 0 ? { ...expression, data: immediateToInstall(data, names) } : expression;
    case 'exthdr':
      return { ...expression, data: exthdrToInstall(data) };
    case 'dynset':
      return { ...expression, data: dynsetToInstall(data, names) };
    case 'quota':
      return { ...expression, data: quotaToInstall(data) };
    default:
      return expression;
  }
}

/** Rewrites one attribute somewhere inside nests, and what is around it with the new length. */
export function rewrite(
  data: Uint8Array,
  path: readonly number[],
  change: (inner: LeafAttribute) => Uint8Array,
): Uint8Array {
  const [type, ...rest] = path;
  return encodeAttributes(
    parseAttributes(data).map((attribute): Attribute => {
      if (attribute.type !== type) return attribute;
      const value = rest.length === 0 ? change(attribute) : rewrite(attribute.value, rest, change);
      return { ...attribute, value };
    }),
  );
}

function immediateToInstall(data: Uint8Array, names: ChainNames): Uint8Array {
  return rewrite(data, [NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT, NFTA_VERDICT_CHAIN], (chain) => {
    const renamed = names.get(readText(chain));
    return renamed === undefined ? chain.value : cString(renamed);
  });
}

/** nft_exthdr_tcp_set_init() takes no flags, nft_exthdr_tcp_strip_init() neither flags, offset nor length. */
function exthdrToInstall(data: Uint8Array): Uint8Array {
  const attributes = parseAttributes(data);
  const types = new Set(attributes.map(({ type }) => type));
  if (types.has(NFTA_EXTHDR_DREG)) return data;
  const refused = types.has(NFTA_EXTHDR_SREG)
    ? [NFTA_EXTHDR_FLAGS]
    : [NFTA_EXTHDR_FLAGS, NFTA_EXTHDR_OFFSET, NFTA_EXTHDR_LEN];
  return encodeAttributes(attributes.filter(({ type }) => !refused.includes(type)));
}

/** nft_dynset_init() takes a timeout only for a set with timeouts; nft_dynset_dump() writes one of 0 always. */
function dynsetToInstall(data: Uint8Array, names: ChainNames): Uint8Array {
  const attributes = parseAttributes(data).filter(
    (attribute) => attribute.type !== NFTA_DYNSET_TIMEOUT || readBe64(attribute) !== 0n,
  );
  return encodeAttributes(
    attributes.map((attribute): Attribute => {
      if (attribute.type === NFTA_DYNSET_EXPR) {
        return { ...attribute, value: nestedExpression(attribute.value, names) };
      }
      if (attribute.type !== NFTA_DYNSET_EXPRESSIONS) return attribute;
      const nested = parseAttributes(attribute.value).map((entry) => ({
        ...entry,
        value: nestedExpression(entry.value, names),
      }));
      return { type: attribute.type, flags: attribute.flags, nested };
    }),
  );
}

function nestedExpression(bytes: Uint8Array, names: ChainNames): Uint8Array {
  return encodeAttributes(expressionSchema.encode(expressionToInstall(expressionSchema.parse(bytes), names)));
}

/** nft_quota_do_init() does not take the flag by which nft_quota_do_dump() says that a quota is used up. */
function quotaToInstall(data: Uint8Array): Uint8Array {
  return encodeAttributes(
    parseAttributes(data).map((attribute) =>
      attribute.type === NFTA_QUOTA_FLAGS
        ? leaf(NFTA_QUOTA_FLAGS, be32(readBe32(attribute) & NFT_QUOTA_F_INV))
        : attribute,
    ),
  );
}
