import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from '#src/agent/agent.js';
import type { Placement } from '#src/config/configuration.js';
import { loadConfiguration } from '#src/config/load.js';
import type { Lab } from '#src/demo/lab.js';
import { EventLog } from './station.js';

/** Writes files into a folder of their own for as long as an action runs. */
export async function withFiles<T>(
  files: Record<string, string>,
  action: (folder: string) => T | Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-test-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return await action(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Drops what comes from, or goes to, 192.168.0.0/16, and passes the rest. */
export const GUARD = `table netdev guard {
  chain in  { type filter hook ingress device $intf priority filter; policy accept;
    ip saddr 192.168.0.0/16 drop
  }
  chain out { type filter hook egress device $intf priority filter; policy accept;
    ip daddr 192.168.0.0/16 drop
  }
}
`;

export const ONE_POLICY = `policies: { guard: { file: guard.nft } }
bindings: [{ device: "*", policy: guard }]
`;

export interface RunningAgent {
  agent: Agent;
  log: EventLog;
  folder: string;
  /** Reads tapwall.yaml of the folder again and puts it in force. */
  reload(text: string): Promise<void>;
}

/** Every way in which hooks reach a device; what a test shows under one it shows under all. */
export const PLACEMENTS: readonly Placement[] = ['prefix', 'names', 'device', 'chain'];

export interface AgentSetup {
  capabilities?: { egress: boolean };
  /** In place of what the configuration says. */
  placement?: Placement;
}

/** Runs the real agent, worker thread and all, on a lab's host. */
export function withAgent<T>(
  lab: Lab,
  files: Record<string, string>,
  action: (running: RunningAgent) => Promise<T>,
  { capabilities = { egress: true }, placement }: AgentSetup = {},
): Promise<T> {
  return withFiles(files, async (folder) => {
    const log = new EventLog();
    const file = join(folder, 'tapwall.yaml');
    const options = { namespace: lab.host.namespace, capabilities };
    const load = () => {
      const configuration = loadConfiguration(file);
      return placement ? { ...configuration, placement } : configuration;
    };
    const agent = await Agent.start(load(), options, log.add);
    const reload = async (text: string) => {
      writeFileSync(file, text);
      await agent.reload(load());
    };
    try {
      return await action({ agent, log, folder, reload });
    } finally {
      await agent.stop();
    }
  });
}
