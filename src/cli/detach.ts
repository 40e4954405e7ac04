import { Command } from 'commander';
import { Hand } from '../agent/manual.js';
import { TapwallError } from '../error.js';
import { addKernelOptions, inNamespace, type KernelOptions } from './options.js';
import { EXIT, print, printJson } from './output.js';

interface Options extends KernelOptions {
  all?: boolean;
}

export function detachCommand(exit: (status: number) => void): Command {
  const command = new Command('detach')
    .description('remove what a device has from tapwall; where a door stands, it is closed to the device')
    .argument('[device]', 'a device; it may be gone, when tables of it are left')
    .option('--all', 'remove all tables of tapwall, the door among them: every device is open then')
    .addHelpText(
      'after',
      `
Nothing passes a device that the door is closed to. While an agent runs that owns its tables this is refused;
one that does not gives the device its policy again at once. Without a door (tapwall list) the device is open.

Examples:
  $ tapwall detach macvtap0
  $ tapwall detach macvtap0 --namespace /proc/4711/ns/net
  $ tapwall detach --all`,
    );
  return addKernelOptions(command).action(async (device: string | undefined, options: Options) => {
    if ((device === undefined) === (options.all !== true)) {
      throw new TapwallError('ARGUMENT', 'name one device, or say --all');
    }
    if (device === undefined) {
      const tables = await withHand(options, (hand) => hand.detachAll());
      if (options.json) printJson({ event: 'detached-all', tables });
      else print(tables.length > 0 ? `removed ${tables.join(', ')}` : 'there is nothing of tapwall here');
      exit(EXIT.success);
      return;
    }
    const result = await withHand(options, (hand) => hand.detach(device));
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

function withHand<T>({ namespace: name }: KernelOptions, action: (hand: Hand) => T): Promise<T> {
  return inNamespace(name, (kernel, namespace) => {
    const hand = new Hand(kernel, namespace);
    try {
      return action(hand);
    } finally {
      hand.close();
    }
  });
}
