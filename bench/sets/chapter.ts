import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab } from '#src/demo/lab.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { AgentProcess, Refusal } from '../agent-process.js';
import type { Benchmark, Chapter, Target } from '../chapter.js';
import { showProgress } from '../progress.js';
import { seededRandom } from '../random.js';
import { formatEstimate, SUMMARY_HEAD, summaryCells } from '../report.js';
import { quantile, ratioOfMedians, summarise } from '../statistics.js';

const SIZES = [10, 1_000, 100_000, 1_000_000];
const QUICK_SIZES = [10, 1_000];
const ROUNDS = 5;
const QUICK_ROUNDS = 2;
const ROUNDS_OF_MANY = 3;
/** In place of what `summaryCells` says. */
const NO_SUMMARY = ['0', ...SUMMARY_HEAD.slice(1).map(() => '-')];
const FEWEST_TIMES_FASTER = 2;

const METHOD = [
  'A policy drops what comes from a set of so many IPv4 addresses. nft loads a file with that set; the process is in the namespace already. tapwall runs, and its configuration names a file with the addresses: from SIGHUP to the event `reloaded`, so reading and checking configuration and file, compiling, and installing. Each on a throw-away host of its own, in turns; the set that was there before has one address. Then one address of the file becomes another, and tapwall is told to reload again.',
  'If anything on the machine listens to changes of nf_tables, in whichever network namespace, the kernel makes a message for each address that nft adds, a page each: run this on a machine where nothing does. tapwall’s agent doesn’t listen while it sends so much.',
];

export interface SetsResult {
  addresses: number;
  tapwall: number[];
  /** For one address that becomes another. */
  another: number[];
  nft: number[];
  /** Why tapwall doesn't take so many; then it has no samples. */
  refused?: string;
}

/** Spread over 10.0.0.0/8, and in no order, as lists of addresses are. */
function addressesOf(count: number): string[] {
  return Array.from({ length: count }, (_, number) => {
    // An odd factor makes a permutation of 24 bits.
    const low = Math.imul(number, 0x9e3779b1) & 0xffffff;
    return `10.${low >> 16}.${(low >> 8) & 0xff}.${low & 0xff}`;
  });
}

const LIST = 'blocked.txt';

const CONFIGURATION = `sets:
  blocked: { type: ipv4_addr, file: ${LIST} }
placement: names
policies:
  blocking: { guards: [ethertype], ingress: "ip saddr @blocked drop", default: accept }
bindings: [{ device: "*", policy: blocking }]
`;

function nftFile(addresses: readonly string[]): string {
  return `table netdev bench {
  set blocked { type ipv4_addr; elements = { ${addresses.join(',\n')} }; }
  chain in { type filter hook ingress device "macvtap0" priority 0; ip saddr @blocked drop; }
}
`;
}

async function withTapwall(
  addresses: readonly string[],
  folder: string,
): Promise<{ all: number; another: number }> {
  const lab = new Lab(linuxKernel());
  const write = (list: readonly string[]) => writeFileSync(join(folder, LIST), `${list.join('\n')}\n`);
  let agent: AgentProcess | undefined;
  try {
    lab.addMacvtap({ name: 'macvtap0', mac: '52:54:00:00:00:01', up: false });
    write(['192.0.2.1']);
    agent = await AgentProcess.start(CONFIGURATION, folder, lab.namespacePath);
    write(addresses);
    const all = await agent.reload(CONFIGURATION);
    write([...addresses.slice(1), '192.0.2.2']);
    return { all, another: await agent.reload(CONFIGURATION) };
  } finally {
    await agent?.stop();
    lab.close();
  }
}

function withNft(addresses: readonly string[], folder: string): number {
  const lab = new Lab(linuxKernel());
  try {
    lab.addMacvtap({ name: 'macvtap0', mac: '52:54:00:00:00:01', up: false });
    const file = join(folder, 'set.nft');
    writeFileSync(file, nftFile(addresses));
    const start = process.hrtime.bigint();
    const { status, stderr } = spawnSync('nsenter', [`--net=${lab.namespacePath}`, 'nft', '-f', file], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`nft: ${stderr.slice(0, 500)}`);
    return Number(process.hrtime.bigint() - start);
  } finally {
    lab.close();
  }
}

async function measure(addresses: number, rounds: number, nft: boolean, folder: string): Promise<SetsResult> {
  const list = addressesOf(addresses);
  const result: SetsResult = { addresses, tapwall: [], another: [], nft: [] };
  for (let round = 1; round <= rounds; round++) {
    showProgress(`${addresses} addresses, round ${round} of ${rounds}`);
    if (nft) result.nft.push(withNft(list, folder));
    if (result.refused !== undefined) continue;
    try {
      const { all, another } = await withTapwall(list, folder);
      result.tapwall.push(all);
      result.another.push(another);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const [why = ''] = error.message.split('\n');
      result.refused = why.replaceAll(`${folder}/`, '');
    }
  }
  return result;
}

