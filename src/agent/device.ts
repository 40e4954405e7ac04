import type { Link } from '../links/link.js';

/** One macvtap device the agent knows, from its first event to its last. */
export interface Device {
  /** As the last event described it. */
  link: Link;
  /**
   * The MAC it had when the agent first saw it, or when it was first attached. Bindings go by this one: a guest
   * can change the device's MAC through its tap, and must not choose its policy by it.
   */
  assignedMac: string;
  state: DeviceState;
  /** The policy it should have; undefined when no binding matches. */
  policy: string | undefined;
  /** Digest of the program that is installed. */
  digest: string | undefined;
  /** The name it was attached under. */
  attachedName: string | undefined;
  /** The kernel's names of the tables it has. */
  tables: string[];
}

export type DeviceState =
  /** Its policy is in the kernel. */
  | 'attached'
  /** Its policy was refused, and everything is dropped instead. */
  | 'closed'
  /** Its policy was refused, and so was dropping everything. It is open. */
  | 'failed'
  /** No binding matches it. */
  | 'unmatched'
  /** Attached by hand, and no binding matches it. */
  | 'manual'
  /** Seen, and not yet decided. */
  | 'new';

export function newDevice(link: Link): Device {
  return {
    link,
    assignedMac: link.mac ?? '',
    state: 'new',
    policy: undefined,
    digest: undefined,
    attachedName: undefined,
    tables: [],
  };
}
