import { TapwallError } from '../error.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import type { LinkEvent } from '../links/link.js';
import { NETLINK_ROUTE } from '../netlink/constants.js';
import { detachSegment } from '../program/attach.js';
import { listAttachments } from './attachment.js';
import { type CensusLine, takeCensus } from './census.js';
import { Channel } from './channel.js';
import { Clerk } from './clerk.js';
import { Counting } from './counting.js';
import { adoptTables, type Device } from './device.js';
import type { AgentEvent } from './event.js';
import { Herald } from './herald.js';
import { HostLinks } from './host-links.js';
import { Keeper } from './keeper.js';
import { LinkEvents } from './link-events.js';
import type { Plan } from './plan.js';
import { AMISS, FIRST, IN_USE, Reconciler, ROUTINE, type Round } from './reconciler.js';
import { Reference } from './reference.js';
import type { AgentRequest, DeviceAnswer } from './request.js';
import { Schedule } from './schedule.js';
import { Tally } from './tally.js';
import type { ForeignChange } from './watch.js';

/** What a loop works with. */
export interface LoopOptions {
  kernel: Kernel;
  /** Where the devices are; absent for the namespace of the process. */
  namespace?: NamespaceHandle | undefined;
  /** The descriptor of a waker that ends a wait. */
  wakerFd: number;
  /** Called with each event, from the first on, in the loop's thread. It must not throw. */
  emit(event: AgentEvent): void;
  /** Milliseconds of a clock that never goes back; absent for the process's own. */
  now?: () => number;
  /** Counts what the loop does; absent where nobody wants to know. */
  tally?: Tally | undefined;
  /** What bindings call the namespace; absent for the agent's own. */
  namespaceName?: string | undefined;
  /** What several loops of one thread share, which none of them needs for itself alone; absent for one of its own. */
  reference?: Reference | undefined;
}

/** What has come for a loop. */
export interface Ready {
  /** Events of links. */
  links: boolean;
  /** What others changed in nf_tables. */
  changes: boolean;
}

/** What a loop that is one of several may do before the next has its turn. */
export interface Turn {
  /** When the thread woke, as `process.hrtime.bigint()` says it; absent for now. */
  woke?: bigint;
  /** How many datagrams of link events are read at most; what is left waits. Absent for all. */
  mostEvents?: number;
  /** Whether everything is compared if that is due; unless false. */
  compares?: boolean;
}

/**
 * The agent's loop: link event, binding, target, transaction. It blocks, and so runs in a thread of its own; all it
 * knows of the outside is the kernel it is given.
 */
export class AgentLoop {
  readonly #options: LoopOptions;
  readonly #herald: Herald;
  readonly #events: LinkEvents;
  readonly #links: HostLinks;
  readonly #keeper: Keeper;
  readonly #reconciler: Reconciler;
  readonly #schedule: Schedule;
  readonly #clerk: Clerk;
  readonly #counting: Counting;
  readonly #tally: Tally;
  #channel: Channel;
  /** Devices that an event was about and that have not been looked at since. */
  readonly #pending = new Set<Device>();
  /** Whether the last turn has left events. */
  #isBehind = false;

