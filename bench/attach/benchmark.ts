import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hrtime } from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Plan } from '#src/agent/plan.js';
import { Compiler } from '#src/compiler/compiler.js';
import { LEGACY_FILE } from '#src/demo/scenario.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { attachBatch } from '#src/program/attach.js';
import { deviceTableName } from '#src/program/name.js';
import type { Program } from '#src/program/program.js';
import { Contender, type ContenderOptions } from '../contender.js';
import { Field as SharedField } from '../flat/field.js';
import { closePair, type Pair, startPair } from '../flat/pair.js';
import { compilePolicy } from '../flat/policy.js';
import { showProgress } from '../progress.js';
import { type Random, shuffle } from '../random.js';
import { quantile } from '../statistics.js';
import { Field } from './field.js';
import { writeTask } from './task.js';

/** The last two give the device a policy that it shares; all others give it a table of its own. */
export type ContenderName = 'nft' | 'libnftables' | 'tapwall' | 'floor' | 'shared' | 'sharedFloor';

/** How often a contender attaches at each size. */
interface Effort {
  /** What is not counted, first. */
  warmUp: number;
  fewest: number;
  most: number;
  /** Between the two, as often as fits into so many milliseconds. */
  budgetMs: number;
}

/** tapwall and the floor are measured equally often; both are warm after so many attaches. */
const FULL: Record<ContenderName, Effort> = {
  nft: { warmUp: 2, fewest: 20, most: 300, budgetMs: 14_000 },
  libnftables: { warmUp: 2, fewest: 20, most: 300, budgetMs: 8_000 },
  tapwall: { warmUp: 500, fewest: 1_000, most: 1_000, budgetMs: 0 },
  floor: { warmUp: 500, fewest: 1_000, most: 1_000, budgetMs: 0 },
  shared: { warmUp: 500, fewest: 1_000, most: 1_000, budgetMs: 0 },
  sharedFloor: { warmUp: 500, fewest: 1_000, most: 1_000, budgetMs: 0 },
};

const QUICK: Record<ContenderName, Effort> = {
  nft: { warmUp: 1, fewest: 5, most: 50, budgetMs: 1_500 },
  libnftables: { warmUp: 1, fewest: 10, most: 100, budgetMs: 1_000 },
  tapwall: { warmUp: 300, fewest: 200, most: 200, budgetMs: 0 },
  floor: { warmUp: 300, fewest: 200, most: 200, budgetMs: 0 },
  shared: { warmUp: 300, fewest: 200, most: 200, budgetMs: 0 },
  sharedFloor: { warmUp: 300, fewest: 200, most: 200, budgetMs: 0 },
};

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

/** A contender, and what it does. */
interface Entrant extends ContenderOptions {
  /** The kernel's name of the table that it makes. */
  table: string;
}

/** A contender that is measured. */
interface Turn {
  contender: Contender;
  /** Attaches, and takes the attachment away again; gives nanoseconds of the former. */
  measure(): Promise<number>;
}

/** What one contender needed at one size. */
export interface Measurement {
  contender: ContenderName;
  title: string;
  /** Nanoseconds, in the order in which they were measured. */
  samples: number[];
}

export interface SizeResult {
  devices: number;
  measurements: Measurement[];
}

const TITLES: Record<ContenderName, string> = {
  nft: 'nft -f, spawned from Node',
  libnftables: 'libnftables in the process',
  tapwall: 'tapwall',
  floor: 'C, the same bytes',
  shared: 'tapwall, shared policy',
  sharedFloor: 'C, the same bytes, shared policy',
};

const RUNNER = fileURLToPath(new URL('./runner.js', import.meta.url));
const FLOOR = fileURLToPath(new URL('../floor', import.meta.url));

async function compileProgram(): Promise<Program> {
  const compiler = new Compiler();
  try {
    const { program } = await compiler.compile({
      name: 'legacy',
      file: 'filtermacvtap.nft',
      text: LEGACY_FILE,
      directory: undefined,
      variables: {},
    });
    return program;
  } finally {
    compiler.close();
  }
}

/**
 * The contenders, with their files written. nft and libnftables get the policy in a table of its own name, as every
 * device must have one: under the file's own, a device's attachment would delete that of the one before.
 */
function listContenders(
  field: Field,
  program: Program,
  { folder, nft }: AttachOptions,
): Map<ContenderName, Entrant> {
  const task = (contender: string): string => {
    const policyFile = join(folder, `${contender}.nft`);
    const taskFile = join(folder, `${contender}.task`);
    writeFileSync(policyFile, LEGACY_FILE.replaceAll('filtermacvtap', `filtermacvtap_${contender}`));
    writeTask(taskFile, { probe: field.probe, program, policyFile });
    return taskFile;
  };
  const runner = (contender: string) => [RUNNER, contender, field.namespacePath, task(contender)];
  const batchFile = join(folder, 'floor.batch');
  writeFileSync(batchFile, attachBatch(program, field.probe, 1).bytes);
  const table = deviceTableName(field.probe.index, program.tables[0] ?? '');
  const contenders = new Map<ContenderName, Entrant>();
  if (nft) {
    contenders.set('nft', {
      title: TITLES.nft,
      // nsenter is in the namespace before anything is measured, and is Node from then on.
      command: 'nsenter',
      args: [`--net=${field.namespacePath}`, process.execPath, ...runner('nft')],
      table: 'filtermacvtap_nft',
    });
  }
  contenders.set('libnftables', {
    title: TITLES.libnftables,
    command: process.execPath,
    args: runner('libnftables'),
    table: 'filtermacvtap_libnftables',
  });
  contenders.set('tapwall', {
    title: TITLES.tapwall,
    command: process.execPath,
    args: runner('tapwall'),
    table,
  });
  contenders.set('floor', {
    title: TITLES.floor,
    command: FLOOR,
    args: [field.namespacePath, batchFile],
    table,
  });
  return contenders;
}

