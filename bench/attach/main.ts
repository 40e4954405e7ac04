/** How long it takes to attach one more device, against what else can do it. */
import { Command, InvalidArgumentError } from 'commander';
import { withScratchFolder } from '../cleanup.js';
import { afterRun, readEnvironment } from '../environment.js';
import { seededRandom } from '../random.js';
import { formatEstimate, publish, type Report, SUMMARY_HEAD, summaryCells, type Target } from '../report.js';
import { type Estimate, ratioOfMedians, type Summary, summarise } from '../statistics.js';
import { type ContenderName, type Measurement, runAttach, type SizeResult } from './benchmark.js';

interface Options {
  sizes: number[];
  quick?: boolean;
  seed: number;
  json?: string;
  markdown?: string;
  assert?: boolean;
}

interface Figures extends Measurement {
  summary: Summary;
  /** Its median as a multiple of tapwall's. */
  timesTapwall: Estimate;
}

interface SizeFigures {
  devices: number;
  contenders: Figures[];
}

const DEFAULT_SIZES = [1, 10, 100, 1000];
/** More than anybody has VMs on a host; 1,000 take a second to make. */
const LARGEST_SIZE = 10_000;

const TARGET_DEVICES = 1000;
const FEWEST_TIMES_FASTER = 300;
const MOST_TIMES_FLOOR = 1.5;

const METHOD = [
  'So many macvtap devices are filtered, and one more is attached with the same policy: two chains, two rules that accept and two that drop. All contenders work in one network namespace and one run, in turns whose order is shuffled each round; each attachment is removed again outside the measured time, so that all find the same state. At the start it is checked that all of them make the same chains and rules.',
  'Every contender is a process that waits for a line on a pipe and measures itself: nft from before the spawn to behind its exit, the others from before the first step to behind the answer of the kernel. The process that starts nft is in the namespace already. tapwall builds the transaction and commits it with the code that its agent runs; the C program sends bytes that were built beforehand. All were warmed up.',
  'The file for nft and libnftables has a table of its own name, because the table of the original file can only be that of one device. The tables of the devices that are there were made by tapwall. The file deletes its table first, as the original does and as tapwall’s transaction does too; the kernel makes the process that closes its socket wait until a deleted table is torn down, which takes milliseconds and with few devices is most of what nft and libnftables need. tapwall keeps its socket.',
  '“Shared policy” is what devices get from a policy that stands in the configuration: elements of the sets of one table. Those two contenders work beside the others, on a host with as many devices that all have that policy (with the guards mac, ethertype, fragment, dhcp-server, ra, ip, arp and nd, two addresses each and the same rules; placement `names`), and take turns with them. Theirs is the policy that asks for most, so it is another work than a table of one’s own; what the two say is what a policy of the configuration costs, and how near that is to its floor.',
  'The interval behind a ratio of medians is the 95% confidence interval of a bootstrap. A quantile is left out where there are too few samples for it.',
];

function parseSizes(text: string): number[] {
  const sizes = text.split(',').map((part) => (/^\d+$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (sizes.some((size) => !(size >= 1 && size <= LARGEST_SIZE))) {
    throw new InvalidArgumentError(
      `It must be numbers of devices from 1 to ${LARGEST_SIZE}, such as 1,10,100.`,
    );
  }
  // Devices are only ever added.
  return [...new Set(sizes)].sort((a, b) => a - b);
}

function parseSeed(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

function evaluate({ devices, measurements }: SizeResult, seed: number): SizeFigures {
  const random = seededRandom(seed);
  const own = measurements.find(({ contender }) => contender === 'tapwall')?.samples ?? [];
  const contenders = measurements.map((measurement) => ({
    ...measurement,
    summary: summarise(measurement.samples),
    timesTapwall: ratioOfMedians(measurement.samples, own, random),
  }));
  return { devices, contenders };
}

function findTargets(sizes: readonly SizeFigures[], nftInstalled: boolean): Target[] {
  const size = sizes.find(({ devices }) => devices === TARGET_DEVICES);
  const timesTapwall = (name: ContenderName) =>
    size?.contenders.find(({ contender }) => contender === name)?.timesTapwall;
  const nft = timesTapwall('nft');
  const floor = timesTapwall('floor');
  const timesFloor = floor && { value: 1 / floor.value, low: 1 / floor.high, high: 1 / floor.low };
  const own = (name: ContenderName) => size?.contenders.find(({ contender }) => contender === name)?.samples;
  const [shared, sharedFloor] = [own('shared'), own('sharedFloor')];
  const timesSharedFloor = shared && sharedFloor && ratioOfMedians(shared, sharedFloor, seededRandom(1));
  const missing = nftInstalled ? '' : ' (nft is not installed)';
  return [
    {
      expected: `with ${TARGET_DEVICES} devices, tapwall attaches at least ${FEWEST_TIMES_FASTER} times faster than spawning nft${missing}`,
      measured: nft && `${formatEstimate(nft)} times`,
      met: nft !== undefined && nft.value >= FEWEST_TIMES_FASTER,
    },
    {
      expected: `with ${TARGET_DEVICES} devices, tapwall takes at most ${MOST_TIMES_FLOOR} times as long as C with the same bytes`,
      measured: timesFloor && `${formatEstimate(timesFloor)} times`,
      met: timesFloor !== undefined && timesFloor.value <= MOST_TIMES_FLOOR,
    },
    {
      expected: `the same with a shared policy`,
      measured: timesSharedFloor && `${formatEstimate(timesSharedFloor)} times`,
      met: timesSharedFloor !== undefined && timesSharedFloor.value <= MOST_TIMES_FLOOR,
    },
  ];
}

function sectionOf({ devices, contenders }: SizeFigures): Report['sections'][number] {
  return {
    heading: `${devices} device${devices === 1 ? '' : 's'} filtered, one more attached`,
    table: {
      head: ['', ...SUMMARY_HEAD, 'p50, as a multiple of tapwall’s'],
      rows: contenders.map(({ contender, title, summary, timesTapwall }) => [
        title,
        ...summaryCells(summary),
        contender === 'tapwall' ? '1' : formatEstimate(timesTapwall),
      ]),
    },
    notes: [],
  };
}

async function run(options: Options): Promise<void> {
  const environment = readEnvironment();
  const nft = environment.nft !== undefined;
  if (!nft) process.stderr.write('nft is not installed; it is left out.\n');
  const { sizes, seed, quick = false } = options;
  const results = await withScratchFolder((folder) =>
    runAttach({ sizes, quick, nft, folder, random: seededRandom(seed) }),
  );
  const figures = results.map((result) => evaluate(result, seed));
  const targets = findTargets(figures, nft);
  const report: Report = {
    title: 'Attaching one more device',
    method: METHOD,
    sections: figures.map(sectionOf),
    targets,
    environment: afterRun(environment),
  };
  publish(report, { unit: 'nanoseconds', seed, quick, sizes: figures }, options);
  if (options.assert && targets.some(({ met }) => !met)) process.exitCode = 1;
}

const command = new Command('bench:attach')
  .description('Measures how long it takes to attach one more device, in throw-away network namespaces.')
  .option(
    '--sizes <list>',
    'how many devices are filtered already, separated by commas',
    parseSizes,
    DEFAULT_SIZES,
  )
  .option('--quick', 'fewer samples: under 40 seconds')
  .option('--seed <number>', 'for the order of the contenders and the resampling', parseSeed, 1)
  .option('--json <file>', 'write all samples, and what they were measured on')
  .option('--markdown <file>', 'write the report as Markdown')
  .option('--assert', 'end with status 1 when something falls short');
await run(command.parse().opts<Options>());
