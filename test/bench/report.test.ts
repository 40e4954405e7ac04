import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { attachChapter } from '../../dist-bench/attach/chapter.js';
import type { Report } from '../../dist-bench/chapter.js';
import { renderHtml } from '../../dist-bench/html.js';
import { leakChapter } from '../../dist-bench/leak/chapter.js';
import { seededRandom } from '../../dist-bench/random.js';
import { fillFigures } from '../../dist-bench/readme.js';
import { readReport, renderJson, renderMarkdown, renderText } from '../../dist-bench/report.js';
import { restartChapter } from '../../dist-bench/restart/chapter.js';
import { type ScrapeResult, scrapeChapter } from '../../dist-bench/scrape/chapter.js';
import { setsChapter } from '../../dist-bench/sets/chapter.js';

/** What the browser needs to run as root and to ask nothing of any network. */
const BROWSER_ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const spread = (median: number, n = 120) =>
  Array.from({ length: n }, (_, at) => median * (0.9 + (0.2 * at) / (n - 1)));

function measurement(contender: string, title: string, median: number) {
  return { contender, title, row: 1, attach: spread(median), detach: spread(median / 2) };
}

/** Figures that are made up; what is made of them is not. */
const CHAPTER = attachChapter(
  [10, 1_000].map((devices) => ({
    devices,
    measurements: [
      measurement('tapwall', 'tapwall, a file', 90e3),
      measurement('tapwall-again', 'tapwall, a file, once more', 90e3),
      measurement('nft', 'nft -f, spawned from Node', devices * 1e6),
      measurement('names', 'tapwall, names', 12e3),
      measurement('names-floor', 'C, the same bytes, names', 7e3),
    ],
  })),
  1,
);

const REPORT: Report = {
  environment: {
    date: '2026-01-02T03:04:05.000Z',
    commit: undefined,
    processor: 'a <processor>',
    cores: 2,
    memoryGiB: 4,
    virtualMachine: true,
    governor: undefined,
    clocksource: 'tsc',
    kernel: '6.18.0',
    node: 'v20.20.2',
    nft: undefined,
    libnftables: '1.0.6',
    libmnl: '1.0.5',
    compiler: undefined,
    load: { before: 0, after: 0.5 },
  },
  seed: 1,
  quick: true,
  chapters: [
    CHAPTER,
    leakChapter(
      [
        {
          contender: 'names',
          title: 'tapwall, placement names',
          closed: true,
          creations: 2,
          leakyDevices: 1,
          egress: { sent: 100, leaked: 1 },
          ingress: { sent: 100, leaked: 0 },
        },
      ],
      2,
    ),
  ],
  leftOut: [{ name: 'packet', why: 'nft is not installed' }],
};

