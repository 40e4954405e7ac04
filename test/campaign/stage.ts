import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '#src/demo/lab.js';
import { TapwallError } from '#src/error.js';
import { NamedNamespaces } from '../support/named-namespaces.js';
import { AgentProcess } from './agent-process.js';
import type { Chance } from './chance.js';
import { endpointOf, type Guest, Guests, isCovered, isHookedInAdvance } from './guests.js';
import { Judge, knownIn } from './judge.js';
import type { RulesPool } from './pool.js';
import { filesOf, POLICIES, type Rules, verdictOf } from './rules.js';
import { Traffic } from './traffic.js';
import { type Class, WAYS, WINDOWS, type Window } from './traffic-board.js';

/** Within this time all must be as it should be again, whatever happened: many times what it takes. */
const BOUND_MS = 60_000;
const POLL_MS = 2;

/** What the campaign was to show does not hold. */
export class Finding extends Error {
  override readonly name = 'Finding';
}

/** What a stage is opened with. */
export interface StageParts {
  chance: Chance;
  pool: RulesPool;
  folder: string;
  /** At first. */
  rules: Rules;
  /** Other namespaces that the same agent serves. */
  others: readonly Lab[];
}

/** What the namespaces that one agent serves have in common. */
interface Common {
  readonly agent: AgentProcess;
  readonly names: NamedNamespaces;
  readonly stages: Stage[];
  rules: Rules;
  judge: Judge;
  /** Whether the agent has given its tables up. */
  isReleased: boolean;
  step: number;
}

/**
 * A host, or one of several namespaces of it: guests, frames that are sent without a pause, the agent, which is that of
 * all of them, and what all of it should come to.
 */
export class Stage {
  readonly lab: Lab;
  readonly chance: Chance;
  readonly pool: RulesPool;
  readonly guests: Guests;
  readonly traffic: Traffic;
  readonly #common: Common;
  /** What its name in the agent's folder of namespaces is; undefined for the agent's own. */
  readonly #entry: string | undefined;
  /** Whether somebody has changed the tables since all was last as it should be. */
  isChanged = false;
  /** Whether the agent is to serve it. */
  isServed = true;

