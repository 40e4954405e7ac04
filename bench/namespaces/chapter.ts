import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Agent } from '#src/agent/agent.js';
import type { AgentEvent } from '#src/agent/event.js';
import { createConfiguration } from '#src/config/object.js';
import { Lab } from '#src/demo/lab.js';
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import { linuxKernel } from '#src/kernel/linux.js';
import type { Benchmark, Chapter } from '../chapter.js';
import { showProgress } from '../progress.js';
import { type Random, seededRandom, shuffle } from '../random.js';
import { formatDuration, formatEstimate, SUMMARY_HEAD, summaryCells } from '../report.js';
import { quantile, ratioOfMedians, summarise } from '../statistics.js';

const SERVED = 100;
const QUICK_SERVED = 10;
const ROUNDS = 300;
const QUICK_ROUNDS = 60;
const WARM_UP = 60;

const METHOD = [
  `Two agents of one process, each with a thread of its own: one serves a single network namespace, the other many. Both have the same configuration (placement \`names\`, one policy). In turns whose order is shuffled, a macvtap device is made in the namespace of the one and in one of the namespaces of the other, and deleted again. “From the request” is from the moment before the request that makes the device until the process’s main thread has the event \`attached\`; “the agent” is what that event says itself: from waking up to the kernel’s acknowledgement.`,
  'The second table is about the second agent’s start: what it takes to put the door into one more namespace, which is empty.',
];

type Side = 'one' | 'many';
const SIDES: readonly Side[] = ['one', 'many'];

/** Nanoseconds. */
export interface NamespacesResult {
  served: number;
  request: Record<Side, number[]>;
  agent: Record<Side, number[]>;
  entering: number[];
}

/** An agent, and the namespace of it in which devices are made. */
class Party {
  readonly #agent: Agent;
  readonly #lab: Lab;
  #heard: (event: AgentEvent & { event: 'attached' }) => void = () => undefined;

  constructor(agent: Agent, lab: Lab) {
    this.#agent = agent;
    this.#lab = lab;
    agent.on('attached', (event) => this.#heard(event));
  }

  async once(): Promise<{ request: number; agent: number }> {
    const attached = new Promise<AgentEvent & { event: 'attached' }>((resolve) => {
      this.#heard = resolve;
    });
    const begun = process.hrtime.bigint();
    const { index } = this.#lab.addMacvtap({ name: 'macvtap0', mac: '52:54:00:00:00:01', up: false });
    const { microseconds } = await attached;
    const request = Number(process.hrtime.bigint() - begun);
    const detached = new Promise((resolve) => this.#agent.once('detached', resolve));
    this.#lab.remove(index);
    await detached;
    return { request, agent: microseconds * 1000 };
  }
}

async function measure(
  rounds: number,
  count: number,
  folder: string,
  random: Random,
): Promise<NamespacesResult> {
  const kernel = linuxKernel();
  const labs = { one: new Lab(kernel), many: new Lab(kernel) };
  const names = join(folder, 'netns');
  mkdirSync(names);
  const others: NamespaceHandle[] = Array.from({ length: count - 1 }, () => kernel.createNamespace());
  others.forEach(({ path }, number) => void symlinkSync(path, join(names, `n${number}`)));
  const configuration = (namespaces: string[]) =>
    createConfiguration({
      placement: 'names',
      namespaces,
      policies: { lan: { egress: 'ip daddr 192.168.0.0/16 drop', default: 'accept' } },
      bindings: [{ device: '*', policy: 'lan' }],
    });
  const agents: Agent[] = [];
  const result: NamespacesResult = {
    served: count,
    request: { one: [], many: [] },
    agent: { one: [], many: [] },
    entering: [],
  };
  const start = async (side: Side, namespaces: string[]) => {
    const { namespace } = labs[side].host;
    const agent = await Agent.start(configuration(namespaces), { namespace }, (event) => {
      if (event.event === 'namespace-ready') result.entering.push(event.microseconds * 1000);
    });
    agents.push(agent);
    return new Party(agent, labs[side]);
  };
  try {
    showProgress(`starting agents, one for ${count} namespaces`);
    const parties = { one: await start('one', ['self']), many: await start('many', ['self', `${names}/*`]) };
    for (let round = -WARM_UP; round < rounds; round++) {
      if (round % 50 === 0) showProgress(`round ${round} of ${rounds}`);
      for (const side of shuffle(SIDES, random)) {
        const { request, agent } = await parties[side].once();
        if (round < 0) continue;
        result.request[side].push(request);
        result.agent[side].push(agent);
      }
    }
    return result;
  } finally {
    for (const agent of agents) await agent.stop();
    for (const handle of others) handle.close();
    for (const lab of Object.values(labs)) lab.close();
  }
}

export function namespacesChapter(result: NamespacesResult, seed: number): Chapter {
  const random = seededRandom(seed);
  const titles: Record<Side, string> = { one: '1 namespace', many: `${result.served} namespaces` };
  const ratio = (what: 'request' | 'agent', side: Side) =>
    side === 'one' ? '1' : formatEstimate(ratioOfMedians(result[what].many, result[what].one, random));
  return {
    name: 'namespaces',
    title: 'One network namespace, or a hundred',
    method: METHOD,
    sections: [
      {
        heading: 'From a new device to its filter',
        table: {
          head: ['', ...SUMMARY_HEAD, 'p50, as a multiple of that with 1'],
          rows: (['request', 'agent'] as const).flatMap((what) =>
            SIDES.map((side) => [
              `${what === 'request' ? 'from the request' : 'the agent'}, ${titles[side]}`,
              ...summaryCells(summarise(result[what][side])),
              ratio(what, side),
            ]),
          ),
        },
        notes: [],
      },
      {
        heading: 'One more namespace',
        table: {
          head: ['', 'n', 'p50', 'max'],
          rows: [
            [
              'the agent',
              String(result.entering.length),
              formatDuration(quantile(result.entering, 0.5)),
              formatDuration(Math.max(...result.entering)),
            ],
          ],
        },
        notes: [],
      },
    ],
    charts: [],
    targets: [],
    behind: [
      `the devices of other namespaces wait while one more is entered: ${formatDuration(quantile(result.entering, 0.5))} (p50)`,
    ],
    figures: { unit: 'nanoseconds', ...result },
  };
}

export const namespaces: Benchmark = {
  name: 'namespaces',
  title: 'attaching with one network namespace served, and with a hundred',
  seconds: ({ quick }) => (quick ? 6 : 25),
  missing: () => undefined,
  run: async ({ quick, seed, random, folder }) =>
    namespacesChapter(
      await measure(quick ? QUICK_ROUNDS : ROUNDS, quick ? QUICK_SERVED : SERVED, folder, random),
      seed,
    ),
};
