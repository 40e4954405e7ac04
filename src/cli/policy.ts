import { Command } from 'commander';
import { loadConfiguration } from '../config/load.js';
import { describePolicies, type PolicyDescription } from '../control/policies.js';
import { type AskOptions, addAskOptions, askAgent, noAgent } from './ask.js';
import { EXIT, print, printJson, printTable } from './output.js';

interface Options extends AskOptions {
  config?: string;
}

export function policyCommand(exit: (status: number) => void): Command {
  const show = new Command('show')
    .description('show the policies that are in force, or one of them whole')
    .argument('[name]', 'a policy (default: a table of all)')
    .option('-c, --config <file>', 'show those of a configuration, whether or not an agent runs')
    .addHelpText(
      'after',
      `
Examples:
  $ tapwall policy show
  $ tapwall policy show lan-guard --json
  $ tapwall policy show --config /etc/tapwall/tapwall.yaml`,
    );
  const command = new Command('policy')
    .description('tell of the policies')
    .addHelpText('after', '\nExamples:\n  $ tapwall policy show')
    .addCommand(show.exitOverride());
  addAskOptions(show).action(async (name: string | undefined, options: Options) => {
    const { config } = options;
    const { file, policies } =
      config === undefined
        ? await askAgent(options, (client) => client.policies(name), noAgent)
        : describePolicies(loadConfiguration(config), undefined, name);
    if (options.json) for (const policy of policies) printJson({ event: 'policy', ...policy });
    else if (name === undefined) printAll(file, policies);
    else policies.forEach(printOne);
    exit(EXIT.success);
  });
  return command;
}

function printAll(file: string, policies: readonly PolicyDescription[]): void {
  print(`policies of ${file}`);
  printTable(
    ['policy', 'kind', 'guards', 'limits', 'default', 'bindings'],
    policies.map(({ name, kind, guards, limits, default: verdict, bindings }) => [
      name,
      kind,
      guards.join(' ') || '-',
      Object.keys(limits).join(' ') || '-',
      verdict ?? '-',
      String(bindings.length),
    ]),
  );
}

function printOne(policy: PolicyDescription): void {
  const { name, kind, file, digest, guards, limits, variables, ingress, egress, bindings } = policy;
  print(`policy ${name} (${kind})`);
  if (file !== undefined) print(`file: ${file}${digest === undefined ? '' : `, digest ${digest}`}`);
  print(`guards: ${guards.join(', ') || 'none'}`);
  for (const [limit, rate] of Object.entries(limits)) print(`limit ${limit}: ${rate}`);
  for (const [variable, value] of Object.entries(variables)) print(`variable ${variable}: ${value}`);
  for (const binding of bindings) print(`binding: ${JSON.stringify(binding)}`);
  if (ingress !== undefined) print(`ingress, to the VM:\n${indented(ingress)}`);
  if (egress !== undefined) print(`egress, from the VM:\n${indented(egress)}`);
  if (policy.default !== undefined) print(`default: ${policy.default}`);
}

function indented(text: string): string {
  return text.trimEnd().replace(/^/gm, '  ');
}
