import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { ETH_P_IP, ethernet, udp } from '#src/demo/frame.js';
import { AgentProcess } from '../agent-process.js';
import type { Benchmark, Chapter } from '../chapter.js';
import { sharedPolicy } from '../configuration.js';
import { Crowd } from '../crowd.js';
import { showProgress } from '../progress.js';
import { type Random, seededRandom } from '../random.js';
import { formatDuration, formatEstimate, SUMMARY_HEAD, summaryCells } from '../report.js';
import { quantile, ratioOfMedians, summarise } from '../statistics.js';
import { Commits } from './commits.js';

const SIZES = [100, 1_000, 4_000];
const QUICK_SIZES = [100];
const ROUNDS = 30;
const QUICK_ROUNDS = 3;
/** Devices that are made one after the other; with 4,000 devices a scrape lasts for as long. */
const ROW = 10;
const WARM_UP = 50;
/** What the agent has read serves for a second: each scrape that is measured reads anew. */
const STALE_MS = 1_050;
const IDLE_CLIENTS = 700;
const SLOW_CLIENTS = 300;
const CLIENT_BLOCKS = 3;
const LONGEST_SCRAPE = 250e6;
/** Broadcasts that each device is sent, so that it has counters. */
const FRAMES = 3;

const METHOD = [
  `So many devices are attached (placement \`names\`, one policy of the configuration, 256 devices with series of their own) and each has been sent ${FRAMES} broadcasts, so that it has counters. A scrape is one request for \`/metrics\` over the Unix socket, from the request to the end of the answer, and reads the kernel’s counters anew.`,
  `One more device is made and taken away, ${ROW} times in a row: while nothing else happens, and, the next row, right after a scrape was asked for. “Attach” is from when the device is there to the commit of its filter, seen from another process by the kernel’s notifications. Then the same beside ${IDLE_CLIENTS} clients of the control socket that ask nothing and ${SLOW_CLIENTS} that follow the events and read none, in ${CLIENT_BLOCKS} blocks with and without them.`,
  'A ratio is that of the medians, with its 95% confidence interval. On two cores the process that scrapes and makes devices takes one of them itself.',
];

export interface ScrapeResult {
  devices: number;
  /** Nanoseconds; of all samples. */
  scrapes: number[];
  quiet: number[];
  scraped: number[];
  /** Beside no client, and beside many; only with the most devices. */
  alone: number[];
  clients: number[];
  /** Bytes of a page. */
  pageBytes: number;
}

async function scrape(socketPath: string): Promise<{ nanoseconds: number; bytes: number }> {
  const begun = process.hrtime.bigint();
  const asking = request({ socketPath, path: '/metrics', agent: false });
  asking.end();
  const [answer] = (await once(asking, 'response')) as [IncomingMessage];
  let bytes = 0;
  for await (const chunk of answer) bytes += (chunk as Buffer).length;
  if (answer.statusCode !== 200) throw new Error(`a scrape was answered with ${answer.statusCode}`);
  return { nanoseconds: Number(process.hrtime.bigint() - begun), bytes };
}

/** Clients that ask nothing, and some that ask for events and take none. */
async function crowdIn(path: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let number = 0; number < IDLE_CLIENTS + SLOW_CLIENTS; number++) {
    const socket = connect(path);
    socket.on('error', () => socket.destroy());
    await once(socket, 'connect');
    const isSlow = number >= IDLE_CLIENTS;
    socket.write(`${JSON.stringify({ version: 1, id: 1, request: isSlow ? 'events' : 'hello' })}\n`);
    if (isSlow) socket.pause();
    else await once(socket, 'data');
    sockets.push(socket);
  }
  return sockets;
}

async function measure(
  devices: number,
  rounds: number,
  folder: string,
  withClients: boolean,
): Promise<ScrapeResult> {
  const [metrics, control] = [`${folder}/metrics.sock`, `${folder}/control.sock`];
  const more = `metrics: { listen: ${metrics} }\ncontrol: { path: ${control} }\n`;
  const crowd = new Crowd();
  const result: ScrapeResult = {
    devices,
    scrapes: [],
    quiet: [],
    scraped: [],
    alone: [],
    clients: [],
    pageBytes: 0,
  };
  let agent: AgentProcess | undefined;
  let commits: Commits | undefined;
  try {
    const world = crowd.lab.world();
    showProgress(`${devices} devices, making them`);
    crowd.growTo(devices, { up: true });
    agent = await AgentProcess.start(
      sharedPolicy({ placement: 'names', more }),
      folder,
      crowd.lab.namespacePath,
    );
    const payload = udp({ from: '192.168.2.1', to: '255.255.255.255', data: 'to all' });
    const to = 'ff:ff:ff:ff:ff:ff';
    for (let frame = 0; frame < FRAMES; frame++) {
      world.send(ethernet({ from: world.mac, to, type: ETH_P_IP, payload }));
      await sleep(100);
    }
    commits = new Commits(crowd);
    const row = (into: number[]) => {
      for (let sample = 0; sample < ROW; sample++) into.push(commits?.one() ?? Number.NaN);
    };
    for (let sample = 0; sample < WARM_UP; sample++) commits.one();
    for (let round = 0; round < rounds; round++) {
      showProgress(`${devices} devices, round ${round + 1} of ${rounds}`);
      await sleep(STALE_MS);
      const { nanoseconds, bytes } = await scrape(metrics);
      result.scrapes.push(nanoseconds);
      result.pageBytes = bytes;
      row(result.quiet);
      await sleep(STALE_MS);
      const answered = scrape(metrics);
      // The request is on its way; its answer waits in the kernel meanwhile.
      for (let step = 0; step < 4; step++) await turn();
      row(result.scraped);
      await answered;
    }
    for (let block = 0; withClients && block < CLIENT_BLOCKS; block++) {
      showProgress(`beside clients, block ${block + 1} of ${CLIENT_BLOCKS}`);
      for (let round = 0; round < rounds; round++) row(result.alone);
      const sockets = await crowdIn(control);
      for (let round = 0; round < rounds; round++) row(result.clients);
      for (const socket of sockets) socket.destroy();
      await sleep(100);
    }
    return result;
  } finally {
    commits?.close();
    await agent?.stop();
    crowd.close();
  }
}

