import { TapwallError } from '../error.js';
import { parseAttributes, readHost32, readText } from './attribute.js';
import { align, HOST_LITTLE_ENDIAN, viewOf } from './bytes.js';
import {
  MESSAGE_HEADER_LENGTH,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSG_DONE,
  NLMSGERR_ATTR_MISS_NEST,
  NLMSGERR_ATTR_MISS_TYPE,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
} from './constants.js';
import type { Message } from './message.js';

/** What the kernel adds to an acknowledgement when NETLINK_EXT_ACK is on (enum nlmsgerr_attrs). */
export interface ExtendedAck {
  /** The kernel's own words. */
  message?: string;
  /** Offset in the request, its header included, of the attribute that the kernel did not like. */
  offset?: number;
  /** The type of an attribute that was missing, and the offset of the nest it was missing from. */
  missingType?: number;
  missingNest?: number;
}

/** An NLMSG_ERROR message: the kernel's answer to one request. */
export interface Acknowledgement {
  /** 0 for success, else the positive errno. */
  errno: number;
  /** The sequence number of the request that is answered. */
  sequence: number;
  extendedAck: ExtendedAck;
}

/** The error number, an int. */
const ERROR_LENGTH = 4;

/**
 * Reads an NLMSG_ERROR, or an NLMSG_DONE that carries a dump's error.
 * @throws TapwallError MALFORMED_MESSAGE when it is cut off, or is not what the kernel writes.
 */
export function parseAcknowledgement(message: Message): Acknowledgement {
  const { payload } = message;
  if (payload.length < ERROR_LENGTH) throw malformed(`${payload.length} bytes`);
  const error = viewOf(payload).getInt32(0, HOST_LITTLE_ENDIAN);
  if (error > 0) throw malformed(`error ${error} is not negative`);
  return {
    errno: Math.abs(error),
    sequence: message.sequence,
    extendedAck:
      message.flags & NLM_F_ACK_TLVS ? parseExtendedAck(payload.subarray(extendedAckAt(message))) : {},
  };
}

function malformed(what: string): TapwallError {
  return new TapwallError('MALFORMED_MESSAGE', `malformed acknowledgement: ${what}`);
}

/**
 * Where the attributes begin. In struct nlmsgerr they follow the error, the request's header and, unless capped,
 * the request's payload; an NLMSG_DONE quotes no request.
 */
function extendedAckAt({ type, flags, payload }: Message): number {
  if (type === NLMSG_DONE) return ERROR_LENGTH;
  if (payload.length < ERROR_LENGTH + MESSAGE_HEADER_LENGTH)
    throw malformed('no room for the request header');
  if (flags & NLM_F_CAPPED) return ERROR_LENGTH + MESSAGE_HEADER_LENGTH;
  const quoted = viewOf(payload).getUint32(ERROR_LENGTH, HOST_LITTLE_ENDIAN);
  if (quoted < MESSAGE_HEADER_LENGTH || quoted > payload.length - ERROR_LENGTH) {
    throw malformed(`the quoted request says it has ${quoted} bytes`);
  }
  return ERROR_LENGTH + align(quoted);
}

function parseExtendedAck(bytes: Uint8Array): ExtendedAck {
  const extendedAck: ExtendedAck = {};
  for (const attribute of parseAttributes(bytes)) {
    switch (attribute.type) {
      case NLMSGERR_ATTR_MSG:
        extendedAck.message = readText(attribute);
        break;
      case NLMSGERR_ATTR_OFFS:
        extendedAck.offset = readHost32(attribute);
        break;
      case NLMSGERR_ATTR_MISS_TYPE:
        extendedAck.missingType = readHost32(attribute);
        break;
      case NLMSGERR_ATTR_MISS_NEST:
        extendedAck.missingNest = readHost32(attribute);
        break;
    }
  }
  return extendedAck;
}
