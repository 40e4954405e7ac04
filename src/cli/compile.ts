import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { type Prepared, prepareFile, preparePolicy } from '../agent/plan.js';
import { Compiler } from '../compiler/compiler.js';
import { loadConfiguration } from '../config/load.js';
import { TapwallError } from '../error.js';
import { parseMac } from '../links/link.js';
import { describeProgram } from '../program/describe.js';
import { collectVariable, isConfiguration, policyNameOf, refuseVariables, withoutOption } from './options.js';
import { EXIT, print, printJson } from './output.js';

interface Options {
  device: string;
  index: number;
  mac: string;
  policy?: string;
  define?: Record<string, string>;
  json?: boolean;
  without?: string;
}

/** Stands for an index nobody gave; it only shows where an index goes. */
const EXAMPLE_INDEX = 42;
const EXAMPLE_MAC = '52:54:00:00:00:01';

export function compileCommand(exit: (status: number) => void): Command {
  return new Command('compile')
    .description('print what a policy would install on a device, readable and as hex; nothing is installed')
    .argument('<file>', 'an nft file, or with --policy a configuration')
    .requiredOption('-d, --device <name>', "the device's name; it need not exist")
    .option('-i, --index <number>', "the device's interface index", parseIndex, EXAMPLE_INDEX)
    .option('-m, --mac <address>', "the device's MAC", EXAMPLE_MAC)
    .option('-p, --policy <name>', 'a policy of the configuration')
    .option('-D, --define <name=value>', 'a variable for the nft file; may be repeated', collectVariable)
    .option('--json', 'print one JSON object')
    .addOption(withoutOption())
    .addHelpText(
      'after',
      `
The hex part has one netlink message a line, in the order in which they are sent.

Examples:
  $ tapwall compile filter.nft --device macvtap0
  $ tapwall compile tapwall.yaml --policy lan-guard --device macvtap0 --index 7`,
    )
    .action(async (file: string, options: Options) => exit(await compile(file, options)));
}

function parseIndex(text: string): number {
  const index = Number(text);
  if (!Number.isInteger(index) || index < 1 || index > 0x7fffffff) {
    throw new InvalidArgumentError('It must be a whole number from 1 to 2147483647.');
  }
  return index;
}

function prepare(file: string, options: Options): Prepared {
  const capabilities = { egress: options.without !== 'egress' };
  if (options.policy === undefined) {
    if (isConfiguration(file)) {
      throw new TapwallError('ARGUMENT', `${file} is a configuration; which of its policies is meant?`, {
        hint: 'Name it with --policy NAME.',
      });
    }
    const policy = { name: policyNameOf(file), file: resolve(file), variables: options.define ?? {} };
    return prepareFile(policy, capabilities);
  }
  refuseVariables(file, options.define ?? {});
  const configuration = loadConfiguration(file);
  const policy = configuration.policies.get(options.policy);
  if (!policy) {
    const names = [...configuration.policies.keys()].join(', ');
    throw new TapwallError('CONFIG', `${file} has no policy ${options.policy}`, { hint: `It has ${names}.` });
  }
  return preparePolicy(policy, capabilities);
}

async function compile(file: string, options: Options): Promise<number> {
  const { device, index, mac } = options;
  if (!/^[^\s/]{1,15}$/.test(device) || Buffer.byteLength(device) > 15) {
    throw new TapwallError('ARGUMENT', `${device} cannot be the name of a device`, {
      hint: 'A name has 1 to 15 bytes, no slash and no white space.',
    });
  }
  parseMac(mac);
  const compiler = new Compiler();
  try {
    const { source } = prepare(file, options);
    const { program, listing } = await compiler.compile(source, { listing: true });
    // The links that rules name are looked up when a device is attached; here their place is shown.
    const links = new Map(program.links.map((name) => [name, 0]));
    const facts = { index, name: device, mac, origin: 'manual' as const, links };
    const description = describeProgram(program, facts, listing);
    if (options.json) {
      printJson({ event: 'compiled', ...description });
      return EXIT.success;
    }
    print(`# policy ${program.policy}, digest ${program.digest}, for ${device} (index ${index}, ${mac})`);
    print(`# ${description.messages.length} messages, ${description.bytes} bytes, one transaction`);
    if (program.links.length > 0)
      print(`# filled in when attached: the index of ${program.links.join(', ')}`);
    print(`\n${description.listing}`);
    for (const { label, hex } of description.messages) print(`${label}: ${hex}`);
    return EXIT.success;
  } finally {
    compiler.close();
  }
}
