import type { Link } from '../links/link.js';
import { deviceTableName } from '../program/name.js';
import type { Program } from '../program/program.js';
import type { Origin } from '../program/slot.js';
import type { Attachment } from './attachment.js';

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
  /** Who gave it the tables it has. */
  origin: Origin | undefined;
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
  /** Its policy was refused, and so was dropping everything. It is as open as it was before. */
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
    origin: undefined,
    digest: undefined,
    attachedName: undefined,
    tables: [],
  };
}

/** Takes over what the kernel holds for a device, whoever put it there; null when it holds nothing. */
export function adopt(device: Device, attachment: Attachment | null): void {
  device.tables = attachment?.tables ?? [];
  device.origin = attachment?.record.origin;
  device.digest = attachment?.record.digest;
  device.attachedName = attachment?.record.device;
  if (attachment?.record.mac) device.assignedMac = attachment.record.mac;
}

/** The kernel's names of the tables that a program has for a device, sorted. */
export function tablesFor(program: Program, index: number): string[] {
  return program.tables.map((table) => deviceTableName(index, table)).sort();
}

/** True when an agent gave the device exactly what the program would give it now. */
export function isCurrent(device: Device, program: Program): boolean {
  const { link, origin, digest, attachedName, tables } = device;
  const expected = tablesFor(program, link.index);
  return (
    origin === 'agent' &&
    digest === program.digest &&
    attachedName === link.name &&
    tables.length === expected.length &&
    tables.every((name, at) => name === expected[at])
  );
}
