import { readFileSync } from 'node:fs';
import Table from 'cli-table3';
import { z } from 'zod';
import { TapwallError } from '#src/error.js';
import type { SizeResult } from './attach/benchmark.js';
import type { Chapter, Report, ReportTable, Section, Target } from './chapter.js';
import { describeEnvironment } from './environment.js';
import { type Estimate, quantile, type Summary } from './statistics.js';

/** The contender that is tapwall against itself. */
const AGAIN = 'tapwall-again';

/** The heads of the columns that `summaryCells` fills. */
export const SUMMARY_HEAD = ['n', 'p50', 'p95', 'p99', 'max'];

/** Three digits that count: 8.31 µs, 83.1 µs, 831 µs, 8.31 ms, 8.31 s. */
export function formatDuration(nanoseconds: number | undefined): string {
  if (nanoseconds === undefined) return '-';
  let value = nanoseconds / 1e3;
  for (const unit of ['µs', 'ms']) {
    if (Math.abs(value) < 999.5) return `${significant(value)} ${unit}`;
    value /= 1e3;
  }
  return `${significant(value)} s`;
}

/** 0.83, 8.3, 83, 831: a ratio is not known more closely. */
function formatRatio(ratio: number): string {
  return ratio < 10 ? ratio.toFixed(2) : ratio < 100 ? ratio.toFixed(1) : ratio.toFixed(0);
}

function significant(value: number): string {
  const whole = Math.abs(value);
  return value.toFixed(whole < 9.995 ? 2 : whole < 99.95 ? 1 : 0);
}

export function formatEstimate({ value, low, high }: Estimate): string {
  return `${formatRatio(value)} (${formatRatio(low)}–${formatRatio(high)})`;
}

export function summaryCells({ n, p50, p95, p99, max }: Summary): string[] {
  return [String(n), ...[p50, p95, p99, max].map(formatDuration)];
}

export function targetLine({ expected, measured, met }: Target): string {
  if (measured === undefined) return `NOT MEASURED  ${expected}`;
  return `${met ? 'PASS' : 'FALLS SHORT'}  ${expected}: ${measured}`;
}

