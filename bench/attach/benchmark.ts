import { hrtime } from 'node:process';
import type { Plan } from '#src/agent/plan.js';
import type { Placement } from '#src/config/configuration.js';
import { linuxKernel } from '#src/kernel/linux.js';
import type { Contender } from '../contender.js';
import { Field as SharedField } from '../flat/field.js';
import { closePair, type Pair, startPair } from '../flat/pair.js';
import { compilePolicy } from '../flat/policy.js';
import { showProgress } from '../progress.js';
import { type Random, shuffle } from '../random.js';
import { quantile } from '../statistics.js';
import { compileProgram, startEntrants } from './entrants.js';
import { Field } from './field.js';

/** How often a contender attaches at each size. */
interface Effort {
  /** What is not counted, first. */
  warmUp: number;
  fewest: number;
  most: number;
  /** Between the two, as often as fits into so many milliseconds. */
  budgetMs: number;
}

/**
 * In turns. tapwall and the floor, which take microseconds, are measured equally often, and many times in a row: a turn
 * of one alone would measure how cold the others have left the processor’s caches. `flat` has that as well.
 */
const ROW = 20;
const FULL = {
  fast: { warmUp: 50, fewest: 50, most: 50, budgetMs: 0 },
  slow: { warmUp: 1, fewest: 5, most: 200, budgetMs: 8_000 },
};
const QUICK = {
  fast: { warmUp: 30, fewest: 15, most: 15, budgetMs: 0 },
  slow: { warmUp: 1, fewest: 3, most: 20, budgetMs: 250 },
};
/** Those that read the whole ruleset take seconds each beyond: 4,000 would take an hour. */
const MOST_FOR_SLOW = { full: 1_000, quick: 100 };

export interface AttachOptions {
  /** How many devices are filtered already; each once, upwards. */
  sizes: readonly number[];
  quick: boolean;
  /** Whether nft is installed. */
  nft: boolean;
  /** For files that the contenders read. */
  folder: string;
  random: Random;
}

/** One attachment and its end, in nanoseconds. */
interface Pass {
  attach: number;
  detach: number;
}

/** A contender that is measured. */
interface Turn {
  name: string;
  title: string;
  isSlow: boolean;
  measure(): Promise<Pass[]>;
}

/** What one contender needed at one size. */
export interface Measurement {
  contender: string;
  title: string;
  /** How many were measured in a row. */
  row: number;
  /** Nanoseconds, in the order in which they were measured. */
  attach: number[];
  detach: number[];
}

export interface SizeResult {
  devices: number;
  measurements: Measurement[];
}

function turnOf(name: string, title: string, isSlow: boolean, contender: Contender): Turn {
  return {
    name,
    title,
    isSlow,
    measure: async () => {
      const { attach, detach } = await contender.pairs(isSlow ? 1 : ROW);
      return attach.map((nanoseconds, at) => ({ attach: nanoseconds, detach: detach[at] ?? Number.NaN }));
    },
  };
}

/** Those that make the device a member of a policy which it shares. */
function sharedTurns(placement: Placement, { tapwall, floor }: Pair): Turn[] {
  return [
    turnOf(placement, `tapwall, ${placement}`, false, tapwall),
    turnOf(`${placement}-floor`, `C, the same bytes, ${placement}`, false, floor),
  ];
}

/** Warms a contender up, and finds out how often it can be measured. */
async function planCount({ measure }: Turn, effort: Effort): Promise<number> {
  const turns: number[] = [];
  for (let turn = 0; turn < effort.warmUp; turn++) {
    const start = hrtime.bigint();
    await measure();
    turns.push(Number(hrtime.bigint() - start) / 1e6);
  }
  const affordable = Math.floor(effort.budgetMs / quantile(turns, 0.5));
  return Math.min(effort.most, Math.max(effort.fewest, affordable));
}

/** Whether a contender that is measured `count` times in so many rounds is in this one: its turns are spread evenly. */
function takesPart(count: number, round: number, rounds: number): boolean {
  return Math.floor(((round + 1) * count) / rounds) > Math.floor((round * count) / rounds);
}

async function measureSize(
  devices: number,
  all: readonly Turn[],
  { quick, random }: AttachOptions,
): Promise<SizeResult> {
  const most = quick ? MOST_FOR_SLOW.quick : MOST_FOR_SLOW.full;
  const turns = all.filter(({ isSlow }) => !isSlow || devices <= most);
  const efforts = quick ? QUICK : FULL;
  const counts = new Map<Turn, number>();
  for (const turn of turns) {
    showProgress(`${devices} devices, warming up ${turn.title}`);
    counts.set(turn, await planCount(turn, turn.isSlow ? efforts.slow : efforts.fast));
  }
  const passes = new Map<Turn, Pass[]>(turns.map((turn) => [turn, []]));
  const rounds = Math.max(...counts.values());
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) showProgress(`${devices} devices, round ${round} of ${rounds}`);
    // In another order each time: what one leaves behind (cold caches, work that the kernel puts off) meets all alike.
    for (const turn of shuffle(turns, random)) {
      if (!takesPart(counts.get(turn) ?? 0, round, rounds)) continue;
      passes.get(turn)?.push(...(await turn.measure()));
    }
  }
  const measurements = turns.map((turn): Measurement => {
    const own = passes.get(turn) ?? [];
    const [attach, detach] = [own.map((pass) => pass.attach), own.map((pass) => pass.detach)];
    const row = turn.isSlow ? 1 : ROW;
    return { contender: turn.name, title: turn.title, row, attach, detach };
  });
  return { devices, measurements };
}

const SHARED: readonly Placement[] = ['prefix', 'names'];

/** Measures one size, with hosts beside that have as many devices which share a policy. */
async function measureBeside(
  devices: number,
  turns: readonly Turn[],
  compiled: Plan,
  options: AttachOptions,
): Promise<SizeResult> {
  const fields: SharedField[] = [];
  const pairs: Pair[] = [];
  try {
    const shared: Turn[] = [];
    for (const placement of SHARED) {
      showProgress(`${devices} devices, making them for ${placement}`);
      const field = new SharedField(linuxKernel(), devices);
      fields.push(field);
      const plan = field.planFor(compiled, placement);
      field.startAgent(plan);
      const [probe] = field.links;
      const pair = await startPair(field, plan, options.folder, probe ? [probe.index] : []);
      pairs.push(pair);
      shared.push(...sharedTurns(placement, pair));
    }
    return await measureSize(devices, [...turns, ...shared], options);
  } finally {
    for (const pair of pairs) closePair(pair);
    for (const field of fields) field.close();
  }
}

/** Attaches one more device to so many that are filtered, in every way there is. */
export async function runAttach(options: AttachOptions): Promise<SizeResult[]> {
  const program = await compileProgram();
  const compiled = await compilePolicy();
  const field = new Field(linuxKernel(), program);
  let contenders: Contender[] = [];
  try {
    const started = await startEntrants(field, program, options);
    contenders = started.map(([, contender]) => contender);
    const turns = started.map(([{ name, title }, contender]) => {
      const isSlow = !(name.startsWith('tapwall') || name === 'floor');
      return turnOf(name, title, isSlow, contender);
    });
    const results: SizeResult[] = [];
    for (const devices of options.sizes) {
      showProgress(`${devices} devices, making them`);
      field.growTo(devices);
      results.push(await measureBeside(devices, turns, compiled, options));
    }
    return results;
  } finally {
    for (const contender of contenders) contender.close();
    field.close();
  }
}
