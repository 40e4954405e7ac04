import assert from 'node:assert/strict';
import { dumpRuleset, Scratch } from '#src/compiler/scratch.js';
import { FakeKernel, type FakeKernelOptions } from '#src/kernel/fake.js';
import { linuxKernel } from '#src/kernel/linux.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { parseAcknowledgement } from '#src/netlink/acknowledgement.js';
import { concatenate } from '#src/netlink/bytes.js';
import { NETLINK_NETFILTER, NLM_F_ACK } from '#src/netlink/constants.js';
import { errnoName } from '#src/netlink/error.js';
import { encodeRequest, parseMessages, type Request } from '#src/netlink/message.js';
import { batchBegin, batchEnd, encodeBatch } from '#src/nftables/batch.js';
import { hookDevices } from '#src/nftables/chain.js';
import type { SetElement } from '#src/nftables/element.js';
import { parseRuleset } from '#src/nftables/ruleset.js';

interface SendOptions {
  generation?: number;
  all?: boolean;
  end?: boolean;
}

function send(
  socket: NetlinkSocket,
  requests: readonly Request[],
  { generation = 0, all = false, end = true }: SendOptions = {},
): string[] {
  const first = socket.reserveSequence(requests.length + 2);
  const bytes = concatenate([
    batchBegin(first, generation),
    ...requests.map((request, index) => {
      const flags = all || index === requests.length - 1 ? request.flags | NLM_F_ACK : request.flags;
      return encodeRequest({ ...request, flags }, first + 1 + index);
    }),
    ...(end ? [batchEnd(first + 1 + requests.length)] : []),
  ]);
  return parseMessages(socket.transport.transact(bytes)).map((message) => {
    const { errno, sequence, extendedAck } = parseAcknowledgement(message);
    const offset = extendedAck.offset === undefined ? '' : `@${extendedAck.offset}`;
    return `${sequence - first} ${errno === 0 ? 'ok' : errnoName(errno)}${offset}`;
  });
}

/** What is the same on both kernels of what a socket's nf_tables hold: all but numbers of the kernel's own. */
function held(socket: NetlinkSocket): unknown {
  const { tables, chains, sets, rules, elements } = parseRuleset(dumpRuleset(socket));
  const byKey = (a: SetElement, b: SetElement) => Buffer.compare(a.key ?? NOTHING, b.key ?? NOTHING);
  return {
    tables: tables.map(({ name, use }) => [name, use]),
    chains: chains.map(({ name, use, hook, policy }) => [name, use, hook && hookDevices(hook), policy]),
    sets: sets.map(({ name, flags = 0, count }) => [name, flags, count]),
    rules: rules.map(({ chain, expressions }) => [chain, expressions]),
    elements: elements.map((list) => [
      list.set,
      [...list.elements].sort(byKey).map(({ key, data, expression }) => [key, data, expression]),
    ]),
  };
}

const NOTHING = new Uint8Array();

/**
 * Sends the same transactions to a fake kernel and to the real one, in a namespace of its own, and compares what they
 * answer and what they hold then.
 * @returns the answers.
 */
export function onBoth(...transactions: readonly Request[][]): string[] {
  const fake = new Subject();
  const real = new Scratch(linuxKernel());
  try {
    return transactions.map((requests, at) => {
      const answer = fake.send(requests).join(', ');
      assert.equal(answer, send(real.netfilter, requests).join(', '), `transaction ${at}`);
      assert.deepEqual(held(fake.socket), held(real.netfilter), `after transaction ${at}`);
      return answer;
    });
  } finally {
    real.close();
  }
}

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
  send(requests: readonly Request[], how: SendOptions = {}): string[] {
    return send(this.socket, requests, how);
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
