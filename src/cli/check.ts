import { resolve } from 'node:path';
import { Command } from 'commander';
import { compileForListing, egressMessage, prepareFile } from '../agent/plan.js';
import { Compiler } from '../compiler/compiler.js';
import { loadConfiguration } from '../config/load.js';
import { formatProblem, SourceError, TapwallError } from '../error.js';
import { type Doubt, doubtMessage, type Judge } from '../files/trust.js';
import { passesTags, tagWarning } from '../policy/tag.js';
import { collectVariable, isConfiguration, policyNameOf, refuseVariables, withoutOption } from './options.js';
import { EXIT, print, printError, printJson } from './output.js';

interface Options {
  define?: Record<string, string>;
  json?: boolean;
  without?: string;
}

export function checkCommand(exit: (status: number) => void): Command {
  return new Command('check')
    .description('check configurations and nft files against the running kernel, without touching the host')
    .argument('<file...>', 'a configuration (.yaml, .yml) or an nft file (anything else)')
    .option('-D, --define <name=value>', 'a variable for the nft files; may be repeated', collectVariable)
    .option('--json', 'print JSON, one object a line')
    .addOption(withoutOption())
    .addHelpText(
      'after',
      `
Each policy is loaded into a network namespace that is thrown away, so an ordinary user may do this.

Examples:
  $ tapwall check /etc/tapwall/tapwall.yaml
  $ tapwall check filter.nft -D gateway=192.168.2.1`,
    )
    .action(async (files: string[], options: Options) => exit(await check(files, options)));
}

async function check(files: string[], options: Options): Promise<number> {
  const compiler = new Compiler();
  let status: number = EXIT.success;
  try {
    for (const file of files) {
      try {
        await checkFile(file, compiler, options);
        if (options.json) printJson({ event: 'checked', file, ok: true });
        else print(`${file}: ok`);
      } catch (error) {
        if (!(error instanceof TapwallError)) throw error;
        status = EXIT.input;
        if (options.json) printJson({ event: 'checked', file, ok: false, ...error.toJSON() });
        else {
          printError(error instanceof SourceError ? error.message : `tapwall: ${error.message}`);
          if (error.hint !== undefined) printError(`  ${error.hint}`);
        }
      }
    }
  } finally {
    compiler.close();
  }
  return status;
}

async function checkFile(file: string, compiler: Compiler, options: Options): Promise<void> {
  const warn = (message: string) => {
    if (options.json) printJson({ event: 'warning', file, message });
    else printError(`tapwall: warning: ${message}`);
  };
  const doubts = new Map<string, Doubt>();
  const judge = (doubt: Doubt) => doubts.set(doubtMessage(doubt), doubt);
  try {
    await checkPolicies(file, compiler, options, { warn, judge });
  } finally {
    for (const [message, { remedy }] of doubts) warn(`${message}: the agent will not use it. ${remedy}`);
  }
}

async function checkPolicies(
  file: string,
  compiler: Compiler,
  options: Options,
  { warn, judge }: { warn: (message: string) => void; judge: Judge },
): Promise<void> {
  // The policies meet the kernel itself when they are compiled; nothing has to be probed.
  const capabilities = { egress: options.without !== 'egress' };
  if (isConfiguration(file)) {
    refuseVariables(file, options.define ?? {});
    const configuration = loadConfiguration(file, judge);
    for (const problem of configuration.warnings) warn(formatProblem(problem));
    const { plan } = await compileForListing(configuration, compiler, capabilities, judge);
    plan.warnings.forEach(warn);
    for (const policy of configuration.policies.values()) {
      if (policy.kind !== 'file') continue;
      const { source } = prepareFile(policy, capabilities, judge);
      if (passesTags(source.text, policy.guards)) warn(tagWarning(policy.name));
    }
    return;
  }
  const policy = { name: policyNameOf(file), file: resolve(file), variables: options.define ?? {} };
  const { source, egressLeftOut } = prepareFile(policy, capabilities, judge);
  await compiler.compile({ ...source, file });
  if (passesTags(source.text, [])) warn(tagWarning(policy.name));
  if (egressLeftOut.length > 0) warn(egressMessage(policy.name, egressLeftOut));
}
