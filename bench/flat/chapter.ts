import type { Benchmark, Chapter, Chart } from '../chapter.js';
import { missingCompiler } from '../programs.js';
import { runFlat } from './benchmark.js';
import { evaluate, type Figures, findTargets, sectionsOf } from './figures.js';

const SIZES = [10, 100, 1_000, 4_000];
const QUICK_SIZES = [10, 100];
const CROWDS = [256, 1_000];
const QUICK_CROWDS = [64];

const METHOD = [
  'For each number a throw-away host has so many macvtap devices, each with a MAC, an IPv4 and an IPv6 address of its own, all attached by one policy that they share: the guards mac, ethertype, fragment, dhcp-server, ra, ip, arp and nd, and two rules in each direction. One more device is attached and detached again. Its attachment is one transaction of set elements (under `device` two, of which the second adds the egress hook); its detachment also removes the counters that packets may have made for it.',
  'tapwall finds the binding, plans the step, builds the transaction and commits it with the code of its agent, in a process that measures itself from before the first to behind the kernel’s answer. The C program sends the bytes that this very process has sent before, and measures the same. In each round every contender at every size has a turn, in shuffled order; a turn is 20 attachments and detachments in a row. So whatever disturbs one size disturbs all. All were warmed up. “After a pause” is the first attachment of each turn: processor caches hold other things by then, as they do when a VM starts on a host that does something else.',
  'Many at once: devices of the largest host leave, and join again together, in transactions as the agent builds them (at most 256 devices in one). The time is that of all transactions, divided by the number of devices.',
  'The agent’s start is that of its loop, from before it opens its sockets’ first dump to `ready`: on a host where nothing is attached, and on one where everything is, where it reads, compares and changes nothing; there each device also has the four counters that a VM has which has sent and received.',
  'The interval behind a ratio of medians is the 95% confidence interval of a bootstrap. A quantile is left out where there are too few samples for it.',
];

function growthChart({ lines }: Figures): Chart {
  const attach = lines.filter(({ operation }) => operation === 'attach');
  const names = [...new Set(attach.map(({ placement, contender }) => `${placement} ${contender}`))];
  return {
    title: 'One more device, attach: p50 under each placement',
    kind: 'lines',
    x: { title: 'devices that are attached', scale: 'logarithmic' },
    y: { title: 'microseconds', scale: 'logarithmic' },
    series: names.map((name) => ({
      name: name.replace(' tapwall', '').replace(' floor', ', C with the same bytes'),
      points: attach
        .filter(({ placement, contender }) => `${placement} ${contender}` === name)
        .map(({ devices, summary }): [number, number] => [devices, summary.p50 / 1e3]),
    })),
  };
}

export function flatChapter(figures: Figures): Chapter {
  return {
    name: 'flat',
    title: 'Flatness: one more device beside more and more, and the agent’s start',
    method: METHOD,
    sections: sectionsOf(figures),
    charts: [growthChart(figures)],
    targets: findTargets(figures),
    behind: [],
    figures: { unit: 'nanoseconds', ...figures },
  };
}

export const flat: Benchmark = {
  name: 'flat',
  title: 'each placement beside more and more devices, and the agent’s start',
  seconds: ({ quick }) => (quick ? 15 : 200),
  missing: () => missingCompiler(['floor']),
  run: async ({ quick, sizes, placements, seed, random, folder }) => {
    const crowds = quick ? QUICK_CROWDS : CROWDS;
    const wanted = sizes ?? (quick ? QUICK_SIZES : SIZES);
    const result = await runFlat({ sizes: wanted, placements, crowds, quick, folder, random });
    return flatChapter(evaluate(result, seed));
  },
};
