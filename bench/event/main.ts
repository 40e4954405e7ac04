/** How long it takes until a new device has its filter, as another process sees it. */
import { Command, InvalidArgumentError } from 'commander';
import { withScratchFolder } from '../cleanup.js';
import { afterRun, readEnvironment } from '../environment.js';
import { formatDuration, publish, type Report, SUMMARY_HEAD, summaryCells, type Target } from '../report.js';
import { quantile, type Summary, summarise } from '../statistics.js';
import { runEvent, type ScenarioResult } from './benchmark.js';

interface Options {
  devices: number;
  quick?: boolean;
  json?: string;
  markdown?: string;
  assert?: boolean;
}

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

const DEFAULT_DEVICES = 1000;
const QUICK_DEVICES = 200;
const LARGEST_COUNT = 10_000;

const METHOD = [
  'The real agent runs in its worker thread on the network namespace of a throw-away host, under placement `names` or `prefix`, with one binding and one policy: one that stands in the configuration (the guards mac, ethertype, fragment, dhcp-server, ra, ip, arp and nd, and two rules in each direction), or the usual nft file, of which each device gets a table (two chains of two rules). Another process listens to the kernel’s notifications of links (RTNLGRP_LINK) and of nf_tables (NFNLGRP_NFTABLES). The time of a device runs from its first RTM_NEWLINK to the notification of the element that gives it its policy, or of its table, which the kernel sends behind the commit; both are taken by that one process and clock. Under these placements the device is closed until then, not open.',
  'A third process makes the devices, by rtnetlink and down, as libvirt does. It is not the agent’s process, whose main thread would then be busy, or blocked, with that. “One by one”, each device waits until the one before is filtered; “all at once”, they are made in a row without a pause. On two cores, then, the creator and the agent can have one each, and share them with the listeners: one for each core, in C, at a real-time priority, a few microseconds an event. The earliest of their times counts. That takes time from the agent and not from its figure: a listener that has to wait for a core, or for the end of a system call on it, would note the device’s arrival late and make the agent look faster than it is. That somebody listens to nf_tables also costs the kernel time inside the commit, which counts against the agent here.',
  'With a file, a transaction takes the longer the more tables there are: each of its messages names one, and the kernel looks for it in a list. So the first and the last tenth of the devices stand apart.',
  '“Main thread blocked”: the main thread of the agent’s process does nothing else for 50 ms of every 60.',
];

function parseDevices(text: string): number {
  const devices = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(devices >= 1 && devices <= LARGEST_COUNT)) {
    throw new InvalidArgumentError(`It must be a number from 1 to ${LARGEST_COUNT}.`);
  }
  return devices;
}

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

function findTargets(figures: readonly ScenarioFigures[], devices: number): Target[] {
  const filtered = figures.map(({ unfiltered }) => devices - unfiltered);
  return [
    {
      expected: `all ${devices} devices are filtered in each scenario`,
      measured: filtered.join(', '),
      met: filtered.every((count) => count === devices),
    },
  ];
}

async function run(options: Options): Promise<void> {
  const environment = readEnvironment();
  const devices = options.quick ? QUICK_DEVICES : options.devices;
  const results = await withScratchFolder((folder) => runEvent(devices, folder));
  const figures = results.map((result) => evaluate(result, devices));
  const targets = findTargets(figures, devices);
  const report: Report = {
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
    targets,
    environment: afterRun(environment),
  };
  publish(report, { unit: 'nanoseconds', devices, scenarios: figures }, options);
  if (options.assert && targets.some(({ met }) => !met)) process.exitCode = 1;
}

const command = new Command('bench:event')
  .description(
    'Measures how long it takes until a new device has its filter, in throw-away network namespaces.',
  )
  .option('--devices <number>', 'how many devices each scenario makes', parseDevices, DEFAULT_DEVICES)
  .option('--quick', `${QUICK_DEVICES} devices`)
  .option('--json <file>', 'write all samples, and what they were measured on')
  .option('--markdown <file>', 'write the report as Markdown')
  .option('--assert', 'end with status 1 when a device is not filtered');
await run(command.parse().opts<Options>());
