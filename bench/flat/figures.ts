import type { Placement } from '#src/config/configuration.js';
import type { Section, Target } from '../chapter.js';
import { seededRandom } from '../random.js';
import { formatDuration, formatEstimate, SUMMARY_HEAD, summaryCells } from '../report.js';
import { type Estimate, quantile, ratioOfMedians, type Summary, summarise } from '../statistics.js';
import {
  CONTENDERS,
  type ContenderName,
  type CrowdResult,
  type FlatResult,
  ROW,
  type SizeResult,
} from './benchmark.js';

export const OPERATIONS = ['attach', 'detach'] as const;
type Operation = (typeof OPERATIONS)[number];

/** What one contender needed for one operation at one size. */
interface Line {
  placement: Placement;
  devices: number;
  operation: Operation;
  contender: ContenderName;
  summary: Summary;
  /** The median of the first of each row; of attachments alone. */
  afterPause: number | undefined;
  /** Its median as a multiple of C's. */
  timesFloor: Estimate;
  /** The same of the first of each row. */
  timesFloorAfterPause: Estimate | undefined;
  /** Its median as a multiple of that at the fewest devices. */
  growth: Estimate;
}

interface Start {
  placement: Placement;
  devices: number;
  first: number;
  restart: Summary;
}

interface Crowd {
  placement: Placement;
  devices: number;
  crowd: number;
  contender: ContenderName;
  /** Nanoseconds for each device. */
  perDevice: Summary;
  timesFloor: Estimate;
}

export interface Figures {
  lines: Line[];
  starts: Start[];
  crowds: Crowd[];
  samples: FlatResult;
}

const TITLES: Record<ContenderName, string> = { tapwall: 'tapwall', floor: 'C, the same bytes' };

/** What was measured in a row is drawn together. */
const IN_ROWS = { above: ROW, below: ROW };

/** Where the design promises that nothing grows: a device joins by plain elements alone. */
const FLAT_PLACEMENTS: readonly Placement[] = ['prefix', 'names'];
const MOST_GROWTH = 1.3;
const MOST_TIMES_FLOOR = 1.5;
const MOST_IN_CROWD = 10_000;
const LONGEST_RESTART = 500e6;

function linesOf(results: readonly SizeResult[], seed: number): Line[] {
  const random = seededRandom(seed);
  return results.flatMap(({ placement, devices, samples }) => {
    const smallest = results.find((other) => other.placement === placement)?.samples ?? samples;
    return OPERATIONS.flatMap((operation) =>
      CONTENDERS.map((contender): Line => {
        const { [operation]: own, firstAttach } = samples[contender];
        const isAttach = operation === 'attach';
        return {
          placement,
          devices,
          operation,
          contender,
          summary: summarise(own),
          afterPause: isAttach ? quantile(firstAttach, 0.5) : undefined,
          timesFloor: ratioOfMedians(own, samples.floor[operation], random, IN_ROWS),
          timesFloorAfterPause: isAttach
            ? ratioOfMedians(firstAttach, samples.floor.firstAttach, random)
            : undefined,
          growth: ratioOfMedians(own, smallest[contender][operation], random, IN_ROWS),
        };
      }),
    );
  });
}

function crowdsOf(results: readonly CrowdResult[], seed: number): Crowd[] {
  const random = seededRandom(seed);
  return results.flatMap(({ placement, devices, crowd, attach }) =>
    CONTENDERS.map((contender) => ({
      placement,
      devices,
      crowd,
      contender,
      perDevice: summarise(attach[contender].map((nanoseconds) => nanoseconds / crowd)),
      timesFloor: ratioOfMedians(attach[contender], attach.floor, random),
    })),
  );
}

export function evaluate(result: FlatResult, seed: number): Figures {
  return {
    lines: linesOf(result.sizes, seed),
    starts: result.sizes.map(({ placement, devices, firstStart, restarts }) => ({
      placement,
      devices,
      first: firstStart,
      restart: summarise(restarts),
    })),
    crowds: crowdsOf(result.crowds, seed),
    samples: result,
  };
}

const count = (devices: number) => devices.toLocaleString('en-US');

