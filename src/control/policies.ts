import type { Plan } from '../agent/plan.js';
import { addressText } from '../config/address.js';
import type { Configuration, Policy } from '../config/configuration.js';
import { TapwallError } from '../error.js';

/** One policy of a configuration, for people. */
export interface PolicyDescription {
  name: string;
  kind: Policy['kind'];
  /** Of a policy that is a file. */
  file?: string;
  /** Of one that is not: its rules, as they were written, and what becomes of a frame that none decides. */
  ingress?: string;
  egress?: string;
  default?: string;
  guards: readonly string[];
  limits: Record<string, string>;
  variables: Readonly<Record<string, string>>;
  /** The number by which the kernel's tables know it. */
  mark: number | undefined;
  /** Of a file: what is in force. */
  digest?: string | undefined;
  /** Which bindings name it, in order. */
  bindings: Record<string, unknown>[];
}

/**
 * The policies of a configuration, or one of them.
 * @param plan where they are in force; absent where no agent runs.
 * @throws TapwallError POLICY_NOT_FOUND
 */
export function describePolicies(
  configuration: Configuration,
  plan: Plan | undefined,
  name?: string,
): { file: string; policies: PolicyDescription[] } {
  const { file, policies } = configuration;
  if (name !== undefined && !policies.has(name)) {
    throw new TapwallError('POLICY_NOT_FOUND', `the configuration has no policy ${name}`, {
      hint: `Its policies are ${[...policies.keys()].join(', ')}.`,
    });
  }
  const chosen = [...policies.values()].filter((policy) => name === undefined || policy.name === name);
  return { file, policies: chosen.map((policy) => describe(policy, configuration, plan)) };
}

function describe(policy: Policy, { bindings }: Configuration, plan: Plan | undefined): PolicyDescription {
  const { name, kind, guards, variables } = policy;
  const planned = plan?.policies.get(name);
  const limits: Record<string, string> = {};
  for (const [limit, rate] of Object.entries(policy.limits)) {
    if (rate) limits[limit] = `${rate.amount} ${rate.unit} in ${rate.seconds} s, burst ${rate.burst}`;
  }
  const own = bindings.filter((binding) => binding.policy === name);
  return {
    name,
    kind,
    ...(policy.kind === 'file'
      ? { file: policy.file, digest: planned?.program?.digest }
      : {
          ...(policy.ingress && { ingress: policy.ingress.text }),
          ...(policy.egress && { egress: policy.egress.text }),
          default: policy.default,
        }),
    guards,
    limits,
    variables,
    mark: planned?.mark,
    bindings: own.map(({ location, policy: _, addresses, ...selectors }) => ({
      ...selectors,
      ...(addresses && { addresses: addresses.map(addressText) }),
      line: location.line,
    })),
  };
}
