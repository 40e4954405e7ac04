import { HOST_LITTLE_ENDIAN, viewOf } from './bytes.js';

/** Classic BPF opcodes, linux/filter.h and linux/bpf_common.h. */
export const BPF_LD_IMM = 0x00;
export const BPF_LD_W_ABS = 0x20;
export const BPF_LD_W_IND = 0x40;
export const BPF_LDX_IMM = 0x01;
export const BPF_TAX = 0x07;
export const BPF_JEQ_K = 0x15;
export const BPF_RET_K = 0x06;
/** What a program returns that lets a message through whole. */
export const WHOLE_MESSAGE = 0xffffffff;

export type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, k: number];

/** Lays a program out as `struct sock_filter`, 8 bytes an instruction. */
export function assemble(instructions: readonly Instruction[]): Uint8Array {
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
