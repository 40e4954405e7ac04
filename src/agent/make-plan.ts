import type { Compiler } from '../compiler/compiler.js';
import type { Configuration } from '../config/configuration.js';
import { TapwallError } from '../error.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import { NETLINK_NETFILTER } from '../netlink/constants.js';
import { findNamespaces } from './namespace-finder.js';
import {
  choosePlacement,
  type PlacementCapabilities,
  placementWarning,
  probePlacement,
} from './placement.js';
import { compilePlan, type Marks, type Plan } from './plan.js';
import { readMarks } from './shared-state.js';

/** What a plan is made with, beside its configuration. */
export interface PlanMaking {
  kernel: Kernel;
  compiler: Compiler;
  capabilities: Partial<PlacementCapabilities> | undefined;
  marks: Marks;
  signal: AbortSignal | undefined;
}

/**
 * Tries what this kernel can do, and compiles a configuration for it.
 * @throws what {@link compilePlan} and {@link choosePlacement} throw.
 */
export async function makePlan(
  configuration: Configuration,
  { kernel, compiler, capabilities, marks, signal }: PlanMaking,
): Promise<Plan> {
  const probed = { ...(await probePlacement(kernel, configuration.placement)), ...capabilities };
  const placement = choosePlacement(configuration.placement, probed);
  const plan = await compilePlan(configuration, compiler, {
    placement,
    capabilities: probed,
    keepsHooks: probed.namesInAdvance,
    destroys: probed.destroy,
    ownerPersist: probed.ownerPersist,
    marks,
    signal,
  });
  const warning = placementWarning(placement, probed);
  return warning === undefined ? plan : { ...plan, warnings: [...plan.warnings, warning] };
}

/**
 * The marks that policies have in the kernel, so that devices need no other: those of all namespaces that are there. Where
 * they differ, as different agents may have left them, a mark that one policy has is given to no other.
 */
export function kernelMarks(
  kernel: Kernel,
  { namespaces }: Pick<Configuration, 'namespaces'>,
  own: NamespaceHandle | undefined,
): Marks {
  const marks = new Map<string, number>();
  const taken = new Set<number>();
  for (const { path } of findNamespaces(namespaces, own?.inode).found) {
    for (const [policy, mark] of marksIn(kernel, path, own)) {
      if (!marks.has(policy) && !taken.has(mark)) marks.set(policy, mark);
      taken.add(mark);
    }
  }
  return marks;
}

function marksIn(kernel: Kernel, path: string | undefined, own: NamespaceHandle | undefined): Marks {
  let opened: NamespaceHandle | undefined;
  try {
    opened = path === undefined ? undefined : kernel.openNamespace(path);
    const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: opened ?? own });
    try {
      return readMarks(netfilter);
    } finally {
      netfilter.close();
    }
  } catch (error) {
    // Its loop tells what is wrong with it.
    if (path === undefined || !(error instanceof TapwallError)) throw error;
    return new Map();
  } finally {
    opened?.close();
  }
}
