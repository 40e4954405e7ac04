import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent } from '../agent/agent.js';
import type { AgentEvent } from '../agent/event.js';
import { loadConfiguration } from '../config/load.js';
import { TapwallError } from '../error.js';
import type { Kernel } from '../kernel/kernel.js';
import { Lab } from './lab.js';
import { observe } from './observation.js';
import {
  CONFIGURATION,
  GUEST_A,
  GUEST_B,
  GUEST_C,
  LEGACY_FILE,
  PROBES,
  type Probe,
  type Station,
} from './scenario.js';
import type { Tap } from './tap.js';

/** One frame and its fate. */
export interface Verdict {
  what: string;
  from: Station;
  to: Station;
  expected: Probe['expected'];
  seen: Probe['expected'];
}

export interface DemoResult {
  verdicts: Verdict[];
  /** Of the attachments the agent made, in microseconds, from its waking to the kernel's acknowledgement. */
  attachMicroseconds: number[];
  /** Of as many runs of `nft -D intf=… -f`, from spawn to exit; undefined when nft is not installed. */
  nftMicroseconds: number[] | undefined;
}

/** Long for microseconds of work, so that only a failure reaches it. */
const DEADLINE_MS = 5_000;
const NFT_RUNS = 9;
/** Made one after the other once the frames are through, for a median worth the name. */
const MORE_GUESTS = 20;

/** Runs the real agent on a throw-away host and sends real frames through it. Leaves nothing behind. */
export async function runDemo(kernel: Kernel, onEvent: (event: AgentEvent) => void): Promise<DemoResult> {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-demo-'));
  const lab = new Lab(kernel);
  let agent: Agent | undefined;
  try {
    writeFileSync(join(folder, 'filtermacvtap.nft'), LEGACY_FILE);
    writeFileSync(join(folder, 'tapwall.yaml'), CONFIGURATION);
    const events: AgentEvent[] = [];
    const configuration = loadConfiguration(join(folder, 'tapwall.yaml'));
    agent = await Agent.start(configuration, { namespace: lab.host.namespace }, (event) => {
      events.push(event);
      onEvent(event);
    });
    const taps: Record<Station, Tap> = {
      A: lab.addGuest(GUEST_A),
      B: lab.addGuest(GUEST_B),
      C: lab.addGuest(GUEST_C),
      world: lab.world(),
    };
    await attached(events, [GUEST_A.name, GUEST_B.name]);
    const verdicts = await sendProbes(taps);
    for (let number = 100; number < 100 + MORE_GUESTS; number++) {
      lab.addMacvtap({ name: `macvtap${number}`, mac: `52:54:00:00:01:${number - 100 + 10}`, up: false });
      await attached(events, [`macvtap${number}`]);
    }
    const attachMicroseconds = events.flatMap((event) =>
      event.event === 'attached' ? [event.microseconds] : [],
    );
    return {
      verdicts,
      attachMicroseconds,
      nftMicroseconds: timeNft(kernel, join(folder, 'filtermacvtap.nft')),
    };
  } finally {
    await agent?.stop();
    lab.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function attached(events: readonly AgentEvent[], devices: readonly string[]): Promise<void> {
  const isAttached = (device: string) =>
    events.some((event) => event.event === 'attached' && event.device === device);
  for (let waited = 0; !devices.every(isAttached); waited += 1) {
    if (waited > DEADLINE_MS)
      throw new TapwallError('TIMEOUT', 'the agent did not attach to the new devices');
    await sleep(1);
  }
}

async function sendProbes(taps: Record<Station, Tap>): Promise<Verdict[]> {
  const shots = PROBES.map(({ from, to, frame }, index) => {
    const id = `tapwall-probe-${String(index).padStart(3, '0')}`;
    return { id, from: taps[from], to: taps[to], frame: frame(id) };
  });
  const arrived = await observe(shots);
  return PROBES.map(({ what, from, to, expected }, index) => {
    const id = shots[index]?.id ?? '';
    return { what, from, to, expected, seen: arrived.has(id) ? 'passes' : 'dropped' };
  });
}

/** The usual recipe on a host of its own, for comparison. */
function timeNft(kernel: Kernel, file: string): number[] | undefined {
  const lab = new Lab(kernel);
  try {
    lab.addMacvtap(GUEST_A);
    const args = [`--net=${lab.namespacePath}`, 'nft', '-D', `intf=${GUEST_A.name}`, '-f', file];
    const times: number[] = [];
    for (let run = 0; run < NFT_RUNS; run++) {
      const start = process.hrtime.bigint();
      const { status } = spawnSync('nsenter', args, { stdio: 'ignore' });
      if (status !== 0) return undefined;
      times.push(Number((process.hrtime.bigint() - start) / 1000n));
    }
    return times;
  } finally {
    lab.close();
  }
}
