import type { Link } from '../links/link.js';
import { HOST_LITTLE_ENDIAN, viewOf } from '../netlink/bytes.js';
import { CLOSED_MARK, DEVICE_POLICY } from '../policy/membership.js';
import { type Admission, ClosedAdmission, ListedAdmission, NO_ADMISSION } from '../program/admission.js';
import { readAssignedMac } from '../program/assigned-mac.js';
import type { Member } from '../program/member.js';
import type { Origin } from '../program/slot.js';
import { readToldFacts, type ToldFacts } from '../program/told-facts.js';
import type { Attachment } from './attachment.js';
import type { EventError } from './event.js';

/** One macvtap device the agent knows, from its first event to its last. */
export interface Device {
  /** As the last event described it. */
  link: Link;
  /**
   * The MAC it had when the agent first saw it, or when it was first attached. Bindings go by this one: a guest
   * can change the device's MAC through its tap, and must not choose its policy by it.
   */
  assignedMac: string;
  /** What somebody who knows the VM has told of it; undefined for nothing. */
  told: ToldFacts | undefined;
  state: DeviceState;
  /** Why it is `closed` or `failed`. */
  refusal: EventError | undefined;
  /** The policy it should have; undefined when no binding matches. */
  policy: string | undefined;
  /** The elements that admit it, as the kernel has them. */
  admission: Admission;
  /** The hooks that were placed for it alone, by direction: the name that each stands on. */
  hooks: Map<number, string>;
  /** Whether frames of it had been counted when the kernel's state was last read. */
  isCounted: boolean;
  /** Whether it has elements in which is counted what passes, which the agent makes when it has time. */
  hasCounters: boolean;
  /** Whether it has had a name that the hooks may stand on: frames of it may have been counted since. */
  wasCovered: boolean;
  /** Who gave it the tables it has for itself. */
  origin: Origin | undefined;
  /** Digest of the program that is installed in its own tables. */
  digest: string | undefined;
  /** The name its own tables were made for. */
  attachedName: string | undefined;
  /** The kernel's names of its own tables. */
  tables: string[];
}

/** How it stands with a device, as the agent knows it; ARCHITECTURE.md says what leads from one to another. */
export type DeviceState =
  /** Its policy is in the kernel. */
  | 'attached'
  /** Its policy was refused, and the door is closed to it. */
  | 'closed'
  /** Its policy was refused, and so was closing the door. It is as open as it was before. */
  | 'failed'
  /** No binding matches it. */
  | 'unmatched'
  /** Its door was closed on request, and stays so until it is opened on request. */
  | 'quarantined'
  /** Attached by hand, and no binding matches it. */
  | 'manual'
  /** Seen, and not yet decided. */
  | 'new';

/** Whether the kernel has refused what it should have. */
export function isRefused({ state }: Pick<Device, 'state'>): boolean {
  return state === 'closed' || state === 'failed';
}

export function newDevice(link: Link): Device {
  return {
    link,
    assignedMac: link.mac ?? '',
    told: undefined,
    state: 'new',
    refusal: undefined,
    policy: undefined,
    admission: NO_ADMISSION,
    hooks: new Map(),
    isCounted: false,
    hasCounters: false,
    wasCovered: false,
    origin: undefined,
    digest: undefined,
    attachedName: undefined,
    tables: [],
  };
}

/** Takes over the elements that the kernel holds for a device, whoever put them there. */
export function adoptMembers(device: Device, members: readonly Member[]): void {
  const policy = members.find(({ set }) => set === DEVICE_POLICY);
  device.admission = members.length > 0 ? admissionOf(members, policy) : NO_ADMISSION;
  device.assignedMac = readAssignedMac(policy?.userdata) ?? device.assignedMac;
  // Of a device that is known the agent knows better what it was told.
  if (device.state === 'new') device.told ??= readToldFacts(policy?.userdata);
}

function admissionOf(members: readonly Member[], policy: Member | undefined): Admission {
  return policy && isClosing(policy) ? new ClosedAdmission(members) : new ListedAdmission(members);
}

/** Whether the element that says a device's policy says that it has none. */
export function isClosing({ data }: Pick<Member, 'data'>): boolean {
  return data?.length === 4 && viewOf(data).getUint32(0, HOST_LITTLE_ENDIAN) === CLOSED_MARK;
}

/** Takes over the tables that the kernel holds for a device alone, whoever put them there; null for none. */
export function adoptTables(device: Device, attachment: Attachment | null): void {
  device.tables = attachment?.tables ?? [];
  device.origin = attachment?.record.origin;
  device.digest = attachment?.record.digest;
  device.attachedName = attachment?.record.device;
  if (attachment?.record.mac) device.assignedMac = attachment.record.mac;
}
