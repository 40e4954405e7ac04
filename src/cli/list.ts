import { Command } from 'commander';
import { Hand } from '../agent/manual.js';
import { addKernelOptions, inNamespace, type KernelOptions } from './options.js';
import { EXIT, print, printJson, printTable } from './output.js';

export function listCommand(exit: (status: number) => void): Command {
  const command = new Command('list')
    .description('show each macvtap device and what filters it, as the kernel has it now')
    .addHelpText(
      'after',
      `
States: attached; closed (its policy was refused, everything is dropped); unfiltered (nothing of
tapwall); renamed (its tables hook the name it had);
stale (tables of a device that is gone).

Examples:
  $ tapwall list
  $ tapwall list --json | jq -r 'select(.state == "unfiltered").device'`,
    );
  return addKernelOptions(command).action(async (options: KernelOptions) => {
    const statuses = await inNamespace(options.namespace, (kernel, namespace) => {
      const hand = new Hand(kernel, namespace);
      try {
        return hand.list();
      } finally {
        hand.close();
      }
    });
    if (options.json) for (const status of statuses) printJson({ event: 'device', ...status });
    else if (statuses.length === 0) print('There is no macvtap device here, and no table of tapwall.');
    else {
      printTable(
        ['device', 'index', 'state', 'policy', 'by', 'mac', 'tables'],
        statuses.map((status) => [
          status.device,
          String(status.index),
          status.state,
          status.policy ?? '-',
          status.origin ?? '-',
          status.mac ?? '-',
          status.tables.join('\n') || '-',
        ]),
      );
    }
    exit(EXIT.success);
  });
}
