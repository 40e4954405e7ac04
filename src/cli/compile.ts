import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { describeAdmission } from '../agent/description.js';
import { compileForListing, prepareFile } from '../agent/plan.js';
import { Compiler } from '../compiler/compiler.js';
import type { FilePolicy } from '../config/configuration.js';
import { loadConfiguration } from '../config/load.js';
import { TapwallError } from '../error.js';
import { type Doubt, doubtMessage } from '../files/trust.js';
import { parseMac } from '../links/link.js';
import { describeProgram } from '../program/describe.js';
import { collectVariable, isConfiguration, policyNameOf, refuseVariables, withoutOption } from './options.js';
import { EXIT, print, printError, printJson } from './output.js';

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
The hex part has one netlink message a line, in the order in which they are sent. For rules of a configuration
that is the table which all devices share, put there once, and then what admits the device.

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

async function compile(file: string, options: Options): Promise<number> {
  const { device, mac } = options;
  if (!/^[^\s/]{1,15}$/.test(device) || Buffer.byteLength(device) > 15) {
    throw new TapwallError('ARGUMENT', `${device} cannot be the name of a device`, {
      hint: 'A name has 1 to 15 bytes, no slash and no white space.',
    });
  }
  parseMac(mac);
  const compiler = new Compiler();
  try {
    if (options.policy === undefined) {
      if (isConfiguration(file)) {
        throw new TapwallError('ARGUMENT', `${file} is a configuration; which of its policies is meant?`, {
          hint: 'Name it with --policy NAME.',
        });
      }
      const policy = { name: policyNameOf(file), file: resolve(file), variables: options.define ?? {} };
      await compileFile(policy, compiler, options);
      return EXIT.success;
    }
    refuseVariables(file, options.define ?? {});
    await compilePolicy(file, options.policy, compiler, options);
    return EXIT.success;
  } finally {
    compiler.close();
  }
}

/** Nothing is installed, so that somebody else's file does no harm. */
function warnOfDoubt(doubt: Doubt): void {
  printError(`tapwall: warning: ${doubtMessage(doubt)}`);
}

/** A policy that is a file: a table for each device. */
async function compileFile(
  policy: Pick<FilePolicy, 'name' | 'file' | 'variables'>,
  compiler: Compiler,
  { device, index, mac, json, without }: Options,
): Promise<void> {
  const { source } = prepareFile(policy, { egress: without !== 'egress' }, warnOfDoubt);
  const { program, listing } = await compiler.compile(source, { listing: true });
  // The links that rules name are looked up when a device is attached; here their place is shown.
  const links = new Map(program.links.map((name) => [name, 0]));
  const facts = { index, name: device, mac, origin: 'manual' as const, links };
  const description = describeProgram(program, facts, listing);
  if (json) {
    printJson({ event: 'compiled', ...description });
    return;
  }
  print(`# policy ${program.policy}, digest ${program.digest}, for ${device} (index ${index}, ${mac})`);
  print(`# ${description.messages.length} messages, ${description.bytes} bytes, one transaction`);
  if (program.links.length > 0) print(`# filled in when attached: the index of ${program.links.join(', ')}`);
  print(`\n${description.listing}`);
  for (const { label, hex } of description.messages) print(`${label}: ${hex}`);
}

/** A policy of a configuration: the table that all devices share, and what admits this one. */
async function compilePolicy(
  file: string,
  name: string,
  compiler: Compiler,
  options: Options,
): Promise<void> {
  const configuration = loadConfiguration(file, warnOfDoubt);
  const policy = configuration.policies.get(name);
  if (!policy) {
    const names = [...configuration.policies.keys()].join(', ');
    throw new TapwallError('CONFIG', `${file} has no policy ${name}`, { hint: `It has ${names}.` });
  }
  if (policy.kind === 'file') {
    await compileFile(policy, compiler, options);
    return;
  }
  const { device, index, mac, json } = options;
  const capabilities = { egress: options.without !== 'egress' };
  const { plan, listing } = await compileForListing(configuration, compiler, capabilities, warnOfDoubt);
  const description = describeAdmission(plan, { name: device, index, mac }, policy.name);
  const text = (listing?.text ?? '').replaceAll(listing?.standIn ?? '', () => device);
  if (json) {
    printJson({ event: 'compiled', policy: name, device, index, listing: text, ...description });
    return;
  }
  print(`# policy ${name} for ${device} (index ${index}, ${mac})`);
  print(`# once: ${description.shared.length} messages; for the device: ${description.messages.length}`);
  print(`\n${text}`);
  print('# the table that all devices share');
  for (const { label, hex } of description.shared) print(`${label}: ${hex}`);
  print(`\n# ${device}`);
  for (const { label, hex } of description.messages) print(`${label}: ${hex}`);
}
