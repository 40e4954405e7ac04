import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { linuxKernel } from '#src/kernel/linux.js';
import type { Benchmark, Chapter } from '../chapter.js';
import { endWithRun } from '../cleanup.js';
import { Field } from '../flat/field.js';
import { closePair, startPair } from '../flat/pair.js';
import { compilePolicy } from '../flat/policy.js';
import { missingCompiler } from '../programs.js';
import { showProgress } from '../progress.js';
import { type Random, seededRandom, shuffle } from '../random.js';
import { formatEstimate, SUMMARY_HEAD, summaryCells } from '../report.js';
import { ratioOfMedians, summarise } from '../statistics.js';

const DEVICES = 100;
const RIVAL_ELEMENTS = 10_000;
const ROUNDS = 40;
const QUICK_ROUNDS = 10;
const ROW = 20;
/** What was measured in a row is drawn together. */
const IN_ROWS = { above: ROW, below: ROW };
const WARM_UP = 1_000;
const RIVAL = fileURLToPath(new URL('./rival.js', import.meta.url));

const METHOD = [
  `One more device is attached beside ${DEVICES} (placement names, as in “flatness”), by tapwall and by C that sends the same bytes: first while nothing else happens, then while another program on the same host adds ${RIVAL_ELEMENTS.toLocaleString('en')} elements to a set of its own in one transaction and takes them out again, without a pause. The kernel lets one transaction after the other change nf_tables, so both wait; how long is the other’s doing, and what tapwall adds is the ratio to C. An attachment while the main thread of an embedding service is blocked is in “from a new device to its filter”.`,
];

type Side = 'tapwall' | 'floor';
const SIDES: readonly Side[] = ['tapwall', 'floor'];

export interface BusyResult {
  idle: Record<Side, number[]>;
  busy: Record<Side, number[]>;
}

async function measure(rounds: number, folder: string, random: Random): Promise<BusyResult> {
  const compiled = await compilePolicy();
  const field = new Field(linuxKernel(), DEVICES);
  const result: BusyResult = { idle: { tapwall: [], floor: [] }, busy: { tapwall: [], floor: [] } };
  try {
    const plan = field.planFor(compiled, 'names');
    field.startAgent(plan);
    const [probe] = field.links;
    const pair = await startPair(field, plan, folder, probe ? [probe.index] : []);
    const take = async (samples: Record<Side, number[]>) => {
      for (let round = 0; round < rounds; round++) {
        for (const side of shuffle(SIDES, random))
          samples[side].push(...(await pair[side].pairs(ROW)).attach);
      }
    };
    try {
      for (const side of SIDES) await pair[side].pairs(WARM_UP);
      showProgress('nothing else');
      await take(result.idle);
      const rival = endWithRun(
        spawn(process.execPath, [RIVAL, field.namespacePath, String(RIVAL_ELEMENTS)], {
          stdio: ['ignore', 'pipe', 'inherit'],
        }),
      );
      const ended = once(rival, 'close');
      try {
        await Promise.race([
          once(rival.stdout, 'data'),
          ended.then(() => Promise.reject(new Error('the rival ended'))),
        ]);
        showProgress('beside large transactions');
        await take(result.busy);
      } finally {
        rival.kill('SIGKILL');
        await ended;
      }
    } finally {
      closePair(pair);
    }
    return result;
  } finally {
    field.close();
  }
}

const TITLES: Record<Side, string> = { tapwall: 'tapwall', floor: 'C, the same bytes' };
const WHEN = { idle: 'nothing else', busy: 'beside large transactions' } as const;

export function busyChapter(result: BusyResult, seed: number): Chapter {
  const random = seededRandom(seed);
  return {
    name: 'busy',
    title: 'Attaching while another program commits large transactions',
    method: METHOD,
    sections: [
      {
        heading: `One more device beside ${DEVICES}`,
        table: {
          head: ['', ...SUMMARY_HEAD, 'p50, as a multiple of C’s'],
          rows: (['idle', 'busy'] as const).flatMap((when) =>
            SIDES.map((side) => {
              const samples = result[when][side];
              return [
                `${WHEN[when]}: ${TITLES[side]}`,
                ...summaryCells(summarise(samples)),
                side === 'floor'
                  ? '1'
                  : formatEstimate(ratioOfMedians(samples, result[when].floor, random, IN_ROWS)),
              ];
            }),
          ),
        },
        notes: [],
      },
    ],
    charts: [],
    targets: [],
    behind: (['idle', 'busy'] as const).map((when) => {
      const times = ratioOfMedians(result[when].tapwall, result[when].floor, random, IN_ROWS);
      return `attach, ${WHEN[when]}: tapwall takes ${formatEstimate(times)} times as long as C with the same bytes`;
    }),
    figures: { unit: 'nanoseconds', ...result },
  };
}

export const busy: Benchmark = {
  name: 'busy',
  title: 'attaching while another program commits large transactions',
  seconds: ({ quick }) => (quick ? 6 : 20),
  missing: () => missingCompiler(['floor']),
  run: async ({ quick, seed, random, folder }) =>
    busyChapter(await measure(quick ? QUICK_ROUNDS : ROUNDS, folder, random), seed),
};