  constructor(plan: Plan, options: LoopOptions) {
    const { kernel, namespace } = options;
    this.#options = options;
    this.#herald = new Herald(options.emit);
    this.#tally = options.tally ?? new Tally();
    const opened: { close(): void }[] = [];
    const opens = <T extends { close(): void }>(one: T): T => {
      opened.push(one);
      return one;
    };
    try {
      // Subscribed before anything is read, so that no device falls between the dump and the first event.
      this.#events = opens(new LinkEvents(kernel, namespace));
      this.#links = opens(new HostLinks(kernel.openSocket({ protocol: NETLINK_ROUTE, namespace })));
      this.#channel = opens(new Channel(kernel, namespace, this.#tally));
    } catch (error) {
      for (const one of opened) one.close();
      throw error;
    }
    const { namespaceName } = options;
    const parts = { herald: this.#herald, links: this.#links, namespaceName };
    this.#keeper = new Keeper(plan, { ...parts, committer: this.#channel.committer });
    const reference = options.reference ?? new Reference(kernel);
    this.#reconciler = new Reconciler(reference, { ...parts, keeper: this.#keeper });
    const now = options.now ?? (() => performance.now());
    this.#schedule = new Schedule(now, plan.reconcileMs);
    this.#clerk = new Clerk(this.#keeper, this.#links, now);
    this.#counting = new Counting(now);
  }

  /**
   * Brings the devices that are there in line, and says `ready`.
   * @param beforeReady is called in between, when nothing waits for a filter any more.
   * @throws TapwallError OWNED_BY_OTHER when another agent runs in the namespace; nothing was changed then.
   */
  start(beforeReady?: () => void): void {
    this.begin(beforeReady);
    this.#mend(ROUTINE);
  }

  /** The same, but for what VMs need not wait for: that is due then, and done by the next {@link AgentLoop.handle}. */
  begin(beforeReady?: () => void): void {
    this.#herald.wake();
    const { plan, devices } = this.#keeper;
    for (const message of plan.warnings) this.#herald.warn(message);
    this.#reconcile(FIRST);
    const { microseconds } = this.#herald;
    beforeReady?.();
    this.#herald.emit({
      event: 'ready',
      devices: devices.size,
      attached: this.#keeper.count('attached'),
      placement: plan.placement,
      microseconds,
    });
    // What was changed while no agent ran, in tables that say they are up to date.
    if (!this.#schedule.isFailing) this.#schedule.hasten();
  }

  /**
   * Waits for events, at most `timeoutMs`, and handles what came.
   * @returns true when the waker was signalled.
   * @throws TapwallError OWNED_BY_OTHER when another agent has taken the tables over.
   */
  step(timeoutMs: number): boolean {
    const { kernel, wakerFd } = this.#options;
    const waitMs = Math.ceil(Math.min(timeoutMs, this.untilDue));
    const { sockets, woken } = kernel.wait(this.sockets, wakerFd, waitMs);
    const [links = false, changes = false] = sockets;
    this.handle({ links, changes });
    return woken;
  }

