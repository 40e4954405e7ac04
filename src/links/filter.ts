import {
  assemble,
  BPF_JEQ_K,
  BPF_LD_IMM,
  BPF_LD_W_ABS,
  BPF_LD_W_IND,
  BPF_LDX_IMM,
  BPF_RET_K,
  BPF_TAX,
  WHOLE_MESSAGE,
} from '../netlink/bpf.js';
import { viewOf } from '../netlink/bytes.js';
import { MESSAGE_HEADER_LENGTH } from '../netlink/constants.js';
import { IFINFOMSG_LENGTH, IFLA_INFO_KIND, IFLA_LINKINFO } from './constants.js';

/** Ancillary offsets, linux/filter.h. */
const SKF_AD_OFF = -0x1000;
const SKF_AD_NLATTR = 12;
const SKF_AD_NLATTR_NEST = 16;

/** The first four bytes of `text`, as a BPF word load sees them: big-endian. */
function word(text: string): number {
  return viewOf(new TextEncoder().encode(text.padEnd(4, '\0'))).getUint32(0);
}

/**
 * A classic BPF program for a route socket that lets only events of macvtap links through, so that other links'
 * events never wake the reader. It looks at the first message of a datagram, which is all an event has; a socket
 * that dumps must not carry it.
 *
 * SKF_AD_NLATTR finds attribute X from offset A on and gives its offset, or 0 (net/core/filter.c).
 */
export function macvtapFilter(): Uint8Array {
  return assemble([
    [BPF_LD_IMM, 0, 0, MESSAGE_HEADER_LENGTH + IFINFOMSG_LENGTH],
    [BPF_LDX_IMM, 0, 0, IFLA_LINKINFO],
    [BPF_LD_W_ABS, 0, 0, SKF_AD_OFF + SKF_AD_NLATTR],
    [BPF_JEQ_K, 8, 0, 0],
    [BPF_LDX_IMM, 0, 0, IFLA_INFO_KIND],
    [BPF_LD_W_ABS, 0, 0, SKF_AD_OFF + SKF_AD_NLATTR_NEST],
    [BPF_JEQ_K, 5, 0, 0],
    [BPF_TAX, 0, 0, 0],
    [BPF_LD_W_IND, 0, 0, 4],
    [BPF_JEQ_K, 0, 2, word('macv')],
    // "tap" and its NUL: macvlan ends otherwise.
    [BPF_LD_W_IND, 0, 0, 8],
    [BPF_JEQ_K, 1, 0, word('tap')],
    [BPF_RET_K, 0, 0, 0],
    [BPF_RET_K, 0, 0, WHOLE_MESSAGE],
  ]);
}
