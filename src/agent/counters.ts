import type { NetlinkSocket } from '../kernel/socket.js';
import { eachAttribute, parseAttributes, readBe64 } from '../netlink/attribute.js';
import { HOST_LITTLE_ENDIAN, viewOf } from '../netlink/bytes.js';
import type { Message } from '../netlink/message.js';
import {
  NFT_MSG_NEWSETELEM,
  NFTA_COUNTER_BYTES,
  NFTA_COUNTER_PACKETS,
  NFTA_DATA_VALUE,
  NFTA_EXPR_DATA,
  NFTA_SET_ELEM_EXPR,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_LIST_ELEMENTS,
} from '../nftables/constants.js';
import { parseNftablesMessage } from '../nftables/message.js';
import { dumpSet } from './shared-state.js';

/** Frames and their bytes. */
export interface Count {
  packets: number;
  bytes: number;
}

/** What a counter has counted, from its attributes. @throws TapwallError MALFORMED_MESSAGE */
export function readCounter(attributes: Uint8Array): Count {
  const count = { packets: 0, bytes: 0 };
  for (const attribute of parseAttributes(attributes)) {
    if (attribute.type === NFTA_COUNTER_BYTES) count.bytes = Number(readBe64(attribute));
    if (attribute.type === NFTA_COUNTER_PACKETS) count.packets = Number(readBe64(attribute));
  }
  return count;
}

/** What one set has counted for one device. */
export type VisitCount = (index: number, packets: number, bytes: number) => void;

/**
 * Reads one of the sets in which frames count themselves, and makes no object for any element: they come by the
 * thousand, and everything else that the process does waits.
 * @param set one of `Plan.counters`.
 * @throws KernelError ENOENT where the shared table has no such set; TapwallError TIMEOUT as {@link NetlinkSocket.dump}.
 */
export function readCounters(netfilter: NetlinkSocket, set: string, visit: VisitCount): void {
  for (const message of dumpSet(netfilter, set)) visitCounts(message, visit);
}

/** @throws TapwallError MALFORMED_MESSAGE */
export function visitCounts(message: Message, visit: VisitCount): void {
  const parsed = parseNftablesMessage(message);
  if (parsed?.operation !== NFT_MSG_NEWSETELEM) return;
  const { attributes } = parsed;
  const view = viewOf(attributes);
  let index: number | undefined;
  let packets = 0;
  let bytes = 0;
  const onCounter = (type: number, start: number, end: number) => {
    if (end - start < 8) return;
    if (type === NFTA_COUNTER_BYTES) bytes = be64At(view, start);
    else if (type === NFTA_COUNTER_PACKETS) packets = be64At(view, start);
  };
  const onExpression = (type: number, start: number, end: number) => {
    if (type === NFTA_EXPR_DATA) eachAttribute(view, start, end, onCounter);
  };
  const onKey = (type: number, start: number, end: number) => {
    if (type === NFTA_DATA_VALUE && end - start >= 4) index = view.getUint32(start, HOST_LITTLE_ENDIAN);
  };
  const onPart = (type: number, start: number, end: number) => {
    if (type === NFTA_SET_ELEM_KEY) eachAttribute(view, start, end, onKey);
    else if (type === NFTA_SET_ELEM_EXPR) eachAttribute(view, start, end, onExpression);
  };
  const onElement = (_type: number, start: number, end: number) => {
    index = undefined;
    packets = 0;
    bytes = 0;
    eachAttribute(view, start, end, onPart);
    if (index !== undefined) visit(index, packets, bytes);
  };
  eachAttribute(view, 0, attributes.length, (type, start, end) => {
    if (type === NFTA_SET_ELEM_LIST_ELEMENTS) eachAttribute(view, start, end, onElement);
  });
}

/** In network order, as a number: exact up to 2⁵³. */
function be64At(view: DataView, offset: number): number {
  return view.getUint32(offset) * 2 ** 32 + view.getUint32(offset + 4);
}
