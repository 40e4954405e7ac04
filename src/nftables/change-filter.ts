import { assemble, BPF_JEQ_K, BPF_LD_W_ABS, BPF_RET_K, WHOLE_MESSAGE } from '../netlink/bpf.js';
import { host32, viewOf } from '../netlink/bytes.js';

/** Where a message has the port of who caused it (struct nlmsghdr). */
const PORT_AT = 12;

/**
 * A classic BPF program for a socket that listens to nf_tables: it keeps what one port has changed from waking the
 * reader. A datagram has the notifications of one transaction, so its first message tells for all.
 */
export function othersFilter(ownPort: number): Uint8Array {
  // A word load reads big-endian, whatever the host is.
  const port = viewOf(host32(ownPort)).getUint32(0);
  return assemble([
    [BPF_LD_W_ABS, 0, 0, PORT_AT],
    [BPF_JEQ_K, 0, 1, port],
    [BPF_RET_K, 0, 0, 0],
    [BPF_RET_K, 0, 0, WHOLE_MESSAGE],
  ]);
}
