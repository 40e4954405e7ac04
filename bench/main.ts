/** The benchmark: what tapwall costs against everything else that could do its work. */
import { readFileSync, writeFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { EXIT, reportError } from '#src/cli/output.js';
import type { Placement } from '#src/config/configuration.js';
import { TapwallError } from '#src/error.js';
import { BENCHMARKS } from './all.js';
import type { Benchmark, Chapter, Report } from './chapter.js';
import { withScratchFolder } from './cleanup.js';
import { afterRun, readEnvironment } from './environment.js';
import { renderHtml } from './html.js';
import { clearProgress, startProgress } from './progress.js';
import { seededRandom } from './random.js';
import { fillFigures } from './readme.js';
import { readReportFile, renderEnvironment, renderJson, renderMarkdown, renderText } from './report.js';

interface Options {
  quick?: boolean;
  only?: readonly Benchmark[];
  sizes?: readonly number[];
  placements: readonly Placement[];
  seed: number;
  json?: string;
  markdown?: string;
  html?: string;
  readme?: string;
  from?: string;
  assert?: boolean;
}

const PLACEMENTS: readonly Placement[] = ['prefix', 'names', 'device', 'chain'];
/** libvirt has names for no more. */
const LARGEST_SIZE = 8_191;

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

function parsePlacements(text: string): Placement[] {
  const words = text.split(',').map((word) => word.trim());
  const wanted = PLACEMENTS.filter((placement) => words.includes(placement));
  if (wanted.length !== words.length) {
    throw new InvalidArgumentError(`It must be some of ${PLACEMENTS.join(', ')}.`);
  }
  return wanted;
}

function parseNames(text: string): Benchmark[] {
  const words = text.split(',').map((word) => word.trim());
  const strange = words.find((word) => !BENCHMARKS.some(({ name }) => name === word));
  if (strange !== undefined) {
    const known = BENCHMARKS.map(({ name }) => name).join(', ');
    throw new InvalidArgumentError(`There is no ${strange}, but there are ${known}.`);
  }
  return BENCHMARKS.filter(({ name }) => words.includes(name));
}

function parseSeed(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

function checkUser(): void {
  if (process.geteuid?.() === 0) return;
  throw new TapwallError('EPERM', 'to measure needs root, to make network namespaces and macvtap devices', {
    hint: 'Only --from, which measures nothing, works without.',
  });
}

async function measure({ quick = false, only, sizes, placements, seed }: Options): Promise<Report> {
  checkUser();
  // Whatever goes wrong here, the machine's own network isn't touched.
  process.env['TAPWALL_FORBID_HOST_NAMESPACE'] = '1';
  const environment = readEnvironment();
  const leftOut: Report['leftOut'] = [];
  const possible = (only ?? BENCHMARKS).filter((benchmark) => {
    const why = benchmark.missing(environment);
    if (why !== undefined) leftOut.push({ name: benchmark.name, why });
    return why === undefined;
  });
  for (const { name, why } of leftOut) process.stderr.write(`left out: ${name}: ${why}\n`);
  const chapters: Chapter[] = [];
  const next = startProgress(possible, quick);
  await withScratchFolder(async (folder) => {
    for (const benchmark of possible) {
      next();
      const random = seededRandom(seed);
      try {
        chapters.push(await benchmark.run({ quick, sizes, placements, seed, random, folder, environment }));
      } catch (error) {
        // What the others have measured, perhaps for twenty minutes, is not lost over this one.
        const why = `it failed: ${error instanceof Error ? error.message : String(error)}`;
        leftOut.push({ name: benchmark.name, why: why.split('\n', 1)[0] ?? '' });
        process.exitCode = 1;
      }
    }
  });
  clearProgress();
  return { environment: afterRun(environment), seed, quick, chapters, leftOut };
}

function write(report: Report, { json, markdown, html, readme }: Options): void {
  if (json !== undefined) writeFileSync(json, renderJson(report));
  if (markdown !== undefined) writeFileSync(markdown, renderMarkdown(report));
  if (html !== undefined) writeFileSync(html, renderHtml(report));
  if (readme !== undefined) writeFileSync(readme, fillFigures(readFileSync(readme, 'utf8'), report));
}

async function run(options: Options): Promise<void> {
  const report = options.from === undefined ? await measure(options) : readReportFile(options.from);
  for (const chapter of report.chapters) {
    process.stdout.write(`\n# ${chapter.title}\n\n${renderText(chapter)}\n`);
  }
  process.stdout.write(`\n${renderEnvironment(report)}\n`);
  write(report, options);
  const targets = report.chapters.flatMap((chapter) => chapter.targets);
  if (options.assert && targets.some(({ measured, met }) => measured !== undefined && !met))
    process.exitCode = 1;
}

// A reader that has seen enough, such as head.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const list = BENCHMARKS.map(({ name, title }) => `  ${name.padEnd(8)} ${title}`).join('\n');

const command = new Command('tapwall bench')
  .description(
    'Measures tapwall against everything else that could do its work, in throw-away network namespaces.',
  )
  .option('--quick', 'fewer samples and sizes: under two minutes')
  .option('--only <names>', 'some of the benchmarks, separated by commas', parseNames)
  .option('--sizes <list>', 'how many devices are filtered already, separated by commas', parseSizes)
  .option('--placements <list>', 'how hooks reach devices, separated by commas', parsePlacements, PLACEMENTS)
  .option('--seed <number>', 'for the order of the contenders and the resampling', parseSeed, 1)
  .option('--json <file>', 'write everything, all samples included')
  .option('--markdown <file>', 'write the report as Markdown')
  .option('--html <file>', 'write the report as one HTML page with plots')
  .option('--readme <file>', 'fill in the figures of a page, between its marks')
  .option('--from <file>', 'measure nothing: make the report of JSON that was written before')
  .option('--assert', 'end with status 1 when something that was measured falls short')
  .addHelpText(
    'after',
    `
Benchmarks:
${list}

Examples:
  # npm run bench -- --quick
  # npm run bench -- --json results.json --html results.html
  $ npm run bench -- --from results.json --html results.html`,
  );
command.exitOverride();
try {
  await run(command.parse().opts<Options>());
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.success : EXIT.usage;
  else process.exitCode = reportError(error, false);
}