function textTable({ head, rows }: ReportTable): string {
  const table = new Table({
    head,
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  table.push(...rows);
  return table.toString();
}

function textSection({ heading, table, notes }: Section): string {
  return [heading, textTable(table), ...notes].join('\n');
}

/** A chapter for a terminal. */
export function renderText({ sections, targets }: Pick<Chapter, 'sections' | 'targets'>): string {
  const parts = sections.map(textSection);
  if (targets.length > 0) parts.push(targets.map(targetLine).join('\n'));
  return parts.join('\n\n');
}

/** What the figures were measured on, for a terminal. */
export function renderEnvironment({ environment, leftOut }: Report): string {
  const rows = describeEnvironment(environment).filter(([what]) => what !== 'date');
  return [
    ...rows.map(([what, which]) => `${what}: ${which}`),
    ...leftOut.map(({ name, why }) => `left out: ${name}: ${why}`),
  ].join('\n');
}

export function markdownTable({ head, rows }: ReportTable): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = `|${head.map((_, column) => (column === 0 ? '---' : '--:')).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

/** One more device, by each contender, beside so many; a dash where it takes too long to be measured. */
export function attachTable(sizes: readonly SizeResult[]): string {
  const contenders = new Map(
    sizes.flatMap(({ measurements }) => measurements.map(({ contender, title }) => [contender, title])),
  );
  contenders.delete(AGAIN);
  const rows = [...contenders].map(([contender, title]) => [
    title,
    ...sizes.map(({ measurements }) => {
      const samples = measurements.find((one) => one.contender === contender)?.attach;
      return samples ? formatDuration(quantile(samples, 0.5)) : '-';
    }),
  ]);
  const heads = sizes.map(
    ({ devices }) => `${devices.toLocaleString('en')} device${devices === 1 ? '' : 's'}`,
  );
  return markdownTable({ head: ['attaching one more beside, p50', ...heads], rows });
}

/** Where tapwall is not the best, from all chapters; said also when there is nothing. */
export function behindLines(chapters: readonly Chapter[]): string[] {
  const lines = chapters.flatMap(({ behind }) => behind);
  return lines.length > 0 ? lines : ['Nowhere in what this run has measured.'];
}

function markdownChapter({ title, method, sections, targets }: Chapter): string[] {
  const parts = [`## ${title}`, ...method];
  if (targets.length > 0) parts.push(targets.map((target) => `- ${targetLine(target)}`).join('\n'));
  for (const { heading, table, notes } of sections)
    parts.push(`### ${heading}`, markdownTable(table), ...notes);
  return parts;
}

/** What was expected and not met, in the same words and place as what was. */
export function targetRows(targets: readonly Target[]): string[][] {
  return targets.map(({ expected, measured, met }) => [
    expected,
    measured ?? '-',
    measured === undefined ? 'not measured' : met ? 'met' : 'falls short',
  ]);
}

/** The report as a page of documentation. */
export function renderMarkdown(report: Report): string {
  const { chapters, environment, leftOut } = report;
  const targets = chapters.flatMap((chapter) => chapter.targets);
  const rows = describeEnvironment(environment).map(([what, which]) => [what, which]);
  const words = (table: ReportTable) => markdownTable(table).replaceAll('--:', '---');
  const parts = [
    '# Benchmarks',
    'This page is written by `npm run bench`; changes by hand are lost. Trust the ratios: times are those of one machine.',
    '## Expected and measured',
    words({ head: ['expected', 'measured', ''], rows: targetRows(targets) }),
    '## Where tapwall is not the best',
    behindLines(chapters)
      .map((line) => `- ${line}`)
      .join('\n'),
    ...chapters
      .filter(({ name }) => name === 'attach')
      .map(({ figures }) => attachTable(figures['sizes'] as SizeResult[])),
    '## Measured on',
    words({ head: ['', ''], rows }),
    ...(report.quick ? ['A quick run: fewer samples and fewer sizes.'] : []),
    ...(leftOut.length > 0
      ? ['## Left out', leftOut.map(({ name, why }) => `- \`${name}\`: ${why}`).join('\n')]
      : []),
    ...chapters.flatMap(markdownChapter),
  ];
  return `${parts.join('\n\n')}\n`;
}

/** The report as JSON, which `readReport` takes again. */
export function renderJson(report: Report): string {
  const missingAsNull = (_key: string, value: unknown) => (value === undefined ? null : value);
  return `${JSON.stringify(report, missingAsNull)}\n`;
}

/** What the rest of a report hangs on; the figures of a chapter are its own. */
const REPORT = z.object({
  environment: z.looseObject({
    date: z.string(),
    kernel: z.string(),
    load: z.object({ before: z.number() }),
  }),
  seed: z.number(),
  quick: z.boolean(),
  leftOut: z.array(z.object({ name: z.string(), why: z.string() })),
  chapters: z.array(
    z.looseObject({
      name: z.string(),
      title: z.string(),
      method: z.array(z.string()),
      sections: z.array(z.looseObject({ heading: z.string() })),
      charts: z.array(z.looseObject({ title: z.string() })),
      targets: z.array(z.looseObject({ expected: z.string(), met: z.boolean() })),
      behind: z.array(z.string()),
    }),
  ),
});

/** @throws TapwallError ARGUMENT for a file that can't be read, or that `renderJson` has not written. */
export function readReportFile(file: string): Report {
  try {
    return readReport(readFileSync(file, 'utf8'));
  } catch (cause) {
    const [issue] = cause instanceof z.ZodError ? cause.issues : [];
    const why = issue ? `${issue.path.join('.')}: ${issue.message}` : (cause as Error).message;
    throw new TapwallError('ARGUMENT', `${file} is no report: ${why}`, {
      cause,
      hint: 'Give a file that `tapwall bench -- --json FILE` has written.',
    });
  }
}

/** The report that `renderJson` has written. @throws ZodError, SyntaxError for another text. */
export function readReport(text: string): Report {
  const value: unknown = JSON.parse(text);
  REPORT.parse(value);
  const report = value as Report;
  const chapters = report.chapters.map((chapter) => ({
    ...chapter,
    targets: chapter.targets.map((target) => ({ ...target, measured: target.measured ?? undefined })),
  }));
  return { ...report, chapters };
}
