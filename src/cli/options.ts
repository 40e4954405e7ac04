import { basename } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CompileCapabilities } from '../agent/plan.js';
import { probeAnywhere } from '../compiler/kernel-probe.js';
import { TapwallError } from '../error.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import { linuxKernel } from '../kernel/linux.js';
import { canMakeNamespaces } from '../kernel/privilege.js';
import { probeEgress } from '../kernel/probe.js';
import { flawInVariableName, flawInVariableValue } from '../policy/variable.js';

export interface KernelOptions {
  namespace?: string;
  json?: boolean;
}

/** What every command that touches the kernel takes. */
export function addKernelOptions(command: Command): Command {
  return command
    .option(
      '-n, --namespace <name|path>',
      'network namespace: a name of ip-netns(8) or a path (default: this one)',
    )
    .option('--json', 'print JSON, one object a line');
}

/** A feature of the kernel that can be declared missing, to see what happens then. */
export function withoutOption(): Option {
  return new Option('--without <feature>', 'act as on a kernel that lacks a feature').choices(['egress']);
}

export async function capabilitiesFor(
  kernel: Kernel,
  without: string | undefined,
): Promise<CompileCapabilities> {
  if (without === 'egress') return { egress: false };
  return { egress: canMakeNamespaces() ? probeEgress(kernel) : (await probeAnywhere(kernel)).egress };
}

/** Opens the namespace for as long as `action` runs. */
export async function inNamespace<T>(
  nameOrPath: string | undefined,
  action: (kernel: Kernel, namespace: NamespaceHandle | undefined) => T | Promise<T>,
): Promise<T> {
  const kernel = linuxKernel();
  const namespace = nameOrPath === undefined ? undefined : kernel.openNamespace(nameOrPath);
  try {
    return await action(kernel, namespace);
  } finally {
    namespace?.close();
  }
}

/** Collects `-D name=value`. */
export function collectVariable(text: string, known: Record<string, string> = {}): Record<string, string> {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError('It must be NAME=VALUE.');
  const flaw = flawInVariableName(name) ?? flawInVariableValue(value);
  if (flaw !== undefined) throw new InvalidArgumentError(`${flaw}.`);
  return { ...known, [name]: value };
}

/** Whether a file is a configuration, by its name; anything else is an nft file. */
export function isConfiguration(file: string): boolean {
  return /\.ya?ml$/.test(file);
}

/** A configuration has variables of its own, which `-D` does not reach. */
export function refuseVariables(file: string, variables: Record<string, string>): void {
  if (Object.keys(variables).length === 0) return;
  throw new TapwallError('ARGUMENT', `-D has no effect on ${file}, which is a configuration`, {
    hint: 'Write variables: into the policy.',
  });
}

/** Names of policies in a configuration have the same form, so that both can stand in a table's record. */
const LONGEST_POLICY_NAME = 63;

/** What a policy that was given as a file is called. */
export function policyNameOf(file: string): string {
  const name = basename(file)
    .replace(/\.nft$/, '')
    .replace(/[^A-Za-z0-9._-]/g, '_')
    .replace(/^[._-]+/, '')
    .slice(0, LONGEST_POLICY_NAME);
  return name === '' ? 'policy' : name;
}
