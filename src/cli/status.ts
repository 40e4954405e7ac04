import { Command } from 'commander';
import { PROMISES } from '../agent/placement.js';
import { statusIn } from '../agent/status.js';
import type { NamespaceResult, StatusResult } from '../control/protocol.js';
import { type AskOptions, addAskOptions, askAgent } from './ask.js';
import { inNamespace } from './options.js';
import { EXIT, print, printJson } from './output.js';

export function statusCommand(exit: (status: number) => void): Command {
  const command = new Command('status')
    .description('say whether an agent runs, what it has in force, and how it stands with the devices')
    .addHelpText(
      'after',
      `
Without an agent it says what the kernel holds, and ends with 7.

Examples:
  $ tapwall status
  $ tapwall status --json`,
    );
  return addAskOptions(command).action(async (options: AskOptions) => {
    const json = options.json === true;
    exit(
      await askAgent(
        options,
        async (client) => tellStatus(await client.status(), json),
        () => tellKernel(options, json),
      ),
    );
  });
}

function tellStatus(status: StatusResult, json: boolean): number {
  if (json) {
    printJson({ event: 'status', running: true, ...status });
    return EXIT.success;
  }
  const { tapwall, pid, file, placement, ownership, policies, bindings, uptimeSeconds, clients } = status;
  print(`tapwall ${tapwall}, process ${pid}, up for ${uptimeSeconds} s`);
  print(`configuration: ${file}, ${policies} policies, ${bindings} bindings`);
  print(`placement ${placement}: a device is ${PROMISES[placement]}`);
  print(`tables: ${OWNERSHIP[ownership] ?? ownership}`);
  print(`devices: ${words(status.devices)}`);
  for (const one of status.namespaces ?? []) print(namespaceWords(one));
  print(`clients of the control socket: ${clients}`);
  return EXIT.success;
}

function namespaceWords({ name, devices, error }: NamespaceResult): string {
  const what = error ? `NOT served: ${error.message}` : `${devices} device${devices === 1 ? '' : 's'}`;
  return `network namespace ${name}: ${what}`;
}

const OWNERSHIP: Readonly<Record<string, string>> = {
  own: 'the agent’s own, nobody else can change them',
  lent: 'given up until the next reload (tapwall release)',
  none: 'anybody’s who may change nf_tables; what others change is put right',
};

async function tellKernel(options: AskOptions, json: boolean): Promise<number> {
  const { placement, devices } = await inNamespace(options.namespace, statusIn);
  const counts: Record<string, number> = {};
  for (const { state } of devices) counts[state] = (counts[state] ?? 0) + 1;
  if (json) printJson({ event: 'status', running: false, placement: placement ?? null, devices: counts });
  else {
    print('no agent with a control socket runs here');
    print(
      placement ? `the kernel has a door of placement ${placement}` : 'the kernel has no door of tapwall’s',
    );
    print(`devices: ${words(counts)}`);
  }
  return EXIT.noAgent;
}

function words(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([state, count]) => `${count} ${state}`);
  return parts.length > 0 ? parts.join(', ') : 'none';
}
