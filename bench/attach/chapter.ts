import type { Benchmark, Chapter, Chart, Section, Target } from '../chapter.js';
import { missingCompiler } from '../programs.js';
import { seededRandom } from '../random.js';
import { formatEstimate, SUMMARY_HEAD, summaryCells } from '../report.js';
import { distribution, type Estimate, quantile, ratioOfMedians, summarise } from '../statistics.js';
import { type Measurement, runAttach, type SizeResult } from './benchmark.js';
import { AGAIN } from './entrants.js';

const SIZES = [1, 10, 100, 1_000, 4_000];
const QUICK_SIZES = [1, 10, 100];

/** What is expected: a ratio of medians of attaching, at one size. */
interface Expectation {
  devices: number;
  slower: string;
  faster: string;
  fewestTimes: number;
}

const EXPECTED: readonly Expectation[] = [
  { devices: 1_000, slower: 'nft', faster: 'prefix', fewestTimes: 5_000 },
  { devices: 1_000, slower: 'nft', faster: 'names', fewestTimes: 5_000 },
  { devices: 1, slower: 'nft', faster: 'prefix', fewestTimes: 50 },
  { devices: 1, slower: 'nft', faster: 'names', fewestTimes: 50 },
  { devices: 1_000, slower: 'nft', faster: 'tapwall', fewestTimes: 300 },
];
const MOST_TIMES_FLOOR = 1.5;
const MOST_GROWTH = 1.3;

const METHOD = [
  'So many macvtap devices are filtered, and one more is attached and detached with the same policy: two chains, two rules that accept and two that drop. All contenders that give it a table of its own work in one network namespace and one run, in turns whose order is shuffled each round, so that all find the same state. At the start it is checked that all of them make the same chains and rules, and remove them.',
  'Every contender is a process that waits for a line on a pipe and measures itself: those that start a program from before the spawn to behind its exit, the others from before the first step to behind the answer of the kernel. The process that starts nft is in the namespace already. tapwall builds the transaction and commits it with the code that its agent runs; the C program sends bytes that tapwall has built. All were warmed up; those that take microseconds attach and detach 20 times in a row at each turn.',
  'The table for nft and libnftables has a name of its own, because the table of the original file can only be that of one device. The tables of the devices that are there were made by tapwall. The file deletes its table first, as the original does and as tapwall’s transaction does too; the kernel makes the process that closes its socket wait until a deleted table is torn down, which takes milliseconds and with few devices is most of what nft and libnftables need. “A file that only adds” leaves that out. tapwall keeps its socket.',
  '“prefix” and “names” are what devices get from a policy that stands in the configuration: elements of the sets of one table. Those work beside the others, on hosts with as many devices that all have that policy (with the guards mac, ethertype, fragment, dhcp-server, ra, ip, arp and nd, two addresses each and the same rules), and take turns with them. Theirs is the policy that asks for most.',
  'Whatever reads the whole ruleset for each device is measured up to 1,000 devices (100 in a quick run): it takes seconds each time there. “Once more” is tapwall against itself: a ratio whose interval does not hold 1 would mean that the method sees differences where there are none.',
  'The interval behind a ratio of medians is the 95% confidence interval of a bootstrap; what was measured in a row is drawn together. A quantile is left out where there are too few samples for it.',
];

function find(results: readonly SizeResult[], devices: number, contender: string): Measurement | undefined {
  return results
    .find((result) => result.devices === devices)
    ?.measurements.find((measurement) => measurement.contender === contender);
}

function compare(
  above: Measurement,
  below: Measurement,
  operation: 'attach' | 'detach',
  seed: number,
): Estimate {
  const rows = { above: above.row, below: below.row };
  return ratioOfMedians(above[operation], below[operation], seededRandom(seed), rows);
}

function ratio(
  above: Measurement | undefined,
  below: Measurement | undefined,
  seed: number,
): Estimate | undefined {
  return above && below && compare(above, below, 'attach', seed);
}

function targetsOf(results: readonly SizeResult[], seed: number): Target[] {
  const times = EXPECTED.map(({ devices, slower, faster, fewestTimes }): Target => {
    const measured = ratio(find(results, devices, slower), find(results, devices, faster), seed);
    const what = faster === 'tapwall' ? 'a file' : faster;
    return {
      expected: `attach at ${devices} devices, ${what}: at least ${fewestTimes.toLocaleString('en')} times faster than spawning nft -f`,
      measured: measured && `${formatEstimate(measured)} times`,
      met: measured !== undefined && measured.value >= fewestTimes,
    };
  });
  const floors = (['prefix', 'names', 'tapwall'] as const).map((name): Target => {
    const devices = results.some((result) => result.devices === 1_000)
      ? 1_000
      : (results.at(-1)?.devices ?? 0);
    const floor = name === 'tapwall' ? 'floor' : `${name}-floor`;
    const measured = ratio(find(results, devices, name), find(results, devices, floor), seed);
    return {
      expected: `attach at ${devices} devices, ${name === 'tapwall' ? 'a file' : name}: at most ${MOST_TIMES_FLOOR} times C with the same bytes`,
      measured: measured && `${formatEstimate(measured)} times`,
      met: measured !== undefined && measured.value <= MOST_TIMES_FLOOR,
    };
  });
  const growth = (['prefix', 'names'] as const).map((name): Target => {
    const measured = ratio(find(results, 4_000, name), find(results, 10, name), seed);
    return {
      expected: `attach, ${name}: p50 at 4,000 devices at most ${MOST_GROWTH} times p50 at 10`,
      measured: measured && `${formatEstimate(measured)} times`,
      met: measured !== undefined && measured.value <= MOST_GROWTH,
    };
  });
  const self = results.map(({ devices }): Target => {
    const measured = ratio(find(results, devices, AGAIN), find(results, devices, 'tapwall'), seed);
    return {
      expected: `self-check at ${devices} devices: tapwall against itself, an interval that holds 1`,
      measured: measured && `${formatEstimate(measured)}`,
      met: measured !== undefined && measured.low <= 1 && measured.high >= 1,
    };
  });
  return [...times, ...floors, ...growth, ...self];
}

