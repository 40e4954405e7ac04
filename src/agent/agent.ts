import { EventEmitter } from 'node:events';
import { Compiler } from '../compiler/compiler.js';
import type { Configuration } from '../config/configuration.js';
import { TapwallError } from '../error.js';
import type { NamespaceHandle } from '../kernel/kernel.js';
import { linuxKernel } from '../kernel/linux.js';
import type { Ownership } from '../program/slot.js';
import { abortable } from './abort.js';
import { AgentThread } from './agent-thread.js';
import type { CensusLine } from './census.js';
import { type AgentEvent, asError } from './event.js';
import { EventStream, type EventStreamOptions, type StreamedEvent } from './event-stream.js';
import { kernelMarks, makePlan } from './make-plan.js';
import { NamespaceDirectory, type NamespaceStatus, type VisitNamespace } from './namespace-directory.js';
import { PendingAnswers } from './pending-answers.js';
import type { PlacementCapabilities } from './placement.js';
import { marksOf, type Plan } from './plan.js';
import type { AgentRequest, DeviceAnswer, DeviceSelector, ToldDevice } from './request.js';
import type { Status } from './status.js';
import type { Tally } from './tally.js';
import type { WorkerMessage } from './worker.js';

/** What is told of a VM to {@link Agent.admit}. */
export interface AdmitOptions {
  guest?: { name?: string | undefined; uuid?: string | undefined } | undefined;
  devices: readonly ToldDevice[];
  /** Milliseconds for which what was told of a device that is not there is kept. */
  expectMs?: number | undefined;
  /** Whether a quarantine ends. */
  lift?: boolean | undefined;
  /** The network namespace of the devices, as the configuration knows it; absent for the agent's own. */
  namespace?: string | undefined;
}

export interface AgentOptions {
  /**
   * The agent's own network namespace, `self` in the configuration, where the devices are unless the configuration lists
   * others; absent for that of the process.
   */
  namespace?: NamespaceHandle;
  /** What the kernel can do, in place of what trying it in a scratch namespace would say. */
  capabilities?: Partial<PlacementCapabilities>;
  /**
   * Gives the start up: {@link Agent.start} rejects with the signal's reason. Devices that were admitted by then stay
   * so, as when an agent stops. Once the agent has started, it has no effect.
   */
  signal?: AbortSignal | undefined;
}

/** What can be given up. */
export interface Abortable {
  /** What aborts it is the reason of the rejection. */
  signal?: AbortSignal | undefined;
}

/** Each event by its own name, with that event alone as the argument. */
type EventsByName = { [Event in AgentEvent as Event['event']]: [event: Event] };

/** What an agent emits, and with what. */
export interface AgentEvents extends EventsByName {
  /** Every event, whatever its name. */
  event: [event: AgentEvent];
  /** The agent's thread ended by itself. Filters stay in the kernel. */
  error: [error: TapwallError];
  /** The kernel refused a configuration that was to be put in force; the old one stays. */
  refused: [error: TapwallError];
}

/**
 * Keeps the macvtap devices of a network namespace, or of all that its configuration lists, behind their policies. Emits every {@link AgentEvent} as
 * `event` and under its own name (`attached`, `failed`…); {@link Agent.events} gives them to iterate over. Stopping it, or losing it, leaves the filters in the kernel.
 */
export class Agent extends EventEmitter<AgentEvents> {
  readonly #thread: AgentThread;
  readonly #compiler: Compiler;
  readonly #options: AgentOptions;
  readonly #answers = new PendingAnswers();
  readonly #namespaces: NamespaceDirectory;
  #plan: Plan;
  readonly #streams = new Set<EventStream>();
  #configuration: Configuration;
  /** What was asked last of reloads and releases: each waits for the one before. */
  #last: Promise<unknown> = Promise.resolve();
  #released = false;
  /** Called when the thread has ended. */
  readonly #waitingForEnd = new Set<() => void>();

  private constructor(
    plan: Plan,
    parts: {
      thread: AgentThread;
      compiler: Compiler;
      options: AgentOptions;
      configuration: Configuration;
    },
  ) {
    super();
    this.#thread = parts.thread;
    this.#compiler = parts.compiler;
    this.#options = parts.options;
    this.#plan = plan;
    this.#configuration = parts.configuration;
    this.#namespaces = new NamespaceDirectory(linuxKernel(), parts.options.namespace);
  }

