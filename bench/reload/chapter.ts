import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LEGACY_FILE } from '#src/demo/scenario.js';
import { AgentProcess } from '../agent-process.js';
import type { Benchmark, Chapter } from '../chapter.js';
import { sharedPolicy } from '../configuration.js';
import { Crowd } from '../crowd.js';
import { showProgress } from '../progress.js';
import { seededRandom } from '../random.js';
import { formatEstimate, SUMMARY_HEAD, summaryCells } from '../report.js';
import { quantile, ratioOfMedians, summarise } from '../statistics.js';

const SIZES = [10, 100, 1_000, 4_000];
const QUICK_SIZES = [10, 100];
const ROUNDS = 10;
const QUICK_ROUNDS = 2;
/** One file with a table for each device takes nft minutes beyond. */
const MOST_FOR_NFT = 1_000;
const GATEWAYS = ['192.168.2.1', '192.168.2.2'];

const METHOD = [
  'So many devices are attached by one policy of the configuration, and a rule of it is changed: from SIGHUP to the event `reloaded`, seen from outside. It holds reading and checking the file, compiling it in the agent’s child process, comparing what the kernel holds with what it should, one transaction, and what Node needs for all that. No device’s elements are touched.',
  'Without tapwall each device has a table of its own, so all of them are replaced: by nft -f with one file that holds them all, which is the fastest way that nft has. The process is in the namespace already. On the same host, in turns.',
];

export interface ReloadResult {
  devices: number;
  tapwall: number[];
  /** Empty where nft is not installed, or has too much to do. */
  nft: number[];
}

function nftFile(devices: number, gateway: string): string {
  return Array.from({ length: devices }, (_, number) =>
    LEGACY_FILE.replaceAll('filtermacvtap', `filtermacvtap_${number}`)
      .replaceAll('$intf', `macvtap${number}`)
      .replaceAll('192.168.2.1 ', `${gateway} `),
  ).join('');
}

function replaceWithNft(namespacePath: string, file: string): number {
  const start = process.hrtime.bigint();
  const { status, stderr } = spawnSync('nsenter', [`--net=${namespacePath}`, 'nft', '-f', file], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`nft: ${stderr.slice(0, 500)}`);
  return Number(process.hrtime.bigint() - start);
}

async function measure(devices: number, rounds: number, nft: boolean, folder: string): Promise<ReloadResult> {
  const crowd = new Crowd();
  let agent: AgentProcess | undefined;
  const result: ReloadResult = { devices, tapwall: [], nft: [] };
  try {
    showProgress(`${devices} devices, making them`);
    crowd.growTo(devices);
    const { namespacePath } = crowd.lab;
    agent = await AgentProcess.start(sharedPolicy({ placement: 'names' }), folder, namespacePath);
    for (let round = 0; round <= rounds; round++) {
      showProgress(`${devices} devices, round ${round} of ${rounds}`);
      const gateway = GATEWAYS[(round + 1) % GATEWAYS.length] ?? '';
      const tapwall = await agent.reload(sharedPolicy({ placement: 'names', gateway }));
      if (round > 0) result.tapwall.push(tapwall);
      if (!nft || devices > MOST_FOR_NFT) continue;
      const file = join(folder, 'all.nft');
      writeFileSync(file, nftFile(devices, gateway));
      const elapsed = replaceWithNft(namespacePath, file);
      // The first makes tables where there are none, and is not a replacement.
      if (round > 0) result.nft.push(elapsed);
    }
    return result;
  } finally {
    await agent?.stop();
    crowd.close();
  }
}

export function reloadChapter(results: readonly ReloadResult[], seed: number): Chapter {
  const withNft = results.filter(({ nft }) => nft.length > 0);
  return {
    name: 'reload',
    title: 'Changing a policy',
    method: METHOD,
    sections: [
      {
        heading: 'A rule of a policy that so many devices have',
        table: {
          head: ['', ...SUMMARY_HEAD, 'p50, as a multiple of tapwall’s'],
          rows: results.flatMap(({ devices, tapwall, nft }) => [
            [`${devices.toLocaleString('en')} devices: tapwall`, ...summaryCells(summarise(tapwall)), '1'],
            ...(nft.length > 0
              ? [
                  [
                    `${devices.toLocaleString('en')} devices: nft -f, one file`,
                    ...summaryCells(summarise(nft)),
                    formatEstimate(ratioOfMedians(nft, tapwall, seededRandom(seed))),
                  ],
                ]
              : []),
          ]),
        },
        notes: [],
      },
    ],
    charts: [
      {
        title: 'Changing a rule of a policy: p50',
        kind: 'lines',
        x: { title: 'devices that have it', scale: 'logarithmic' },
        y: { title: 'milliseconds', scale: 'logarithmic' },
        series: [
          {
            name: 'tapwall, SIGHUP',
            points: results.map(({ devices, tapwall }) => [devices, quantile(tapwall, 0.5) / 1e6]),
          },
          {
            name: 'nft -f, one file',
            points: withNft.map(({ devices, nft }) => [devices, quantile(nft, 0.5) / 1e6]),
          },
        ],
      },
    ],
    targets: [],
    behind: withNft.flatMap(({ devices, tapwall, nft }) => {
      const times = ratioOfMedians(tapwall, nft, seededRandom(seed));
      return times.low > 1
        ? [
            `changing a policy that ${devices.toLocaleString('en')} devices have: tapwall takes ${formatEstimate(times)} times as long as nft -f with one file for all`,
          ]
        : [];
    }),
    figures: { unit: 'nanoseconds', results },
  };
}

export const reload: Benchmark = {
  name: 'reload',
  title: 'changing a policy',
  seconds: ({ quick }) => (quick ? 6 : 90),
  missing: () => undefined,
  run: async ({ quick, sizes, seed, folder, environment }) => {
    const results: ReloadResult[] = [];
    for (const devices of sizes ?? (quick ? QUICK_SIZES : SIZES)) {
      const rounds = quick ? QUICK_ROUNDS : ROUNDS;
      results.push(await measure(devices, rounds, environment.nft !== undefined, folder));
    }
    return reloadChapter(results, seed);
  },
};
