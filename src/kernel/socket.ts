import { constants } from 'node:os';
import { TapwallError } from '../error.js';
import { type Acknowledgement, parseAcknowledgement } from '../netlink/acknowledgement.js';
import { NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR } from '../netlink/constants.js';
import { KernelError } from '../netlink/error.js';
import { encodeRequest, type Message, parseMessages, type Request } from '../netlink/message.js';
import { type Batch, batchLength, checkBatch } from '../nftables/batch.js';

/** What carries bytes: the addon's socket, or the fake kernel's. */
export interface Transport {
  readonly portId: number;
  transact(request: Uint8Array): Uint8Array;
  /** The same; undefined for an answer that is nothing but a success of the last message that asks for one. */
  confirm(request: Uint8Array): Uint8Array | undefined;
  dump(request: Uint8Array, timeoutMs: number): Uint8Array;
  receive(): Uint8Array | undefined;
  /** Joins the groups that the socket was opened for, or leaves them; what is queued stays. */
  listen(on: boolean): void;
  /** The name of a link of the socket's namespace; undefined if there is no link of the index. */
  linkName(index: number): string | undefined;
  close(): void;
}

/** A dump that is disturbed by changes this often in a row is given up. */
const DUMP_ATTEMPTS = 16;
const DUMP_TIMEOUT_MS = 30_000;

/** An error of the addon's as one of tapwall's; anything else unchanged. */
export function systemCallError(operation: string, error: unknown): unknown {
  if (error instanceof Error && 'errno' in error && typeof error.errno === 'number') {
    const extendedAck = 'syscall' in error ? { message: `${String(error.syscall)} failed` } : {};
    return new KernelError(operation, { errno: error.errno, sequence: 0, extendedAck }, { cause: error });
  }
  return error;
}

/** One netlink socket: requests, dumps, nf_tables transactions and events, as messages instead of bytes. */
export class NetlinkSocket {
  readonly transport: Transport;
  #sequence = 1;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  get portId(): number {
    return this.transport.portId;
  }

  /** Hands out `count` sequence numbers in a row. They come round after 2³¹, and never are 0. */
  reserveSequence(count: number): number {
    if (this.#sequence + count > 0x7fffffff) this.#sequence = 1;
    const first = this.#sequence;
    this.#sequence += count;
    return first;
  }

  /**
   * One request that the kernel acknowledges (NLM_F_ACK must be set) or answers with messages.
   * @returns the messages of the answer, without the acknowledgement.
   * @throws KernelError
   */
  request(request: Request, label: string): Message[] {
    const sequence = this.reserveSequence(1);
    const answers: Message[] = [];
    let acknowledged = false;
    for (const message of this.#transact(encodeRequest(request, sequence), label)) {
      if (message.sequence !== sequence) continue;
      if (message.type === NLMSG_ERROR) {
        this.#check(label, parseAcknowledgement(message));
        acknowledged = true;
      } else {
        answers.push(message);
      }
    }
    if (!acknowledged && answers.length === 0) {
      const extendedAck = { message: 'no answer came' };
      throw new KernelError(label, { errno: constants.errno.EPROTO, sequence: 0, extendedAck });
    }
    return answers;
  }

  /**
   * A dump, whole and consistent: one that was disturbed by a change is asked for again.
   * @throws KernelError, or TapwallError TIMEOUT when the kernel was never at rest.
   */
  dump(request: Request, label: string): Message[] {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      const messages = this.#dumpOnce(request, label);
      if (messages) return messages;
    }
    throw new TapwallError('TIMEOUT', `${label}: the ruleset changed under ${DUMP_ATTEMPTS} dumps in a row`);
  }

  /**
   * Sends a transaction and reads its outcome.
   * @throws KernelError for the first operation refused; nothing of the transaction is in force then.
   */
  commit(batch: Batch): void {
    let reply: Uint8Array | undefined;
    try {
      reply = this.transport.confirm(batch.bytes);
    } catch (error) {
      throw systemCallError('the transaction', error);
    }
    if (reply) checkBatch(batch, reply);
  }

  /** Sequence numbers for a batch that `encode` then builds from the first of them. */
  commitWith(count: number, encode: (firstSequence: number) => Batch): Batch {
    const batch = encode(this.reserveSequence(count));
    if (batchLength(batch) > count) {
      throw new TapwallError('ARGUMENT', `the batch uses ${batchLength(batch)} sequence numbers of ${count}`);
    }
    this.commit(batch);
    return batch;
  }

  /**
   * The messages of one datagram that is queued; undefined when none is.
   * @throws KernelError ENOBUFS when the socket overflowed: events were lost.
   */
  receive(): Message[] | undefined {
    try {
      const datagram = this.transport.receive();
      return datagram && parseMessages(datagram);
    } catch (error) {
      throw systemCallError('receive', error);
    }
  }

  /**
   * Joins the groups that the socket was opened for, or leaves them; what is queued stays.
   * @throws KernelError
   */
  listen(on: boolean): void {
    try {
      this.transport.listen(on);
    } catch (error) {
      throw systemCallError('listening to what others change', error);
    }
  }

  /**
   * The name of the link with an index, as it is now; undefined if there is none. It doesn't wait for links that are being
   * made, as a request would.
   * @throws KernelError
   */
  linkName(index: number): string | undefined {
    try {
      return this.transport.linkName(index);
    } catch (error) {
      throw systemCallError('SIOCGIFNAME', error);
    }
  }

  close(): void {
    this.transport.close();
  }

  #transact(bytes: Uint8Array, label: string): Message[] {
    try {
      return parseMessages(this.transport.transact(bytes));
    } catch (error) {
      throw systemCallError(label, error);
    }
  }

  #dumpOnce(request: Request, label: string): Message[] | undefined {
    const sequence = this.reserveSequence(1);
    let bytes: Uint8Array;
    try {
      bytes = this.transport.dump(encodeRequest(request, sequence), DUMP_TIMEOUT_MS);
    } catch (error) {
      throw systemCallError(label, error);
    }
    const messages: Message[] = [];
    for (const message of parseMessages(bytes)) {
      if (message.sequence !== sequence) continue;
      if (message.flags & NLM_F_DUMP_INTR) return undefined;
      // The error of a dump comes in its NLMSG_DONE; older kernels leave the number away when all went well.
      if (message.type === NLMSG_ERROR || (message.type === NLMSG_DONE && message.payload.length >= 4)) {
        this.#check(label, parseAcknowledgement(message));
      } else if (message.type !== NLMSG_DONE) {
        messages.push(message);
      }
    }
    return messages;
  }

  #check(label: string, acknowledgement: Acknowledgement): void {
    if (acknowledgement.errno !== 0) throw new KernelError(label, acknowledgement);
  }
}
