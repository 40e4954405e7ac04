/**
 * Random steps over guests, configurations, other programs and the agent itself, while frames are sent without a pause
 * that must never pass. After each step nothing has passed that must not, what should pass passes within a bound, and
 * the kernel holds what it should and nothing else. A seed repeats the steps, though not their moments.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Placement } from '#src/config/configuration.js';
import { PLACEMENTS, withFiles } from '../support/agent.js';
import { withLabs } from '../support/host.js';
import { type Injection, Injector } from './agent-process.js';
import { Chance } from './chance.js';
import {
  CONFIGURATION_DEEDS,
  CONFIGURATION_WEIGHTS,
  changeRules,
  DEVICE_DEEDS,
  DEVICE_WEIGHTS,
  foreignDeed,
  namespaceDeed,
  spin,
} from './deeds.js';
import { RulesPool } from './pool.js';
import { Finding, Stage } from './stage.js';
import { Tally } from './tally.js';
import { WINDOWS } from './traffic-board.js';

/** Each on a host of its own, under the next placement. */
export const STEPS_ON_ONE_HOST = 100;
/** Steps of which the log is shown with a finding. */
const SHOWN_STEPS = 12;
const SHOWN_EVENTS = 30;
const LONGEST_EVENT = 300;
const MOST_MICROSECONDS = 3_000;
const MOST_START_MS = 1_000;
/** Where an agent serves several namespaces, one step in so many is about one that comes or goes. */
const ONE_OF_NAMESPACES = 8;
/** One host in so many has several. */
const ONE_OF_SEVERAL = 4;
const MOST_OTHERS = 2;
/** How often a start is killed in a row. */
const MOST_KILLED_STARTS = 2;

export interface CampaignOptions {
  seed: number;
  steps: number;
  /** All of them, one after the other, unless given. */
  placement?: Placement | undefined;
  /** {@link STEPS_ON_ONE_HOST} unless given. */
  stepsOnOneHost?: number;
  /** Ends the campaign after the step that is being taken. */
  signal?: AbortSignal;
  say?: (line: string) => void;
}

type Mode = 'namespace' | 'plain' | 'foreign' | 'killed' | 'killed while it starts' | 'stopped' | 'injected';
const MODES: Readonly<Record<Exclude<Mode, 'namespace'>, number>> = {
  plain: 50,
  foreign: 15,
  killed: 10,
  'killed while it starts': 3,
  stopped: 8,
  injected: 14,
};

/** How system calls fail; of which some only happen where memory runs out. */
const INJECTIONS: Readonly<Record<string, readonly string[]>> = {
  sendto: ['error=ENOBUFS', 'error=EINTR', 'error=ENOMEM', 'error=EPERM', 'error=EAGAIN'],
  recvmsg: ['error=ENOBUFS', 'error=EINTR', 'error=ENOMEM', 'retval=0', 'retval=7', 'retval=20'],
  poll: ['error=EINTR', 'error=ENOMEM'],
  socket: ['error=EMFILE', 'error=ENFILE', 'error=ENOMEM'],
  setsockopt: ['error=ENOBUFS', 'error=ENOMEM', 'error=EPERM'],
  clone3: ['error=EAGAIN', 'error=ENOMEM'],
};

class Campaign {
  readonly #options: CampaignOptions;
  readonly #chance: Chance;
  readonly #pool: RulesPool;
  readonly tally = new Tally();
  readonly #start = performance.now();
  readonly #log: string[] = [];

  constructor(options: CampaignOptions) {
    this.#options = options;
    this.#chance = new Chance(options.seed);
    this.#pool = new RulesPool(options.seed);
  }