function targetsOf(results: readonly SetsResult[], seed: number): Target[] {
  const largest = results.find(({ addresses }) => addresses === 1_000_000);
  const ratio =
    largest &&
    largest.nft.length > 0 &&
    largest.tapwall.length > 0 &&
    ratioOfMedians(largest.nft, largest.tapwall, seededRandom(seed));
  return [
    {
      expected: `a set of 1,000,000 addresses: at least ${FEWEST_TIMES_FASTER} times faster than nft -f`,
      measured: ratio
        ? `${formatEstimate(ratio)} times`
        : largest?.refused && `tapwall refuses it: ${largest.refused}`,
      met: ratio ? ratio.value >= FEWEST_TIMES_FASTER : false,
    },
  ];
}

export function setsChapter(results: readonly SetsResult[], seed: number): Chapter {
  const withNft = results.filter(({ nft }) => nft.length > 0);
  return {
    name: 'sets',
    title: 'A policy with a set of addresses',
    method: METHOD,
    sections: [
      {
        heading: 'Until the set is in force',
        table: {
          head: ['', ...SUMMARY_HEAD, 'p50, as a multiple of tapwall’s'],
          rows: results.flatMap(({ addresses, tapwall, another, nft }) => [
            [
              `${addresses.toLocaleString('en')} addresses: tapwall`,
              ...(tapwall.length > 0 ? summaryCells(summarise(tapwall)) : NO_SUMMARY),
              tapwall.length > 0 ? '1' : '-',
            ],
            ...(another.length > 0
              ? [
                  [
                    `${addresses.toLocaleString('en')} addresses: tapwall, one becomes another`,
                    ...summaryCells(summarise(another)),
                    formatEstimate(ratioOfMedians(another, tapwall, seededRandom(seed))),
                  ],
                ]
              : []),
            ...(nft.length > 0
              ? [
                  [
                    `${addresses.toLocaleString('en')} addresses: nft -f`,
                    ...summaryCells(summarise(nft)),
                    tapwall.length > 0
                      ? formatEstimate(ratioOfMedians(nft, tapwall, seededRandom(seed)))
                      : '-',
                  ],
                ]
              : []),
          ]),
        },
        notes: results.flatMap(({ addresses, refused }) =>
          refused === undefined
            ? []
            : [`${addresses.toLocaleString('en')} addresses: tapwall refuses them: ${refused}`],
        ),
      },
    ],
    charts: [
      {
        title: 'A set of addresses: p50 until it is in force',
        kind: 'lines',
        x: { title: 'addresses', scale: 'logarithmic' },
        y: { title: 'milliseconds', scale: 'logarithmic' },
        series: [
          {
            name: 'tapwall, SIGHUP',
            points: results
              .filter(({ tapwall }) => tapwall.length > 0)
              .map(({ addresses, tapwall }) => [addresses, quantile(tapwall, 0.5) / 1e6]),
          },
          {
            name: 'tapwall, SIGHUP, one becomes another',
            points: results
              .filter(({ another }) => another.length > 0)
              .map(({ addresses, another }) => [addresses, quantile(another, 0.5) / 1e6]),
          },
          {
            name: 'nft -f',
            points: withNft.map(({ addresses, nft }) => [addresses, quantile(nft, 0.5) / 1e6]),
          },
        ],
      },
    ],
    targets: targetsOf(results, seed),
    behind: withNft.flatMap(({ addresses, tapwall, nft, refused }) => {
      const of = `a set of ${addresses.toLocaleString('en')} addresses`;
      if (tapwall.length === 0) return [`${of}: nft -f takes it, tapwall refuses it: ${refused}`];
      const times = ratioOfMedians(tapwall, nft, seededRandom(seed));
      return times.low > 1 ? [`${of}: tapwall takes ${formatEstimate(times)} times as long as nft -f`] : [];
    }),
    figures: { unit: 'nanoseconds', results },
  };
}

export const sets: Benchmark = {
  name: 'sets',
  title: 'a policy with a set of addresses',
  seconds: ({ quick }) => (quick ? 6 : 150),
  missing: () => undefined,
  run: async ({ quick, seed, folder, environment }) => {
    const results: SetsResult[] = [];
    for (const addresses of quick ? QUICK_SIZES : SIZES) {
      const many = addresses >= 100_000;
      const rounds = many ? ROUNDS_OF_MANY : quick ? QUICK_ROUNDS : ROUNDS;
      results.push(await measure(addresses, rounds, environment.nft !== undefined, folder));
    }
    return setsChapter(results, seed);
  },
};
