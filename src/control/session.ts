import type { Socket } from 'node:net';
import { TapwallError } from '../error.js';
import type { Peer } from '../kernel/peer.js';
import { LineReader } from './lines.js';
import {
  type ControlRequest,
  MOST_REQUEST_BYTES,
  PROTOCOL_VERSION,
  ProtocolError,
  readRequest,
} from './protocol.js';

/** Who handles requests. */
export interface Handler {
  /**
   * @param signal is aborted when the client is gone.
   * @throws TapwallError, which is the answer then.
   */
  handle(request: ControlRequest, session: Session, signal: AbortSignal): Promise<unknown>;
}

export interface SessionLimits {
  /** Bytes that wait for one client; with more it is dropped. */
  queuedBytes: number;
  /** Requests of one client that are being handled; more are not read meanwhile. */
  requests: number;
  /** Milliseconds until a client must have sent its first request, and finish one that it began. */
  firstMs: number;
  /** Milliseconds that a client may stay without a request. */
  idleMs: number;
  /** Milliseconds in which a client must take something of what waits for it. */
  drainMs: number;
}

export const DEFAULT_LIMITS: SessionLimits = {
  queuedBytes: 1 << 20,
  requests: 16,
  firstMs: 5_000,
  idleMs: 300_000,
  drainMs: 10_000,
};

export interface SessionOptions {
  handler: Handler;
  limits: SessionLimits;
  /** Milliseconds of a clock that never goes back. */
  now: () => number;
  /** Hears why the client was dropped. */
  onDrop: (reason: string) => void;
}

/** One client, from the moment it was let in. */
export class Session {
  readonly peer: Peer;
  readonly #socket: Socket;
  readonly #handler: Handler;
  readonly #limits: SessionLimits;
  readonly #onDrop: (reason: string) => void;
  readonly #now: () => number;
  readonly #lines = new LineReader(MOST_REQUEST_BYTES);
  readonly #gone = new AbortController();
  readonly #silent = new AbortController();
  /** Requests that were read and not begun. */
  readonly #waiting: Uint8Array[] = [];
  /** How many requests are for events to come. */
  #following = 0;
  #running = 0;
  #served = 0;
  #isClosing = false;
  /** When it was told that it ends here. */
  #droppedAt: number | undefined;
  #lastRead: number;
  #lastDrained: number;
  #bytesDrained = 0;

  constructor(socket: Socket, peer: Peer, options: SessionOptions) {
    this.peer = peer;
    this.#socket = socket;
    this.#handler = options.handler;
    this.#limits = options.limits;
    this.#now = options.now;
    this.#onDrop = options.onDrop;
    this.#lastRead = this.#lastDrained = options.now();
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // A client that has sent all it wants gets its answers.
    socket.on('end', () => {
      this.#silent.abort();
      this.#finish();
    });
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#gone.abort());
  }

  /**
   * Aborted when the client has closed its side. Who follows events is gone then: nobody else would notice on a host on
   * which nothing happens.
   */
  get silent(): AbortSignal {
    return this.#silent.signal;
  }

  get isFollowing(): boolean {
    return this.#following > 0;
  }

  /** Notes that a request is for events to come. @returns what ends that. */
  follow(): () => void {
    this.#following++;
    return () => {
      this.#following--;
    };
  }

  /**
   * Sends events under a request's id.
   * @returns takes an event ready as JSON: many clients may follow.
   */
  send(id: number): (json: string) => void {
    return (json) => {
      if (this.#isClosing) return;
      if (this.#socket.writableLength > this.#limits.queuedBytes) {
        this.drop(id, 'TOO_SLOW', 'events came faster than they were read; those that follow are lost');
        return;
      }
      this.#write(`{"version":${PROTOCOL_VERSION},"id":${id},"event":${json}}\n`);
    };
  }

  /** Tells the client why it ends here, and ends. */
  drop(id: number | null, code: string, message: string): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#droppedAt = this.#now();
    this.#waiting.length = 0;
    this.#onDrop(message);
    this.#refuse(id, new TapwallError(code, message));
    this.#socket.end();
    this.#gone.abort();
  }

  /** Ends what has taken too long. */
  sweep(): void {
    const now = this.#now();
    const { bytesWritten, writableLength } = this.#socket;
    const drained = bytesWritten - writableLength;
    if (writableLength === 0 || drained !== this.#bytesDrained) {
      this.#bytesDrained = drained;
      this.#lastDrained = now;
    }
    const { drainMs, firstMs, idleMs } = this.#limits;
    if (now - this.#lastDrained > drainMs) {
      this.#onDrop('it took nothing of what it had asked for');
      this.#socket.destroy();
      return;
    }
    // Who does not go by itself does not keep the place of another.
    if (this.#droppedAt !== undefined && now - this.#droppedAt > drainMs) this.#socket.destroy();
    if (this.#isClosing || this.#running > 0 || this.isFollowing) return;
    const isLate = this.#served === 0 || this.#lines.isInside;
    if (now - this.#lastRead <= (isLate ? firstMs : idleMs)) return;
    this.drop(
      null,
      'TIMEOUT',
      isLate ? 'no whole request came in time' : 'nothing was asked for a long time',
    );
  }

  #read(chunk: Buffer): void {
    if (this.#isClosing) return;
    // A request that never ends does not count as one.
    if (!this.#lines.isInside) this.#lastRead = this.#now();
    let lines: Uint8Array[];
    try {
      lines = this.#lines.add(chunk);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.drop(null, 'TOO_LONG', message);
      return;
    }
    this.#waiting.push(...lines);
    this.#next();
  }

  #next(): void {
    while (this.#running < this.#limits.requests && !this.#isClosing) {
      const line = this.#waiting.shift();
      if (line === undefined) break;
      this.#running++;
      void this.#answer(line).finally(() => {
        this.#running--;
        this.#next();
      });
    }
    if (this.#waiting.length > 0) this.#socket.pause();
    else if (!this.#isClosing) this.#socket.resume();
    if (this.#socket.readableEnded) this.#finish();
  }

  async #answer(line: Uint8Array): Promise<void> {
    let id: number | null = null;
    try {
      const request = readRequest(line);
      id = request.id;
      this.#served++;
      const result = await this.#handler.handle(request, this, this.#gone.signal);
      this.#answerWith({ version: PROTOCOL_VERSION, id, ok: true, result });
    } catch (error) {
      this.#refuse(error instanceof ProtocolError ? error.id : id, error);
    }
  }

  #refuse(id: number | null, error: unknown): void {
    const told =
      error instanceof TapwallError
        ? error.toJSON()
        : { code: 'UNKNOWN', message: error instanceof Error ? error.message : String(error) };
    this.#answerWith({ version: PROTOCOL_VERSION, id, ok: false, error: told });
  }

  #answerWith(message: unknown): void {
    this.#write(
      `${JSON.stringify(message, (_key, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner))}\n`,
    );
  }

  #write(text: string): void {
    if (this.#socket.writable) this.#socket.write(text);
  }

  /** Nothing more will be asked. */
  #finish(): void {
    if (this.#running > 0 || this.#waiting.length > 0 || this.isFollowing) return;
    this.#isClosing = true;
    this.#socket.end();
  }
}
