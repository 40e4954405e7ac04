import { probeAnywhere } from '../compiler/kernel-probe.js';
import { probeListing } from '../compiler/listing-probe.js';
import type { Placement } from '../config/configuration.js';
import { TapwallError } from '../error.js';
import type { Kernel } from '../kernel/kernel.js';
import type { KernelCapabilities } from '../kernel/probe.js';

/** What decides how hooks reach a device. */
export interface PlacementCapabilities
  extends Pick<
    KernelCapabilities,
    'egress' | 'prefix' | 'namesInAdvance' | 'addDevice' | 'destroy' | 'ownerPersist'
  > {
  /** Whether the host's nft can print a chain on a name prefix; one that cannot may loop for ever over it. */
  listsPrefixes: boolean;
}

/** What each placement promises, for `doctor`, `list` and the log. */
export const PROMISES: Readonly<Record<Placement, string>> = {
  prefix: 'closed before the first frame, whatever the name behind the prefix',
  names: 'closed before the first frame, for the names that are bound in advance',
  device: 'open from its creation until its event is handled',
  chain: 'open from its creation until its event is handled',
};

/** Whether no frame passes a new device before the agent has seen it. */
export function isClosedInAdvance(placement: Placement): boolean {
  return placement === 'prefix' || placement === 'names';
}

/** Whether the kernel can do it at all. */
export function isPossible(placement: Placement, capabilities: PlacementCapabilities): boolean {
  switch (placement) {
    case 'prefix':
      return capabilities.prefix;
    case 'names':
      return capabilities.namesInAdvance && capabilities.addDevice;
    case 'device':
      return capabilities.addDevice;
    case 'chain':
      return true;
  }
}

/**
 * @throws TapwallError NOT_SUPPORTED when the configuration asks for what this kernel cannot do.
 */
export function choosePlacement(asked: Placement | 'auto', capabilities: PlacementCapabilities): Placement {
  if (asked !== 'auto') {
    if (isPossible(asked, capabilities)) return asked;
    throw new TapwallError('NOT_SUPPORTED', `this kernel cannot do placement: ${asked}`, {
      hint: 'Leave it to tapwall (placement: auto); tapwall doctor says what this kernel can do.',
    });
  }
  // An administrator must be able to list what there is.
  if (capabilities.prefix && capabilities.listsPrefixes) return 'prefix';
  const rest = ['names', 'device', 'chain'] as const;
  return rest.find((placement) => isPossible(placement, capabilities)) ?? 'chain';
}

/** What libnftables does with a chain on a prefix does not change while the process lives, and may take seconds. */
let listing: ReturnType<typeof probeListing> | undefined;

/** {@link probeListing}, once in a process. */
export function listingOutcome(): ReturnType<typeof probeListing> {
  listing ??= probeListing();
  return listing;
}

/**
 * Tries what placements need, in throw-away namespaces.
 * @param asked what the configuration says: only some of it depends on the host's nft, which is asked in a child process.
 * @throws TapwallError without the right to make network namespaces, or user namespaces to make them in.
 */
export async function probePlacement(
  kernel: Kernel,
  asked: Placement | 'auto',
): Promise<PlacementCapabilities> {
  const capabilities = await probeAnywhere(kernel);
  const asks = capabilities.prefix && (asked === 'auto' || asked === 'prefix');
  return { ...capabilities, listsPrefixes: asks && (await listingOutcome()) === 'listed' };
}

/** What an administrator should know of a placement that was chosen; undefined when there is nothing. */
export function placementWarning(
  placement: Placement,
  { listsPrefixes }: PlacementCapabilities,
): string | undefined {
  if (placement !== 'prefix' || listsPrefixes) return undefined;
  return (
    'placement prefix: the libnftables of this host cannot list hooks by name prefix, and its nft may never come to ' +
    'an end over them (nft list ruleset). Use tapwall list and tapwall counters, placement: names, or nft 1.1.6'
  );
}
