import { linuxKernel } from '#src/kernel/linux.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { NFT_MSG_GETGEN } from '#src/nftables/constants.js';
import { generationSchema } from '#src/nftables/generation.js';
import { nftablesRequest, parseNftablesMessage } from '#src/nftables/message.js';
import { AgentProcess } from '../agent-process.js';
import type { Benchmark, Chapter, Target } from '../chapter.js';
import { sharedPolicy } from '../configuration.js';
import { Crowd } from '../crowd.js';
import { showProgress } from '../progress.js';
import { formatDuration } from '../report.js';
import { quantile } from '../statistics.js';

const SIZES = [10, 1_000, 4_000];
const QUICK_SIZES = [10, 100];
const ROUNDS = 5;
const QUICK_ROUNDS = 2;
const LONGEST = 500e6;

const METHOD = [
  'So many devices are attached (placement `names`, one policy of the configuration), the agent is killed with SIGKILL, and `tapwall run` is started again. “The process” is from its start to the event `ready`, seen from outside: Node, reading and compiling the configuration, and all else. “The agent” is what it says itself of its loop: reading links and tables, comparing, and changing what has to be. Transactions are counted by the generation of nf_tables, which each one raises by one. An agent that owns its tables (Linux 6.9 on) sends one that changes nothing but whose they are, since the kernel took the ownership away when the one before was killed.',
];

export interface RestartResult {
  devices: number;
  /** Nanoseconds, from the start of the process, and of the agent's loop. */
  process: number[];
  loop: number[];
  transactions: number[];
}

/** The number that each transaction raises by one. */
function readGeneration({ lab }: Crowd): number {
  const { namespace } = lab.host;
  const netfilter = linuxKernel().openSocket({ protocol: NETLINK_NETFILTER, namespace });
  try {
    const [answer] = netfilter.request(nftablesRequest(NFT_MSG_GETGEN, 0), 'GETGEN');
    const message = answer && parseNftablesMessage(answer);
    return generationSchema.parse(message?.attributes ?? new Uint8Array()).id;
  } finally {
    netfilter.close();
  }
}

async function measure(devices: number, rounds: number, folder: string): Promise<RestartResult> {
  const crowd = new Crowd();
  const result: RestartResult = { devices, process: [], loop: [], transactions: [] };
  try {
    showProgress(`${devices} devices, making them`);
    crowd.growTo(devices);
    for (let round = 0; round <= rounds; round++) {
      showProgress(`${devices} devices, round ${round} of ${rounds}`);
      const before = readGeneration(crowd);
      const agent = await AgentProcess.start(
        sharedPolicy({ placement: 'names' }),
        folder,
        crowd.lab.namespacePath,
      );
      const transactions = readGeneration(crowd) - before;
      await agent.stop('SIGKILL');
      // The first attaches them all.
      if (round === 0) continue;
      result.process.push(agent.start.process);
      result.loop.push(agent.start.loop);
      result.transactions.push(transactions);
    }
    return result;
  } finally {
    crowd.close();
  }
}

function targetsOf(largest: RestartResult): Target[] {
  const devices = largest.devices.toLocaleString('en');
  const most = Math.max(...largest.transactions);
  const timed = (what: string, samples: readonly number[]): Target => ({
    expected: `the agent starts again with ${devices} attached devices in under ${formatDuration(LONGEST)}, ${what}`,
    measured: formatDuration(quantile(samples, 0.5)),
    met: quantile(samples, 0.5) < LONGEST,
  });
  return [
    timed('as the agent counts', largest.loop),
    timed('from the start of its process', largest.process),
    {
      expected: `it sends no transaction then, with ${devices} devices`,
      measured: `${most} transaction${most === 1 ? '' : 's'}`,
      met: most === 0,
    },
  ];
}

export function restartChapter(results: readonly RestartResult[]): Chapter {
  const largest = results.at(-1);
  return {
    name: 'restart',
    title: 'Starting again where all is attached',
    method: METHOD,
    sections: [
      {
        heading: 'p50',
        table: {
          head: ['', 'n', 'the process', 'the agent', 'transactions'],
          rows: results.map(({ devices, process, loop, transactions }) => [
            `${devices.toLocaleString('en')} devices`,
            String(process.length),
            formatDuration(quantile(process, 0.5)),
            formatDuration(quantile(loop, 0.5)),
            String(Math.max(...transactions)),
          ]),
        },
        notes: [],
      },
    ],
    charts: [],
    targets: largest ? targetsOf(largest) : [],
    behind: ['tapwall has an agent to start again; a hook that runs nft -f has nothing to start'],
    figures: { unit: 'nanoseconds', results },
  };
}

export const restart: Benchmark = {
  name: 'restart',
  title: 'starting again where all is attached',
  seconds: ({ quick }) => (quick ? 8 : 45),
  missing: () => undefined,
  run: async ({ quick, sizes, folder }) => {
    const results: RestartResult[] = [];
    for (const devices of sizes ?? (quick ? QUICK_SIZES : SIZES)) {
      results.push(await measure(devices, quick ? QUICK_ROUNDS : ROUNDS, folder));
    }
    return restartChapter(results);
  },
};
