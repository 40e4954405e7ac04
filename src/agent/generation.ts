import type { NetlinkSocket } from '../kernel/socket.js';
import { NFT_MSG_GETGEN } from '../nftables/constants.js';
import { generationSchema } from '../nftables/generation.js';
import { nftablesRequest, parseNftablesMessage } from '../nftables/message.js';

/** The number of the ruleset: each transaction in the namespace, whosever it is, makes the next. */
export function readGeneration(netfilter: NetlinkSocket): number {
  const [answer] = netfilter.request(nftablesRequest(NFT_MSG_GETGEN, 0), 'GETGEN');
  const message = answer && parseNftablesMessage(answer);
  return generationSchema.parse(message?.attributes ?? new Uint8Array()).id;
}

/** The number after one transaction more: 32 bits, and 0 is left out (nf_tables_commit()). */
export function nextGeneration(generation: number): number {
  return (generation + 1) >>> 0 || 1;
}
