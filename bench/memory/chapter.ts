import { setTimeout as sleep } from 'node:timers/promises';
import { AgentProcess } from '../agent-process.js';
import type { Benchmark, Chapter } from '../chapter.js';
import { sharedPolicy } from '../configuration.js';
import { Crowd } from '../crowd.js';
import { showProgress } from '../progress.js';
import { formatDuration } from '../report.js';

const SIZES = [0, 10, 1_000, 4_000];
const QUICK_SIZES = [0, 100];
const IDLE_SECONDS = 60;
const QUICK_IDLE_SECONDS = 3;
/** What was put off, such as collecting garbage, is done by then. */
const SETTLE_MS = 2_000;
const MOST_BYTES = 100e6;
/** Of one core; the kernel's own ticks that are put on somebody's account are more than nothing. */
const MOST_IDLE_SHARE = 0.001;

const METHOD = [
  'The agent (`tapwall run`, a process of its own, placement `names`, one policy of the configuration) runs on a throw-away host. Devices are added, and when all are attached and two seconds have gone by, its resident memory is read (VmRSS of /proc/PID/status: Node, libnftables and all other libraries included). With the most devices it is then left alone, and its processor time by the scheduler’s clock is read again. The agent compares everything every 60 seconds, so a minute holds one such comparison.',
];

export interface MemoryResult {
  sizes: { devices: number; bytes: number }[];
  idle: { devices: number; seconds: number; nanoseconds: number };
}

async function measure(sizes: readonly number[], seconds: number, folder: string): Promise<MemoryResult> {
  const crowd = new Crowd();
  let agent: AgentProcess | undefined;
  try {
    agent = await AgentProcess.start(sharedPolicy({ placement: 'names' }), folder, crowd.lab.namespacePath);
    const result: MemoryResult['sizes'] = [];
    for (const devices of sizes) {
      showProgress(`${devices} devices`);
      const more = devices - crowd.devices;
      const attached = more > 0 ? agent.saw('attached', more) : undefined;
      crowd.growTo(devices);
      await attached;
      await sleep(SETTLE_MS);
      result.push({ devices, bytes: agent.residentBytes });
    }
    showProgress(`doing nothing for ${seconds} s`);
    const before = agent.processorTime.total;
    await sleep(seconds * 1000);
    const nanoseconds = agent.processorTime.total - before;
    return { sizes: result, idle: { devices: crowd.devices, seconds, nanoseconds } };
  } finally {
    await agent?.stop();
    crowd.close();
  }
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

export function memoryChapter(result: MemoryResult): Chapter {
  const { sizes, idle } = result;
  const largest = sizes.at(-1);
  const share = idle.nanoseconds / (idle.seconds * 1e9);
  return {
    name: 'memory',
    title: 'Memory, and what the agent does when nothing happens',
    method: METHOD,
    sections: [
      {
        heading: 'Resident memory of the agent',
        table: {
          head: ['', 'resident'],
          rows: sizes.map(({ devices, bytes }) => [
            `${devices.toLocaleString('en')} devices`,
            megabytes(bytes),
          ]),
        },
        notes: [
          `In ${idle.seconds} s without an event, with ${idle.devices.toLocaleString('en')} devices, the agent used ${formatDuration(idle.nanoseconds)} of processor time (${(100 * share).toFixed(3)} % of a core).`,
        ],
      },
    ],
    charts: [
      {
        title: 'Resident memory of the agent',
        kind: 'lines',
        x: { title: 'devices', scale: 'linear' },
        y: { title: 'megabytes', scale: 'linear' },
        series: [{ name: 'tapwall run', points: sizes.map(({ devices, bytes }) => [devices, bytes / 1e6]) }],
      },
    ],
    targets: [
      {
        expected: `the agent is smaller than ${megabytes(MOST_BYTES)} with ${(largest?.devices ?? 0).toLocaleString('en')} devices`,
        measured: largest && megabytes(largest.bytes),
        met: largest !== undefined && largest.bytes < MOST_BYTES,
      },
      {
        expected: `no processor time when nothing happens: under ${100 * MOST_IDLE_SHARE} % of a core in ${idle.seconds} s`,
        measured: `${(100 * share).toFixed(3)} %`,
        met: share < MOST_IDLE_SHARE,
      },
    ],
    behind: largest
      ? [
          `tapwall stays in memory, with ${megabytes(largest.bytes)}; a hook that runs nft -f leaves nothing there`,
        ]
      : [],
    figures: { unit: 'bytes, nanoseconds', ...result },
  };
}

export const memory: Benchmark = {
  name: 'memory',
  title: 'memory, and what the agent does when nothing happens',
  seconds: ({ quick }) => (quick ? 12 : 90),
  missing: () => undefined,
  run: async ({ quick, sizes, folder }) => {
    const wanted = sizes ? [0, ...sizes] : quick ? QUICK_SIZES : SIZES;
    return memoryChapter(await measure(wanted, quick ? QUICK_IDLE_SECONDS : IDLE_SECONDS, folder));
  },
};