/** What tapwall's own way is compared with: C sends just its bytes, all others do the same by a table of their own. */
const RIVALS: Readonly<Record<string, (contender: string) => boolean>> = {
  prefix: (contender) => contender === 'prefix-floor',
  names: (contender) => contender === 'names-floor',
  tapwall: (contender) =>
    ![AGAIN, 'tapwall', 'prefix', 'names', 'prefix-floor', 'names-floor'].includes(contender),
};

/** Everything that was faster, beyond what chance makes of it. */
function behindOf(results: readonly SizeResult[], seed: number): string[] {
  return results.flatMap(({ devices, measurements }) =>
    (['attach', 'detach'] as const).flatMap((operation) =>
      Object.entries(RIVALS).flatMap(([own, isRival]) => {
        const tapwall = measurements.find(({ contender }) => contender === own);
        if (!tapwall) return [];
        return measurements.flatMap((rival) => {
          if (!isRival(rival.contender)) return [];
          const times = compare(tapwall, rival, operation, seed);
          const beside = `${devices.toLocaleString('en')} device${devices === 1 ? '' : 's'}`;
          return times.low > 1
            ? [
                `${operation} beside ${beside}: ${tapwall.title} takes ${formatEstimate(times)} times as long as ${rival.title}`,
              ]
            : [];
        });
      }),
    ),
  );
}

function sectionOf(
  { devices, measurements }: SizeResult,
  operation: 'attach' | 'detach',
  seed: number,
): Section {
  const own = measurements.find(({ contender }) => contender === 'names');
  const word = operation === 'attach' ? 'attached' : 'detached';
  return {
    heading: `${devices.toLocaleString('en')} device${devices === 1 ? '' : 's'} filtered, one more ${word}`,
    table: {
      head: ['', ...SUMMARY_HEAD, 'p50, as a multiple of names'],
      rows: measurements.map((measurement) => [
        measurement.title,
        ...summaryCells(summarise(measurement[operation])),
        own === undefined || own === measurement
          ? '1'
          : formatEstimate(compare(measurement, own, operation, seed)),
      ]),
    },
    notes: [],
  };
}

function growthChart(results: readonly SizeResult[], operation: 'attach' | 'detach'): Chart {
  const titles = new Map(
    results.flatMap(({ measurements }) => measurements.map(({ contender, title }) => [contender, title])),
  );
  titles.delete(AGAIN);
  return {
    title: `One more device, ${operation}: p50 by how many are filtered`,
    kind: 'lines',
    x: { title: 'devices that are filtered', scale: 'logarithmic' },
    y: { title: 'microseconds', scale: 'logarithmic' },
    series: [...titles].map(([contender, name]) => ({
      name,
      points: results.flatMap(({ devices }): [number, number][] => {
        const samples = find(results, devices, contender)?.[operation];
        return samples ? [[devices, quantile(samples, 0.5) / 1e3]] : [];
      }),
    })),
  };
}

/** How many of all attachments took no longer, at the largest size that all contenders have. */
function distributionChart(results: readonly SizeResult[]): Chart | undefined {
  const most = Math.max(...results.map(({ measurements }) => measurements.length));
  const result = results.findLast(({ measurements }) => measurements.length === most);
  if (!result) return undefined;
  return {
    title: `Attaching with ${result.devices.toLocaleString('en')} devices: how many took no longer`,
    kind: 'steps',
    x: { title: 'microseconds', scale: 'logarithmic' },
    y: { title: 'per cent', scale: 'linear' },
    series: result.measurements
      .filter(({ contender }) => contender !== AGAIN)
      .map(({ title, attach }) => ({
        name: title,
        points: distribution(attach),
      })),
  };
}

export function attachChapter(results: readonly SizeResult[], seed: number): Chapter {
  const distribution = distributionChart(results);
  return {
    name: 'attach',
    title: 'Attaching and detaching one more device',
    method: METHOD,
    sections: results.flatMap((result) => [
      sectionOf(result, 'attach', seed),
      sectionOf(result, 'detach', seed),
    ]),
    charts: [
      growthChart(results, 'attach'),
      growthChart(results, 'detach'),
      ...(distribution ? [distribution] : []),
    ],
    targets: targetsOf(results, seed),
    behind: behindOf(results, seed),
    figures: { unit: 'nanoseconds', sizes: results },
  };
}

export const attach: Benchmark = {
  name: 'attach',
  title: 'attaching and detaching one more device',
  seconds: ({ quick }) => (quick ? 25 : 420),
  missing: () => missingCompiler(['floor']),
  run: async ({ quick, sizes, seed, random, folder, environment }) => {
    const nft = environment.nft !== undefined;
    const wanted = sizes ?? (quick ? QUICK_SIZES : SIZES);
    return attachChapter(await runAttach({ sizes: wanted, quick, nft, folder, random }), seed);
  },
};
