import { parseAcknowledgement } from '../netlink/acknowledgement.js';
import { concatenate } from '../netlink/bytes.js';
import { NLM_F_ACK, NLM_F_DUMP, NLM_F_MULTI, NLM_F_REQUEST, NLMSG_ERROR } from '../netlink/constants.js';
import { encodeMessage, type Message, parseMessages } from '../netlink/message.js';
import { NFNL_MSG_BATCH_BEGIN } from '../nftables/constants.js';
import { type Answer, acknowledge, DUMP_DONE, refusalOf, systemError } from './fake-answer.js';
import type { Transport } from './socket.js';

/** The part of the fake kernel that a socket's protocol leads to. */
export interface Subsystem {
  /** @throws Refusal, or TapwallError MALFORMED_MESSAGE, which the caller is told as EINVAL. */
  answer(request: Message): Answer[];
  /** Where there are transactions. @returns the acknowledgements. */
  transact?(messages: readonly Message[], portId: number): Uint8Array[];
}

/** What a socket knows of its namespace, and tells it. */
export interface FakeSurroundings {
  linkName(index: number): string | undefined;
  onListen(socket: FakeSocket, on: boolean): void;
  onClose(socket: FakeSocket): void;
}

/** A socket of the fake kernel: takes bytes and gives bytes, as the addon's does. */
export class FakeSocket implements Transport {
  readonly portId: number;
  readonly #subsystem: Subsystem;
  readonly #onListen: (socket: FakeSocket, on: boolean) => void;
  readonly #linkName: (index: number) => string | undefined;
  readonly #onClose: (socket: FakeSocket) => void;
  #events: Uint8Array[] = [];
  /** Events were lost, and the reader has not been told. */
  #overrun = false;
  /** Events are lost until the reader has taken all that are queued (NETLINK_S_CONGESTED, net/netlink/af_netlink.c). */
  #congested = false;
  #open = true;

  constructor(portId: number, subsystem: Subsystem, { linkName, onListen, onClose }: FakeSurroundings) {
    this.portId = portId;
    this.#subsystem = subsystem;
    this.#linkName = linkName;
    this.#onListen = onListen;
    this.#onClose = onClose;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Whether `receive` has something to give or to throw. */
  get readable(): boolean {
    this.#check('poll');
    return this.#overrun || this.#events.length > 0;
  }

  /** @throws TapwallError MALFORMED_MESSAGE for bytes that a kernel would drop without a word. */
  transact(request: Uint8Array): Uint8Array {
    this.#check('sendto');
    const messages = parseMessages(request);
    const { transact } = this.#subsystem;
    if (transact && messages[0]?.type === NFNL_MSG_BATCH_BEGIN) {
      return concatenate(transact.call(this.#subsystem, messages, this.portId));
    }
    return concatenate(messages.flatMap((message) => this.#answer(message)));
  }

  confirm(request: Uint8Array): Uint8Array | undefined {
    const reply = this.transact(request);
    const asked = parseMessages(request).filter(({ flags }) => flags & NLM_F_ACK);
    const [answer, ...more] = parseMessages(reply);
    if (answer?.type !== NLMSG_ERROR || more.length > 0) return reply;
    const { errno, sequence, extendedAck } = parseAcknowledgement(answer);
    const isPlain = errno === 0 && Object.keys(extendedAck).length === 0;
    return isPlain && sequence === asked.at(-1)?.sequence ? undefined : reply;
  }

  dump(request: Uint8Array, _timeoutMs: number): Uint8Array {
    return this.transact(request);
  }

  receive(): Uint8Array | undefined {
    this.#check('recvmsg');
    // The error comes before what was queued when it happened.
    const overrun = this.#overrun;
    this.#overrun = false;
    const datagram = overrun ? undefined : this.#events.shift();
    if (this.#events.length === 0) this.#congested = false;
    if (overrun) throw systemError('ENOBUFS', 'recvmsg', 'No buffer space available');
    return datagram;
  }

  listen(on: boolean): void {
    this.#check('setsockopt');
    this.#onListen(this, on);
  }

  linkName(index: number): string | undefined {
    this.#check('ioctl');
    return this.#linkName(index);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#events = [];
    this.#onClose(this);
  }

  /** Forgets what is queued, as if it had never come. */
  discard(): void {
    this.#events = [];
  }

  /** Queues an event, unless the socket has no room. */
  notify({ type, flags, payload }: Answer, portId = 0): void {
    if (this.#congested) return;
    this.#events.push(encodeMessage({ type, flags, sequence: 0, portId, payload }));
  }

  /** As if an event had come for which there was no room. */
  overrun(): void {
    if (!this.#congested) this.#overrun = true;
    this.#congested = true;
  }

  #check(syscall: string): void {
    if (!this.#open) throw systemError('EBADF', syscall, 'Bad file descriptor');
  }

  #answer(request: Message): Uint8Array[] {
    const { sequence, flags: asked } = request;
    const dump = (asked & NLM_F_DUMP) === NLM_F_DUMP;
    let answers: Answer[] = [];
    const refusal = refusalOf(() => {
      if (asked & NLM_F_REQUEST) answers = this.#subsystem.answer(request);
    });
    if (refusal) return [acknowledge(request, this.portId, refusal)];
    const bytes = (dump ? [...answers, DUMP_DONE] : answers).map(({ type, flags, payload }) =>
      encodeMessage({
        type,
        flags: dump ? flags | NLM_F_MULTI : flags,
        sequence,
        portId: this.portId,
        payload,
      }),
    );
    return asked & NLM_F_ACK && !dump ? [...bytes, acknowledge(request, this.portId)] : bytes;
  }
}
