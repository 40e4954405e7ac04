import { DEFAULT_NAMESPACES, isOwnAlone, OWN_NAMESPACE } from '../config/namespace.js';
import { isExpected, TapwallError } from '../error.js';
import type { Poller } from '../kernel/kernel.js';
import { type CensusLine, joinCensuses } from './census.js';
import type { AgentEvent, EventError } from './event.js';
import type { FleetOptions } from './fleet-options.js';
import { keyOf, Lookout } from './lookout.js';
import type { Ready } from './loop.js';
import { type FoundNamespace, findNamespaces, type NamespaceFinder } from './namespace-finder.js';
import type { Plan } from './plan.js';
import { Reference } from './reference.js';
import type { AgentRequest, DeviceAnswer } from './request.js';
import { readToken, ServedNamespace, type ServingOptions } from './served-namespace.js';

/** How it stands with a namespace that is there. */
export interface NamespaceState {
  name: string;
  inode: bigint;
  /** By which path this process can open it; absent for the agent's own, and one that is not served. */
  path?: string | undefined;
  /** Why it is not served. */
  error?: EventError | undefined;
}

/** Devices of one namespace, or of all. */
interface Totals {
  devices: number;
  attached: number;
}

/** No namespace has this number, so that what is mounted has its tokens. */
const MOUNTS = 0;
/** Events of one namespace that are read before the others have their turn: as many devices go into a transaction. */
const MOST_EVENTS = 256;

const NOTHING: Ready = { links: false, changes: false };

/** What each loop says and the fleet says once. */
const TOGETHER: ReadonlySet<AgentEvent['event']> = new Set(['ready', 'reloaded', 'released', 'stopped']);

