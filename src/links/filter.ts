import { HOST_LITTLE_ENDIAN, viewOf } from '../netlink/bytes.js';
import { MESSAGE_HEADER_LENGTH } from '../netlink/constants.js';
import { IFINFOMSG_LENGTH, IFLA_INFO_KIND, IFLA_LINKINFO } from './constants.js';

/** Classic BPF opcodes and ancillary offsets, linux/filter.h and linux/bpf_common.h. */
const BPF_LD_IMM = 0x00;
const BPF_LD_W_ABS = 0x20;
const BPF_LD_W_IND = 0x40;
const BPF_LDX_IMM = 0x01;
const BPF_TAX = 0x07;
const BPF_JEQ_K = 0x15;
const BPF_RET_K = 0x06;
const SKF_AD_OFF = -0x1000;
const SKF_AD_NLATTR = 12;
const SKF_AD_NLATTR_NEST = 16;
const WHOLE_MESSAGE = 0xffffffff;

type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, k: number];

function assemble(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * 8);
  const view = viewOf(bytes);
  instructions.forEach(([code, jumpTrue, jumpFalse, k], index) => {
    view.setUint16(index * 8, code, HOST_LITTLE_ENDIAN);
    view.setUint8(index * 8 + 2, jumpTrue);
    view.setUint8(index * 8 + 3, jumpFalse);
    view.setUint32(index * 8 + 4, k >>> 0, HOST_LITTLE_ENDIAN);
  });
  return bytes;
}

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
