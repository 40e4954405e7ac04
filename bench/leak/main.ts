/** How many frames pass a new device that its filter would drop. */
import { Command, InvalidArgumentError } from 'commander';
import { withScratchFolder } from '../cleanup.js';
import { afterRun, readEnvironment } from '../environment.js';
import { publish, type Report, type Target } from '../report.js';
import { type Leak, type LeakResult, runLeak } from './benchmark.js';
import { CONTENDERS } from './contender.js';

interface Options {
  creations: number;
  lifetime: number;
  only?: string[];
  json?: string;
  markdown?: string;
  assert?: boolean;
}

const CREATIONS = 200;
const MOST_CREATIONS = 100_000;
const LIFETIME_MS = 25;
const MOST_LIFETIME_MS = 10_000;

function method({ lifetime }: Options): string[] {
  return [
    `A C program floods a guest’s macvtap from both sides: as the guest, into the tap, from the moment that it can be opened, and as the world, from the far end of the cable, to the guest’s MAC. Every frame is one that the filter drops (to or from 192.168.0.0/16). Meanwhile devices are made and set up at once, one after the other, each for ${lifetime} ms, and removed; eight names take turns. A frame that comes to the other end has leaked.`,
    'All contenders have the same rules, those of examples/filtermacvtap.nft, which the script uses as it is: it listens to ip monitor and runs nft for each new device. “Nothing” says how many can leak. Frames from the guest count from the first that the tap took, frames to the guest from the moment the device is up (macvtap counts those before anything filters).',
    'How many leak where the door isn’t closed in advance depends on the machine and on what else it does; none may where it is.',
  ];
}

function wholeNumber(most: number) {
  return (text: string): number => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= 1 && number <= most)) {
      throw new InvalidArgumentError(`It must be a whole number from 1 to ${most}.`);
    }
    return number;
  };
}

function parseNames(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  const known: string[] = CONTENDERS.map(({ name }) => name);
  const strange = names.find((name) => !known.includes(name));
  if (strange === undefined) return names;
  throw new InvalidArgumentError(`There is no ${strange}, but there are ${known.join(', ')}.`);
}

function share({ sent, leaked }: Leak): string {
  return sent === 0 ? '-' : `${((100 * leaked) / sent).toFixed(1)} %`;
}

function row({ title, creations, leakyDevices, egress, ingress }: LeakResult): string[] {
  const figures = [egress, ingress].flatMap((leak) => [
    leak.sent.toLocaleString('en'),
    leak.leaked.toLocaleString('en'),
    share(leak),
  ]);
  return [title, `${leakyDevices} of ${creations}`, ...figures];
}

function targetOf({ title, egress, ingress }: LeakResult): Target {
  const leaked = egress.leaked + ingress.leaked;
  const sent = egress.sent + ingress.sent;
  const measured = `${leaked} of ${sent.toLocaleString('en')}`;
  return { expected: `${title}: no frame leaks`, measured, met: leaked === 0 };
}

async function run(options: Options): Promise<void> {
  const environment = readEnvironment();
  if (environment.nft === undefined) throw new Error('nft is not installed, and the script needs it');
  const { creations, lifetime, only } = options;
  const contenders = CONTENDERS.filter(({ name }) => only === undefined || only.includes(name));
  const results = await withScratchFolder((folder) => runLeak(contenders, { creations, lifetime, folder }));
  const targets = results.filter(({ closed }) => closed).map(targetOf);
  const head = [
    '',
    'devices that leaked',
    'from the guest, sent',
    'leaked',
    '',
    'to the guest, sent',
    'leaked',
    '',
  ];
  const report: Report = {
    title: 'What leaks past a new device',
    method: method(options),
    sections: [
      {
        heading: `${creations} devices, one after the other`,
        table: { head, rows: results.map(row) },
        notes: [],
      },
    ],
    targets,
    environment: afterRun(environment),
  };
  publish(report, { unit: 'frames', creations, lifetime, results }, options);
  if (options.assert && targets.some(({ met }) => !met)) process.exitCode = 1;
}

const command = new Command('bench:leak')
  .description(
    'Counts the frames that pass a new device before its filter is there, in throw-away namespaces.',
  )
  .option('--creations <number>', 'how many devices come and go', wholeNumber(MOST_CREATIONS), CREATIONS)
  .option('--lifetime <ms>', 'how long each stays', wholeNumber(MOST_LIFETIME_MS), LIFETIME_MS)
  .option('--only <names>', 'these contenders alone, separated by commas', parseNames)
  .option('--json <file>', 'write all figures, and what they were measured on')
  .option('--markdown <file>', 'write the report as Markdown')
  .option('--assert', 'end with status 1 when something falls short');
await run(command.parse().opts<Options>());