  async run(): Promise<Tally> {
    const { steps, placement, signal } = this.#options;
    for (let host = 0; this.tally.steps < steps && !signal?.aborted; host++) {
      const rules = this.#pool.draw(
        this.#chance,
        placement ?? PLACEMENTS[host % PLACEMENTS.length] ?? 'names',
        !this.#chance.oneIn(2),
      );
      const others = this.#chance.oneIn(ONE_OF_SEVERAL) ? 1 + this.#chance.below(MOST_OTHERS) : 0;
      const words = `host ${host}: placement ${rules.placement}, owner ${rules.owner}, ${1 + others} namespaces`;
      this.#options.say?.(
        `${words}, step ${this.tally.steps}, after ${this.#seconds()} s and ${this.tally.framesSent} frames`,
      );
      this.#log.splice(0, this.#log.length, words);
      await withLabs(1 + others, ([lab, ...more]) =>
        withFiles({}, async (folder) => {
          const parts = { chance: this.#chance, pool: this.#pool, folder, rules, others: more };
          const stage = await Stage.open(lab, parts);
          try {
            await this.#onHost(stage);
          } finally {
            await stage.close();
          }
        }),
      );
    }
    return this.tally;
  }

  #seconds(): string {
    return ((performance.now() - this.#start) / 1_000).toFixed(0);
  }

  async #onHost(stage: Stage): Promise<void> {
    try {
      const { steps, stepsOnOneHost = STEPS_ON_ONE_HOST, signal } = this.#options;
      for (let step = 0; step < stepsOnOneHost && this.tally.steps < steps; step++) {
        if (signal?.aborted) break;
        stage.step = this.tally.steps;
        await this.#step(stage);
        this.tally.steps++;
      }
    } catch (error) {
      throw this.#describe(error, stage);
    }
    for (const { traffic } of stage.all) {
      this.tally.framesSent += traffic.board.sent;
      for (const window of WINDOWS.keys()) this.tally.passed(window, traffic.board.passedIn(window));
    }
  }

  async #step(stage: Stage): Promise<void> {
    const isOfNamespaces = stage.all.length > 1 && this.#chance.oneIn(ONE_OF_NAMESPACES);
    const mode = isOfNamespaces ? 'namespace' : this.#chance.weighted(MODES);
    this.#log.push(`step ${stage.step}, ${mode}`);
    const repairs = stage.agent.count('repaired');
    await this.#do(mode, stage);
    stage.checkLeaks();
    const took = await stage.settle();
    this.tally.count(mode);
    this.tally.settled(mode, took);
    this.tally.agentRepairs += Math.max(0, stage.agent.count('repaired') - repairs);
  }

  async #do(mode: Mode, stage: Stage): Promise<void> {
    const { agent } = stage;
    const chance = this.#chance;
    if (mode === 'namespace') {
      if (chance.oneIn(2)) await this.#device(stage);
      this.#note(await namespaceDeed(stage));
      if (chance.oneIn(2)) await this.#deviceOrForeign(stage);
    } else if (mode === 'plain') {
      await this.#several(1 + chance.below(3), () => this.#deviceOrConfiguration(stage));
    } else if (mode === 'foreign') {
      await this.#several(1 + chance.below(2), () => this.#foreign(stage));
      if (chance.oneIn(3)) await this.#device(stage);
    } else if (mode === 'killed') {
      await this.#several(chance.below(2), () => this.#device(stage));
      if (chance.oneIn(4)) {
        this.#note(await changeRules(stage));
        agent.signal('SIGHUP');
        // A reload takes half a second, mostly to compile.
        await sleep(chance.below(400));
      }
      await this.#killAndStart(stage, chance.below(MOST_MICROSECONDS));
      await agent.ready();
    } else if (mode === 'killed while it starts') {
      await this.#killAndStart(stage, 0);
      await this.#several(1 + chance.below(MOST_KILLED_STARTS), async () => {
        const milliseconds = chance.below(MOST_START_MS);
        await sleep(milliseconds);
        await this.#killAndStart(stage, chance.below(MOST_MICROSECONDS));
        this.#note(`(after ${milliseconds} ms)`);
      });
      await agent.ready();
    } else if (mode === 'stopped') {
      agent.signal('SIGSTOP');
      await this.#several(1 + chance.below(4), () => this.#deviceOrForeign(stage));
      agent.signal('SIGCONT');
    } else {
      await this.#inject(stage);
    }
  }

  /** Kills the agent so many microseconds from now, and does something while there is none. */
  async #killAndStart(stage: Stage, microseconds: number): Promise<void> {
    spin(microseconds);
    await stage.agent.kill();
    this.#note(`SIGKILL after ${microseconds} µs`);
    await this.#several(this.#chance.below(3), () => this.#deviceOrForeign(stage));
    stage.startAgent();
    this.#note('start');
  }

  async #inject(stage: Stage): Promise<void> {
    const chance = this.#chance;
    const call = chance.of(Object.keys(INJECTIONS));
    const outcome = chance.of(INJECTIONS[call] ?? []);
    const first = 1 + chance.below(6);
    const when = chance.of([`${first}`, `${first}..${first + 2}`, `${first}+3`, `${first}+`]);
    const injection: Injection = { call, outcome, when };
    const injector = await Injector.attach(stage.agent.pid, injection);
    this.#note(`${call}:${outcome}:when=${when}`);
    this.tally.count(`${call} ${outcome}`);
    const reloads = chance.oneIn(4);
    try {
      await this.#several(1 + chance.below(2), () => this.#deviceOrForeign(stage));
      if (reloads) {
        this.#note(await changeRules(stage));
        stage.agent.signal('SIGHUP');
      }
      await sleep(chance.below(reloads ? 800 : 60));
    } finally {
      await injector.detach();
    }
    if (!stage.agent.isRunning) throw new Finding('the agent has ended');
    // Whether it was refused or taken, the next is taken; from all else the agent has to recover by itself.
    if (reloads) this.#note(await CONFIGURATION_DEEDS['reload after']?.(stage));
  }

  async #deviceOrConfiguration(stage: Stage): Promise<void> {
    if (!this.#chance.oneIn(6)) return await this.#device(stage);
    const kind = this.#chance.weighted(CONFIGURATION_WEIGHTS);
    this.tally.count(kind);
    this.#note(await CONFIGURATION_DEEDS[kind]?.(stage));
  }

  async #deviceOrForeign(stage: Stage): Promise<void> {
    await (this.#chance.oneIn(4) ? this.#foreign(stage) : this.#device(stage));
  }

  async #device(stage: Stage): Promise<void> {
    const kind = this.#chance.weighted(DEVICE_WEIGHTS);
    const words = await DEVICE_DEEDS[kind]?.(stage.any);
    if (words !== undefined) this.tally.count(kind);
    this.#note(words);
  }

  async #foreign(stage: Stage): Promise<void> {
    this.tally.count('nft');
    this.#note(await foreignDeed(stage.any));
  }

  async #several(times: number, action: () => Promise<void>): Promise<void> {
    for (let time = 0; time < times; time++) await action();
  }

  #note(words: string | undefined): void {
    if (words === undefined) return;
    const last = this.#log.length - 1;
    this.#log[last] = `${this.#log[last]}; ${words}`;
  }

  #describe(cause: unknown, { agent }: Stage): Error {
    const { seed, placement, stepsOnOneHost = STEPS_ON_ONE_HOST } = this.#options;
    const words = cause instanceof Error ? cause.message : String(cause);
    const replay =
      `npm run campaign -- --seed ${seed} --steps ${this.tally.steps + 1}` +
      `${stepsOnOneHost === STEPS_ON_ONE_HOST ? '' : ` --host-steps ${stepsOnOneHost}`}`;
    const events = [...agent.recent, ...agent.events]
      .map((event) => JSON.stringify(event).slice(0, LONGEST_EVENT))
      // What there is to say of random rules.
      .filter((event) => !/"warning".*tapwall\.yaml/.test(event))
      .slice(-SHOWN_EVENTS);
    const steps = [this.#log[0] ?? '', ...this.#log.slice(1).slice(-SHOWN_STEPS)];
    return new Error(
      [
        words,
        ...steps,
        'the last events of the agent:',
        ...events,
        `to repeat it: ${replay}${placement ? ` --placement ${placement}` : ''}`,
      ].join('\n'),
      { cause },
    );
  }
}

/** @throws Error with the last steps, and how to repeat them, as soon as something does not hold. */
export function runCampaign(options: CampaignOptions): Promise<Tally> {
  return new Campaign(options).run();
}
