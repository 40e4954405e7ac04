import type { Benchmark, Chapter, Section, Target } from '../chapter.js';
import { missingCompiler } from '../programs.js';
import { seededRandom } from '../random.js';
import { formatEstimate } from '../report.js';
import { type Estimate, quantile, ratioOfMedians } from '../statistics.js';
import { type Measurement, runPacket } from './benchmark.js';
import { LOOKUPS, OVERHEAD, PARTS, POLICY_COUNTS } from './contender.js';
import type { Direction } from './ruleset.js';

interface Figures extends Measurement {
  /** Medians, of nanoseconds of processor time, of nanoseconds by the clock and of cycles a frame. */
  nanoseconds: number;
  elapsedNanoseconds: number;
  cyclesPerFrame: number | undefined;
  /** The median as a multiple of that of the contender it is compared with. */
  ratio: Estimate;
}

const SECONDS = 30;
const QUICK_SECONDS = 2;
const MOST_TIMES_BY_HAND = 1.1;
/** What may be called no noticeable growth. */
const MOST_TIMES_FEWEST = 1.05;

const METHOD = [
  'Frames of 64 bytes (UDP over IPv4) are written to a tap by a C program, as fast as they go, and counted where they come out: from the guest to the far end of the cable (egress), and from there to the guest (ingress). The policy has the guards ethertype, mac and fragment, two rules that accept and two that drop; the frames meet none of them, so all are tried. The chain written by hand has the same matches in the same order, but for the MAC, which it names; tapwall also finds the policy, and counts the frame for its device. Each contender has a device of its own, with a table that hooks that device alone; all of them stand at once, in one network namespace.',
  'A figure is the processor time of write(2), in bursts that fit into the receiver’s queue: with the tap, macvtap, both hooks, the cable and the receiver’s queue, for the softirq that carries the frame on runs inside it. So most of it is not the filter’s; what the filter costs is the difference to “no filter”. Frames a second go by the clock, so they also tell what else the machine did. The contenders take turns of 4,096 frames, in an order that is shuffled each round. At the start it is checked that each filter passes and drops what it should, and in each turn that every frame arrived.',
  'The interval behind a ratio of medians is the 95% confidence interval of a bootstrap.',
];

/** Against the contender named, in the same direction. */
function evaluate(measurements: readonly Measurement[], reference: string, seed: number): Figures[] {
  return measurements.flatMap((measurement) => {
    const against = measurements.find(
      ({ contender, direction }) => contender === reference && direction === measurement.direction,
    );
    if (!against) return [];
    const { samples, elapsed, cycles } = measurement;
    return {
      ...measurement,
      nanoseconds: quantile(samples, 0.5),
      elapsedNanoseconds: quantile(elapsed, 0.5),
      cyclesPerFrame: cycles.length > 0 ? quantile(cycles, 0.5) : undefined,
      ratio: ratioOfMedians(samples, against.samples, seededRandom(seed)),
    };
  });
}

function sectionOf(
  heading: string,
  figures: readonly Figures[],
  direction: Direction,
  compared: string,
  notes: string[] = [],
): Section {
  const inDirection = figures.filter((figure) => figure.direction === direction);
  const open = inDirection.find(({ contender }) => contender === 'none');
  const rows = inDirection.map(
    ({ title, samples, nanoseconds, elapsedNanoseconds, cyclesPerFrame, ratio }) => [
      title,
      String(samples.length),
      nanoseconds.toFixed(0),
      open ? (nanoseconds - open.nanoseconds).toFixed(0) : '-',
      Math.round(1e9 / elapsedNanoseconds).toLocaleString('en'),
      cyclesPerFrame?.toFixed(0) ?? '-',
      formatEstimate(ratio),
    ],
  );
  const head = ['', 'turns', 'ns a frame', 'filter, ns', 'frames a second', 'cycles a frame', compared];
  return { heading: `${heading}, ${direction}`, table: { head, rows }, notes };
}

function ratioTarget(
  expected: string,
  figures: readonly Figures[],
  contender: string,
  most: number,
): Target[] {
  return (['egress', 'ingress'] as const).map((direction) => {
    const ratio = figures.find((each) => each.contender === contender && each.direction === direction)?.ratio;
    return {
      expected: `${direction}: ${expected}`,
      measured: ratio && `${formatEstimate(ratio)} times`,
      met: ratio !== undefined && ratio.value <= most,
    };
  });
}