  private constructor(lab: Lab, { chance, pool }: StageParts, common: Common) {
    this.lab = lab;
    this.chance = chance;
    this.pool = pool;
    this.#common = common;
    const { stages, names } = common;
    this.#entry = stages.length === 0 ? undefined : `n${stages.length}`;
    if (this.#entry !== undefined) names.add(this.#entry, lab.host.namespace);
    stages.push(this);
    this.guests = new Guests(lab);
    this.traffic = new Traffic(lab.world());
  }

  /** An agent on a host without a guest. */
  static async open(lab: Lab, parts: StageParts): Promise<Stage> {
    const { rules, folder, others } = parts;
    const judge = await Judge.of(rules, 1 + others.length);
    const agent = new AgentProcess(lab, folder);
    const names = new NamedNamespaces();
    const common: Common = { agent, names, stages: [], rules, judge, isReleased: false, step: 0 };
    const stage = new Stage(lab, parts, common);
    for (const other of others) new Stage(other, parts, common);
    stage.agent.write(stage.files());
    stage.agent.spawn();
    await stage.agent.ready();
    return stage;
  }

  async close(): Promise<void> {
    const { stages, names } = this.#common;
    for (const { traffic } of stages) await traffic.close();
    await this.agent.kill();
    for (const { guests } of stages) guests.close();
    names.close();
  }

  get agent(): AgentProcess {
    return this.#common.agent;
  }

  get rules(): Rules {
    return this.#common.rules;
  }

  get isReleased(): boolean {
    return this.#common.isReleased;
  }

  set isReleased(isReleased: boolean) {
    this.#common.isReleased = isReleased;
  }

  get step(): number {
    return this.#common.step;
  }

  set step(step: number) {
    this.#common.step = step;
  }

  /** All namespaces of the agent's, whether it serves them or not. */
  get all(): readonly Stage[] {
    return this.#common.stages;
  }

  /** One that the agent serves; its own is always. */
  get any(): Stage {
    return this.chance.of(this.all.filter(({ isServed }) => isServed));
  }

  /** What the rules in force were read from. */
  files(): Record<string, string> {
    const { stages, names, rules } = this.#common;
    const files = filesOf(rules);
    if (stages.length === 1) return files;
    return { ...files, 'tapwall.yaml': `namespaces: [self, "${names.glob}"]\n${files['tapwall.yaml']}` };
  }

  /** Whether nobody but the agent can change the tables now. */
  get isOwned(): boolean {
    return this.rules.owner && !this.isReleased && this.agent.isRunning && this.isServed;
  }

  /** From now on frames may pass a guest that otherwise must not, until all is as it should be again. */
  async openWindow(guest: Guest, window: Window): Promise<void> {
    this.traffic.board.setWindow(guest.slot, 'forbidden', WINDOWS.indexOf(window));
    this.traffic.board.setWindow(guest.slot, 'others', 1);
    await this.traffic.arrived();
  }

  /** From now on frames may pass a guest that some policies let pass. */
  async expectMore(guest: Guest): Promise<void> {
    this.traffic.board.setWindow(guest.slot, 'others', 1);
    await this.traffic.arrived();
  }

  /** Remembers what a guest may have been given. To be called whenever it or the rules may have become others. */
  note(guest: Guest): void {
    const policy = verdictOf(this.rules, guest)?.policy;
    if (policy !== undefined && POLICIES[policy].file) guest.mayHaveTables = true;
  }

  /** What is so of a guest from the first moment on, when it has got a name or came back. */
  closeIfHooked(guest: Guest): void {
    const { board } = this.traffic;
    if (this.isChanged || guest.isElsewhere || !isHookedInAdvance(this.rules, guest.name)) return;
    // Its own tables may hook another name, and whatever admitted it may still do.
    if (guest.mayHaveTables) return;
    board.setWindow(guest.slot, 'forbidden', 0);
  }

  /** Has frames sent to and from a guest that was just made. */
  serve(guest: Guest): void {
    const { board } = this.traffic;
    const isClosed = !this.isChanged && isHookedInAdvance(this.rules, guest.name);
    const window: Window = this.isChanged ? 'changed by others' : 'no hook in advance';
    board.setWindow(guest.slot, 'forbidden', isClosed ? 0 : WINDOWS.indexOf(window));
    board.setWindow(guest.slot, 'others', isClosed && !verdictOf(this.rules, guest) ? 0 : 1);
    this.note(guest);
    this.traffic.serve(endpointOf(guest));
  }

  /** Puts other rules into the files; the agent does not know of them yet. */
  async useRules(rules: Rules): Promise<void> {
    const judge = await Judge.of(rules, this.all.length);
    for (const { guests, traffic } of this.all) {
      for (const guest of guests.all) traffic.board.setWindow(guest.slot, 'others', 1);
      await traffic.arrived();
    }
    this.#common.rules = rules;
    this.#common.judge = judge;
    for (const stage of this.all) for (const guest of stage.guests.all) stage.note(guest);
    this.agent.write(this.files());
  }

  /** The agent is to serve it no more; what filters there stays. */
  goAway(): void {
    if (this.#entry === undefined) throw new Error("the agent's own namespace is always there");
    this.#common.names.remove(this.#entry);
    this.isServed = false;
  }

  /** It's there again, under the same name. */
  comeBack(): void {
    if (this.#entry === undefined) throw new Error("the agent's own namespace is always there");
    this.#recognise();
    this.#common.names.add(this.#entry, this.lab.host.namespace);
    this.isServed = true;
  }

  /** Starts the agent again, from nothing but what the kernel holds. */
  startAgent(): void {
    for (const stage of this.all) if (stage.isServed) stage.#recognise();
    this.isReleased = false;
    this.agent.spawn();
  }

  /** The agent is to see all of it for the first time. */
  #recognise(): void {
    const known = knownIn(this.lab.host.namespace);
    for (const guest of this.guests.all) {
      // What MAC it was first seen with is written where it is admitted and in its own tables, and nowhere else.
      if (guest.isElsewhere || known.has(guest.index)) continue;
      guest.macId = macIdOf(guest);
      this.traffic.serve(endpointOf(guest));
    }
  }

  /**
   * Waits until all is as it should be, and sees that it stays so.
   * @returns after how many milliseconds it was.
   * @throws Finding
   */
  async settle(): Promise<number> {
    const start = performance.now();
    let wrong: string[] = [];
    for (;;) {
      if (!this.agent.isRunning) throw new Finding('the agent has ended');
      const served = this.all.filter(({ isServed }) => isServed);
      wrong = served.flatMap((stage) => stage.#judged());
      for (const stage of served) if (wrong.length === 0) wrong = await stage.#checkFrames();
      if (wrong.length === 0) break;
      if (performance.now() - start > BOUND_MS) {
        throw new Finding(`it is not as it should be after ${BOUND_MS} ms:\n  ${wrong.join('\n  ')}`);
      }
      await sleep(POLL_MS);
    }
    const took = performance.now() - start;
    for (const stage of this.all) {
      if (stage.isServed) stage.#closeWindows();
      await stage.traffic.arrived();
    }
    this.checkLeaks();
    return took;
  }

  #judged(): string[] {
    try {
      return this.#common.judge.check(this.lab.host.namespace, this.guests.all);
    } catch (error) {
      // What was listed a moment ago may be gone.
      if (error instanceof TapwallError) return [error.message];
      throw error;
    }
  }

  /** @throws Finding for a frame that passed and had no window to. */
  checkLeaks(): void {
    for (const stage of this.all) stage.#checkOwnLeaks();
  }

  #checkOwnLeaks(): void {
    const leaks = this.traffic.leaks();
    if (leaks.length === 0) return;
    const words = leaks.slice(0, 10).map(({ slot, class: kind, way, epoch }) => {
      const name = this.guests.all.find((guest) => guest.slot === slot)?.name ?? `slot ${slot}`;
      return `${kind} frame, ${way}, ${name}, sent in epoch ${epoch} of ${this.traffic.board.epoch}`;
    });
    throw new Finding(`${leaks.length} frames passed that must not:\n  ${words.join('\n  ')}`);
  }

  /** What should pass passes, and what should not does not: frames of an epoch of its own. */
  async #checkFrames(): Promise<string[]> {
    const epoch = this.traffic.board.nextEpoch();
    await this.traffic.arrived();
    const wrong: string[] = [];
    for (const guest of this.guests.all) {
      if (!isCovered(guest)) continue;
      const policy = verdictOf(this.rules, guest)?.policy;
      const wanted: Record<Class, boolean> = {
        forbidden: false,
        disputed: policy !== undefined && POLICIES[policy].disputed,
        allowed: policy !== undefined,
      };
      for (const [kind, passes] of Object.entries(wanted) as [Class, boolean][]) {
        for (const way of WAYS) {
          if (this.traffic.hasPassed(guest.slot, kind, way, epoch) === passes) continue;
          wrong.push(`${guest.name}: no ${kind} frame ${passes ? 'passes' : 'must pass'}, ${way}`);
        }
      }
    }
    return wrong;
  }

  #closeWindows(): void {
    const { board } = this.traffic;
    this.isChanged = false;
    for (const guest of this.guests.all) {
      const verdict = verdictOf(this.rules, guest);
      guest.lastPolicy = isCovered(guest) ? verdict?.policy : undefined;
      guest.mayHaveTables = guest.lastPolicy !== undefined && POLICIES[guest.lastPolicy].file;
      if (!isCovered(guest)) continue;
      board.setWindow(guest.slot, 'forbidden', 0);
      board.setWindow(guest.slot, 'others', verdict ? 1 : 0);
    }
  }
}

function macIdOf({ mac }: Guest): number | undefined {
  const id = /^52:54:00:cc:00:0([0-9])$/.exec(mac)?.[1];
  return id === undefined ? undefined : Number(id);
}
