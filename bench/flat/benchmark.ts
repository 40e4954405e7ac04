import type { Plan } from '#src/agent/plan.js';
import type { Placement } from '#src/config/configuration.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { showProgress } from '../progress.js';
import { type Random, shuffle } from '../random.js';
import { Field } from './field.js';
import { closePair, type Pair, startPair } from './pair.js';
import { compilePolicy } from './policy.js';

export interface FlatOptions {
  placements: readonly Placement[];
  /** How many devices are attached already; upwards. */
  sizes: readonly number[];
  /** How many are attached at once, with the most that are attached already; upwards. */
  crowds: readonly number[];
  quick: boolean;
  /** For files that the contenders read. */
  folder: string;
  random: Random;
}

interface Effort {
  /** Pairs that are not counted, first. */
  warmUp: number;
  rounds: number;
  /** Attaches and detaches in a row, each round. */
  row: number;
  /** Crowds: rounds, and those that are not counted. */
  crowdRounds: number;
  crowdWarmUp: number;
  restarts: number;
}

/** Attaches and detaches in a row, each round. */
export const ROW = 20;

const FULL: Effort = { warmUp: 4_000, rounds: 50, row: ROW, crowdRounds: 20, crowdWarmUp: 8, restarts: 5 };
const QUICK: Effort = { warmUp: 2_000, rounds: 15, row: ROW, crowdRounds: 6, crowdWarmUp: 4, restarts: 2 };

export const CONTENDERS = ['tapwall', 'floor'] as const;
export type ContenderName = (typeof CONTENDERS)[number];

/** Nanoseconds, in the order in which they were measured. */
export interface Samples {
  attach: number[];
  detach: number[];
  /** The first attach of each row: what a process needs that has slept. */
  firstAttach: number[];
}

/** One more device, with so many attached. */
export interface SizeResult {
  placement: Placement;
  devices: number;
  samples: Record<ContenderName, Samples>;
  /** The start of the agent when nothing is there, and when all devices are attached. */
  firstStart: number;
  restarts: number[];
}

/** Many devices at once, beside so many. */
export interface CrowdResult {
  placement: Placement;
  devices: number;
  crowd: number;
  /** For the whole crowd. */
  attach: Record<ContenderName, number[]>;
}

export interface FlatResult {
  sizes: SizeResult[];
  crowds: CrowdResult[];
}

const WARM_UP_PARTS = 10;

const noSamples = (): Samples => ({ attach: [], detach: [], firstAttach: [] });

/** Measures one placement on all fields together, in turns: what disturbs one size disturbs all. */
async function measurePlacement(
  fields: readonly Field[],
  compiled: Plan,
  placement: Placement,
  { folder, random, quick }: FlatOptions,
): Promise<SizeResult[]> {
  const effort = quick ? QUICK : FULL;
  const stands: { pair: Pair; result: SizeResult }[] = [];
  try {
    for (const field of fields) {
      showProgress(`${placement}, ${field.devices} devices: attaching them`);
      const plan = field.planFor(compiled, placement);
      const firstStart = field.startAgent(plan);
      field.count();
      const restarts = Array.from({ length: effort.restarts }, () => field.startAgent(plan));
      const pair = await startPair(
        field,
        plan,
        folder,
        field.links.slice(0, 1).map(({ index }) => index),
      );
      const samples = { tapwall: noSamples(), floor: noSamples() };
      stands.push({ pair, result: { placement, devices: field.devices, samples, firstStart, restarts } });
    }
    const turns = stands.flatMap((stand) => CONTENDERS.map((name) => ({ ...stand, name })));
    // In turns as well: one that had been warm long before the others would be measured colder than they.
    for (let part = 0; part < WARM_UP_PARTS; part++) {
      showProgress(`${placement}: warming up`);
      for (const { pair, name } of shuffle(turns, random)) {
        await pair[name].pairs(Math.ceil(effort.warmUp / WARM_UP_PARTS));
      }
    }
    for (let round = 0; round < effort.rounds; round++) {
      if (round % 10 === 0) showProgress(`${placement}: round ${round} of ${effort.rounds}`);
      for (const { pair, result, name } of shuffle(turns, random)) {
        const { attach, detach } = await pair[name].pairs(effort.row);
        const samples = result.samples[name];
        samples.firstAttach.push(...attach.slice(0, 1));
        samples.attach.push(...attach);
        samples.detach.push(...detach);
      }
    }
  } finally {
    for (const { pair } of stands) closePair(pair);
  }
  return stands.map(({ result }) => result);
}

async function measureCrowd(
  field: Field,
  compiled: Plan,
  placement: Placement,
  crowd: number,
  { folder, random, quick }: FlatOptions,
): Promise<CrowdResult> {
  const { crowdRounds, crowdWarmUp } = quick ? QUICK : FULL;
  showProgress(`${placement}: ${crowd} devices at once`);
  const plan = field.planFor(compiled, placement);
  // Those that the last crowd has left out.
  field.startAgent(plan);
  const indexes = field.links.slice(0, crowd).map(({ index }) => index);
  const pair = await startPair(field, plan, folder, indexes);
  const attach: CrowdResult['attach'] = { tapwall: [], floor: [] };
  try {
    for (const name of CONTENDERS) await pair[name].pairs(crowdWarmUp);
    for (let round = 0; round < crowdRounds; round++) {
      for (const name of shuffle(CONTENDERS, random)) {
        attach[name].push(...(await pair[name].pairs(1)).attach);
      }
    }
  } finally {
    closePair(pair);
  }
  return { placement, devices: field.devices + 1 - crowd, crowd, attach };
}

/** Attaches and detaches one more device, and many at once, beside more and more. */
export async function runFlat(options: FlatOptions): Promise<FlatResult> {
  const kernel = linuxKernel();
  const compiled = await compilePolicy();
  const fields: Field[] = [];
  const result: FlatResult = { sizes: [], crowds: [] };
  try {
    for (const devices of options.sizes) {
      showProgress(`${devices} devices: making them`);
      fields.push(new Field(kernel, devices));
    }
    const largest = fields.at(-1);
    for (const placement of options.placements) {
      result.sizes.push(...(await measurePlacement(fields, compiled, placement, options)));
      for (const crowd of options.crowds) {
        if (!largest || largest.links.length < crowd) continue;
        result.crowds.push(await measureCrowd(largest, compiled, placement, crowd, options));
      }
      for (const field of fields) field.clear();
    }
    return result;
  } finally {
    showProgress('removing the devices');
    for (const field of fields) field.close();
  }
}
