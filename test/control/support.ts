/** An agent with a control socket, on a lab's host. */
import { join } from 'node:path';
import { Agent } from '#src/agent/agent.js';
import { loadConfiguration } from '#src/config/load.js';
import { ControlClient } from '#src/control/client.js';
import { Control } from '#src/control/control.js';
import type { Lab } from '#src/demo/lab.js';
import { withFiles } from '../support/agent.js';
import { EventLog } from '../support/station.js';

export interface ControlledAgent {
  agent: Agent;
  log: EventLog;
  folder: string;
  path: string;
  client: ControlClient;
  notices: string[];
}

/** Runs an agent that can be asked over a socket in a folder of its own. */
export function withControl<T>(
  lab: Lab,
  files: Record<string, string>,
  action: (running: ControlledAgent) => Promise<T>,
  { group }: { group?: string } = {},
): Promise<T> {
  return withFiles(files, async (folder) => {
    const log = new EventLog();
    const notices: string[] = [];
    const path = join(folder, 'tapwall.sock');
    const load = () => loadConfiguration(join(folder, 'tapwall.yaml'));
    const { namespace } = lab.host;
    let running: Agent | undefined;
    const control = await Control.open(
      { path, group, mode: undefined },
      {
        namespace,
        reload: async () => await running?.reload(load()),
        notice: (message) => notices.push(message),
      },
    );
    const agent = await Agent.start(load(), { namespace, capabilities: { egress: true } }, log.add);
    running = agent;
    control.serve(agent);
    const client = await ControlClient.connect({ path });
    try {
      return await action({ agent, log, folder, path, client, notices });
    } finally {
      client.close();
      await agent.stop();
      await control.close();
    }
  });
}
