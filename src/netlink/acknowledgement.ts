import { TapwallError } from '../error.js';
import { parseAttributes, readHost32, readText } from './attribute.js';
import { align, HOST_LITTLE_ENDIAN, viewOf } from './bytes.js';
import {
  MESSAGE_HEADER_LENGTH,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
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

/**
 * Reads an NLMSG_ERROR, or an NLMSG_DONE that carries a dump's error.
 * @throws TapwallError MALFORMED_MESSAGE when it is cut off.
 */
export function parseAcknowledgement(message: Message): Acknowledgement {
  const { payload } = message;
  if (payload.length < 4) {
    throw new TapwallError('MALFORMED_MESSAGE', `malformed acknowledgement: ${payload.length} bytes`);
  }
  const view = viewOf(payload);
  const errno = -view.getInt32(0, HOST_LITTLE_ENDIAN);
  return {
    errno: errno === 0 ? 0 : errno,
    sequence: message.sequence,
    extendedAck: message.flags & NLM_F_ACK_TLVS ? parseExtendedAck(payload, message.flags) : {},
  };
}

function parseExtendedAck(payload: Uint8Array, flags: number): ExtendedAck {
  // struct nlmsgerr: the error, then the request's header, then, unless capped, the request's payload.
  let offset = 4 + MESSAGE_HEADER_LENGTH;
  if (payload.length < offset) {
    throw new TapwallError('MALFORMED_MESSAGE', 'malformed acknowledgement: no room for the request header');
  }
  if (!(flags & NLM_F_CAPPED)) {
    offset = 4 + align(viewOf(payload).getUint32(4, HOST_LITTLE_ENDIAN));
  }
  if (offset > payload.length) {
    throw new TapwallError('MALFORMED_MESSAGE', 'malformed acknowledgement: the quoted request is cut off');
  }
  const extendedAck: ExtendedAck = {};
  for (const attribute of parseAttributes(payload.subarray(offset))) {
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
