import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentEvent } from '../agent/event.js';
import type { DeviceAnswer } from '../agent/request.js';
import type { DeviceStatus } from '../agent/status.js';
import { TapwallError } from '../error.js';
import { peerOf } from '../kernel/peer.js';
import { EventQueue } from './event-queue.js';
import { LineReader } from './lines.js';
import { checkControlPath, defaultControlPath } from './path.js';
import type { PolicyDescription } from './policies.js';
import {
  type AdmitResult,
  type HelloResult,
  type ListResult,
  MOST_ANSWER_BYTES,
  MOST_RECENT,
  messageSchema,
  PROTOCOL_VERSION,
  type RequestBody,
  type StatusResult,
} from './protocol.js';

/** How a client finds its agent, and how long it waits. */
export interface ControlClientOptions {
  /** Of the socket; absent for the default. */
  path?: string | undefined;
  /** The longest that an answer is waited for, in milliseconds, beside the time a request itself asks for. */
  timeoutMs?: number | undefined;
}

/** What a request of one kind says, but for its name. */
export type BodyOf<Name extends RequestBody['request']> = Omit<RequestBody & { request: Name }, 'request'>;
/** What is known of a VM and its devices, and how long they are waited for: {@link ControlClient.admit}. */
export type AdmitRequest = BodyOf<'admit'>;
/** A device by its `name`, interface `index` or `mac`; with `parent`, only one that hangs on that link. */
export type DeviceName = BodyOf<'quarantine'>['device'];

/** Which events are told, and until when. */
export interface FollowOptions {
  /** How many of the last events come first, at most 256. */
  recent?: number | undefined;
  signal?: AbortSignal | undefined;
}

interface AskOptions {
  /** How long the request itself may take, in milliseconds. */
  waitMs?: number | undefined;
  onEvent?: ((event: AgentEvent) => void) | undefined;
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: TapwallError): void;
  onEvent?: ((event: AgentEvent) => void) | undefined;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * Asks an agent over its control socket.
 *
 * @example
 * const client = await ControlClient.connect();
 * const { filtered } = await client.admit({ guest: { name: 'web-1' }, devices: [{ name: 'macvtap0' }] });
 * client.close();
 */
