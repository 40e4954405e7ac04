import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Chapter, Chart, Report, ReportTable, Target } from './chapter.js';
import { describeEnvironment } from './environment.js';
import { behindLines } from './report.js';

/** The charting library whole, so that the page needs nothing from anywhere. */
function readChartLibrary(): string {
  const folder = dirname(createRequire(import.meta.url).resolve('chart.js'));
  return readFileSync(join(folder, 'chart.umd.min.js'), 'utf8').replace(/\/\/# sourceMappingURL=.*\s*$/, '');
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeHtml = (text: string) =>
  text.replaceAll(/[&<>"]/g, (character) => ESCAPES[character] ?? character);

/** What was said with back ticks is code. */
const prose = (text: string) => escapeHtml(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');

function table({ head, rows }: ReportTable): string {
  const cells = (tag: 'th' | 'td', row: readonly string[]) =>
    row.map((cell) => `<${tag}>${prose(cell)}</${tag}>`).join('');
  const body = rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('\n');
  return `<div class="wide"><table><thead><tr>${cells('th', head)}</tr></thead>\n<tbody>${body}</tbody></table></div>`;
}

function verdict({ measured, met }: Target): [word: string, style: string] {
  if (measured === undefined) return ['not measured', 'open'];
  return met ? ['met', 'met'] : ['falls short', 'short'];
}

function targetTable(targets: readonly Target[]): string {
  const rows = targets.map((target) => {
    const [word, style] = verdict(target);
    return `<tr><td>${prose(target.expected)}</td><td>${prose(target.measured ?? '-')}</td><td class="${style}">${word}</td></tr>`;
  });
  return `<div class="wide"><table class="words"><thead><tr><th>expected</th><th>measured</th><th></th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table></div>`;
}

function chapterHtml(chapter: Chapter, firstChart: number): string {
  const { name, title, method, sections, charts, targets } = chapter;
  const figures = charts.map(
    (chart, at) =>
      `<figure><figcaption>${prose(chart.title)}</figcaption><div class="plot"><canvas id="chart-${firstChart + at}" role="img" aria-label="${escapeHtml(chart.title)}"></canvas></div></figure>`,
  );
  return [
    `<section id="${escapeHtml(name)}"><h2>${prose(title)}</h2>`,
    targets.length > 0 ? targetTable(targets) : '',
    ...figures,
    ...sections.map(
      (section) =>
        `<h3>${prose(section.heading)}</h3>${table(section.table)}${section.notes.map((note) => `<p>${prose(note)}</p>`).join('')}`,
    ),
    `<details><summary>How it was measured</summary>${method.map((paragraph) => `<p>${prose(paragraph)}</p>`).join('\n')}</details>`,
    '</section>',
  ].join('\n');
}

const STYLE = `
:root { color-scheme: light dark; --back: #fff; --text: #1d2126; --line: #d4d9df; --soft: #5b6570; --met: #1a7f37; --short: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e4e7ea; --line: #3a424a; --soft: #9aa5b0; --met: #4cc46a; --short: #ff8078; } }
body { background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h2 { border-top: 1px solid var(--line); margin-top: 3rem; padding-top: 1.5rem; }
figure { margin: 1.5rem 0; } figcaption { font-weight: 600; } .plot { height: 26rem; position: relative; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: 0.25rem 0.6rem; text-align: right; vertical-align: top; }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
td:not(:first-child), th:not(:first-child) { white-space: nowrap; } .words td { white-space: normal; } .words td:last-child { white-space: nowrap; }
.met { color: var(--met); } .short { color: var(--short); font-weight: 600; } .open { color: var(--soft); }
code { font-size: 0.95em; } summary { cursor: pointer; } nav a { margin-right: 1rem; } a { color: inherit; }`;

/** Runs in the page: draws each chart in the colours of the page, and again when these change. */
const SCRIPT = `
const charts = JSON.parse(document.getElementById('charts').textContent);
const PALETTE = ['#2f7ed8', '#e8590c', '#2b9348', '#c2255c', '#7048e8', '#0c8599', '#b08900', '#868e96', '#d6336c', '#5c940d', '#1864ab', '#a0522d'];
const dark = matchMedia('(prefers-color-scheme: dark)');
let drawn = [];
function axis({ title, scale }, labels, colours) {
  return {
    type: scale === 'logarithmic' ? 'logarithmic' : scale === 'words' ? 'category' : 'linear',
    beginAtZero: scale === 'linear',
    title: { display: title !== '', text: title, color: colours.text },
    ticks: { color: colours.text, autoSkip: scale !== 'words', callback(value) {
      if (scale === 'words') return labels[value];
      if (scale === 'logarithmic' && !/^[125]e/.test(Number(value).toExponential())) return '';
      return Number(value).toLocaleString('en');
    } },
    grid: { color: colours.line },
  };
}
function draw() {
  for (const chart of drawn) chart.destroy();
  const style = getComputedStyle(document.documentElement);
  const colours = { text: style.getPropertyValue('--text').trim(), line: style.getPropertyValue('--line').trim() };
  drawn = charts.map((chart, at) => new Chart(document.getElementById('chart-' + at), {
    type: chart.kind === 'bars' ? 'bar' : 'line',
    data: {
      labels: chart.labels,
      datasets: chart.series.map(({ name, points }, series) => ({
        label: name,
        data: chart.kind === 'bars' ? points.map(([, y]) => y) : points.map(([x, y]) => ({ x, y })),
        borderColor: PALETTE[series % PALETTE.length],
        backgroundColor: PALETTE[series % PALETTE.length],
        borderDash: /^C, /.test(name) ? [6, 4] : [],
        borderWidth: 2,
        pointRadius: chart.kind === 'lines' ? 3 : 0,
        stepped: chart.kind === 'steps',
      })),
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      scales: { x: axis(chart.x, chart.labels ?? [], colours), y: axis(chart.y, [], colours) },
      plugins: { legend: { position: 'bottom', labels: { color: colours.text, boxWidth: 14 } } },
    },
  }));
  document.documentElement.dataset.drawn = String(drawn.length);
}
draw();
dark.addEventListener('change', draw);`;

/** JSON that may stand inside a script element. */
function embedded(charts: readonly Chart[]): string {
  return JSON.stringify(charts).replaceAll('<', '\\u003c');
}

/** The report as one page that needs nothing else, readable in light and dark. */
export function renderHtml(report: Report): string {
  const { chapters, environment, leftOut } = report;
  const charts = chapters.flatMap((chapter) => chapter.charts);
  let firstChart = 0;
  const parts = chapters.map((chapter) => {
    const html = chapterHtml(chapter, firstChart);
    firstChart += chapter.charts.length;
    return html;
  });
  const rows = describeEnvironment(environment).map(([what, which]) => [what, which]);
  const left = leftOut
    .map(({ name, why }) => `<li><code>${escapeHtml(name)}</code>: ${escapeHtml(why)}</li>`)
    .join('');
  const links = chapters
    .map(({ name, title }) => `<a href="#${escapeHtml(name)}">${prose(title)}</a>`)
    .join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>tapwall: benchmarks</title>
<style>${STYLE}</style>
</head>
<body>
<h1>tapwall: benchmarks</h1>
<p>Times are those of one machine; trust the ratios. ${report.quick ? 'A quick run: fewer samples and fewer sizes.' : ''}</p>
<nav>${links}</nav>
<h2>Expected and measured</h2>
${targetTable(chapters.flatMap(({ targets }) => targets))}
<h2>Where tapwall is not the best</h2>
<ul>${behindLines(chapters)
    .map((line) => `<li>${prose(line)}</li>`)
    .join('\n')}</ul>
${left ? `<h2>Left out</h2><ul>${left}</ul>` : ''}
${parts.join('\n')}
<h2>Measured on</h2>
${table({ head: ['', ''], rows }).replace('<table>', '<table class="words">')}
<script type="application/json" id="charts">${embedded(charts)}</script>
<script>${readChartLibrary()}</script>
<script>${SCRIPT}</script>
</body>
</html>
`;
}
