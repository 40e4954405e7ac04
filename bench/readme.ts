import type { SizeResult } from './attach/benchmark.js';
import { AGAIN } from './attach/entrants.js';
import type { Report } from './chapter.js';
import { describeEnvironment } from './environment.js';
import { formatDuration, markdownTable, targetRows } from './report.js';
import { quantile } from './statistics.js';

const BEGIN = '<!-- figures -->';
const END = '<!-- /figures -->';

/** One more device, by each contender, beside so many; a dash where it takes too long to be measured. */
function attachTable(sizes: readonly SizeResult[]): string {
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

/**
 * A page with what stands between its marks made anew from a report.
 * @throws Error when the page has no such marks, or the report has not measured what stands there.
 */
export function fillFigures(page: string, report: Report): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page has no ${BEGIN} … ${END}`);
  const attach = report.chapters.find(({ name }) => name === 'attach');
  if (!attach) throw new Error('the report has no chapter attach');
  const environment = new Map(describeEnvironment(report.environment));
  const on = ['machine', 'kernel', 'nft', 'Node'].map((what) => environment.get(what)).join('; ');
  const parts = [
    BEGIN,
    `Measured on: ${on}. Of these, trust the ratios: another machine is another speed.`,
    attachTable(attach.figures['sizes'] as SizeResult[]),
    'Everything that was expected, whether it was met or not ([all figures](docs/benchmarks.md)):',
    markdownTable({
      head: ['expected', 'measured', ''],
      rows: targetRows(report.chapters.flatMap(({ targets }) => targets)),
    }).replaceAll('--:', '---'),
    END,
  ];
  return page.slice(0, begin) + parts.join('\n\n') + page.slice(end + END.length);
}
