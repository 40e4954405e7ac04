import type { TapwallError } from '../error.js';
import type { AgentEvent } from './event.js';

/** How events are iterated over. */
export interface EventStreamOptions {
  /** How many events wait for the reader at most; a whole number of at least 1, 4,096 unless given. */
  limit?: number;
  /** Ends the iteration, without an error. Events that wait are dropped. */
  signal?: AbortSignal | undefined;
}

/** In place of events that were dropped because the reader was too slow. */
export interface MissedEvents {
  event: 'missed';
  /** How many, at least 1. */
  events: number;
}

/** What an iteration gives. */
export type StreamedEvent = AgentEvent | MissedEvents;

/** A burst of a thousand devices, and what else may happen meanwhile. */
const DEFAULT_LIMIT = 4_096;

interface Waiting {
  resolve(result: IteratorResult<StreamedEvent, undefined>): void;
  reject(error: TapwallError): void;
}

const DONE = { value: undefined, done: true } as const;

/**
 * Events between an emitter, which does not wait, and a reader, who may be slow. Of what the reader leaves standing the
 * newest stays: a service wants to know how it is now, and how much it has not seen.
 */
export class EventStream implements AsyncIterableIterator<StreamedEvent> {
  readonly #limit: number;
  readonly #queue: AgentEvent[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #onClose: () => void;
  readonly #onAbort = () => void this.return();
  #missed = 0;
  #closed = false;
  #error: TapwallError | undefined;

  /** @param onClose is called once, when nothing more is to be pushed. */
  constructor({ limit = DEFAULT_LIMIT, signal }: EventStreamOptions, onClose: () => void) {
    if (!Number.isSafeInteger(limit) || limit < 1)
      throw new RangeError('limit must be a whole number of at least 1');
    this.#limit = limit;
    this.#signal = signal;
    this.#onClose = onClose;
    if (signal?.aborted) this.#close();
    else signal?.addEventListener('abort', this.#onAbort);
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  push(event: AgentEvent): void {
    if (this.#closed) return;
    const waiting = this.#waiting.shift();
    if (waiting) {
      waiting.resolve({ value: event, done: false });
      return;
    }
    if (this.#queue.length >= this.#limit) {
      this.#queue.shift();
      this.#missed += 1;
    }
    this.#queue.push(event);
  }

  /** Nothing more comes; what waits can still be read. */
  end(): void {
    this.#close();
    for (const { resolve } of this.#waiting.splice(0)) resolve(DONE);
  }

  /** The same, and after what waits the reader meets the error, once. */
  fail(error: TapwallError): void {
    if (this.#closed) return;
    const [first] = this.#waiting.splice(0, 1);
    if (first) first.reject(error);
    else this.#error = error;
    this.end();
  }

  async next(): Promise<IteratorResult<StreamedEvent, undefined>> {
    if (this.#missed > 0) {
      const value = { event: 'missed' as const, events: this.#missed };
      this.#missed = 0;
      return { value, done: false };
    }
    const event = this.#queue.shift();
    if (event) return { value: event, done: false };
    const error = this.#error;
    this.#error = undefined;
    if (error) throw error;
    if (this.#closed) return DONE;
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  async return(): Promise<IteratorResult<StreamedEvent, undefined>> {
    this.#queue.length = 0;
    this.#missed = 0;
    this.#error = undefined;
    this.end();
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#onClose();
  }
}
