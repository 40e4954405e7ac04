import { Command } from 'commander';
import { Hand } from '../agent/manual.js';
import { addKernelOptions, inNamespace, type KernelOptions } from './options.js';
import { EXIT, print, printJson } from './output.js';

export function detachCommand(exit: (status: number) => void): Command {
  const command = new Command('detach')
    .description('remove what tapwall attached to a device, and nothing else')
    .argument('<device>', 'a device; it may be gone, when tables of it are left')
    .addHelpText(
      'after',
      `
Examples:
  $ tapwall detach macvtap0
  $ tapwall detach macvtap0 --namespace /proc/4711/ns/net`,
    );
  return addKernelOptions(command).action(async (device: string, options: KernelOptions) => {
    const result = await inNamespace(options.namespace, (kernel, namespace) => {
      const hand = new Hand(kernel, namespace);
      try {
        return hand.detach(device);
      } finally {
        hand.close();
      }
    });
    if (options.json) printJson({ event: 'detached', ...result });
    else
      print(`${device}: removed table netdev ${result.tables.join(', ')}; nothing of tapwall filters it now`);
    exit(EXIT.success);
  });
}
