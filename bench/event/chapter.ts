import type { Benchmark, Chapter, Target } from '../chapter.js';
import { missingCompiler } from '../programs.js';
import { formatDuration, SUMMARY_HEAD, summaryCells } from '../report.js';
import { distribution, quantile, type Summary, summarise } from '../statistics.js';
import { runEvent, type ScenarioResult } from './benchmark.js';

interface ScenarioFigures {
  title: string;
  /** Nanoseconds from the notification of the device to that of its filter, in the order of the devices. */
  samples: number[];
  summary: Summary;
  /** The same for the very first device, and the medians of the first and the last tenth of them. */
  first: number;
  firstTenth: number;
  lastTenth: number;
  /** Devices that were made, and of which no filter was seen. */
  unfiltered: number;
  /** Devices whose notification the observer had only when the request that made them was answered already. */
  seenLate: number;
  lost: boolean;
  priority: number;
}

const DEVICES = 1_000;
const QUICK_DEVICES = 100;

const METHOD = [
  'The real agent runs in its worker thread on the network namespace of a throw-away host, under placement `names` or `prefix`, with one binding and one policy: one that stands in the configuration (the guards mac, ethertype, fragment, dhcp-server, ra, ip, arp and nd, and two rules in each direction), or the usual nft file, of which each device gets a table (two chains of two rules). Another process listens to the kernel’s notifications of links (RTNLGRP_LINK) and of nf_tables (NFNLGRP_NFTABLES). The time of a device runs from its first RTM_NEWLINK to the notification of the element that gives it its policy, or of its table, which the kernel sends behind the commit; both are taken by that one process and clock. Under these placements the device is closed until then, not open.',
  'A third process makes the devices, by rtnetlink and down, as libvirt does. It is not the agent’s process, whose main thread would then be busy, or blocked, with that. “One by one”, each device waits until the one before is filtered; “all at once”, they are made in a row without a pause. On two cores, then, the creator and the agent can have one each, and share them with the listeners: one for each core, in C, at a real-time priority, a few microseconds an event. The earliest of their times counts. That takes time from the agent and not from its figure: a listener that has to wait for a core, or for the end of a system call on it, would note the device’s arrival late and make the agent look faster than it is. That somebody listens to nf_tables also costs the kernel time inside the commit, which counts against the agent here.',
  'With a file, a transaction takes the longer the more tables there are: each of its messages names one, and the kernel looks for it in a list. So the first and the last tenth of the devices stand apart.',
  '“Main thread blocked”: the main thread of the agent’s process does nothing else for 50 ms of every 60.',
];

function evaluate({ scenario, observations }: ScenarioResult, devices: number): ScenarioFigures {
  const samples = observations.devices.flatMap(({ seen, filtered }) =>
    filtered === undefined ? [] : [filtered - seen],
  );
  const [first] = samples;
  if (first === undefined) throw new Error(`${scenario.title}: no device was seen to be filtered`);
  const tenth = Math.ceil(samples.length / 10);
  return {
    title: scenario.title,
    samples,
    summary: summarise(samples),
    first,
    firstTenth: quantile(samples.slice(0, tenth), 0.5),
    lastTenth: quantile(samples.slice(-tenth), 0.5),
    unfiltered: devices - samples.length,
    seenLate: observations.devices.filter(({ seen, made }) => seen > made).length,
    lost: observations.lost,
    priority: observations.priority,
  };
}

function notesOn(figures: readonly ScenarioFigures[]): string[] {
  return figures.flatMap(({ title, unfiltered, lost, priority, seenLate }) => [
    ...(unfiltered > 0 ? [`${title}: ${unfiltered} devices were not seen to be filtered.`] : []),
    ...(lost ? [`${title}: the observer lost notifications.`] : []),
    ...(priority === 0 ? [`${title}: the observer had no real-time priority; times may be too short.`] : []),
    ...(seenLate > 0
      ? [
          `${title}: of ${seenLate} devices the observer had the notification only after they were made; their times are too short.`,
        ]
      : []),
  ]);
}

/** Of those that are made one by one on an idle machine. */
const LONGEST_P50 = 100e3;
const LONGEST_P99 = 1e6;

function latencyTargets({ title, summary }: ScenarioFigures): Target[] {
  return [
    {
      expected: `${title}: p50 under ${formatDuration(LONGEST_P50)}`,
      measured: formatDuration(summary.p50),
      met: summary.p50 < LONGEST_P50,
    },
    {
      expected: `${title}: p99 under ${formatDuration(LONGEST_P99)}`,
      measured: summary.p99 === undefined ? undefined : formatDuration(summary.p99),
      met: summary.p99 !== undefined && summary.p99 < LONGEST_P99,
    },
  ];
}

function findTargets(figures: readonly ScenarioFigures[], devices: number): Target[] {
  const filtered = figures.map(({ unfiltered }) => devices - unfiltered);
  return [
    {
      expected: `all ${devices} devices are filtered in each scenario`,
      measured: filtered.join(', '),
      met: filtered.every((count) => count === devices),
    },
    ...figures
      .filter(({ title }) => title === 'names, one by one' || title === 'prefix, one by one')
      .flatMap(latencyTargets),
  ];
}

export function eventChapter(figures: readonly ScenarioFigures[], devices: number): Chapter {
  return {
    name: 'event',
    title: 'From a new device to its filter',
    method: METHOD,
    sections: [
      {
        heading: `RTM_NEWLINK to the commit, ${devices} devices, seen from another process`,
        table: {
          head: ['', ...SUMMARY_HEAD, 'the first', 'p50 of the first tenth', 'p50 of the last tenth'],
          rows: figures.map(({ title, summary, first, firstTenth, lastTenth }) => [
            title,
            ...summaryCells(summary),
            ...[first, firstTenth, lastTenth].map(formatDuration),
          ]),
        },
        notes: notesOn(figures),
      },
    ],
    charts: [
      {
        title: 'From RTM_NEWLINK to the commit: how many took no longer',
        kind: 'steps',
        x: { title: 'microseconds', scale: 'logarithmic' },
        y: { title: 'per cent', scale: 'linear' },
        series: figures.map(({ title, samples }) => ({
          name: title,
          points: distribution(samples),
        })),
      },
    ],
    targets: findTargets(figures, devices),
    behind: [],
    figures: { unit: 'nanoseconds', devices, scenarios: figures },
  };
}

export const event: Benchmark = {
  name: 'event',
  title: 'from a new device to its filter, seen from outside',
  seconds: ({ quick }) => (quick ? 10 : 45),
  missing: () => missingCompiler(['event/observer']),
  run: async ({ quick, folder }) => {
    const devices = quick ? QUICK_DEVICES : DEVICES;
    const results = await runEvent(devices, folder);
    return eventChapter(
      results.map((result) => evaluate(result, devices)),
      devices,
    );
  },
};
