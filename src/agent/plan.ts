import { readFileSync } from 'node:fs';
import type { Compiler, PolicySource } from '../compiler/compiler.js';
import { policyFolder } from '../compiler/includes.js';
import type { Binding, Configuration, FilePolicy, InlinePolicy, Policy } from '../config/configuration.js';
import { SourceError, TapwallError } from '../error.js';
import { blankEgressChains } from '../policy/egress-chain.js';
import { renderInline } from '../policy/inline.js';
import type { Program } from '../program/program.js';

/** A configuration, compiled: all the agent's loop needs. Plain data, so that it can be posted to a worker. */
export interface Plan {
  /** The configuration file's name, for messages. */
  file: string;
  prefixes: readonly string[];
  bindings: readonly Binding[];
  /** By policy name. */
  programs: ReadonlyMap<string, Program>;
  /** Drops everything: what a device gets when its own policy was refused. */
  closed: Program;
  /** What was left out and why, for the log. */
  warnings: readonly string[];
}

/** What the running kernel can do, as far as compiling depends on it. */
export interface CompileCapabilities {
  /** Whether netdev chains can hook egress (5.16). */
  egress: boolean;
}

/** A policy's text as it goes to the compiler, and what had to be left out of it. */
export interface Prepared {
  source: PolicySource;
  /** The base chains that filter traffic from the VM and cannot be installed here. */
  egressLeftOut: string[];
}

/** No policy of a user's can have this name: it is not in the letters a configuration allows. */
export const CLOSED_NAME = '(closed)';

/** Everything is dropped, and counted, so that it can be seen that something is tried. */
function closedSource(capabilities: CompileCapabilities): PolicySource {
  const chain = (hook: string) =>
    `  chain ${hook} {\n    type filter hook ${hook} device $intf priority filter; policy drop;\n    counter\n  }\n`;
  const hooks = capabilities.egress ? ['ingress', 'egress'] : ['ingress'];
  return {
    name: CLOSED_NAME,
    file: '<closed>',
    text: `table netdev closed {\n${hooks.map(chain).join('')}}\n`,
    directory: undefined,
    variables: {},
  };
}

export function compileClosed(compiler: Compiler, capabilities: CompileCapabilities): Promise<Program> {
  return compiler.compile(closedSource(capabilities)).then(({ program }) => program);
}

/**
 * Reads a policy file.
 * @throws TapwallError POLICY when it cannot be read.
 */
function readPolicyFile(file: string): string {
  try {
    const text = readFileSync(file);
    return new TextDecoder('utf-8', { fatal: true }).decode(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TapwallError('POLICY', `cannot read the policy file ${file}: ${reason}`, { cause });
  }
}

export function prepareFile(
  policy: Pick<FilePolicy, 'name' | 'file' | 'variables'>,
  capabilities: CompileCapabilities,
): Prepared {
  const text = readPolicyFile(policy.file);
  const blanked = capabilities.egress ? { text, removed: [] } : blankEgressChains(text, policy.file);
  return {
    source: {
      name: policy.name,
      file: policy.file,
      text: blanked.text,
      directory: policyFolder(policy.file),
      variables: policy.variables,
    },
    egressLeftOut: blanked.removed.map(({ name }) => name),
  };
}

function prepareInline(policy: InlinePolicy, capabilities: CompileCapabilities): Prepared {
  const rendered = renderInline(policy, { hooks: capabilities });
  return {
    source: {
      name: policy.name,
      file: policy.location.file,
      text: rendered.text,
      directory: undefined,
      variables: policy.variables,
      locate: (line, column) => rendered.sourceMap.locate(line, column) ?? policy.location,
    },
    egressLeftOut: capabilities.egress ? [] : ['egress'],
  };
}

export function preparePolicy(policy: Policy, capabilities: CompileCapabilities): Prepared {
  return policy.kind === 'file' ? prepareFile(policy, capabilities) : prepareInline(policy, capabilities);
}

/** The words for a policy whose egress half this kernel cannot take. */
export function egressMessage(policy: string, chains: readonly string[]): string {
  return (
    `policy ${policy}: this kernel has no egress hook (Linux 5.16), so ` +
    `${chains.join(', ')} cannot be installed and traffic FROM the VM is not filtered`
  );
}

/**
 * Compiles every policy of a configuration, also those no binding uses: a policy is proven before a VM needs it.
 * @throws SourceError with the problems of all policies together; nothing was changed anywhere.
 */
export async function compilePlan(
  configuration: Configuration,
  compiler: Compiler,
  capabilities: CompileCapabilities,
): Promise<Plan> {
  const programs = new Map<string, Program>();
  const warnings: string[] = [];
  const problems: SourceError['problems'][number][] = [];
  for (const policy of configuration.policies.values()) {
    try {
      const { source, egressLeftOut } = preparePolicy(policy, capabilities);
      const { program } = await compiler.compile(source);
      programs.set(policy.name, program);
      if (egressLeftOut.length > 0 && configuration.egress === 'required') {
        warnings.push(egressMessage(policy.name, egressLeftOut));
      }
    } catch (error) {
      if (error instanceof SourceError) problems.push(...error.problems);
      else if (error instanceof TapwallError) {
        problems.push({
          message: `policy ${policy.name}: ${error.message}`,
          location: policy.location,
          hint: error.hint,
        });
      } else throw error;
    }
  }
  if (problems.length > 0) throw new SourceError('POLICY', problems);
  return {
    file: configuration.file,
    prefixes: configuration.devices.prefixes,
    bindings: configuration.bindings,
    programs,
    closed: await compileClosed(compiler, capabilities),
    warnings,
  };
}
