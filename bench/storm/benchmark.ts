import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Placement } from '#src/config/configuration.js';
import { LEGACY_FILE } from '#src/demo/scenario.js';
import { AgentProcess, machineBusy, type ProcessorTime } from '../agent-process.js';
import { sharedPolicy } from '../configuration.js';
import { Crowd } from '../crowd.js';
import { type Observations, Observer } from '../event/observer.js';
import { showProgress } from '../progress.js';
import { type Random, shuffle } from '../random.js';

export type StormContender = Placement | 'none';

export interface StormOptions {
  sizes: readonly number[];
  placements: readonly Placement[];
  rounds: number;
  /** How many devices the recipe is run for; it takes too long for more. 0 when nft is not installed. */
  recipe: number;
  folder: string;
  random: Random;
}

/** One storm: so many devices made in a row without a pause. Times in nanoseconds. */
export interface Storm {
  contender: StormContender;
  devices: number;
  /** From before the first request to behind the last answer. */
  creation: number;
  /** From before the first request until the last device was filtered; undefined where nothing filters. */
  filtered: number | undefined;
  /** Devices of which no filter was seen. */
  unfiltered: number;
  /** Of the agent's process, without its start. */
  agent: ProcessorTime | undefined;
  /** Of all cores, for whatever. */
  machine: number;
}

export interface StormResult {
  storms: Storm[];
  /** Making a device and running the recipe for it, one after the other: nanoseconds for all. */
  recipe: { devices: number; elapsed: number } | undefined;
}

function evaluate({ devices }: Observations): Pick<Storm, 'creation' | 'filtered' | 'unfiltered'> {
  const start = Math.min(...devices.map(({ requested }) => requested));
  const made = Math.max(...devices.map((device) => device.made));
  const filtered = devices.flatMap((device) => (device.filtered === undefined ? [] : [device.filtered]));
  return {
    creation: made - start,
    filtered: filtered.length > 0 ? Math.max(made, ...filtered) - start : undefined,
    unfiltered: devices.length - filtered.length,
  };
}

async function runStorm(contender: StormContender, devices: number, folder: string): Promise<Storm> {
  const crowd = new Crowd();
  let agent: AgentProcess | undefined;
  let observer: Observer | undefined;
  try {
    const { lab } = crowd;
    if (contender !== 'none') {
      agent = await AgentProcess.start(sharedPolicy({ placement: contender }), folder, lab.namespacePath);
    }
    observer = await Observer.start(lab, devices, 'burst', agent ? 'element' : 'none');
    const [before, busy] = [agent?.processorTime, machineBusy()];
    const observations = await observer.run();
    const after = agent?.processorTime;
    return {
      contender,
      devices,
      ...evaluate(observations),
      agent:
        before && after
          ? {
              user: after.user - before.user,
              system: after.system - before.system,
              total: after.total - before.total,
            }
          : undefined,
      machine: machineBusy() - busy,
    };
  } finally {
    observer?.close();
    await agent?.stop();
    crowd.close();
  }
}

/** What a hook does for each VM: the device is made, then nft gives it a table, then comes the next. */
function runRecipe(devices: number, folder: string): number {
  const crowd = new Crowd();
  try {
    const start = process.hrtime.bigint();
    for (let number = 0; number < devices; number++) {
      crowd.growTo(number + 1);
      const file = join(folder, 'recipe.nft');
      writeFileSync(file, LEGACY_FILE.replaceAll('filtermacvtap', `filtermacvtap_${number}`));
      const nft = ['nft', '-D', `intf=macvtap${number}`, '-f', file];
      const { status, stderr } = spawnSync('nsenter', [`--net=${crowd.lab.namespacePath}`, ...nft], {
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(`nft: ${stderr}`);
    }
    return Number(process.hrtime.bigint() - start);
  } finally {
    crowd.close();
  }
}

/** Many devices at once, with tapwall and with nothing, in turns. */
export async function runStorms(options: StormOptions): Promise<StormResult> {
  const contenders: StormContender[] = ['none', ...options.placements];
  const storms: Storm[] = [];
  for (const devices of options.sizes) {
    for (let round = 1; round <= options.rounds; round++) {
      for (const contender of shuffle(contenders, options.random)) {
        showProgress(`${devices} devices, ${contender}, round ${round} of ${options.rounds}`);
        storms.push(await runStorm(contender, devices, options.folder));
      }
    }
  }
  showProgress('nft -f for each device');
  const { recipe, folder } = options;
  return { storms, recipe: recipe > 0 ? { devices: recipe, elapsed: runRecipe(recipe, folder) } : undefined };
}
