import { constants } from 'node:os';
import { TapwallError } from '../error.js';
import { IFINFOMSG_LENGTH } from '../links/constants.js';
import { type Attribute, encodeAttributes, leaf, parseAttributes } from '../netlink/attribute.js';
import { concatenate, cString, host32 } from '../netlink/bytes.js';
import {
  ATTRIBUTE_HEADER_LENGTH,
  MESSAGE_HEADER_LENGTH,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
} from '../netlink/constants.js';
import { encodeMessage, type Message, writeHeader } from '../netlink/message.js';
import { NFNL_SUBSYS_NFTABLES } from '../nftables/constants.js';
import { NFGENMSG_LENGTH } from '../nftables/message.js';

/** How the fake kernel answers: the messages that netlink itself writes (net/netlink/af_netlink.c). */

type ErrnoName = keyof typeof constants.errno | 'ERESTART';

/** include/linux/errno.h; it is not among those of user space. */
const ERESTART = 85;

/** Why a request is refused. */
export class Refusal extends Error {
  readonly errno: number;
  /** Type of the top-level attribute that the kernel points at; undefined where it points at none. */
  readonly attribute: number | undefined;
  /** Which entry of that attribute's list it points at, where it does not point at the whole. */
  readonly entry: number | undefined;
  /** The kernel's own words. */
  readonly text: string | undefined;

  constructor(
    errno: ErrnoName | number,
    attribute?: number,
    { entry, text }: { entry?: number | undefined; text?: string | undefined } = {},
  ) {
    super(text ?? String(errno));
    if (typeof errno === 'number') this.errno = errno;
    else this.errno = errno === 'ERESTART' ? ERESTART : constants.errno[errno];
    this.attribute = attribute;
    this.entry = entry;
    this.text = text;
  }
}

/** Runs a part of a request; what cannot be read in it is EINVAL. */
export function refusalOf(action: () => void): Refusal | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error;
    if (error instanceof TapwallError && error.code === 'MALFORMED_MESSAGE') return new Refusal('EINVAL');
    throw error;
  }
}

/** A string longer than the kernel's policy allows (validate_nla(), lib/nlattr.c). */
export function tooLong(attribute: number): Refusal {
  return new Refusal('ERANGE', attribute, { text: 'Attribute failed policy validation' });
}

export type SystemErrorCode = 'EBADF' | 'EINTR' | 'ENOBUFS' | 'ENOMEM';

/** The error of a system call, as the addon throws it. */
export function systemError(code: SystemErrorCode, syscall: string, words: string): Error {
  return Object.assign(new Error(`${code}: ${words}, ${syscall}`), {
    code,
    errno: constants.errno[code],
    syscall,
  });
}

/** A message of an answer, before it has a sequence number and a port. */
export interface Answer {
  type: number;
  flags: number;
  payload: Uint8Array;
}

function offsetOf(
  { type: messageType, payload }: Message,
  { attribute: type, entry }: Refusal,
): number | undefined {
  const attributesAt = messageType >> 8 === NFNL_SUBSYS_NFTABLES ? NFGENMSG_LENGTH : IFINFOMSG_LENGTH;
  const attribute = parseAttributes(payload.subarray(attributesAt)).find((one) => one.type === type);
  const meant = attribute && entry !== undefined ? parseAttributes(attribute.value)[entry] : attribute;
  if (!meant) return undefined;
  const inPayload = meant.value.byteOffset - payload.byteOffset - ATTRIBUTE_HEADER_LENGTH;
  return MESSAGE_HEADER_LENGTH + inPayload;
}

function extendedAck(request: Message, refusal: Refusal): Attribute[] {
  const attributes: Attribute[] = [];
  if (refusal.text !== undefined) attributes.push(leaf(NLMSGERR_ATTR_MSG, cString(refusal.text)));
  const offset = refusal.attribute === undefined ? undefined : offsetOf(request, refusal);
  if (offset !== undefined) attributes.push(leaf(NLMSGERR_ATTR_OFFS, host32(offset)));
  return attributes;
}

/**
 * The NLMSG_ERROR for a request, of a socket that has NETLINK_EXT_ACK and NETLINK_CAP_ACK on: the request's header is
 * quoted and nothing else of it.
 */
export function acknowledge(request: Message, portId: number, refusal?: Refusal): Uint8Array {
  const header = new Uint8Array(MESSAGE_HEADER_LENGTH);
  writeHeader(header, 0, { ...request, length: MESSAGE_HEADER_LENGTH + request.payload.length });
  const details = refusal ? extendedAck(request, refusal) : [];
  return encodeMessage({
    type: NLMSG_ERROR,
    flags: NLM_F_CAPPED | (details.length > 0 ? NLM_F_ACK_TLVS : 0),
    sequence: request.sequence,
    portId,
    payload: concatenate([host32(-(refusal?.errno ?? 0)), header, encodeAttributes(details)]),
  });
}

/** The last message of a dump that went well. */
export const DUMP_DONE: Answer = { type: NLMSG_DONE, flags: NLM_F_MULTI, payload: host32(0) };
