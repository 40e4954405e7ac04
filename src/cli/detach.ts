import { Command } from 'commander';
import { Hand } from '../agent/manual.js';
import { addKernelOptions, inNamespace, type KernelOptions } from './options.js';
import { EXIT, print, printJson } from './output.js';

export function detachCommand(exit: (status: number) => void): Command {
  const command = new Command('detach')
    .description('remove what a device has from tapwall; where a door stands, it is closed to the device')
    .argument('<device>', 'a device; it may be gone, when tables of it are left')
    .addHelpText(
      'after',
      `
Nothing passes a device that the door is closed to. While an agent runs that owns its tables this is refused;
one that does not gives the device its policy again at once. Without a door (tapwall list) the device is open.

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
    else {
      const removed = result.tables.length > 0 ? `removed table netdev ${result.tables.join(', ')}; ` : '';
      const state = result.closed
        ? 'the door is closed: everything is dropped'
        : 'nothing of tapwall filters it now';
      print(`${device}: ${removed}${state}`);
    }
    exit(EXIT.success);
  });
}
