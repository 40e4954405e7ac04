import { TapwallError } from '../error.js';
import { systemError } from './fake-answer.js';
import { FakeSocket } from './fake-socket.js';
import type { Arrivals, Poller } from './kernel.js';
import type { NetlinkSocket } from './socket.js';

/** Waits for sockets of a fake kernel, as far as there is anything to wait for. */
export class FakePoller implements Poller {
  readonly #takeSignal: () => boolean;
  readonly #mounts: () => number;
  readonly #tokens = new Map<FakeSocket, number>();
  #mountToken: number | undefined;
  #mountsSeen = 0;
  #open = true;

  /**
   * @param takeSignal whether the waker was signalled, which it is no more then.
   * @param mounts how often something was mounted or taken away.
   */
  constructor(takeSignal: () => boolean, mounts: () => number) {
    this.#takeSignal = takeSignal;
    this.#mounts = mounts;
  }

  add({ transport }: NetlinkSocket, token: number): void {
    if (!(transport instanceof FakeSocket)) {
      throw new TapwallError('ARGUMENT', 'the fake kernel cannot wait on a socket that it did not open');
    }
    if (this.#tokens.has(transport)) {
      throw new TapwallError('ARGUMENT', 'the poller waits on this socket already');
    }
    this.#tokens.set(transport, token);
  }

  remove({ transport }: NetlinkSocket): void {
    if (transport instanceof FakeSocket) this.#tokens.delete(transport);
  }

  addMounts(token: number): void {
    this.#mountToken = token;
    this.#mountsSeen = this.#mounts();
  }

  /** Never blocks: nothing can happen meanwhile. */
  wait(_timeoutMs: number): Arrivals {
    if (!this.#open) throw systemError('EBADF', 'epoll_wait', 'Bad file descriptor');
    const ready = [...this.#tokens].filter(([socket]) => socket.isOpen && socket.readable);
    const tokens = ready.map(([, token]) => token);
    if (this.#mountToken !== undefined && this.#mounts() !== this.#mountsSeen) {
      this.#mountsSeen = this.#mounts();
      tokens.push(this.#mountToken);
    }
    return { tokens, woken: this.#takeSignal() };
  }

  close(): void {
    this.#open = false;
  }
}