  /**
   * Compiles the configuration and starts. Resolves when every device that is there has its policy.
   * @param onEvent is called with each event, from the first on.
   * @throws SourceError POLICY or POLICY_NOT_PORTABLE for a policy that does not compile; TapwallError NOT_SUPPORTED for
   *   a placement that this kernel cannot do, COMPILER_CRASHED, COMPILER_TIMEOUT; nothing was changed then.
   * @throws TapwallError OWNED_BY_OTHER where another agent runs, FOREIGN_TABLE, LINK_NOT_FOUND; KernelError EPERM without
   *   CAP_NET_ADMIN.
   */
  static async start(
    configuration: Configuration,
    options: AgentOptions = {},
    onEvent?: (event: AgentEvent) => void,
  ): Promise<Agent> {
    const { signal } = options;
    signal?.throwIfAborted();
    const kernel = linuxKernel();
    const compiler = new Compiler();
    // Its process starts while this one finds out what the kernel can do.
    compiler.warm();
    const thread = new AgentThread(kernel, options.namespace?.path);
    let agent: Agent;
    try {
      const marks = kernelMarks(kernel, configuration, options.namespace);
      const { capabilities } = options;
      const plan = await makePlan(configuration, { kernel, compiler, capabilities, marks, signal });
      agent = new Agent(plan, { thread, compiler, options, configuration });
    } catch (error) {
      compiler.close();
      await thread.stop({ detach: false });
      throw error;
    }
    if (onEvent) agent.on('event', onEvent);
    const ready = agent.#reached('ready');
    thread.begin(agent.#plan, {
      onMessage: (message) => agent.#receive(message),
      onError: (error) => agent.#fail(error),
      onExit: () => agent.#release(),
    });
    try {
      await abortable(ready, signal);
    } catch (error) {
      await agent.stop();
      throw error;
    }
    return agent;
  }

  /** What the thread counts of its own work, of all namespaces together. */
  get tally(): Tally {
    return this.#thread.tally;
  }

  /**
   * How many steps the loop has taken, modulo 2^32. It takes one a second at least, so a number that stays the same for
   * longer says that its thread hangs, or is busy with thousands of devices.
   */
  get steps(): number {
    return this.tally.read('steps');
  }

  /**
   * Compiles another configuration and puts it in force. Until it is compiled whole, nothing changes. What stays the
   * same in it is left alone in the kernel, counters included.
   * The signal gives it up while it is being compiled; nothing has changed then. What is compiled is put in force in any
   * case, so the promise tells which configuration is: resolved, this; rejected, the one before.
   * @throws SourceError for a policy that does not compile; KernelError if the kernel refuses it.
   */
  apply(configuration: Configuration, { signal }: Abortable = {}): Promise<void> {
    return this.#inTurn(async () => {
      signal?.throwIfAborted();
      const plan = await this.#makePlan(configuration, signal);
      signal?.throwIfAborted();
      const reloaded = this.#reached('reloaded');
      this.#thread.send({ command: 'reload', plan });
      await reloaded;
      this.#plan = plan;
      this.#configuration = configuration;
      this.#released = false;
    });
  }

  /** As {@link Agent.apply}. */
  reload(configuration: Configuration): Promise<void> {
    return this.apply(configuration);
  }

  /**
   * The events from now on, to iterate over: `for await (const event of agent.events({ signal }))`. They are kept until
   * they are asked for, but no more than `limit` (4,096 unless given): beyond it the oldest is dropped, and in their
   * place stands one `missed` with their number. The iteration ends when the agent has stopped, when `signal` aborts
   * (without an error: it is how one stops listening), or with `break`.
   * @throws RangeError unless `limit` is a whole number of at least 1.
   * @throws TapwallError from the iteration: what the agent's thread ended of, as in `error`.
   */
  events(options: EventStreamOptions = {}): AsyncIterableIterator<StreamedEvent> {
    const stream = new EventStream(options, () => this.#streams.delete(stream));
    if (this.#thread.hasEnded) stream.end();
    else if (!stream.isClosed) this.#streams.add(stream);
    return stream;
  }

  /**
   * What the kernel holds for each device, with what it counted: frames and bytes that were admitted, and that were
   * dropped, by reason. It is read anew at each call, in some 20 ms for each thousand devices (measured with 4,000:
   * docs/control.md), in which the caller's thread does nothing else; the agent's goes on.
   * @param namespace as the configuration knows it; all that are served unless given.
   * @throws KernelError EPERM; TapwallError TIMEOUT if the tables change all the time, NAMESPACE_NOT_FOUND.
   */
  status(namespace?: string): Status {
    return this.#namespaces.status(this.#configuration.namespaces, namespace);
  }

  /** Does something in each namespace that is served, one after the other; in one that has gone meanwhile it does not. */
  visitNamespaces(visit: VisitNamespace): Promise<void> {
    return this.#namespaces.visit(this.#configuration.namespaces, visit);
  }

  /** The network namespaces that are there of those that the configuration lists, and how it stands with each. */
  get namespaces(): NamespaceStatus[] {
    return this.#namespaces.all;
  }

  /**
   * Gives the tables up until the next reload: others may change them then, and what they change is put right. Resolves
   * when it is done.
   */
  release(): Promise<void> {
    return this.#inTurn(async () => {
      const released = this.#reached('released');
      this.#thread.send({ command: 'release' });
      await released;
      this.#released = true;
    });
  }

  /** The configuration that is in force. */
  get configuration(): Configuration {
    return this.#configuration;
  }

  /** The same, compiled. */
  get plan(): Plan {
    return this.#plan;
  }

  /** `own`: nobody else can change its tables. `lent`: they were given up until the next reload. */
  get ownership(): Ownership {
    const { ownership } = this.#plan;
    return ownership === 'own' && this.#released ? 'lent' : ownership;
  }

  /**
   * Asks the agent's thread about single devices, or for something to be done for them. Resolves when it is done.
   * @throws TapwallError ARGUMENT or DEVICE_NOT_FOUND; nothing was changed then.
   */
  ask(request: AgentRequest): Promise<DeviceAnswer[]> {
    if (this.#thread.hasEnded) return Promise.reject(new TapwallError('STOPPED', 'the agent has stopped'));
    const { id, answer } = this.#answers.open<DeviceAnswer[]>();
    this.#thread.send({ command: 'answer', id, request });
    return answer;
  }

  /** How many devices are in which state, with which policy: of 4,000 the thread counts in some 0.1 ms. */
  census(): Promise<CensusLine[]> {
    if (this.#thread.hasEnded) return Promise.reject(new TapwallError('STOPPED', 'the agent has stopped'));
    const { id, answer } = this.#answers.open<CensusLine[]>();
    this.#thread.send({ command: 'census', id });
    return answer;
  }

  /**
   * Tells what is known of a VM's devices, in place of what was told before; each gets the policy that follows from it.
   * Resolves when that is in force, or refused, for those that are there, with how it stands with each. For one that is
   * not, what was told is kept for `expectMs` milliseconds, 0 unless given.
   * @throws TapwallError ARGUMENT or POLICY_NOT_FOUND; nothing was changed then.
   */
  admit({ guest, devices, expectMs = 0, lift, namespace }: AdmitOptions): Promise<DeviceAnswer[]> {
    return this.ask({ request: 'admit', namespace, guest, devices, expectMs, lift });
  }

  /**
   * Closes a device's door: nothing passes, over reloads and the next agent, until {@link Agent.unquarantine}, or an
   * `admit` that lifts it.
   * @param namespace as the configuration knows it; the agent's own unless given.
   * @throws TapwallError DEVICE_NOT_FOUND; nothing was changed then.
   */
  quarantine(device: DeviceSelector, namespace?: string): Promise<DeviceAnswer[]> {
    return this.ask({ request: 'quarantine', namespace, device, on: true });
  }

  /**
   * Opens a door again that {@link Agent.quarantine} closed: the device gets the policy that it should have.
   * @throws TapwallError DEVICE_NOT_FOUND; nothing was changed then.
   */
  unquarantine(device: DeviceSelector, namespace?: string): Promise<DeviceAnswer[]> {
    return this.ask({ request: 'quarantine', namespace, device, on: false });
  }

  /**
   * Stops. Filters stay in the kernel unless `detach` is set: then every device is open. Resolves when the thread has
   * ended; at once where it has already. The signal ends the waiting, not the stopping.
   */
  async stop({ detach = false, signal }: { detach?: boolean } & Abortable = {}): Promise<void> {
    await abortable(this.#thread.stop({ detach }), signal);
  }

  #makePlan(configuration: Configuration, signal: AbortSignal | undefined): Promise<Plan> {
    const [compiler, marks] = [this.#compiler, marksOf(this.#plan)];
    const { capabilities } = this.#options;
    return makePlan(configuration, { kernel: linuxKernel(), compiler, capabilities, marks, signal });
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(action, action);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  #receive(message: WorkerMessage): void {
    if ('events' in message) for (const event of message.events) this.#tell(event);
    else if ('namespace' in message) this.#namespaces.note(message.namespace, message.isGone);
    else if ('refused' in message) this.emit('refused', asError(message.refused));
    else if ('fatal' in message) this.#fail(asError(message.fatal));
    else if ('error' in message) this.#answers.refuse(message.answered, asError(message.error));
    else this.#answers.settle(message.answered, message.answer);
  }

  #tell(event: AgentEvent): void {
    this.emit('event', event);
    // TypeScript cannot see that the name goes with the event.
    (this as EventEmitter).emit(event.event, event);
    for (const stream of this.#streams) stream.push(event);
  }

  #fail(error: TapwallError): void {
    for (const stream of this.#streams) stream.fail(error);
    // An 'error' that nobody listens for would end the process; the filters do not need it.
    if (this.listenerCount('error') > 0) this.emit('error', error);
  }

  #release(): void {
    for (const stream of this.#streams) stream.end();
    this.#answers.close();
    this.#compiler.close();
    for (const onEnd of [...this.#waitingForEnd]) onEnd();
  }

  /** Resolves at the event of that name; rejects when the thread ends before. */
  #reached(name: AgentEvent['event']): Promise<void> {
    return new Promise((resolve, reject) => {
      const onEvent = ({ event }: AgentEvent) => {
        if (event === name) settle(resolve);
      };
      const onError = (error: TapwallError) => settle(() => reject(error));
      const onEnd = () =>
        settle(() => reject(new TapwallError('UNKNOWN', `the agent ended before it was ${name}`)));
      const settle = (then: () => void) => {
        this.off('event', onEvent);
        this.off('error', onError);
        this.off('refused', onError);
        this.#waitingForEnd.delete(onEnd);
        then();
      };
      this.on('event', onEvent);
      this.on('error', onError);
      this.on('refused', onError);
      this.#waitingForEnd.add(onEnd);
    });
  }
}