const IN_ROWS = { above: ROW, below: ROW };

export function scrapeChapter(results: readonly ScrapeResult[], random: Random): Chapter {
  const largest = results.at(-1);
  const named = ({ devices }: ScrapeResult) => `${devices.toLocaleString('en')} devices`;
  const attaching = results.flatMap((result) => {
    const sides: [words: string, samples: number[], against: number[]][] = [
      ['nothing else', result.quiet, result.quiet],
      ['during a scrape', result.scraped, result.quiet],
    ];
    if (result.clients.length > 0) {
      sides.push(['nothing else, again', result.alone, result.alone]);
      sides.push([`beside ${IDLE_CLIENTS + SLOW_CLIENTS} clients`, result.clients, result.alone]);
    }
    return sides.map(([words, samples, against]) => [
      `${named(result)}, ${words}`,
      ...summaryCells(summarise(samples)),
      samples === against ? '1' : formatEstimate(ratioOfMedians(samples, against, random, IN_ROWS)),
    ]);
  });
  const worst = largest && quantile(largest.scrapes, 0.99);
  const slower = (samples: number[], against: number[]) =>
    samples.length === 0 ? undefined : quantile(samples, 0.5) / quantile(against, 0.5);
  const ratios = {
    scraped: largest && slower(largest.scraped, largest.quiet),
    clients: largest && slower(largest.clients, largest.alone),
  };
  const undelayed = (what: string, ratio: number | undefined) => ({
    expected: `${what} delays no attach: less than 1.25 times the time without`,
    measured: ratio?.toFixed(2),
    met: ratio !== undefined && ratio < 1.25,
  });
  return {
    name: 'scrape',
    title: 'Being watched: scrapes, and clients of the control socket',
    method: METHOD,
    sections: [
      {
        heading: 'A scrape',
        table: {
          head: ['', ...SUMMARY_HEAD, 'page'],
          rows: results.map((result) => [
            named(result),
            ...summaryCells(summarise(result.scrapes)),
            `${Math.round(result.pageBytes / 1e3)} kB`,
          ]),
        },
        notes: [],
      },
      {
        heading: 'Attaching meanwhile',
        table: { head: ['', ...SUMMARY_HEAD, 'p50, as a multiple'], rows: attaching },
        notes: [],
      },
    ],
    charts: [],
    targets: [
      {
        expected: `a scrape with ${(largest?.devices ?? 0).toLocaleString('en')} devices takes less than ${formatDuration(LONGEST_SCRAPE)} (p99, or the longest)`,
        measured: worst === undefined ? undefined : formatDuration(worst),
        met: worst !== undefined && worst < LONGEST_SCRAPE,
      },
      undelayed('a scrape', ratios.scraped),
      undelayed('a thousand clients that are idle or slow', ratios.clients),
    ],
    behind: largest
      ? [
          `with ${named(largest)} a scrape takes ${formatDuration(quantile(largest.scrapes, 0.5))} (p50), in which the agent’s process uses a core; without metrics there is none`,
        ]
      : [],
    figures: { unit: 'nanoseconds, bytes', results },
  };
}

export const watched: Benchmark = {
  name: 'scrape',
  title: 'scrapes, and clients of the control socket',
  seconds: ({ quick }) => (quick ? 20 : 300),
  missing: () => undefined,
  run: async ({ quick, sizes, folder, seed }) => {
    const wanted = sizes ?? (quick ? QUICK_SIZES : SIZES);
    const results: ScrapeResult[] = [];
    for (const [at, devices] of wanted.entries()) {
      const isLast = at === wanted.length - 1;
      results.push(await measure(devices, quick ? QUICK_ROUNDS : ROUNDS, folder, isLast));
    }
    return scrapeChapter(results, seededRandom(seed));
  },
};
