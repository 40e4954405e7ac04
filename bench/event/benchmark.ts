import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent } from '#src/agent/agent.js';
import type { Configuration, Placement } from '#src/config/configuration.js';
import { loadConfiguration } from '#src/config/load.js';
import { Lab } from '#src/demo/lab.js';
import { LEGACY_FILE } from '#src/demo/scenario.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { sharedPolicy } from '../configuration.js';
import { showProgress } from '../progress.js';
import { type Observations, Observer, type Pace } from './observer.js';

/** One way to filter and to make devices while the agent runs. */
export interface Scenario {
  title: string;
  placement: Placement;
  /** `shared` is a policy that stands in the configuration, `file` an nft file, for which each device has a table. */
  policy: 'shared' | 'file';
  pace: Pace;
  /** Whether the agent's process is kept busy otherwise. */
  blocked: boolean;
}

export const SCENARIOS: readonly Scenario[] = [
  { title: 'names, one by one', placement: 'names', policy: 'shared', pace: 'paced', blocked: false },
  { title: 'names, all at once', placement: 'names', policy: 'shared', pace: 'burst', blocked: false },
  { title: 'prefix, one by one', placement: 'prefix', policy: 'shared', pace: 'paced', blocked: false },
  { title: 'prefix, all at once', placement: 'prefix', policy: 'shared', pace: 'burst', blocked: false },
  {
    title: 'names, one by one, main thread blocked',
    placement: 'names',
    policy: 'shared',
    pace: 'paced',
    blocked: true,
  },
  {
    title: 'names, all at once, main thread blocked',
    placement: 'names',
    policy: 'shared',
    pace: 'burst',
    blocked: true,
  },
  { title: 'names, a file, one by one', placement: 'names', policy: 'file', pace: 'paced', blocked: false },
  { title: 'names, a file, all at once', placement: 'names', policy: 'file', pace: 'burst', blocked: false },
];

export interface ScenarioResult {
  scenario: Scenario;
  observations: Observations;
}

const FILE_POLICY = `policies:
  legacy:
    file: filtermacvtap.nft
bindings:
  - { parent: vx0, policy: legacy }
`;

const BLOCKED_MS = 50;
const FREE_MS = 10;

/** Writes the policy's file, and the configuration of a scenario. */
function writeConfiguration(folder: string, { placement, policy }: Scenario): Configuration {
  writeFileSync(join(folder, 'filtermacvtap.nft'), LEGACY_FILE);
  const file = join(folder, 'tapwall.yaml');
  writeFileSync(file, policy === 'shared' ? sharedPolicy({ placement }) : FILE_POLICY);
  return { ...loadConfiguration(file), placement };
}

/** Keeps the main thread from anything else for 50 ms of every 60. @returns what ends that. */
function blockMainThread(): () => void {
  let timer: NodeJS.Timeout;
  const block = () => {
    const end = performance.now() + BLOCKED_MS;
    while (performance.now() < end);
    timer = setTimeout(block, FREE_MS);
  };
  timer = setTimeout(block, 0);
  return () => clearTimeout(timer);
}

async function runScenario(
  scenario: Scenario,
  configuration: Configuration,
  devices: number,
): Promise<ScenarioResult> {
  const lab = new Lab(linuxKernel());
  let agent: Agent | undefined;
  let observer: Observer | undefined;
  let unblock = () => {};
  try {
    agent = await Agent.start(configuration, { namespace: lab.host.namespace });
    const sign = scenario.policy === 'file' ? 'table' : 'element';
    observer = await Observer.start(lab, devices, scenario.pace, sign);
    if (scenario.blocked) unblock = blockMainThread();
    return { scenario, observations: await observer.run() };
  } finally {
    unblock();
    observer?.close();
    await agent?.stop();
    // With their parent go all the devices, and before this returns; left to the end of the namespace they would go
    // some time later, in the way of what is measured next.
    lab.remove(lab.host.link(lab.parent).index);
    lab.close();
  }
}

/** Makes so many devices in each scenario, while the real agent runs, and has it observed from outside. */
export async function runEvent(devices: number, folder: string): Promise<ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  for (const scenario of SCENARIOS) {
    showProgress(`${devices} devices, ${scenario.title}`);
    results.push(await runScenario(scenario, writeConfiguration(folder, scenario), devices));
  }
  return results;
}
