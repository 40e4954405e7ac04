import type { Placement } from '../config/configuration.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import type { Link } from '../links/link.js';
import { listLinks } from '../links/query.js';
import { HOST_LITTLE_ENDIAN, viewOf } from '../netlink/bytes.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/constants.js';
import { NF_NETDEV_EGRESS, NF_NETDEV_INGRESS } from '../nftables/constants.js';
import { ADMITTED_SETS, BY_HAND_MARK, DEVICE_POLICY, EARLY_SETS } from '../policy/membership.js';
import { deviceOfChain, isMoreChain } from '../program/hook.js';
import type { Inventory } from '../program/inventory.js';
import type { Member } from '../program/member.js';
import type { Origin } from '../program/slot.js';
import { readToldFacts } from '../program/told-facts.js';
import { type Attachment, listAttachments } from './attachment.js';
import { type Count, readCounter } from './counters.js';
import { isClosing } from './device.js';
import { type Passed, readPassed, whatBecame } from './passed.js';
import { readMarks, readShared, type SharedState } from './shared-state.js';
import { UNMATCHED_ACCEPT } from './target.js';

/** What a device sent or received, as the kernel counted it. */
export interface DirectionCounts {
  admitted: Count;
  /** By reason: a guard's name, `policy` for the user's rules, `file` for those of an nft file, `unmatched`, `limit.…`. */
  dropped: Record<string, Count>;
}

/** What the kernel holds for one device, for people: one line of `tapwall list`. */
export interface DeviceStatus {
  /** Its network namespace, where the agent that tells serves several. */
  namespace?: string;
  device: string;
  index: number;
  /**
   * `attached`: its policy is there. `closed`: it is behind the door and nothing admits it. `quarantined`: the same,
   * because somebody asked for it. `unfiltered`: no hook of
   * tapwall's stands on it. `stale`: what a device that is gone has left.
   * `renamed`: its own tables hook the name it had when it was attached.
   */
  state: 'attached' | 'closed' | 'quarantined' | 'unfiltered' | 'stale' | 'renamed';
  /** Whether hooks stood on its name before it was there. False for a device that is gone or has none. */
  inAdvance: boolean;
  mac: string | undefined;
  policy?: string;
  /** What was told of the VM. */
  guest?: string;
  uuid?: string;
  digest?: string;
  origin?: Origin;
  /** Tables of its own. */
  tables: string[];
  ingress: DirectionCounts;
  egress: DirectionCounts;
}

/** What the kernel holds in a network namespace. */
export interface Status {
  /** How the hooks reach devices; undefined where there is no shared table. */
  placement: Placement | undefined;
  devices: DeviceStatus[];
}

/** What a counter's element has counted. */
export function countOf({ expression }: Pick<Member, 'expression'>): Count {
  if (expression?.name !== 'counter' || !expression.data) return { packets: 0, bytes: 0 };
  return readCounter(expression.data);
}

/** The last part of the reason of what a file's own chains have dropped, which no set of the door's counts. */
const OF_FILE = 'file';

function sum(one: Count, other: Count): Count {
  return { packets: one.packets + other.packets, bytes: one.bytes + other.bytes };
}

/** @param passed what the device's own tables have let through; undefined where none filter it. */
function countsOf(
  members: readonly Member[],
  word: 'ingress' | 'egress',
  passed: Count | undefined,
): DirectionCounts {
  const counts: DirectionCounts = { admitted: { packets: 0, bytes: 0 }, dropped: {} };
  const [admitted, early, dropped] = [ADMITTED_SETS[word], EARLY_SETS[word], `${word}.dropped.`];
  for (const member of members) {
    if (member.set === admitted || member.set === early)
      counts.admitted = sum(counts.admitted, countOf(member));
    else if (member.set.startsWith(dropped))
      counts.dropped[member.set.slice(dropped.length)] = countOf(member);
  }
  if (!passed) return counts;
  const became = whatBecame(counts.admitted, passed);
  counts.admitted = became.admitted;
  if (became.dropped.packets > 0) counts.dropped[OF_FILE] = became.dropped;
  return counts;
}

/** How the hooks of an installed table reach devices. */
function placementOf({ bases }: Inventory): Placement {
  for (const [name, { devices }] of bases) {
    if (devices.some((device) => 'prefix' in device)) return 'prefix';
    if (/\.names\.\d+$/.test(name)) return 'names';
  }
  return [...bases.keys()].some(isMoreChain) ? 'device' : 'chain';
}

/** The hooks of one direction, ready for thousands of questions; `inAdvance`, only those that wait for a device. */
function hooksOf({ bases }: Inventory, direction: number, inAdvance: boolean): (link: Link) => boolean {
  const names = new Set<string>();
  const prefixes: string[] = [];
  const indexes = new Set<number | undefined>();
  for (const [chain, base] of bases) {
    if (base.direction !== direction) continue;
    if (inAdvance && (isMoreChain(chain) || deviceOfChain(chain) !== undefined)) continue;
    indexes.add(deviceOfChain(chain));
    for (const device of base.devices) {
      if ('prefix' in device) prefixes.push(device.prefix);
      else names.add(device.name);
    }
  }
  return ({ name, index }) =>
    names.has(name) || indexes.has(index) || prefixes.some((prefix) => name.startsWith(prefix));
}

/** Reads the status of a network namespace, through sockets of its own. */
export function statusIn(kernel: Kernel, namespace: NamespaceHandle | undefined): Status {
  const route = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace });
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  try {
    return readStatus(route, netfilter);
  } finally {
    netfilter.close();
    route.close();
  }
}

