import { once } from 'node:events';
import { Agent } from '../agent/agent.js';
import type { AgentEvent } from '../agent/event.js';
import type { Placement } from '../config/configuration.js';
import { parseConfiguration } from '../config/load.js';
import type { Kernel } from '../kernel/kernel.js';
import { Lab } from './lab.js';

/** How long devices were open that no hook awaited, in microseconds, one after the other. */
export interface OpenWindow {
  placement: Placement;
  n: number;
  p50Microseconds: number;
  maxMicroseconds: number;
}

const DEVICES = 20;
/** Not counted: code that runs for the first time takes a hundred times as long. */
const WARM_UP = 5;
/** Long for microseconds of work, so that only a failure reaches it. */
const DEADLINE_MS = 5_000;

const CONFIGURATION = `policies: { open: { guards: [], default: accept } }
bindings: [{ device: "*", policy: open }]
`;

/**
 * Measures, on a throw-away host, how long a device is open under a placement whose hooks come after it: from before the
 * request that makes it until the agent has told that it is attached. Both ends lie outside, so it is never longer.
 */
export async function measureWindow(kernel: Kernel, placement: 'device' | 'chain'): Promise<OpenWindow> {
  const lab = new Lab(kernel);
  let agent: Agent | undefined;
  try {
    const configuration = { ...parseConfiguration(CONFIGURATION, 'window.yaml'), placement };
    const options = { namespace: lab.host.namespace };
    let told: (device: string) => void = () => undefined;
    agent = await Agent.start(configuration, options, (event: AgentEvent) => {
      if (event.event === 'attached') told(event.device);
    });
    const measured: number[] = [];
    for (let number = 0; number < WARM_UP + DEVICES; number++) {
      const name = `macvtap${number}`;
      const attached = new EventTarget();
      told = (device) => {
        if (device === name) attached.dispatchEvent(new Event('attached'));
      };
      const isAttached = once(attached, 'attached', { signal: AbortSignal.timeout(DEADLINE_MS) });
      const start = process.hrtime.bigint();
      lab.addMacvtap({ name, mac: `52:54:00:00:02:${(number + 16).toString(16)}`, up: false });
      await isAttached;
      if (number >= WARM_UP) measured.push(Number(process.hrtime.bigint() - start) / 1000);
    }
    measured.sort((a, b) => a - b);
    return {
      placement,
      n: measured.length,
      p50Microseconds: Math.round(measured[measured.length >> 1] ?? 0),
      maxMicroseconds: Math.round(measured.at(-1) ?? 0),
    };
  } finally {
    await agent?.stop();
    lab.close();
  }
}
