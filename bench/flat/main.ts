/** Whether attaching one more device costs the same whatever number there is. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Placement } from '#src/config/configuration.js';
import { withScratchFolder } from '../cleanup.js';
import { afterRun, readEnvironment } from '../environment.js';
import { seededRandom } from '../random.js';
import { publish, type Report } from '../report.js';
import { runFlat } from './benchmark.js';
import { evaluate, findTargets, sectionsOf } from './figures.js';

interface Options {
  sizes: number[];
  placements: Placement[];
  crowds: number[];
  quick?: boolean;
  seed: number;
  json?: string;
  markdown?: string;
  assert?: boolean;
}

const PLACEMENTS: Placement[] = ['prefix', 'names', 'device', 'chain'];
const DEFAULT_SIZES = [10, 100, 1000, 4000];
const DEFAULT_CROWDS = [256, 1000];
/** libvirt has names for no more. */
const LARGEST_SIZE = 8191;

const METHOD = [
  'For each number a throw-away host has so many macvtap devices, each with a MAC, an IPv4 and an IPv6 address of its own, all attached by one policy that they share: the guards mac, ethertype, fragment, dhcp-server, ra, ip, arp and nd, and two rules in each direction. One more device is attached and detached again. Its attachment is one transaction of set elements (under `device` two, of which the second adds the egress hook); its detachment also removes the counters that packets may have made for it.',
  'tapwall finds the binding, plans the step, builds the transaction and commits it with the code of its agent, in a process that measures itself from before the first to behind the kernel’s answer. The C program sends the bytes that this very process has sent before, and measures the same. In each round every contender at every size has a turn, in shuffled order; a turn is 20 attachments and detachments in a row. So whatever disturbs one size disturbs all. All were warmed up. “After a pause” is the first attachment of each turn: processor caches hold other things by then, as they do when a VM starts on a host that does something else.',
  'Many at once: devices of the largest host leave, and join again together, in transactions as the agent builds them (at most 256 devices in one). The time is that of all transactions, divided by the number of devices.',
  'The agent’s start is that of its loop, from before it opens its sockets’ first dump to `ready`: on a host where nothing is attached, and on one where everything is, where it reads, compares and changes nothing; there each device also has the four counters that a VM has which has sent and received.',
  'The interval behind a ratio of medians is the 95% confidence interval of a bootstrap. A quantile is left out where there are too few samples for it.',
];

function parseCounts(text: string): number[] {
  const counts = text.split(',').map((part) => (/^\d+$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (counts.some((count) => !(count >= 1 && count <= LARGEST_SIZE))) {
    throw new InvalidArgumentError(
      `It must be numbers of devices from 1 to ${LARGEST_SIZE}, such as 10,100.`,
    );
  }
  return [...new Set(counts)].sort((a, b) => a - b);
}

function parsePlacements(text: string): Placement[] {
  const words = text.split(',').map((word) => word.trim());
  const wanted = PLACEMENTS.filter((placement) => words.includes(placement));
  if (wanted.length !== words.length) {
    throw new InvalidArgumentError(`It must be some of ${PLACEMENTS.join(', ')}.`);
  }
  return wanted;
}

function parseSeed(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

async function run(options: Options): Promise<void> {
  const environment = readEnvironment();
  const { sizes, placements, crowds, seed, quick = false } = options;
  const result = await withScratchFolder((folder) =>
    runFlat({ sizes, placements, crowds, quick, folder, random: seededRandom(seed) }),
  );
  const figures = evaluate(result, seed);
  const targets = findTargets(figures);
  const report: Report = {
    title: 'Flatness: one more device beside more and more',
    method: METHOD,
    sections: sectionsOf(figures),
    targets,
    environment: afterRun(environment),
  };
  publish(report, { unit: 'nanoseconds', seed, quick, ...figures }, options);
  if (options.assert && targets.some(({ met }) => !met)) process.exitCode = 1;
}

const command = new Command('bench:flat')
  .description('Measures whether attaching and detaching cost the same whatever number of devices there is.')
  .option(
    '--sizes <list>',
    'how many devices are attached already, separated by commas',
    parseCounts,
    DEFAULT_SIZES,
  )
  .option('--placements <list>', 'how hooks reach devices, separated by commas', parsePlacements, PLACEMENTS)
  .option('--crowds <list>', 'how many devices appear at once', parseCounts, DEFAULT_CROWDS)
  .option('--quick', 'fewer samples')
  .option('--seed <number>', 'for the order of the contenders and the resampling', parseSeed, 1)
  .option('--json <file>', 'write all samples, and what they were measured on')
  .option('--markdown <file>', 'write the report as Markdown')
  .addOption(new Option('--assert', 'end with status 1 when something falls short'));
await run(command.parse().opts<Options>());