/**
 * The loops of all namespaces that an agent serves, in one thread: each that has something has its turn, and none keeps
 * the others from theirs. Where only the agent's own is served it is one loop, and nothing is said of namespaces.
 */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #serving: ServingOptions;
  readonly #poller: Poller;
  readonly #lookout: Lookout;
  readonly #now: () => number;
  /** In the order in which they were compared last. */
  readonly #served = new Map<string, ServedNamespace>();
  readonly #byId = new Map<number, ServedNamespace>();
  #plan: Plan;
  #nextId = MOUNTS + 1;
  #hearsMounts = false;
  /** When the first of all loops has something to compare. */
  #compareDueAt = 0;
  /** What loops have said that is for all of them together. */
  #heard: AgentEvent[] = [];

  constructor(plan: Plan, options: FleetOptions) {
    const { kernel, own, wakerFd, tally, now = () => performance.now() } = options;
    this.#plan = plan;
    this.#options = options;
    this.#now = now;
    const find: NamespaceFinder = (patterns) => findNamespaces(patterns, own?.inode);
    this.#lookout = new Lookout(options.find ?? find, now);
    this.#poller = kernel.createPoller(wakerFd);
    this.#serving = { kernel, poller: this.#poller, own, reference: new Reference(kernel), now, tally };
  }

  /**
   * Brings the devices of every namespace that is there in line, and says `ready`.
   * @param beforeReady is called when nothing waits for a filter any more.
   * @throws TapwallError OWNED_BY_OTHER when only the agent's own namespace is to be served, and another agent runs in it.
   */
  start(beforeReady?: () => void): void {
    const begun = process.hrtime.bigint();
    this.#warn(this.#plan.warnings);
    const totals = this.#enterAll();
    const microseconds = microsecondsSince(begun);
    beforeReady?.();
    this.#options.emit({ event: 'ready', ...totals, placement: this.#plan.placement, microseconds });
  }

  /**
   * Waits for something to do, at most `timeoutMs`, and lets each namespace that has something have its turn.
   * @returns true when the waker was signalled.
   * @throws TapwallError OWNED_BY_OTHER when only the agent's own namespace is served, and another agent has taken it over.
   */
  step(timeoutMs: number): boolean {
    const { tokens, woken } = this.#poller.wait(Math.ceil(Math.min(timeoutMs, this.#untilDue())));
    const woke = process.hrtime.bigint();
    const ready = this.#sort(tokens);
    const due = this.#now() >= this.#compareDueAt ? this.#firstDue() : undefined;
    if (due && !ready.has(due)) ready.set(due, NOTHING);
    // Where nobody else waits for a turn, what came and went in one go is seen as gone.
    const mostEvents = this.#served.size > 1 ? MOST_EVENTS : Number.POSITIVE_INFINITY;
    for (const [served, what] of ready) {
      const turn = { woke, mostEvents, compares: served === due };
      this.#guard(served, () => served.loop.handle(what, turn));
    }
    if (ready.size > 0) this.#planComparing();
    if (tokens.some((token) => readToken(token).id === MOUNTS)) this.#lookout.hasten();
    if (this.#lookout.isDue) this.#look();
    // One at a time: those that are served have their turns in between.
    const next = this.#lookout.next();
    if (next) this.#enter(next);
    return woken;
  }

  /**
   * Puts another plan in force, in every namespace or in none.
   * @throws TapwallError what one of them refused it for; the old plan stays in force everywhere.
   */
  reload(plan: Plan): void {
    const begun = process.hrtime.bigint();
    const before = withoutWarnings(this.#plan);
    const wanted = withoutWarnings(plan);
    const done: ServedNamespace[] = [];
    for (const served of [...this.#served.values()]) {
      try {
        if (this.#guard(served, () => served.loop.reload(wanted))) done.push(served);
      } catch (error) {
        // That one has gone back by itself.
        for (const one of done) this.#goBack(one, before);
        throw this.#isAlone ? error : served.nameIn(error);
      }
    }
    this.#plan = plan;
    this.#warn(plan.warnings);
    this.#enterAll();
    this.#take('reloaded');
    this.#options.emit({
      event: 'reloaded',
      file: plan.file,
      policies: plan.policies.size,
      bindings: plan.bindings.length,
      microseconds: microsecondsSince(begun),
    });
  }

  /** What cannot go back is entered anew, like one that has just come. */
  #goBack(served: ServedNamespace, plan: Plan): void {
    try {
      this.#guard(served, () => served.loop.reload(plan));
    } catch (error) {
      if (!isExpected(error)) throw error;
      this.#close(served);
      this.#fail(served.found, error);
    }
  }

  /** Gives all tables up until the next reload. */
  release(): void {
    for (const served of [...this.#served.values()]) this.#guard(served, () => served.loop.release());
    this.#planComparing();
    this.#take('released');
    this.#options.emit({ event: 'released' });
  }

  /**
   * Answers what is asked about single devices, and does what is asked for them.
   * @throws TapwallError NAMESPACE_NOT_FOUND where what is asked is about a namespace that is not served, ARGUMENT or
   *   DEVICE_NOT_FOUND; nothing was changed then.
   */
  answer(request: AgentRequest): DeviceAnswer[] {
    const answers = this.#asked(request).flatMap((served) => {
      let own: DeviceAnswer[] = [];
      const isServed = this.#guard(served, () => {
        own = served.loop.answer(request);
      });
      if (!isServed && request.namespace !== undefined) throw this.#notServed(request.namespace);
      return this.#isAlone ? own : own.map((answer) => ({ ...answer, namespace: served.found.name }));
    });
    this.#planComparing();
    return answers;
  }

  /** How many devices are in which state, of all namespaces together. */
  census(): CensusLine[] {
    return joinCensuses([...this.#served.values()].map(({ loop }) => loop.census()));
  }

  /** Ends all loops. What filters stays unless `detach` is given. */
  stop(options: { detach: boolean }): void {
    for (const served of this.#served.values()) served.close(options);
    this.#served.clear();
    this.#poller.close();
    const detached = this.#take('stopped').reduce((sum, one) => sum + one.detached, 0);
    this.#options.emit({ event: 'stopped', detached });
  }

  get #patterns(): readonly string[] {
    return this.#plan.namespaces ?? DEFAULT_NAMESPACES;
  }

  get #isAlone(): boolean {
    return isOwnAlone(this.#patterns);
  }

  #asked({ request, namespace }: AgentRequest): ServedNamespace[] {
    const all = [...this.#byId.values()];
    if (namespace === undefined && (this.#isAlone || request === 'devices')) return all;
    const name = namespace ?? OWN_NAMESPACE;
    const one = all.find(({ found }) => found.name === name);
    if (one) return [one];
    if (namespace === undefined) {
      const message = 'this agent serves other network namespaces than its own: say which is meant';
      throw new TapwallError('ARGUMENT', message, {
        hint: 'tapwall status lists them; --namespace names one.',
      });
    }
    throw this.#notServed(name);
  }

  #notServed(name: string): TapwallError {
    const known = [...this.#lookout.failing.values()].find(({ found }) => found.name === name);
    const reason = known ? `: ${known.error.message}` : '';
    const message = `this agent does not serve the network namespace ${name}${reason}`;
    return new TapwallError('NAMESPACE_NOT_FOUND', message);
  }

  /** What has come, by namespace. */
  #sort(tokens: readonly number[]): Map<ServedNamespace, Ready> {
    const sorted = new Map<ServedNamespace, Ready>();
    for (const token of tokens) {
      const { id, ready } = readToken(token);
      const served = this.#byId.get(id);
      if (!served) continue;
      const { links, changes } = sorted.get(served) ?? NOTHING;
      sorted.set(served, { links: links || ready.links, changes: changes || ready.changes });
    }
    return sorted;
  }

  #untilDue(): number {
    return Math.max(0, Math.min(this.#compareDueAt, this.#lookout.dueAt) - this.#now());
  }

  /** Whoever has something to compare; who was compared last is the last to be asked. */
  #firstDue(): ServedNamespace | undefined {
    const now = this.#now();
    for (const [key, served] of this.#served) {
      if (served.loop.dueAt > now) continue;
      this.#served.delete(key);
      this.#served.set(key, served);
      return served;
    }
    return undefined;
  }

  #planComparing(): void {
    this.#compareDueAt = Number.POSITIVE_INFINITY;
    for (const { loop } of this.#served.values()) {
      if (loop.dueAt < this.#compareDueAt) this.#compareDueAt = loop.dueAt;
    }
  }

  /** Looks for what has come and gone. */
  #look(): void {
    const { gone, gaveUp, problems } = this.#lookout.look(this.#patterns, this.#served, this.#isAlone);
    this.#warn(problems);
    for (const key of gone) {
      const served = this.#served.get(key);
      if (!served) continue;
      this.#close(served);
      this.#tellGone(served.found);
    }
    for (const found of gaveUp) this.#tellGone(found);
  }

  /** Looks what there is, and enters it all. @returns how many devices they have together that were entered. */
  #enterAll(): Totals {
    if (!this.#isAlone && !this.#hearsMounts) {
      this.#poller.addMounts(MOUNTS);
      this.#hearsMounts = true;
    }
    this.#look();
    const totals = { devices: 0, attached: 0 };
    for (let next = this.#lookout.next(); next; next = this.#lookout.next()) {
      const { devices, attached } = this.#enter(next);
      totals.devices += devices;
      totals.attached += attached;
    }
    this.#planComparing();
    return totals;
  }

  #enter(found: FoundNamespace): Totals {
    let served: ServedNamespace | undefined;
    const emit = (event: AgentEvent) => this.#hear(found, event);
    try {
      served = new ServedNamespace(withoutWarnings(this.#plan), found, this.#nextId++, this.#serving, emit);
      // Its path means another by now, which the next look finds.
      if (served.inode !== found.inode)
        throw new TapwallError('NAMESPACE_NOT_FOUND', `${found.name} has gone`);
      served.loop.begin();
    } catch (error) {
      served?.close({ detach: false });
      this.#take('stopped');
      if (this.#isAlone || !isExpected(error)) throw error;
      this.#fail(found, error);
      return { devices: 0, attached: 0 };
    }
    this.#lookout.failing.delete(keyOf(found));
    this.#served.set(keyOf(found), served);
    this.#byId.set(served.id, served);
    this.#shareTime();
    const [ready] = this.#take('ready');
    const { devices = 0, attached = 0, microseconds = 0 } = ready ?? {};
    const { name, inode } = found;
    this.#options.onChange?.({ name, inode, path: served.path }, false);
    if (!this.#isAlone) {
      this.#options.emit({ event: 'namespace-ready', namespace: name, devices, attached, microseconds });
    }
    return { devices, attached };
  }

  /**
   * Does something for one namespace, whose trouble is not that of the others.
   * @returns false when it is not served any more.
   */
  #guard(served: ServedNamespace, action: () => void): boolean {
    try {
      action();
    } catch (error) {
      const isTaken = error instanceof TapwallError && error.code === 'OWNED_BY_OTHER';
      if (this.#isAlone || !isTaken) {
        served.watch();
        throw error;
      }
      this.#close(served);
      this.#fail(served.found, error);
      return false;
    }
    served.watch();
    return true;
  }

  #fail(found: FoundNamespace, cause: unknown): void {
    const error = this.#lookout.fail(found, cause);
    if (!error) return;
    const { name, inode } = found;
    this.#options.onChange?.({ name, inode, error }, false);
    this.#options.emit({ event: 'namespace-failed', namespace: name, error });
  }

  #tellGone({ name, inode }: FoundNamespace): void {
    this.#options.onChange?.({ name, inode }, true);
    if (!this.#isAlone) this.#options.emit({ event: 'namespace-gone', namespace: name });
  }

  #close(served: ServedNamespace): void {
    this.#served.delete(keyOf(served.found));
    this.#byId.delete(served.id);
    served.close({ detach: false });
    this.#take('stopped');
    this.#shareTime();
  }

  #shareTime(): void {
    for (const { loop } of this.#served.values()) loop.companions = this.#served.size;
    this.#planComparing();
  }

  #warn(messages: readonly string[]): void {
    for (const message of messages) this.#options.emit({ event: 'warning', message });
  }

  /** What a loop says. What is said once for all is kept. */
  #hear({ name }: FoundNamespace, event: AgentEvent): void {
    if (TOGETHER.has(event.event)) this.#heard.push(event);
    else this.#options.emit(this.#isAlone ? event : { ...event, namespace: name });
  }

  /** What was kept of one kind; the rest is forgotten. */
  #take<Name extends AgentEvent['event']>(name: Name): (AgentEvent & { event: Name })[] {
    const heard = this.#heard.splice(0);
    return heard.filter((event): event is AgentEvent & { event: Name } => event.event === name);
  }
}

function withoutWarnings(plan: Plan): Plan {
  return { ...plan, warnings: [] };
}

function microsecondsSince(begun: bigint): number {
  return Number((process.hrtime.bigint() - begun) / 1000n);
}
