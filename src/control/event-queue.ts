import type { Socket } from 'node:net';
import type { AgentEvent } from '../agent/event.js';
import type { TapwallError } from '../error.js';

/** Events that wait here for their reader; more wait in the agent, which knows when it is too much. */
const MOST_WAITING = 256;

/** Events between the socket they come by and a loop over them. */
export class EventQueue {
  readonly #socket: Socket;
  readonly #events: AgentEvent[] = [];
  #ended: TapwallError | undefined;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  add(event: AgentEvent): void {
    this.#events.push(event);
    if (this.#events.length >= MOST_WAITING) this.#socket.pause();
    this.#wake();
  }

  /** Nothing comes any more, and why. */
  end(error: TapwallError): void {
    this.#ended = error;
    this.#wake();
  }

  async *read(signal: AbortSignal | undefined): AsyncGenerator<AgentEvent, void, void> {
    const onAbort = () => this.#wake();
    signal?.addEventListener('abort', onAbort);
    try {
      while (!signal?.aborted) {
        const event = this.#events.shift();
        if (event) {
          yield event;
          continue;
        }
        if (this.#ended) throw this.#ended;
        this.#socket.resume();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#socket.destroy();
    }
  }
}
