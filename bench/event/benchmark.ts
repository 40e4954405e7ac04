import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent } from '#src/agent/agent.js';
import type { Configuration } from '#src/config/configuration.js';
import { loadConfiguration } from '#src/config/load.js';
import { Lab } from '#src/demo/lab.js';
import { LEGACY_FILE } from '#src/demo/scenario.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { showProgress } from '../progress.js';
import { type Observations, Observer, type Pace } from './observer.js';

/** One way to make devices while the agent runs. */
export interface Scenario {
  title: string;
  pace: Pace;
  /** Whether the agent's process is kept busy otherwise. */
  blocked: boolean;
}

export const SCENARIOS: readonly Scenario[] = [
  { title: 'one by one', pace: 'paced', blocked: false },
  { title: 'all at once', pace: 'burst', blocked: false },
  { title: 'one by one, main thread blocked', pace: 'paced', blocked: true },
  { title: 'all at once, main thread blocked', pace: 'burst', blocked: true },
];

export interface ScenarioResult {
  scenario: Scenario;
  observations: Observations;
}

const CONFIGURATION = `devices:
  prefixes: [macvtap]
policies:
  legacy:
    file: filtermacvtap.nft
bindings:
  - { device: "macvtap*", parent: vx0, policy: legacy }
`;

const BLOCKED_MS = 50;
const FREE_MS = 10;

/** Writes the policy and the configuration that all scenarios run with. */
function writeConfiguration(folder: string): Configuration {
  writeFileSync(join(folder, 'filtermacvtap.nft'), LEGACY_FILE);
  const file = join(folder, 'tapwall.yaml');
  writeFileSync(file, CONFIGURATION);
  return loadConfiguration(file);
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
    observer = await Observer.start(lab.namespacePath, lab.parent, devices, scenario.pace);
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
  const configuration = writeConfiguration(folder);
  const results: ScenarioResult[] = [];
  for (const scenario of SCENARIOS) {
    showProgress(`${devices} devices, ${scenario.title}`);
    results.push(await runScenario(scenario, configuration, devices));
  }
  return results;
}
