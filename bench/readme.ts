import type { SizeResult } from './attach/benchmark.js';
import type { Report } from './chapter.js';
import { describeEnvironment } from './environment.js';
import { attachTable, markdownTable, targetRows } from './report.js';

const BEGIN = '<!-- figures -->';
const END = '<!-- /figures -->';

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
  const targets = report.chapters.flatMap((chapter) => chapter.targets);
  const unmet = targets.filter(({ met }) => !met);
  const parts = [
    BEGIN,
    `Measured on: ${on}.${report.quick ? ' A quick run: fewer samples and fewer sizes.' : ''} Of these, trust the ratios: another machine is another speed.`,
    attachTable(attach.figures['sizes'] as SizeResult[]),
    `Of ${targets.length} expectations ${targets.length - unmet.length} were met. These were not:`,
    markdownTable({ head: ['expected', 'measured', ''], rows: targetRows(unmet) }).replaceAll('--:', '---'),
    'All of them, all figures, and a list of [where tapwall is not the best](docs/benchmarks.md#where-tapwall-is-not-the-best) are in [docs/benchmarks.md](docs/benchmarks.md).',
    END,
  ];
  return page.slice(0, begin) + parts.join('\n\n') + page.slice(end + END.length);
}
