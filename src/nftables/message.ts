import { TapwallError } from '../error.js';
import type { Attribute } from '../netlink/attribute.js';
import { NLM_F_DUMP, NLM_F_REQUEST } from '../netlink/constants.js';
import type { Message, Request } from '../netlink/message.js';
import { NFNL_SUBSYS_NFTABLES, NFPROTO_NETDEV } from './constants.js';

/** sizeof(struct nfgenmsg). */
export const NFGENMSG_LENGTH = 4;

/** The bytes of struct nfgenmsg: family, version 0, resource id in network order. */
export function generalHeader(family: number, resourceId = 0): Uint8Array {
  return Uint8Array.of(family, 0, resourceId >> 8, resourceId & 0xff);
}

export function messageType(operation: number): number {
  return (NFNL_SUBSYS_NFTABLES << 8) | operation;
}

/** An nf_tables request. `flags` come on top of NLM_F_REQUEST. */
export function nftablesRequest(
  operation: number,
  flags: number,
  attributes: readonly Attribute[] = [],
  family = NFPROTO_NETDEV,
): Request {
  return {
    type: messageType(operation),
    flags: NLM_F_REQUEST | flags,
    familyHeader: generalHeader(family),
    attributes,
  };
}

export function dumpRequest(
  operation: number,
  attributes: readonly Attribute[] = [],
  family = NFPROTO_NETDEV,
): Request {
  return nftablesRequest(operation, NLM_F_DUMP, attributes, family);
}

/** What an nf_tables message carries behind its headers. */
export interface NftablesMessage {
  /** One of NFT_MSG_*. */
  operation: number;
  family: number;
  attributes: Uint8Array;
}

/** @returns undefined for a message of another subsystem or a control message. */
export function parseNftablesMessage(message: Message): NftablesMessage | undefined {
  if (message.type >> 8 !== NFNL_SUBSYS_NFTABLES) return undefined;
  if (message.payload.length < NFGENMSG_LENGTH) {
    throw new TapwallError(
      'MALFORMED_MESSAGE',
      `malformed nf_tables message: ${message.payload.length} bytes`,
    );
  }
  return {
    operation: message.type & 0xff,
    family: message.payload[0] ?? 0,
    attributes: message.payload.subarray(NFGENMSG_LENGTH),
  };
}