/** Reads what the kernel holds for each macvtap device, and for those that are gone and left something behind. */
export function readStatus(route: NetlinkSocket, netfilter: NetlinkSocket): Status {
  const attachments = new Map(listAttachments(netfilter).map((one) => [one.index, one]));
  const shared = readShared(netfilter);
  const policies = new Map([...readMarks(netfilter)].map(([policy, mark]) => [mark, policy]));
  const links = listLinks(route).filter(({ kind }) => kind === 'macvtap');
  const hooks = { any: hookedNames(shared, false), inAdvance: hookedNames(shared, true) };
  const passed: Passed = attachments.size > 0 ? readPassed(netfilter) : new Map();
  const devices = links.map((link) => {
    const attachment = attachments.get(link.index);
    attachments.delete(link.index);
    // Under another name its own tables hook it no more, or not yet.
    const own = attachment?.record.device === link.name ? passed.get(link.index) : undefined;
    return deviceStatus(link, { attachment, passed: own ?? {} }, shared, policies, hooks);
  });
  const present = new Set(links.map(({ index }) => index));
  const stale = new Set([...attachments.keys(), ...(shared?.members.keys() ?? [])]);
  for (const index of present) stale.delete(index);
  return {
    placement: shared && placementOf(shared.inventory),
    devices: [
      ...devices,
      ...[...stale].map((index) => {
        const own = { attachment: attachments.get(index), passed: passed.get(index) ?? {} };
        return staleStatus(index, own, shared);
      }),
    ],
  };
}

/** Which links stand behind the door in both directions, or in all that the kernel has. */
function hookedNames(shared: SharedState | undefined, inAdvance: boolean): (link: Link) => boolean {
  if (!shared) return () => false;
  const { inventory } = shared;
  const hooks = [NF_NETDEV_INGRESS, NF_NETDEV_EGRESS]
    .filter((direction) => [...inventory.bases.values()].some((base) => base.direction === direction))
    .map((direction) => hooksOf(inventory, direction, inAdvance));
  return (link) => hooks.length > 0 && hooks.every((isHooked) => isHooked(link));
}

/** What a device has for itself, and what that has let through. */
interface OwnState {
  attachment: Attachment | undefined;
  passed: Partial<Record<'ingress' | 'egress', Count>>;
}

function deviceStatus(
  link: Link,
  { attachment, passed }: OwnState,
  shared: SharedState | undefined,
  policies: ReadonlyMap<number, string>,
  hooks: { any: (link: Link) => boolean; inAdvance: (link: Link) => boolean },
): DeviceStatus {
  const { name, index, mac } = link;
  const hooked = hooks.any(link);
  const inAdvance = hooks.inAdvance(link);
  const counted = shared?.counted.get(index) ?? [];
  const element = shared?.members.get(index)?.find(({ set }) => set === DEVICE_POLICY);
  const told = readToldFacts(element?.userdata);
  const counts = {
    ...(told?.guest !== undefined && { guest: told.guest }),
    ...(told?.uuid !== undefined && { uuid: told.uuid }),
    ingress: countsOf(counted, 'ingress', passed.ingress),
    egress: countsOf(counted, 'egress', passed.egress),
  };
  const isClosed = element !== undefined && isClosing(element);
  if (isClosed && told?.quarantined && hooked) {
    const tables = attachment?.tables ?? [];
    return { device: name, index, state: 'quarantined', inAdvance, mac, tables, ...counts };
  }
  const data = isClosed ? undefined : element?.data;
  const mark = data && viewOf(data).getUint32(0, HOST_LITTLE_ENDIAN);
  const policy = mark === undefined ? undefined : policies.get(mark);
  if (attachment) {
    const { record, tables } = attachment;
    const state = record.device !== name ? 'renamed' : hooked && mark === undefined ? 'closed' : 'attached';
    const { digest, origin } = record;
    const { policy: recorded } = record;
    return {
      device: name,
      index,
      state,
      inAdvance,
      mac,
      policy: recorded,
      digest,
      origin,
      tables,
      ...counts,
    };
  }
  // What no hook stands on passes whatever admits it.
  if (mark !== undefined && hooked) {
    const called = policy ?? (mark === BY_HAND_MARK ? UNMATCHED_ACCEPT : `mark ${mark}`);
    return {
      device: name,
      index,
      state: 'attached',
      inAdvance,
      mac,
      policy: called,
      origin: 'agent',
      tables: [],
      ...counts,
    };
  }
  const state = hooked ? 'closed' : 'unfiltered';
  return { device: name, index, state, inAdvance, mac, tables: [], ...counts };
}

function staleStatus(
  index: number,
  { attachment, passed }: OwnState,
  shared: SharedState | undefined,
): DeviceStatus {
  const counted = shared?.counted.get(index) ?? [];
  const counts = {
    ingress: countsOf(counted, 'ingress', passed.ingress),
    egress: countsOf(counted, 'egress', passed.egress),
  };
  if (!attachment) {
    const device = `interface ${index}`;
    return { device, index, state: 'stale', inAdvance: false, mac: undefined, tables: [], ...counts };
  }
  const { device, mac, policy, digest, origin } = attachment.record;
  const { tables } = attachment;
  return {
    device,
    index,
    state: 'stale',
    inAdvance: false,
    mac: mac || undefined,
    policy,
    digest,
    origin,
    tables,
    ...counts,
  };
}
