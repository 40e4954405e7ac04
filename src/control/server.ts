import { createServer, type Server, type Socket } from 'node:net';
import { TapwallError } from '../error.js';
import { type Peer, peerOf } from '../kernel/peer.js';
import { listenAt } from './listen.js';
import { PROTOCOL_VERSION } from './protocol.js';
import { DEFAULT_LIMITS, type Handler, Session, type SessionLimits } from './session.js';

export interface ControlServerOptions {
  /** Absolute. */
  path: string;
  /** The group whose members may ask, beside root; undefined for none. */
  group?: number | undefined;
  /** Of the socket; 0o600, or 0o660 with a group. */
  mode?: number | undefined;
  limits?: Partial<SessionLimits> | undefined;
  /** Hears of clients that were refused or dropped. */
  notice?: ((message: string) => void) | undefined;
}

/** Clients at once. Root has places of its own, so that nobody else can take them all. */
export const MOST_CLIENTS = 1_024;
export const MOST_CLIENTS_OF_GROUP = 768;

const SWEEP_MS = 1_000;

/** Listens on a Unix socket for those who may ask the agent something. */
export class ControlServer {
  readonly path: string;
  readonly #options: ControlServerOptions;
  readonly #server: Server;
  readonly #sessions = new Map<Socket, Session>();
  readonly #sweeping: NodeJS.Timeout;
  /** Those that were refused and have not gone yet. */
  readonly #turnedAway = new Set<Socket>();
  #ofGroup = 0;

  private constructor(server: Server, options: ControlServerOptions, handler: Handler) {
    this.path = options.path;
    this.#options = options;
    this.#server = server;
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    server.on('connection', (socket) => this.#receive(socket, handler, limits));
    this.#sweeping = setInterval(
      () => this.#sweep(),
      Math.min(SWEEP_MS, limits.drainMs, limits.firstMs),
    ).unref();
  }

  /**
   * Listens.
   * @throws TapwallError CONTROL_IN_USE when somebody listens there, CONTROL_PATH when nobody can.
   */
  static async open(options: ControlServerOptions, handler: Handler): Promise<ControlServer> {
    const server = createServer({ allowHalfOpen: true });
    await listenAt(server, { ...options, backlog: MOST_CLIENTS });
    return new ControlServer(server, options, handler);
  }

  get clients(): number {
    return this.#sessions.size;
  }

  /** Tells every client that it ends here. Resolves when the socket is gone. */
  async close(): Promise<void> {
    clearInterval(this.#sweeping);
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const [socket, session] of this.#sessions) {
      session.drop(null, 'STOPPED', 'the agent has stopped');
      // Who does not read does not hold up the end.
      setTimeout(() => socket.destroy(), GRACE_MS).unref();
    }
    for (const socket of this.#turnedAway) socket.destroy();
    await closed;
  }

  #receive(socket: Socket, handler: Handler, limits: SessionLimits): void {
    let peer: Peer;
    try {
      peer = peerOf(socket);
      if (!this.#mayAsk(peer)) {
        throw new TapwallError(
          'ACCESS_DENIED',
          `user ${peer.uid} may not ask the agent anything: only root and the members of the socket's group may`,
        );
      }
      const isFull =
        this.#sessions.size >= MOST_CLIENTS || (!isRoot(peer) && this.#ofGroup >= MOST_CLIENTS_OF_GROUP);
      if (isFull) throw new TapwallError('TOO_MANY_CLIENTS', 'the agent has as many clients as it takes');
    } catch (error) {
      if (!(error instanceof TapwallError)) throw error;
      this.#options.notice?.(error.message);
      this.#turnAway(socket, error);
      return;
    }
    const onDrop = (reason: string) =>
      this.#options.notice?.(`a client (process ${peer.pid}, user ${peer.uid}) was dropped: ${reason}`);
    const session = new Session(socket, peer, { handler, limits, now: () => performance.now(), onDrop });
    this.#sessions.set(socket, session);
    if (!isRoot(peer)) this.#ofGroup++;
    socket.once('close', () => {
      this.#sessions.delete(socket);
      if (!isRoot(peer)) this.#ofGroup--;
    });
  }

  /** Who has sent something already hears why only if that is read: closing a socket over it would be an error to them. */
  #turnAway(socket: Socket, error: TapwallError): void {
    socket.on('error', () => socket.destroy());
    socket.end(`${JSON.stringify({ version: PROTOCOL_VERSION, id: null, ok: false, error })}\n`);
    if (this.#turnedAway.size >= MOST_TURNED_AWAY) {
      socket.destroySoon();
      return;
    }
    this.#turnedAway.add(socket);
    const timer = setTimeout(() => socket.destroy(), GRACE_MS).unref();
    socket.once('close', () => {
      clearTimeout(timer);
      this.#turnedAway.delete(socket);
    });
    socket.once('end', () => socket.destroySoon());
    socket.resume();
  }

  #mayAsk({ uid, gid, groups }: Peer): boolean {
    const { group } = this.#options;
    if (uid === 0 || uid === process.geteuid?.()) return true;
    return group !== undefined && (gid === group || groups.includes(group));
  }

  #sweep(): void {
    for (const session of this.#sessions.values()) session.sweep();
  }
}

const GRACE_MS = 200;
/** Of those that were refused so many are given the time to read why. */
const MOST_TURNED_AWAY = 64;

function isRoot({ uid }: Peer): boolean {
  return uid === 0;
}
