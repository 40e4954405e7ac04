import type { Benchmark, Chapter, Section, Target } from '../chapter.js';
import { missingCompiler } from '../programs.js';
import { seededRandom } from '../random.js';
import { formatDuration, formatEstimate } from '../report.js';
import { quantile, ratioOfMedians } from '../statistics.js';
import { runStorms, type Storm, type StormContender, type StormResult } from './benchmark.js';

const SIZES = [10, 100, 1_000];
const QUICK_SIZES = [100];
const ROUNDS = 5;
const QUICK_ROUNDS = 1;
const RECIPE = 100;
const QUICK_RECIPE = 10;
const MOST_TIMES_CREATION = 1.1;

const METHOD = [
  'A C program makes so many macvtap devices in a row, without a pause, on a throw-away host: with nothing that filters, and with the agent (`tapwall run`, a process of its own) under each placement, in turns. It listens to the kernel’s notifications and takes the times: from before the first request to behind the last answer (“created”), and until the last device has its policy (“filtered”). That somebody listens to nf_tables costs the kernel time inside the commit, which counts against the agent here.',
  'The agent’s processor time is that of its process from before the first device to behind the last filter, by the scheduler’s clock (/proc/PID/task/*/schedstat); user and system by ticks of 10 ms. The machine’s is that of all cores for whatever, by the same ticks; “with nothing” tells what of it is not the agent’s.',
  '“The recipe” is what a hook does: the device is made, and nft -f gives it a table, one after the other.',
];

type Timing = (storm: Storm) => number | undefined;

function samplesOf(
  storms: readonly Storm[],
  contender: StormContender,
  devices: number,
  timing: Timing,
): number[] {
  return storms
    .filter((storm) => storm.contender === contender && storm.devices === devices)
    .flatMap((storm) => timing(storm) ?? []);
}

const median = (samples: readonly number[]) => (samples.length > 0 ? quantile(samples, 0.5) : undefined);
const created: Timing = ({ creation }) => creation;
const filtered: Timing = (storm) => storm.filtered;

function sectionOf({ storms, recipe }: StormResult, devices: number, seed: number): Section {
  const contenders = [...new Set(storms.map(({ contender }) => contender))].sort();
  const none = samplesOf(storms, 'none', devices, created);
  const each = (nanoseconds: number | undefined) =>
    formatDuration(nanoseconds === undefined ? undefined : nanoseconds / devices);
  const rows = contenders.map((contender) => {
    const of = (timing: Timing) => samplesOf(storms, contender, devices, timing);
    const last = of(filtered);
    return [
      contender === 'none' ? 'with nothing' : `tapwall, ${contender}`,
      String(of(created).length),
      formatDuration(median(of(created))),
      formatDuration(median(last)),
      last.length > 0 ? formatEstimate(ratioOfMedians(last, none, seededRandom(seed))) : '1',
      each(median(of(({ agent }) => agent?.total))),
      each(median(of(({ agent }) => agent?.user))),
      each(median(of(({ agent }) => agent?.system))),
      each(median(of(({ machine }) => machine))),
    ];
  });
  return {
    heading: `${devices.toLocaleString('en')} devices at once`,
    table: {
      head: [
        '',
        'n',
        'created',
        'the last filtered',
        'as a multiple of created with nothing',
        'agent, for each device',
        'user',
        'system',
        'machine, for each device',
      ],
      rows,
    },
    notes:
      recipe?.devices === devices
        ? [`The recipe took ${formatDuration(recipe.elapsed)} for ${devices} devices, one after the other.`]
        : [],
  };
}

function targetsOf({ storms }: StormResult, seed: number): Target[] {
  const devices = Math.max(...storms.map((storm) => storm.devices));
  const none = samplesOf(storms, 'none', devices, created);
  const placements = (['prefix', 'names'] as const).filter((placement) =>
    storms.some(({ contender }) => contender === placement),
  );
  const slower = placements.map((placement): Target => {
    const ratio = ratioOfMedians(samplesOf(storms, placement, devices, filtered), none, seededRandom(seed));
    return {
      expected: `${devices.toLocaleString('en')} devices at once, ${placement}: the last is filtered within ${MOST_TIMES_CREATION} times the time that making them takes with nothing`,
      measured: `${formatEstimate(ratio)} times`,
      met: ratio.value <= MOST_TIMES_CREATION,
    };
  });
  const open = storms
    .filter(({ contender }) => contender !== 'none')
    .reduce((sum, { unfiltered }) => sum + unfiltered, 0);
  return [
    ...slower,
    { expected: 'every device of every storm is filtered', measured: `${open} are not`, met: open === 0 },
  ];
}

export function stormChapter(result: StormResult, seed: number): Chapter {
  const { storms, recipe } = result;
  const sizes = [...new Set(storms.map(({ devices }) => devices))];
  const contenders = [...new Set(storms.map(({ contender }) => contender))].sort();
  return {
    name: 'storm',
    title: 'Many devices at once, and the processor time they take',
    method: METHOD,
    sections: sizes.map((devices) => sectionOf(result, devices, seed)),
    charts: [
      {
        title: 'Many devices at once: until the last is filtered (with nothing: created)',
        kind: 'lines',
        x: { title: 'devices', scale: 'logarithmic' },
        y: { title: 'milliseconds', scale: 'logarithmic' },
        series: [
          ...contenders.map((contender) => ({
            name: contender === 'none' ? 'with nothing' : `tapwall, ${contender}`,
            points: sizes.map((devices): [number, number] => {
              const timing = contender === 'none' ? created : filtered;
              return [devices, (median(samplesOf(storms, contender, devices, timing)) ?? Number.NaN) / 1e6];
            }),
          })),
          ...(recipe
            ? [
                {
                  name: 'nft -f for each',
                  points: [[recipe.devices, recipe.elapsed / 1e6]] as [number, number][],
                },
              ]
            : []),
        ],
      },
    ],
    targets: targetsOf(result, seed),
    behind: sizes.flatMap((devices) =>
      contenders.flatMap((contender) => {
        if (contender === 'none') return [];
        const none = samplesOf(storms, 'none', devices, created);
        const times = ratioOfMedians(
          samplesOf(storms, contender, devices, filtered),
          none,
          seededRandom(seed),
        );
        return times.low > 1
          ? [
              `${devices.toLocaleString('en')} devices at once, ${contender}: it takes ${formatEstimate(times)} times as long as making them takes with nothing`,
            ]
          : [];
      }),
    ),
    figures: { unit: 'nanoseconds', ...result },
  };
}

export const storm: Benchmark = {
  name: 'storm',
  title: 'many devices at once',
  seconds: ({ quick }) => (quick ? 11 : 110),
  missing: () => missingCompiler(['event/observer']),
  run: async ({ quick, sizes, placements, seed, random, folder, environment }) => {
    const recipe = environment.nft === undefined ? 0 : quick ? QUICK_RECIPE : RECIPE;
    const wanted = sizes ?? (quick ? QUICK_SIZES : SIZES);
    const rounds = quick ? QUICK_ROUNDS : ROUNDS;
    const quickly = quick ? placements.filter((one) => one === 'prefix' || one === 'names') : placements;
    const options = { sizes: wanted, placements: quickly, rounds, recipe, folder, random };
    return stormChapter(await runStorms(options), seed);
  },
};
