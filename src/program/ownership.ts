import { leaf, readBe32 } from '../netlink/attribute.js';
import { be32 } from '../netlink/bytes.js';
import { NLM_F_CREATE } from '../netlink/constants.js';
import type { Operation } from '../nftables/batch.js';
import {
  NFT_MSG_NEWTABLE,
  NFT_TABLE_F_DORMANT,
  NFT_TABLE_F_OWNER,
  NFT_TABLE_F_PERSIST,
  NFTA_TABLE_FLAGS,
} from '../nftables/constants.js';
import { nftablesRequest } from '../nftables/message.js';
import { type Table, tableSchema } from '../nftables/table.js';
import type { ProgramMessage } from './program.js';
import type { Ownership } from './slot.js';

/**
 * A table that is owned belongs to one netlink socket: nobody else may change it, and the `flush ruleset` of others
 * passes it by. One that persists outlives that socket, and may be taken over (6.9, nf_tables_updtable() of
 * net/netfilter/nf_tables_api.c).
 */
export const OWNED = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST;

/** Whether a table has had an owner, and may be given another. One that never had cannot get one. */
export function isOrphan(flags: number): boolean {
  return (flags & OWNED) === NFT_TABLE_F_PERSIST;
}

/** The same message with the flags that make a table somebody's, where it makes one. */
export function ownTable(message: ProgramMessage, ownership: Ownership): ProgramMessage {
  if (message.operation !== NFT_MSG_NEWTABLE || ownership === 'none') return message;
  let flags = ownership === 'own' ? OWNED : NFT_TABLE_F_PERSIST;
  for (const { type, ...attribute } of message.attributes) {
    if (type !== NFTA_TABLE_FLAGS || !('value' in attribute)) continue;
    flags |= readBe32({ type, flags: attribute.flags, value: attribute.value });
  }
  const others = message.attributes.filter(({ type }) => type !== NFTA_TABLE_FLAGS);
  return { ...message, attributes: [...others, leaf(NFTA_TABLE_FLAGS, be32(flags))] };
}

/**
 * Takes a table over that is nobody's, or keeps it as it is, and wakes one that somebody has put to sleep: of a table
 * with `flags dormant` no hook is in force.
 */
export function claimTable({ name, flags = 0 }: Pick<Table, 'name' | 'flags'>, adopts: boolean): Operation {
  const claimed = (flags & ~NFT_TABLE_F_DORMANT) | (adopts ? NFT_TABLE_F_OWNER : 0);
  const attributes = tableSchema.encode({ name, flags: claimed });
  return { request: nftablesRequest(NFT_MSG_NEWTABLE, NLM_F_CREATE, attributes), label: `NEWTABLE ${name}` };
}
