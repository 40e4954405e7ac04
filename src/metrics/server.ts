import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ListenAddress } from '../config/listen.js';
import { listenAt } from '../control/listen.js';
import { METRICS_SOCKET } from '../control/path.js';
import { TapwallError } from '../error.js';

/** What a server gives away. */
export interface MetricsPage {
  contentType: string;
  body: string;
}

export interface MetricsServerOptions {
  listen: ListenAddress;
  /** Of a Unix socket: the group whose members may read; undefined for none. */
  group?: number | undefined;
  /** Of a Unix socket; 0o600 unless given, or 0o660 with a group. */
  mode?: number | undefined;
  page(): Promise<MetricsPage>;
  /** Whether `/healthz` says that all is well. */
  isHealthy(): boolean;
  /** Hears of what went wrong. */
  notice: (message: string) => void;
  limits?: Partial<MetricsLimits> | undefined;
}

/** What one client may cost. */
export interface MetricsLimits {
  /** Connections at once; further ones are closed. */
  connections: number;
  /** Bytes of a request's head. */
  headBytes: number;
  /** Milliseconds until a request has come whole. */
  requestMs: number;
  /** Milliseconds until an answer has been taken. */
  answerMs: number;
  /** Milliseconds for which a connection stays without a request. */
  idleMs: number;
}

export const DEFAULT_METRICS_LIMITS: MetricsLimits = {
  connections: 64,
  headBytes: 8_192,
  requestMs: 5_000,
  answerMs: 10_000,
  idleMs: 5_000,
};

/** How often connections are looked at for what has taken too long. */
const SWEEP_MS = 500;

/** Serves metrics over HTTP on a Unix socket or a loopback address. It tells; nothing can be changed through it. */
export class MetricsServer {
  readonly #server: Server;
  readonly #options: MetricsServerOptions;
  readonly #answerMs: number;
  /** The page that is being made, for all who ask meanwhile. */
  #page: Promise<{ contentType: string; bytes: Buffer }> | undefined;

  private constructor(server: Server, options: MetricsServerOptions, limits: MetricsLimits) {
    this.#server = server;
    this.#options = options;
    this.#answerMs = limits.answerMs;
    server.on('request', (request, response) => void this.#answer(request, response));
  }

  /**
   * Listens.
   * @throws TapwallError METRICS_IN_USE when somebody listens there, METRICS_ADDRESS when nobody can.
   */
  static async open(options: MetricsServerOptions): Promise<MetricsServer> {
    const limits = { ...DEFAULT_METRICS_LIMITS, ...options.limits };
    const server = createServer({
      maxHeaderSize: limits.headBytes,
      headersTimeout: limits.requestMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
      connectionsCheckingInterval: Math.min(SWEEP_MS, limits.requestMs),
    });
    server.maxConnections = limits.connections;
    const { listen, group, mode } = options;
    if ('path' in listen) {
      const { path } = listen;
      await listenAt(server, { path, group, mode, backlog: limits.connections, purpose: METRICS_SOCKET });
    } else await listenOnLoopback(server, listen);
    return new MetricsServer(server, options, limits);
  }

  /** Ends every connection. Resolves when the socket is gone. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // What one client does not take is no burden for longer than this.
    const timer = setTimeout(() => {
      this.#options.notice('a client did not take the metrics that it had asked for');
      response.destroy();
    }, this.#answerMs).unref();
    response.once('close', () => clearTimeout(timer));
    try {
      await this.#choose(request, response);
    } catch (error) {
      this.#options.notice(`no metrics: ${error instanceof Error ? error.message : String(error)}`);
      end(response, 500, 'the metrics cannot be read now; the log says why\n');
    }
  }

  async #choose(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = '', headers } = request;
    if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0) {
      response.shouldKeepAlive = false;
      return end(response, 413, 'a request has no body here\n');
    }
    const path = url.split('?', 1)[0];
    if (path !== '/metrics' && path !== '/healthz')
      return end(response, 404, 'there is /metrics and /healthz\n');
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return end(response, 405, 'nothing can be changed here\n');
    }
    if (path === '/healthz') {
      const isHealthy = this.#options.isHealthy();
      return end(
        response,
        isHealthy ? 200 : 503,
        isHealthy ? 'ok\n' : 'the agent is not ready, or has ended\n',
      );
    }
    const { contentType, bytes } = await this.#current();
    response.setHeader('Content-Type', contentType);
    end(response, 200, bytes);
  }

  /** One page for all who ask at the same time: they also share its memory. */
  #current(): Promise<{ contentType: string; bytes: Buffer }> {
    this.#page ??= this.#options
      .page()
      .then(({ contentType, body }) => ({ contentType, bytes: Buffer.from(body) }))
      .finally(() => {
        this.#page = undefined;
      });
    return this.#page;
  }
}

function end(response: ServerResponse, status: number, body: string | Buffer): void {
  if (response.destroyed) return;
  response.statusCode = status;
  if (!response.hasHeader('Content-Type')) response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.setHeader('Cache-Control', 'no-store');
  response.end(body);
}

async function listenOnLoopback(
  server: Server,
  { host, port }: { host: string; port: number },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'EADDRINUSE' ? 'METRICS_IN_USE' : 'METRICS_ADDRESS';
      reject(
        new TapwallError(code, `cannot listen on ${host}, port ${port}: ${cause.message}`, {
          cause,
          hint: 'Choose another port with `metrics: { listen: … }`.',
        }),
      );
    });
    server.listen({ host, port }, resolve);
  });
}