describe('a report', () => {
  test('says of a set that tapwall refuses that it falls short, and why', () => {
    const chapter = setsChapter(
      [
        { addresses: 10, tapwall: [3e6, 3e6], another: [1e6, 1e6], nft: [2e6, 2e6] },
        { addresses: 1_000_000, tapwall: [], another: [], nft: [7e9], refused: 'more than 1000000 keys' },
      ],
      1,
    );
    assert.match(
      renderText(chapter),
      /^FALLS SHORT .*1,000,000 addresses.*: tapwall refuses it: more than 1000000 keys$/m,
    );
    assert.match(renderText(chapter), /1,000,000 addresses: tapwall +│ 0 │ +- │/);
  });

  test('tells the restart with a transaction from one without', () => {
    const of = (transactions: number[]) =>
      restartChapter([{ devices: 4_000, process: [9e8], loop: [3e8], transactions }]).targets.map(
        ({ met }) => met,
      );
    assert.deepEqual(of([0, 0]), [true, false, true]);
    assert.deepEqual(of([0, 1]), [true, false, false]);
  });

  test('tells a scrape, or clients, that delay an attach from such as do not', () => {
    const of = (more: Partial<ScrapeResult>) => {
      const [quiet, alone] = [
        [100, 110, 120],
        [100, 110, 120],
      ];
      const result = {
        devices: 4_000,
        scrapes: [9e7],
        pageBytes: 1e5,
        quiet,
        alone,
        scraped: quiet,
        clients: alone,
      };
      return scrapeChapter([{ ...result, ...more }], seededRandom(1)).targets.map(({ met }) => met);
    };
    assert.deepEqual(of({}), [true, true, true]);
    assert.deepEqual(of({ scrapes: [9e7, 3e8] }), [false, true, true]);
    assert.deepEqual(of({ scraped: [200, 210, 220] }), [true, false, true]);
    assert.deepEqual(of({ clients: [200, 210, 220] }), [true, true, false]);
    assert.deepEqual(of({ clients: [] }), [true, true, false]);
  });

  test('says of each expectation whether it was met, fell short or was not measured', () => {
    const verdicts = new Map(
      CHAPTER.targets.map(({ expected, measured, met }) => [expected, { measured, met }]),
    );
    const of = (start: string) => [...verdicts].find(([expected]) => expected.startsWith(start))?.[1];
    assert.equal(of('attach at 1000 devices, names: at least 5,000')?.met, true);
    assert.equal(of('attach at 1000 devices, prefix')?.measured, undefined);
    const floor = of('attach at 1000 devices, names: at most 1.5 times C');
    assert.match(floor?.measured ?? '', /^1\.71 \(/);
    assert.equal(floor?.met, false);
    assert.equal(of('self-check at 10 devices')?.met, true);
    assert.match(renderText(CHAPTER), /^FALLS SHORT {2}attach at 1000 devices, names: at most 1\.5 times C/m);
    assert.match(renderText(CHAPTER), /^NOT MEASURED {2}attach at 1000 devices, prefix/m);
  });

  test('is a failed self-check when the same contender differs from itself', () => {
    const measurements = [
      measurement('tapwall', 'tapwall, a file', 90e3),
      measurement('tapwall-again', 'tapwall, a file, once more', 150e3),
      measurement('names', 'tapwall, names', 12e3),
    ];
    const { targets } = attachChapter([{ devices: 10, measurements }], 1);
    assert.equal(targets.find(({ expected }) => expected.startsWith('self-check'))?.met, false);
  });

  test('is the same when it is made of its JSON', () => {
    const read = readReport(renderJson(REPORT));
    assert.equal(renderMarkdown(read), renderMarkdown(REPORT));
    assert.equal(renderHtml(read), renderHtml(REPORT));
    assert.deepEqual(read.chapters[0]?.targets, REPORT.chapters[0]?.targets);
  });

  test('names what was left out, and says in one table what fell short', () => {
    const page = renderMarkdown(REPORT);
    assert.match(page, /^- `packet`: nft is not installed$/m);
    assert.match(page, /^\| tapwall, placement names: no frame leaks \| 1 of 200 \| falls short \|$/m);
    assert.match(page, /^\| attach at 1000 devices, prefix: .* \| - \| not measured \|$/m);
  });

  test('lists in one place whatever was better than tapwall, and nothing that was not', () => {
    const line =
      /attach beside 10 devices: tapwall, names takes 1\.71 \(.*\) times as long as C, the same bytes, names/;
    for (const page of [renderMarkdown(REPORT), renderHtml(REPORT)]) {
      assert.match(page, line);
      assert.doesNotMatch(page, /times as long as (nft -f, spawned|tapwall)/);
      assert.ok(page.indexOf('Where tapwall is not the best') < page.search(line));
    }
    assert.match(
      fillFigures('<!-- figures --><!-- /figures -->', REPORT),
      /benchmarks\.md#where-tapwall-is-not-the-best/,
    );
    const sets = (tapwall: number, nft: number) =>
      setsChapter([{ addresses: 10, tapwall: spread(tapwall), another: [], nft: spread(nft) }], 1).behind;
    assert.match(sets(3e6, 2e6)[0] ?? '', /^a set of 10 addresses: tapwall takes 1\.5/);
    assert.deepEqual(sets(2e6, 3e6), []);
    const best = { ...REPORT, chapters: REPORT.chapters.map((one) => ({ ...one, behind: [] })) };
    assert.match(renderMarkdown(best), /^- Nowhere in what this run has measured\.$/m);
  });

  test('fills in the figures of a page and nothing else', () => {
    const page = 'before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n';
    const filled = fillFigures(page, REPORT);
    assert.ok(
      filled.startsWith('before\n<!-- figures -->\n') && filled.endsWith('<!-- /figures -->\nafter\n'),
    );
    assert.doesNotMatch(filled, /^old$/m);
    assert.match(filled, /^\| tapwall, names \| 12\.0 µs \| 12\.0 µs \|$/m);
    assert.equal(fillFigures(filled, REPORT), filled);
    // What the README shows is in the page that the same run has written.
    const written = new Set(renderMarkdown(REPORT).split('\n'));
    const shown = filled.split('\n').filter((line) => line.startsWith('|'));
    assert.ok(shown.length > 8);
    assert.deepEqual(
      shown.filter((line) => !written.has(line)),
      [],
    );
    assert.throws(() => fillFigures('nothing', REPORT), /has no <!-- figures -->/);
  });
});

test('the page draws every chart in light and dark, alone and without an error', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-page-'));
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: BROWSER_ARGS });
  try {
    const file = join(folder, 'report.html');
    writeFileSync(file, renderHtml(REPORT));
    const backgrounds: string[] = [];
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await browser.newPage({ colorScheme });
      const complaints: string[] = [];
      const requests: string[] = [];
      page.on('console', (message) => complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('request', (request) => requests.push(request.url()));
      await page.goto(pathToFileURL(file).href);
      const drawn = await page.evaluate<number>('Number(document.documentElement.dataset.drawn)');
      assert.equal(drawn, 4);
      // A canvas that nothing was drawn on is empty.
      const blank = await page.evaluate<number>(
        `[...document.querySelectorAll('canvas')].filter((canvas) => !canvas.getContext('2d')
          .getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte !== 0)).length`,
      );
      assert.equal(blank, 0);
      backgrounds.push(await page.evaluate<string>('getComputedStyle(document.body).backgroundColor'));
      assert.deepEqual(complaints, []);
      assert.deepEqual(
        requests.filter((url) => !/^(file|data):/.test(url)),
        [],
      );
      await page.close();
    }
    assert.notEqual(backgrounds[0], backgrounds[1]);
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
