import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import { newLink } from '../links/request.js';
import { leaf } from '../netlink/attribute.js';
import { cString } from '../netlink/bytes.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/constants.js';
import { isKernelError } from '../netlink/error.js';
import { encodeMessage, type Message } from '../netlink/message.js';
import {
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETFLOWTABLE,
  NFT_MSG_GETOBJ,
  NFT_MSG_GETRULE,
  NFT_MSG_GETSET,
  NFT_MSG_GETSETELEM,
  NFT_MSG_GETTABLE,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_TABLE,
} from '../nftables/constants.js';
import { dumpRequest } from '../nftables/message.js';
import { parseRuleset } from '../nftables/ruleset.js';

/** Kinds of link that need no parent and no hardware. Which of them a kernel has differs. */
const STAND_IN_KINDS = ['dummy', 'ifb', 'bridge', 'veth'];

/** Makes a link that stands for one of the host's: only its name and index matter. */
export function addStandIn(route: NetlinkSocket, name: string, index: number): void {
  let unsupported: unknown;
  for (const kind of STAND_IN_KINDS) {
    try {
      route.request(newLink({ name, kind, index }), `RTM_NEWLINK ${name}`);
      return;
    } catch (error) {
      if (!isKernelError(error, 'EOPNOTSUPP')) throw error;
      unsupported = error;
    }
  }
  throw unsupported;
}

const OBJECT_DUMPS = [
  NFT_MSG_GETTABLE,
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETOBJ,
  NFT_MSG_GETSET,
  NFT_MSG_GETRULE,
  NFT_MSG_GETFLOWTABLE,
];
const ANY_FAMILY = 0;

/** Everything a namespace's nf_tables holds, of every family, as the kernel says it. */
export function dumpRuleset(netfilter: NetlinkSocket): Message[] {
  const messages = OBJECT_DUMPS.flatMap((operation) =>
    netfilter.dump(dumpRequest(operation, [], ANY_FAMILY), 'the dump of the ruleset'),
  );
  for (const { family, table, name } of parseRuleset(messages).sets) {
    const which = [
      leaf(NFTA_SET_ELEM_LIST_TABLE, cString(table)),
      leaf(NFTA_SET_ELEM_LIST_SET, cString(name)),
    ];
    messages.push(
      ...netfilter.dump(dumpRequest(NFT_MSG_GETSETELEM, which, family), `the dump of set ${name}`),
    );
  }
  return messages;
}

export function encodeDump(messages: readonly Message[]): Uint8Array {
  return Buffer.concat(messages.map(encodeMessage));
}

/** A throw-away namespace with a socket to each of the two subsystems a policy touches. */
export class Scratch {
  readonly namespace: NamespaceHandle;
  readonly route: NetlinkSocket;
  readonly netfilter: NetlinkSocket;

  constructor(kernel: Kernel) {
    this.namespace = kernel.createNamespace();
    this.route = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace: this.namespace });
    this.netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: this.namespace });
  }

  close(): void {
    this.netfilter.close();
    this.route.close();
    this.namespace.close();
  }
}