/** @param measurements of all contenders, or of some: those that take it apart are left out of a quick run. */
export function packetChapter(measurements: readonly Measurement[], seed: number): Chapter {
  const of = (contenders: readonly { name: string }[]) =>
    measurements.filter(({ contender }) => contenders.some(({ name }) => name === contender));
  const overhead = evaluate(of(OVERHEAD), 'by-hand', seed);
  const lookups = evaluate(of([...OVERHEAD.slice(0, 1), ...LOOKUPS]), 'mark-1', seed);
  const parts = evaluate(of([...OVERHEAD, ...PARTS]), 'by-hand', seed);
  const counted = measurements.some(({ cycles }) => cycles.length > 0);
  const noCycles = counted ? [] : ['This machine counts no cycles for a process (perf_event_open).'];
  const last = POLICY_COUNTS.at(-1);
  const targets = [
    ...ratioTarget(
      `with 1 device, at most ${MOST_TIMES_BY_HAND} times the chain written by hand`,
      overhead,
      'tapwall',
      MOST_TIMES_BY_HAND,
    ),
    ...ratioTarget(
      `with 4,000 devices, at most ${MOST_TIMES_BY_HAND} times the chain written by hand`,
      overhead,
      'tapwall-many',
      MOST_TIMES_BY_HAND,
    ),
    ...ratioTarget(
      `${last} policies, at most ${MOST_TIMES_FEWEST} times one, by marks`,
      lookups,
      `mark-${last}`,
      MOST_TIMES_FEWEST,
    ),
  ];
  return {
    name: 'packet',
    title: 'What a frame costs',
    method: METHOD,
    sections: [
      sectionOf('One device', overhead, 'egress', 'as a multiple of by hand', noCycles),
      sectionOf('One device', overhead, 'ingress', 'as a multiple of by hand'),
      sectionOf('What it consists of', parts, 'egress', 'as a multiple of by hand'),
      sectionOf('What it consists of', parts, 'ingress', 'as a multiple of by hand'),
      sectionOf('Finding the policy, the last of so many', lookups, 'egress', 'as a multiple of marks, 1'),
      sectionOf('Finding the policy, the last of so many', lookups, 'ingress', 'as a multiple of marks, 1'),
    ].filter(({ table }) => table.rows.length > 0),
    charts: [
      {
        title: 'Processor time of a frame',
        kind: 'bars',
        x: { title: '', scale: 'words' },
        y: { title: 'nanoseconds', scale: 'linear' },
        labels: OVERHEAD.map(({ title }) => title),
        series: (['egress', 'ingress'] as const).map((direction) => ({
          name: direction === 'egress' ? 'from the guest' : 'to the guest',
          points: overhead
            .filter((figure) => figure.direction === direction)
            .map(({ contender, nanoseconds }): [number, number] => [
              OVERHEAD.findIndex(({ name }) => name === contender),
              nanoseconds,
            ]),
        })),
      },
    ],
    targets,
    behind: overhead.flatMap(({ contender, title, direction, ratio }) =>
      contender.startsWith('tapwall') && ratio.low > 1
        ? [
            `a frame, ${direction}: ${title} takes ${formatEstimate(ratio)} times the processor time of a chain written by hand for one device`,
          ]
        : [],
    ),
    figures: { unit: 'nanoseconds a frame', overhead, parts, lookups },
  };
}

export const packet: Benchmark = {
  name: 'packet',
  title: 'what a frame costs',
  seconds: ({ quick }) => (quick ? 9 : 80),
  missing: ({ nft }) =>
    nft === undefined
      ? 'nft is not installed, and all filters are its text'
      : missingCompiler(['packet/pump']),
  run: async ({ quick, seed, random, folder }) => {
    const contenders = quick ? OVERHEAD : [...OVERHEAD, ...PARTS, ...LOOKUPS];
    const seconds = quick ? QUICK_SECONDS : SECONDS;
    return packetChapter(await runPacket(contenders, { seconds, folder, random }), seed);
  },
};
