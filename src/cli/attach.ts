import { resolve } from 'node:path';
import { Command } from 'commander';
import { Hand } from '../agent/manual.js';
import { egressMessage, prepareFile } from '../agent/plan.js';
import { Compiler } from '../compiler/compiler.js';
import {
  addKernelOptions,
  capabilitiesFor,
  collectVariable,
  inNamespace,
  type KernelOptions,
  policyNameOf,
  withoutOption,
} from './options.js';
import { EXIT, print, printError, printJson } from './output.js';

interface Options extends KernelOptions {
  policy: string;
  define?: Record<string, string>;
  without?: string;
  egressOptional?: boolean;
}

export function attachCommand(exit: (status: number) => void): Command {
  const command = new Command('attach')
    .description('give an nft file to a device, without an agent')
    .argument('<device>', 'a macvtap device')
    .requiredOption('-p, --policy <file>', 'an nft file that hooks $intf')
    .option(
      '-D, --define <name=value>',
      'a variable for the file, as nft -D; may be repeated',
      collectVariable,
    )
    .option(
      '--egress-optional',
      'on a kernel without egress hooks, filter ingress alone and call that success',
    )
    .addOption(withoutOption())
    .addHelpText(
      'after',
      `
While an agent runs that owns its tables this is refused (tapwall release). What the device had from tapwall before
is replaced in the same transaction. Where a door stands it is opened
to the device, which this file alone filters then: the guards of a configuration do not apply to it.

Examples:
  $ tapwall attach macvtap0 --policy filter.nft
  $ tapwall attach macvtap3 --policy filter.nft -D gateway=192.168.2.1 --json
  $ tapwall attach macvtap0 --policy filter.nft --namespace vms`,
    );
  return addKernelOptions(command).action(async (device: string, options: Options) => {
    exit(await attach(device, options));
  });
}

async function attach(device: string, options: Options): Promise<number> {
  const compiler = new Compiler();
  try {
    return await inNamespace(options.namespace, async (kernel, namespace) => {
      const hand = new Hand(kernel, namespace);
      try {
        // Before anything takes time: a device that is not there is the likeliest mistake.
        hand.findDevice(device);
        const file = resolve(options.policy);
        const policy = { name: policyNameOf(file), file, variables: options.define ?? {} };
        const capabilities = await capabilitiesFor(kernel, options.without);
        const { source, egressLeftOut } = prepareFile(policy, capabilities);
        const { program } = await compiler.compile({ ...source, file: options.policy });
        const result = hand.attach(hand.findDevice(device), program);
        if (options.json) printJson({ event: 'attached', ...result });
        else {
          const how = result.replaced.length > 0 ? `, in place of ${result.replaced.join(', ')}` : '';
          print(
            `${device} (index ${result.index}): attached policy ${result.policy} in ${result.microseconds} µs: ` +
              `table netdev ${result.tables.join(', ')}${how}`,
          );
        }
        if (result.replacedAgent) {
          printError(
            `tapwall: ${device} was filtered by an agent. One that runs puts its policy back at once, another when it starts.`,
          );
        }
        if (egressLeftOut.length === 0 || options.egressOptional) return EXIT.success;
        const message = egressMessage(program.policy, egressLeftOut);
        if (options.json) printJson({ event: 'warning', message });
        else printError(`tapwall: ${message}`);
        return EXIT.partial;
      } finally {
        hand.close();
      }
    });
  } finally {
    compiler.close();
  }
}
