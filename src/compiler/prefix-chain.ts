import type { NetlinkSocket } from '../kernel/socket.js';
import { encodeAttributes, leaf, nest } from '../netlink/attribute.js';
import { be32 } from '../netlink/bytes.js';
import { NLM_F_APPEND, NLM_F_CREATE } from '../netlink/constants.js';
import { isKernelError } from '../netlink/error.js';
import { encodeBatch, type Operation } from '../nftables/batch.js';
import { chainSchema } from '../nftables/chain.js';
import {
  NF_ACCEPT,
  NF_NETDEV_INGRESS,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWTABLE,
} from '../nftables/constants.js';
import { nftablesRequest } from '../nftables/message.js';
import { ruleSchema } from '../nftables/rule.js';
import { tableSchema } from '../nftables/table.js';

export const PREFIX = 'probe';

/** Of the `immediate` expression and its data, linux/netfilter/nf_tables.h. */
const NFTA_IMMEDIATE_DREG = 1;
const NFTA_IMMEDIATE_DATA = 2;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFT_REG_VERDICT = 0;

/** A table with one chain on a name prefix and one rule, `accept`; false where the kernel has no such chains. */
export function addPrefixChain(netfilter: NetlinkSocket): boolean {
  const table = 'probe';
  const name = 'ingress';
  const accept = encodeAttributes([
    leaf(NFTA_IMMEDIATE_DREG, be32(NFT_REG_VERDICT)),
    nest(NFTA_IMMEDIATE_DATA, [nest(NFTA_DATA_VERDICT, [leaf(NFTA_VERDICT_CODE, be32(NF_ACCEPT))])]),
  ]);
  const hook = { number: NF_NETDEV_INGRESS, priority: 0, devices: [{ prefix: PREFIX }] };
  const rule = { table, chain: name, expressions: [{ name: 'immediate', data: accept }] };
  const operations: Operation[] = [
    {
      request: nftablesRequest(NFT_MSG_NEWTABLE, NLM_F_CREATE, tableSchema.encode({ name: table })),
      label: 'NEWTABLE',
    },
    {
      request: nftablesRequest(
        NFT_MSG_NEWCHAIN,
        NLM_F_CREATE,
        chainSchema.encode({ table, name, hook, type: 'filter', policy: NF_ACCEPT }),
      ),
      label: 'NEWCHAIN',
    },
    {
      request: nftablesRequest(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, ruleSchema.encode(rule)),
      label: 'NEWRULE',
    },
  ];
  try {
    netfilter.commitWith(operations.length + 2, (sequence) => encodeBatch(operations, sequence));
    return true;
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return false;
  }
}
