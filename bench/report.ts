import { writeFileSync } from 'node:fs';
import Table from 'cli-table3';
import { describeEnvironment, type Environment } from './environment.js';
import type { Estimate, Summary } from './statistics.js';

/** A table of a report; all but the first column are figures and stand to the right. */
export interface ReportTable {
  head: string[];
  rows: string[][];
}

/** Something that was expected of the figures, and what became of it. */
export interface Target {
  expected: string;
  /** What was measured, in words; undefined when the run left it out. */
  measured: string | undefined;
  met: boolean;
}

/** A benchmark's result in words; the figures themselves go into the JSON. */
export interface Report {
  title: string;
  /** How it was measured, one paragraph each. */
  method: string[];
  sections: { heading: string; table: ReportTable; notes: string[] }[];
  targets: Target[];
  environment: Environment;
}

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

/** The report for a terminal. */
export function renderText(report: Report): string {
  const sections = report.sections.map(({ heading, table, notes }) =>
    [heading, textTable(table), ...notes].join('\n'),
  );
  const { environment } = report;
  const quick = describeEnvironment(environment).filter(([what]) => what !== 'date');
  return [
    ...sections,
    quick.map(([what, which]) => `${what}: ${which}`).join('\n'),
    report.targets.map(targetLine).join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function markdownTable({ head, rows }: ReportTable): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = `|${head.map((_, column) => (column === 0 ? '---' : '--:')).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

/** The report as a page of documentation. */
export function renderMarkdown(report: Report): string {
  const { title, method, sections, targets, environment } = report;
  const parts = [
    `# ${title}`,
    ...method,
    ...sections.flatMap(({ heading, table, notes }) => [`## ${heading}`, markdownTable(table), ...notes]),
  ];
  if (targets.length > 0) {
    parts.push('## Expected and measured', targets.map((target) => `- ${targetLine(target)}`).join('\n'));
  }
  const rows = describeEnvironment(environment).map(([what, which]) => [what, which]);
  parts.push(
    '## Measured on',
    markdownTable({ head: ['', ''], rows }).replace('|---|--:|', '|---|---|'),
    'This page is written by the benchmark itself.',
  );
  return `${parts.join('\n\n')}\n`;
}

/** Prints the report, and writes the files that were asked for. */
export function publish(
  report: Report,
  figures: Record<string, unknown>,
  files: { json?: string | undefined; markdown?: string | undefined },
): void {
  process.stdout.write(`${renderText(report)}\n`);
  if (files.markdown !== undefined) writeFileSync(files.markdown, renderMarkdown(report));
  if (files.json === undefined) return;
  const { title, environment, targets } = report;
  const missingAsNull = (_key: string, value: unknown) => (value === undefined ? null : value);
  const text = JSON.stringify({ benchmark: title, environment, targets, ...figures }, missingAsNull);
  writeFileSync(files.json, `${text}\n`);
}