/** @throws Error when a contender's table does not filter as tapwall's does: it would not be the same work. */
async function checkSameWork(
  field: Field,
  entrants: ReadonlyMap<ContenderName, Entrant>,
  contenders: ReadonlyMap<ContenderName, Contender>,
): Promise<void> {
  const made = new Map<ContenderName, string>();
  for (const [name, { table }] of entrants) {
    await contenders.get(name)?.attach();
    made.set(name, field.readTable(table));
    field.removeTable(table);
  }
  const expected = made.get('tapwall');
  for (const [name, text] of made) {
    if (text === '' || text !== expected) {
      throw new Error(
        `${name} has not made the same chains and rules as tapwall:\n${text}\ninstead of\n${expected}`,
      );
    }
  }
}

/** Those that give the device a table of its own, which the field takes away again. */
function turnsWithTables(
  field: Field,
  entrants: ReadonlyMap<ContenderName, Entrant>,
  contenders: ReadonlyMap<ContenderName, Contender>,
): [ContenderName, Turn][] {
  return [...contenders].map(([name, contender]) => {
    const measure = async () => {
      const nanoseconds = await contender.attach();
      field.removeTable(entrants.get(name)?.table ?? '');
      return nanoseconds;
    };
    return [name, { contender, measure }];
  });
}

/** Those that make the device a member of a policy, and take it out themselves. */
function turnsWithElements({ tapwall, floor }: Pair): [ContenderName, Turn][] {
  const turn = (contender: Contender): Turn => ({
    contender,
    measure: async () => {
      const nanoseconds = await contender.attach();
      await contender.detach();
      return nanoseconds;
    },
  });
  return [
    ['shared', turn(tapwall)],
    ['sharedFloor', turn(floor)],
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
  contenders: ReadonlyMap<ContenderName, Turn>,
  { quick, random }: AttachOptions,
): Promise<SizeResult> {
  const counts = new Map<ContenderName, number>();
  for (const [name, turn] of contenders) {
    showProgress(`${devices} devices: warming up ${TITLES[name]}`);
    counts.set(name, await planCount(turn, (quick ? QUICK : FULL)[name]));
  }
  const samples = new Map<ContenderName, number[]>([...contenders.keys()].map((name) => [name, []]));
  const rounds = Math.max(...counts.values());
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) showProgress(`${devices} devices: round ${round} of ${rounds}`);
    // In another order each time: what one leaves behind (cold caches, work that the kernel puts off) meets all alike.
    for (const [name, { measure }] of shuffle([...contenders], random)) {
      if (!takesPart(counts.get(name) ?? 0, round, rounds)) continue;
      samples.get(name)?.push(await measure());
    }
  }
  const measurements = [...contenders.keys()].map((contender) => ({
    contender,
    title: TITLES[contender],
    samples: samples.get(contender) ?? [],
  }));
  return { devices, measurements };
}

/** Measures one size, on a host with as many devices that share a policy beside that with tables. */
async function measureBeside(
  devices: number,
  turns: readonly [ContenderName, Turn][],
  compiled: Plan,
  options: AttachOptions,
): Promise<SizeResult> {
  const field = new SharedField(linuxKernel(), devices);
  let pair: Pair | undefined;
  try {
    const plan = field.planFor(compiled, 'names');
    field.startAgent(plan);
    pair = await startPair(
      field,
      plan,
      options.folder,
      field.links.slice(0, 1).map(({ index }) => index),
    );
    return await measureSize(devices, new Map([...turns, ...turnsWithElements(pair)]), options);
  } finally {
    if (pair) closePair(pair);
    field.close();
  }
}

/** Attaches one more device to so many that are filtered, in every way there is. */
export async function runAttach(options: AttachOptions): Promise<SizeResult[]> {
  const program = await compileProgram();
  const compiled = await compilePolicy();
  const field = new Field(linuxKernel(), program);
  const contenders = new Map<ContenderName, Contender>();
  try {
    const entrants = listContenders(field, program, options);
    for (const [name, entrant] of entrants) contenders.set(name, await Contender.start(entrant));
    await checkSameWork(field, entrants, contenders);
    const turns = turnsWithTables(field, entrants, contenders);
    const results: SizeResult[] = [];
    for (const devices of options.sizes) {
      showProgress(`${devices} devices: making them`);
      field.growTo(devices);
      results.push(await measureBeside(devices, turns, compiled, options));
    }
    return results;
  } finally {
    for (const contender of contenders.values()) contender.close();
    field.close();
  }
}