  /** What is waited on: link events, and what others change. They are others after a reload or a release. */
  get sockets(): readonly [links: NetlinkSocket, changes: NetlinkSocket] {
    return [this.#events.socket, this.#channel.watch.socket];
  }

  /** How many loops there are in the thread. They share the time that comparing may take. */
  set companions(count: number) {
    this.#schedule.companions = count;
  }

  /** When there is something to do that no socket tells of, on the loop's clock; may be infinite. */
  get dueAt(): number {
    return Math.min(this.#schedule.dueAt, this.#counting.dueAt);
  }

  /** Milliseconds until there is something to do that no socket tells of; may be infinite. */
  get untilDue(): number {
    if (this.#channel.watch.isLost) return 0;
    return Math.min(this.#schedule.untilDue, this.#counting.untilDue);
  }

  /**
   * Handles what came. What is left of it, as much as `turn` says, waits in the sockets.
   * @throws TapwallError OWNED_BY_OTHER when another agent has taken the tables over.
   */
  handle(ready: Ready, turn: Turn = {}): void {
    // Whoever was left has waited since then.
    if (!this.#isBehind) this.#herald.wake(turn.woke);
    this.#isBehind = false;
    try {
      this.#handleAll(ready, turn);
    } catch (error) {
      if (!(error instanceof TapwallError) || error.code === 'OWNED_BY_OTHER') throw error;
      // Nobody knows what was lost, or is in force.
      this.#herald.warn(`something failed; reading everything again: ${error.message}`);
      this.#mend(AMISS);
    }
  }

  #handleAll({ links, changes }: Ready, { mostEvents, compares = true }: Turn): void {
    const { watch } = this.#channel;
    const foreign = changes || watch.isLost ? watch.drain() : undefined;
    const isKnown = foreign !== undefined && foreign.tables.size > 0;
    // First: devices cannot join what somebody else has taken away.
    if (isKnown) this.#mend(AMISS, foreign);
    if (links) this.#drain(mostEvents);
    // What was lost may have been about anything, and mostly was about nothing of the agent's.
    if (foreign && !isKnown) this.#mend(AMISS, foreign);
    if (compares && this.#schedule.isDue) this.#mend(this.#schedule.isFailing ? AMISS : ROUTINE);
    if (links || foreign) return;
    const { plan, devices, committer } = this.#keeper;
    const problem = this.#counting.run(plan, devices, committer);
    if (problem) this.#herald.warn(`frames take longer to be counted than they could: ${problem.message}`);
  }

  /**
   * Puts another plan in force. What stays the same is left alone, counters included.
   * @throws KernelError when the kernel refuses it; the old plan stays in force.
   */
  reload(plan: Plan): void {
    this.#herald.wake();
    const before = this.#keeper.plan;
    this.#putInForce(plan);
    try {
      this.#reconcile(IN_USE);
    } catch (error) {
      this.#putInForce(before);
      // What was read went by the other plan.
      this.#mend(IN_USE);
      throw error;
    }
    for (const message of plan.warnings) this.#herald.warn(message);
    this.#herald.emit({
      event: 'reloaded',
      file: plan.file,
      policies: plan.policies.size,
      bindings: plan.bindings.length,
      microseconds: this.#herald.microseconds,
    });
  }

  /**
   * Answers what is asked about single devices, and does what is asked for them.
   * @throws TapwallError ARGUMENT or DEVICE_NOT_FOUND; nothing was changed then.
   */
  answer(request: AgentRequest): DeviceAnswer[] {
    this.#herald.wake();
    // Of a device that was made just now the event is here already: netlink queues it before the maker hears of it.
    this.#drain();
    const answers = this.#clerk.answer(request);
    this.#counting.note(this.#keeper.devices.values());
    return answers;
  }

  /** How many devices are in which state, by what the loop has in memory. */
  census(): CensusLine[] {
    return takeCensus(this.#keeper.devices.values(), this.#keeper.plan.placement);
  }

  /** Gives the tables up until the next reload: others may change them, and what they change is put right. */
  release(): void {
    this.#herald.wake();
    const { plan } = this.#keeper;
    if (plan.ownership === 'own') this.#putInForce({ ...plan, ownership: 'lent' });
    this.#mend(ROUTINE);
    this.#herald.emit({ event: 'released' });
  }

  /** Ends the loop. What filters stays unless `detach` is given: then the agent's own goes, and the door with it. */
  stop(options: { detach: boolean }): void {
    const detached = options.detach ? this.#detachAll() : 0;
    this.#events.close();
    this.#links.close();
    this.#channel.close();
    this.#herald.emit({ event: 'stopped', detached });
  }

  #putInForce(plan: Plan): void {
    const { kernel, namespace } = this.#options;
    // Tables that are owned are given up with their socket, and in no other way.
    if (this.#keeper.plan.ownership === 'own' && plan.ownership !== 'own') {
      this.#channel.close();
      this.#channel = new Channel(kernel, namespace, this.#tally);
      this.#keeper.committer = this.#channel.committer;
    }
    this.#keeper.plan = plan;
    this.#schedule.interval = plan.reconcileMs;
  }

  /** Compares everything, and tells of what others had changed. */
  #reconcile(round: Round, known?: ForeignChange): void {
    this.#tally.add('reconciliations');
    this.#pending.clear();
    this.#schedule.begin();
    const wasFailing = this.#schedule.isFailing;
    const { transactions, isRepair, foreign } = this.#reconciler.run(this.#channel, round, known);
    if (this.#keeper.takeTroubled()) this.#schedule.fail();
    else this.#schedule.end();
    this.#counting.note(this.#keeper.devices.values());
    // At a start and a reload nobody can tell what was somebody else's doing.
    if (transactions === 0 || round === FIRST || round === IN_USE) return;
    if (foreign || (round === ROUTINE && isRepair) || wasFailing)
      this.#herald.repaired(foreign, transactions);
  }

  /** The same while the agent runs: what goes wrong is told, and tried again. */
  #mend(round: Round, foreign?: ForeignChange): void {
    try {
      this.#reconcile(round, foreign);
    } catch (error) {
      if (!(error instanceof TapwallError) || error.code === 'OWNED_BY_OTHER') throw error;
      this.#schedule.fail();
      this.#herald.warn(`cannot bring the filters in line, and will try again: ${error.message}`);
    }
  }

  /** @returns from how many devices something was taken. */
  #detachAll(): number {
    this.#herald.wake();
    // As the kernel has them now: somebody may have attached by hand over the agent's.
    for (const attachment of listAttachments(this.#channel.netfilter)) {
      const device = this.#keeper.devices.get(attachment.index);
      if (device) adoptTables(device, attachment);
    }
    const own = [...this.#keeper.devices.values()].filter(
      ({ origin, admission, tables }) => origin !== 'manual' && (!admission.isEmpty || tables.length > 0),
    );
    try {
      const { mostDevices } = this.#channel.committer;
      for (let at = 0; at < own.length; at += mostDevices) {
        const tables = own.slice(at, at + mostDevices).flatMap((device) => device.tables);
        if (tables.length > 0) this.#channel.committer.transact([detachSegment(tables)]);
      }
      // With it go all elements and hooks.
      this.#channel.door.remove();
    } catch (error) {
      if (!(error instanceof TapwallError)) throw error;
      this.#herald.warn(`cannot take the filters away: ${error.message}`);
      return 0;
    }
    for (const device of own) this.#herald.detached(device, 'exit', device.tables);
    return own.length;
  }

  /** @param most how many datagrams are read. */
  #drain(most = Number.POSITIVE_INFINITY): void {
    for (let count = 0; ; count++) {
      if (count >= most) {
        this.#isBehind = true;
        break;
      }
      const events = this.#events.next();
      if (events === undefined) break;
      if (events === 'lost') {
        this.#herald.emit({ event: 'overflow', message: 'link events were lost; reading all devices again' });
        this.#pending.clear();
        this.#events.discard();
        this.#mend(AMISS);
        continue;
      }
      for (const event of events) this.#handle(event);
      // Devices that appear together go into one transaction, and none waits for hundreds of others.
      if (this.#pending.size >= this.#keeper.committer.mostDevices) this.#flush();
    }
    this.#flush();
  }

  #handle({ type, link }: LinkEvent): void {
    if (type === 'new') {
      const device = this.#keeper.note(link, undefined);
      if (device) this.#pending.add(device);
      return;
    }
    const device = this.#keeper.devices.get(link.index);
    if (!device) return;
    this.#keeper.devices.delete(link.index);
    this.#pending.delete(device);
    this.#keeper.forget(device, 'gone');
  }

  /** Looks at the devices that events were about. */
  #flush(): void {
    if (this.#pending.size === 0) return;
    const devices = [...this.#pending];
    this.#pending.clear();
    const steps = this.#keeper.steps(devices, { verified: false, meanwhile: 'closed' });
    const outcomes = this.#keeper.committer.commit(steps);
    const refused = outcomes.some(({ error }) => error !== undefined);
    const foreign = refused ? this.#channel.watch.drain() : undefined;
    this.#counting.note(devices);
    if (!refused || !(foreign || this.#schedule.isFailing)) {
      this.#keeper.conclude(outcomes);
      if (this.#keeper.takeTroubled()) this.#schedule.fail();
      return;
    }
    // Not the devices' fault: what they were to join was changed under them, or has still to be put right.
    this.#keeper.conclude(outcomes.filter(({ error }) => error === undefined));
    if (foreign) this.#mend(AMISS, foreign);
  }
}