function flatTargets({ lines }: Figures, placement: Placement): Target[] {
  const own = lines.filter((line) => line.placement === placement && line.contender === 'tapwall');
  return OPERATIONS.flatMap((operation) => {
    const ofOperation = own.filter((line) => line.operation === operation);
    const [smallest, largest] = [ofOperation[0], ofOperation.at(-1)];
    if (!smallest || !largest || smallest === largest) return [];
    return [
      {
        expected: `${placement}: ${operation} p50 with ${count(largest.devices)} devices at most ${MOST_GROWTH} times that with ${count(smallest.devices)}`,
        measured: `${formatEstimate(largest.growth)} times`,
        met: largest.growth.value <= MOST_GROWTH,
      },
      {
        expected: `${placement}: ${operation} p50 with ${count(largest.devices)} devices within ${MOST_TIMES_FLOOR} times that of C with the same bytes`,
        measured: `${formatEstimate(largest.timesFloor)} times`,
        met: largest.timesFloor.value <= MOST_TIMES_FLOOR,
      },
    ];
  });
}

export function findTargets(figures: Figures): Target[] {
  const placements = FLAT_PLACEMENTS.filter((placement) =>
    figures.lines.some((line) => line.placement === placement),
  );
  return placements.flatMap((placement) => [
    ...flatTargets(figures, placement),
    ...figures.crowds
      .filter((crowd) => crowd.placement === placement && crowd.contender === 'floor')
      .map(({ crowd, perDevice: { p50 } }) => ({
        expected: `${placement}: ${count(crowd)} at once, under ${formatDuration(MOST_IN_CROWD)} each in the kernel`,
        measured: formatDuration(p50),
        met: p50 < MOST_IN_CROWD,
      })),
    ...figures.starts
      .filter((start) => start.placement === placement)
      .slice(-1)
      .map(({ devices, restart: { p50 } }) => ({
        expected: `${placement}: the agent starts with ${count(devices)} attached devices in under ${formatDuration(LONGEST_RESTART)}`,
        measured: formatDuration(p50),
        met: p50 < LONGEST_RESTART,
      })),
  ]);
}

function overview({ lines }: Figures): Section {
  const sizes = [...new Set(lines.map(({ devices }) => devices))];
  const groups = lines.filter(({ devices }) => devices === sizes[0]);
  return {
    heading: 'p50 by the number of devices',
    table: {
      head: ['', ...sizes.map((size) => `${count(size)} devices`), 'growth'],
      rows: groups.map(({ placement, operation, contender }) => {
        const row = lines.filter(
          (line) =>
            line.placement === placement && line.operation === operation && line.contender === contender,
        );
        return [
          `${placement}, ${operation}: ${TITLES[contender]}`,
          ...row.map(({ summary }) => formatDuration(summary.p50)),
          ...row.slice(-1).map(({ growth }) => formatEstimate(growth)),
        ];
      }),
    },
    notes: [],
  };
}

function detail({ lines }: Figures, placement: Placement): Section {
  return {
    heading: `Placement ${placement}`,
    table: {
      head: ['', ...SUMMARY_HEAD, 'p50 after a pause', 'p50, as a multiple of C’s', 'after a pause'],
      rows: lines
        .filter((line) => line.placement === placement)
        .map((line) => [
          `${count(line.devices)} devices, ${line.operation}: ${TITLES[line.contender]}`,
          ...summaryCells(line.summary),
          formatDuration(line.afterPause),
          line.contender === 'floor' ? '1' : formatEstimate(line.timesFloor),
          line.contender === 'floor' || !line.timesFloorAfterPause
            ? '-'
            : formatEstimate(line.timesFloorAfterPause),
        ]),
    },
    notes: [],
  };
}

export function sectionsOf(figures: Figures): Section[] {
  const placements = [...new Set(figures.lines.map(({ placement }) => placement))];
  return [
    overview(figures),
    ...placements.map((placement) => detail(figures, placement)),
    {
      heading: 'Many at once, for each device',
      table: {
        head: ['', ...SUMMARY_HEAD, 'p50, as a multiple of C’s'],
        rows: figures.crowds.map(({ placement, devices, crowd, contender, perDevice, timesFloor }) => [
          `${placement}, ${count(crowd)} beside ${count(devices)}: ${TITLES[contender]}`,
          ...summaryCells(perDevice),
          contender === 'floor' ? '1' : formatEstimate(timesFloor),
        ]),
      },
      notes: [],
    },
    {
      heading: 'The agent’s start',
      table: {
        head: ['', 'nothing attached', 'all attached, n', 'p50', 'max'],
        rows: figures.starts.map(({ placement, devices, first, restart: { n, p50, max } }) => [
          `${placement}, ${count(devices)} devices`,
          formatDuration(first),
          String(n),
          formatDuration(p50),
          formatDuration(max),
        ]),
      },
      notes: [],
    },
  ].filter(({ table }) => table.rows.length > 0);
}
