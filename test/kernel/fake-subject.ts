import { FakeKernel, type FakeKernelOptions } from '#src/kernel/fake.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { parseAcknowledgement } from '#src/netlink/acknowledgement.js';
import { concatenate } from '#src/netlink/bytes.js';
import { NETLINK_NETFILTER, NLM_F_ACK } from '#src/netlink/constants.js';
import { errnoName } from '#src/netlink/error.js';
import { encodeRequest, parseMessages, type Request } from '#src/netlink/message.js';
import { batchBegin, batchEnd, encodeBatch } from '#src/nftables/batch.js';

/** A fake kernel, a socket to its nf_tables, and what came back of each transaction, in a line. */
export class Subject {
  readonly kernel: FakeKernel;
  readonly socket: NetlinkSocket;

  constructor(options?: FakeKernelOptions) {
    this.kernel = new FakeKernel(options);
    this.socket = this.kernel.openSocket({ protocol: NETLINK_NETFILTER });
  }

  /**
   * Sends one transaction whose last operation asks for an acknowledgement.
   * @returns `1 EEXIST@20` for an error of operation 1 at byte 20, `2 ok` for an acknowledgement of operation 2.
   */
  send(requests: Request[], { generation = 0, all = false, end = true } = {}): string[] {
    const first = this.socket.reserveSequence(requests.length + 2);
    const bytes = concatenate([
      batchBegin(first, generation),
      ...requests.map((request, index) => {
        const flags = all || index === requests.length - 1 ? request.flags | NLM_F_ACK : request.flags;
        return encodeRequest({ ...request, flags }, first + 1 + index);
      }),
      ...(end ? [batchEnd(first + 1 + requests.length)] : []),
    ]);
    return parseMessages(this.socket.transport.transact(bytes)).map((message) => {
      const { errno, sequence, extendedAck } = parseAcknowledgement(message);
      const offset = extendedAck.offset === undefined ? '' : `@${extendedAck.offset}`;
      return `${sequence - first} ${errno === 0 ? 'ok' : errnoName(errno)}${offset}`;
    });
  }

  tables(): string[] {
    return this.kernel.tables().map(({ name }) => name);
  }
}

/** Sends one transaction, each operation under the label `operation 0` and on. */
export function commit(socket: NetlinkSocket, requests: readonly Request[], generation?: number): void {
  socket.commitWith(requests.length + 2, (sequence) =>
    encodeBatch(
      requests.map((request, index) => ({ request, label: `operation ${index}` })),
      sequence,
      generation,
    ),
  );
}
