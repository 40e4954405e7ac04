import { type Attribute, encodeAttributes, leaf } from '../netlink/attribute.js';
import { be64 } from '../netlink/bytes.js';
import type { Chain } from '../nftables/chain.js';
import {
  NF_ACCEPT,
  NF_NETDEV_EGRESS,
  NF_NETDEV_INGRESS,
  NFT_TABLE_F_DORMANT,
  NFTA_COUNTER_BYTES,
  NFTA_COUNTER_PACKETS,
} from '../nftables/constants.js';
import type { Ruleset } from '../nftables/ruleset.js';
import { chainComment, encodeUserdata } from '../nftables/userdata.js';

/**
 * In a device's own tables stands a chain of tapwall's for each direction in which the file has chains. It is asked after
 * all of those and counts what they have let through; what the door admitted and it has not seen, the file has dropped.
 * It has no rules: the kernel counts what reaches the policy of a base chain itself (nft_update_chain_stats() of
 * net/netfilter/nf_tables_core.c), which spares each attachment a message.
 */

/** What names of such chains begin with. */
const PREFIX = 'tapwall.passed.';

/**
 * The latest priority there is. Of chains with one priority the kernel asks the one first that was hooked last
 * (nf_hook_entries_grow() of net/netfilter/core.c): this one is made before any of the file's.
 */
const LAST = 2 ** 31 - 1;

/** A chain that counts begins with what it is made with, and without these two it does not count. */
const NOTHING_COUNTED: Attribute[] = [
  leaf(NFTA_COUNTER_BYTES, be64(0n)),
  leaf(NFTA_COUNTER_PACKETS, be64(0n)),
];

const COUNTED = [
  { direction: NF_NETDEV_INGRESS, word: 'ingress', comment: 'tapwall: counts what has passed to the VM' },
  { direction: NF_NETDEV_EGRESS, word: 'egress', comment: 'tapwall: counts what has passed from the VM' },
] as const;

export type CountedDirection = (typeof COUNTED)[number]['word'];

/** The direction that a chain of a device's own counts; undefined for a chain of the file's. */
export function passedDirection(chain: string): CountedDirection | undefined {
  if (!isKeptName(chain)) return undefined;
  const rest = chain.slice(PREFIX.length);
  return COUNTED.find(({ word }) => word === rest)?.word;
}

/** Whether a file's chain has a name that is kept for tapwall's. */
export function isKeptName(chain: string): boolean {
  return chain.startsWith(PREFIX);
}

/**
 * The chains that count for a file, with a stand-in for the device. Each stands in the first table that hooks its direction; a
 * table that sleeps hooks nothing.
 */
export function passedChains({ tables, chains }: Ruleset, device: string): Chain[] {
  const awake = new Set(
    tables.filter(({ flags = 0 }) => !(flags & NFT_TABLE_F_DORMANT)).map(({ name }) => name),
  );
  return COUNTED.flatMap(({ direction, word, comment }) => {
    const hooked = chains.find(({ hook, table }) => hook?.number === direction && awake.has(table));
    if (!hooked) return [];
    return [
      {
        table: hooked.table,
        name: PREFIX + word,
        hook: { number: direction, priority: LAST, device },
        policy: NF_ACCEPT,
        type: 'filter',
        counters: encodeAttributes(NOTHING_COUNTED),
        userdata: encodeUserdata([chainComment(comment)]),
      },
    ];
  });
}