export class ControlClient {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #lines = new LineReader(MOST_ANSWER_BYTES);
  readonly #waiting = new Map<number, Waiting>();
  /** The network namespace that is meant in what is asked from now on, by name or inode number; see the protocol. */
  namespace: string | undefined;
  #last = 0;
  #end: TapwallError | undefined;

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (cause) => this.#fail(new TapwallError('CONTROL_LOST', cause.message, { cause })));
    socket.on('close', () =>
      this.#fail(new TapwallError('CONTROL_LOST', 'the agent has closed the connection')),
    );
  }

  /**
   * @throws TapwallError NO_AGENT when nobody listens there; ACCESS_DENIED when this process may not ask, or when what
   *   listens is not root's.
   */
  static async connect({
    path,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  }: ControlClientOptions = {}): Promise<ControlClient> {
    const place = path ?? defaultControlPath();
    if (place === undefined) {
      throw new TapwallError('NO_AGENT', 'nothing says where the control socket of an agent is');
    }
    checkControlPath(place);
    const socket = await reach(place, AbortSignal.timeout(timeoutMs));
    try {
      // Who may write into a folder of the path may have put another socket there.
      const { uid } = peerOf(socket);
      if (uid !== 0 && uid !== process.geteuid?.()) {
        throw new TapwallError('ACCESS_DENIED', `what listens on ${place} is user ${uid}’s, not root’s`);
      }
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return new ControlClient(socket, timeoutMs);
  }

  /** Which agent this is, and which network namespaces it serves. */
  hello(): Promise<HelloResult> {
    return this.#ask({ request: 'hello' }) as Promise<HelloResult>;
  }

  /** What the agent does, and how many devices are in which state. */
  status(): Promise<StatusResult> {
    return this.#ask({ request: 'status' }) as Promise<StatusResult>;
  }

  /** How it stands with each device, as the agent knows it. */
  async devices(): Promise<DeviceAnswer[]> {
    return ((await this.#ask({ request: 'devices' })) as { devices: DeviceAnswer[] }).devices;
  }

  /** What the kernel holds for each device, read anew. */
  list(): Promise<ListResult> {
    return this.#ask({ request: 'list' }) as Promise<ListResult>;
  }

  /** What devices sent and received, and what was dropped; all devices unless some are named. */
  async counters(devices?: string[]): Promise<DeviceStatus[]> {
    return ((await this.#ask({ request: 'counters', devices })) as { devices: DeviceStatus[] }).devices;
  }

  /** @throws TapwallError POLICY_NOT_FOUND */
  async policies(policy?: string): Promise<{ file: string; policies: PolicyDescription[] }> {
    return (await this.#ask({ request: 'policy', policy })) as {
      file: string;
      policies: PolicyDescription[];
    };
  }

  /** @throws TapwallError as the agent's reading of its configuration does; the old one stays in force then. */
  async reload(): Promise<{ file: string }> {
    return (await this.#ask({ request: 'reload' })) as { file: string };
  }

  /** Lets the agent give the ownership of its tables up, until it reloads. */
  async release(): Promise<void> {
    await this.#ask({ request: 'release' });
  }

  /**
   * Tells what is known of a VM's devices, and waits until each is filtered, refused, or the time is over. What was told
   * of a device before is replaced.
   */
  admit(request: AdmitRequest): Promise<AdmitResult> {
    return this.#ask({ request: 'admit', ...request }, { waitMs: request.waitMs }) as Promise<AdmitResult>;
  }

  /**
   * Closes a device's door until `unquarantine`, or an `admit` that lifts it.
   * @throws TapwallError DEVICE_NOT_FOUND; the kernel's, when it could not be closed.
   */
  quarantine(device: DeviceName): Promise<DeviceAnswer> {
    return this.#ask({ request: 'quarantine', device }) as Promise<DeviceAnswer>;
  }

  /**
   * Opens a door again that `quarantine` closed: the device gets the policy that it should have.
   * @throws TapwallError DEVICE_NOT_FOUND
   */
  unquarantine(device: DeviceName): Promise<DeviceAnswer> {
    return this.#ask({ request: 'unquarantine', device }) as Promise<DeviceAnswer>;
  }

  /** The last events, at most 256. */
  async recentEvents(count = MOST_RECENT): Promise<AgentEvent[]> {
    const events: AgentEvent[] = [];
    const onEvent = (event: AgentEvent) => events.push(event);
    await this.#ask({ request: 'events', recent: count, follow: false }, { onEvent });
    return events;
  }

  /**
   * The agent's events from now on, until the loop over them ends or the signal is aborted. What is not read holds up
   * all that this client is answered: follow with a client of its own.
   * @throws TapwallError in the loop: TOO_SLOW when events came faster than they were read, CONTROL_LOST when the agent
   *   went away.
   */
  async follow({ recent = 0, signal }: FollowOptions = {}): Promise<AsyncGenerator<AgentEvent, void, void>> {
    if (this.#end) throw this.#end;
    const events = new EventQueue(this.#socket);
    await new Promise<void>((resolve, reject) => {
      const following: Waiting = {
        resolve: () => events.end(new TapwallError('CONTROL_LOST', 'the agent has ended the events')),
        reject,
        onEvent: (event) => {
          if ((event as { event: string }).event !== 'following') {
            events.add(event);
            return;
          }
          following.reject = (error) => events.end(error);
          following.onEvent = (event) => events.add(event);
          resolve();
        },
      };
      this.#send({ request: 'events', recent }, following);
    });
    return events.read(signal);
  }

  /** Ends the connection. What is being asked is rejected with CONTROL_LOST; the agent may have done it all the same. */
  close(): void {
    this.#fail(new TapwallError('CONTROL_LOST', 'the connection was closed'));
    this.#socket.destroy();
  }

  #ask(body: RequestBody, { waitMs = 0, onEvent }: AskOptions = {}): Promise<unknown> {
    if (this.#end) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      const limit = this.#timeoutMs + waitMs;
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new TapwallError('TIMEOUT', `the agent did not answer within ${limit} ms`));
      }, limit);
      const id = this.#send(body, {
        onEvent,
        resolve: (result) => {
          clearTimeout(timer);
          resolve(result);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
    });
  }

  #send(body: RequestBody, waiting: Waiting): number {
    const id = ++this.#last;
    this.#waiting.set(id, waiting);
    const { namespace } = this;
    this.#socket.write(`${JSON.stringify({ version: PROTOCOL_VERSION, id, namespace, ...body })}\n`);
    return id;
  }

  #read(chunk: Buffer): void {
    try {
      for (const line of this.#lines.add(chunk)) this.#take(line);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#fail(new TapwallError('PROTOCOL', `the agent’s answer makes no sense: ${reason}`, { cause }));
      this.#socket.destroy();
    }
  }

  #take(line: Uint8Array): void {
    const message = messageSchema.parse(JSON.parse(Buffer.from(line).toString('utf8')));
    if ('event' in message) {
      this.#waiting.get(message.id)?.onEvent?.(message.event as AgentEvent);
      return;
    }
    if (message.id === null) {
      // What is about no request in particular ends the connection.
      if (!message.ok) this.#fail(asError(message.error));
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.ok) waiting?.resolve(message.result);
    else waiting?.reject(asError(message.error));
  }

  #fail(error: TapwallError): void {
    if (this.#end) return;
    this.#end = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function asError({
  code,
  message,
  hint,
}: {
  code: string;
  message: string;
  hint?: string | undefined;
}): TapwallError {
  return new TapwallError(code, message, hint === undefined ? {} : { hint });
}

/** Connects; where more wait than the kernel keeps in line (EAGAIN, connect(2)), it is tried again until the signal. */
async function reach(path: string, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    try {
      await once(socket, 'connect', { signal });
      return socket;
    } catch (cause) {
      socket.destroy();
      if ((cause as NodeJS.ErrnoException).code !== 'EAGAIN' || signal.aborted) throw refusal(path, cause);
      await sleep(RETRY_MS);
    }
  }
}

const RETRY_MS = 10;

function refusal(path: string, cause: unknown): TapwallError {
  const { code, message, name } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new TapwallError('NO_AGENT', `no agent listens on ${path}`, {
      cause,
      hint: 'Start one with tapwall run, or say where its control socket is with --socket.',
    });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new TapwallError('ACCESS_DENIED', `this user may not ask the agent that listens on ${path}`, {
      cause,
      hint: 'Root may, and the members of the group that the configuration’s `control` names.',
    });
  }
  if (name === 'AbortError' || name === 'TimeoutError') {
    return new TapwallError('TIMEOUT', `nobody took the call on ${path}`, { cause });
  }
  return new TapwallError('CONTROL_LOST', `cannot reach the agent on ${path}: ${message}`, { cause });
}
