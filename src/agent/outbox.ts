import type { AgentEvent } from './event.js';
import type { WorkerMessage } from './worker.js';

/** So many go together; thousands must not all wait for the last. */
const MOST_EVENTS = 64;
/** Milliseconds between two messages of events. The first event after a pause waits for nothing. */
const PAUSE_MS = 2;

/**
 * What the agent's thread tells the main thread, in order. Events that come close together go in one message: each wakes
 * the main thread, which on a host with few cores runs in place of whoever makes the next device.
 */
export class Outbox {
  readonly #send: (message: WorkerMessage) => void;
  readonly #now: () => number;
  #events: AgentEvent[] = [];
  #sentAt = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(send: (message: WorkerMessage) => void, now: () => number) {
    this.#send = send;
    this.#now = now;
  }

  add(event: AgentEvent): void {
    this.#events.push(event);
    // Somebody waits for this one, and much may be done behind it.
    if (event.event === 'ready' || this.#events.length >= MOST_EVENTS) this.flush();
  }

  /**
   * Sends the events if it is time to: to be called at the end of whatever may have added some.
   * @returns milliseconds until it is time for what is left; infinite when nothing is.
   */
  sendDue(): number {
    if (this.#events.length === 0) return Number.POSITIVE_INFINITY;
    const left = this.#sentAt + PAUSE_MS - this.#now();
    if (left > 0) return left;
    this.flush();
    return Number.POSITIVE_INFINITY;
  }

  /** Sends the events, whenever the last were sent. */
  flush(): void {
    if (this.#events.length === 0) return;
    this.#send({ events: this.#events });
    this.#events = [];
    this.#sentAt = this.#now();
  }

  /** Sends anything else, behind the events that came before it. */
  post(message: Exclude<WorkerMessage, { events: AgentEvent[] }>): void {
    this.flush();
    this.#send(message);
  }
}
