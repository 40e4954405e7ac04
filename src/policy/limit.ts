import type { Limits, Rate } from '../config/configuration.js';
import { encodeAttributes, leaf } from '../netlink/attribute.js';
import { be32, be64 } from '../netlink/bytes.js';
import type { Expression } from '../nftables/rule.js';
import type { Direction } from './guard.js';

export type LimitReason = 'limit.broadcast' | 'limit.packets' | 'limit.bytes';

/** One of a policy's limits: a set in which each of its devices has an element with a limit of its own. */
export interface Limit {
  key: keyof Limits;
  direction: Direction;
  reason: LimitReason;
  unit: Rate['unit'];
}

/** In the order in which they stand in a policy's chains: what one drops, the next does not count. */
export const LIMITS: readonly Limit[] = [
  { key: 'broadcast', direction: 'egress', reason: 'limit.broadcast', unit: 'packets' },
  { key: 'ingressPackets', direction: 'ingress', reason: 'limit.packets', unit: 'packets' },
  { key: 'ingressBytes', direction: 'ingress', reason: 'limit.bytes', unit: 'bytes' },
  { key: 'egressPackets', direction: 'egress', reason: 'limit.packets', unit: 'packets' },
  { key: 'egressBytes', direction: 'egress', reason: 'limit.bytes', unit: 'bytes' },
];

export function limitSet({ reason, direction }: Limit): string {
  return `${reason}.${direction}`;
}

/** What is dropped when an element's limit is exceeded, as nft matches it. */
export function limitMatch(limit: Limit): string {
  const match = `${limit.direction === 'ingress' ? 'iif' : 'oif'} @${limitSet(limit)}`;
  // The group bit: broadcast is a multicast of its own.
  return limit.reason === 'limit.broadcast'
    ? `ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 ${match}`
    : match;
}

/**
 * The kernel wants all elements of a set to count the same (nft_set_elem_expr_setup()), so the set says which; an
 * element without a limit of its own would get this one.
 */
export function limitDefinition({ unit }: Limit): string {
  return unit === 'packets' ? 'limit rate over 1/second' : 'limit rate over 1 bytes/second';
}

/** enum nft_limit_attributes, nft_limit_type and nft_limit_flags, linux/netfilter/nf_tables.h. */
const NFTA_LIMIT_RATE = 1;
const NFTA_LIMIT_UNIT = 2;
const NFTA_LIMIT_BURST = 3;
const NFTA_LIMIT_TYPE = 4;
const NFTA_LIMIT_FLAGS = 5;
const NFT_LIMIT_PKTS = 0;
const NFT_LIMIT_PKT_BYTES = 1;
/** Matches what is over the rate. */
const NFT_LIMIT_F_INV = 1;

/** The expression of an element that matches what is over the rate, as nft sends it and the kernel gives it back. */
export function limitExpression({ unit, amount, seconds, burst }: Rate): Expression {
  return {
    name: 'limit',
    data: encodeAttributes([
      leaf(NFTA_LIMIT_RATE, be64(BigInt(amount))),
      leaf(NFTA_LIMIT_UNIT, be64(BigInt(seconds))),
      leaf(NFTA_LIMIT_BURST, be32(burst)),
      leaf(NFTA_LIMIT_TYPE, be32(unit === 'packets' ? NFT_LIMIT_PKTS : NFT_LIMIT_PKT_BYTES)),
      leaf(NFTA_LIMIT_FLAGS, be32(NFT_LIMIT_F_INV)),
    ]),
  };
}
