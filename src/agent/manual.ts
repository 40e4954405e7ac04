import { TapwallError } from '../error.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import type { Link } from '../links/link.js';
import { findLink, listLinks } from '../links/query.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/constants.js';
import { encodeTransaction, type Segment, transactionLength } from '../nftables/transaction.js';
import { BY_HAND_MARK, CLOSED_MARK, DEVICE_POLICY, policyMember } from '../policy/membership.js';
import { readAssignedMac } from '../program/assigned-mac.js';
import { attachSegment, detachSegment } from '../program/attach.js';
import { SHARED_TABLE } from '../program/blueprint.js';
import { indexSegment, memberSegment } from '../program/member.js';
import { deviceTableName } from '../program/name.js';
import type { Program } from '../program/program.js';
import { encodeDeviceRecord, readToldFacts } from '../program/told-facts.js';
import { admittedSets } from './admitted-sets.js';
import { type Attachment, attachmentsIn, readTables } from './attachment.js';
import { checkOwners } from './ownership.js';
import { readShared } from './shared-state.js';
import { readStatus } from './status.js';
import { compareMembers } from './target.js';

/** What {@link Hand.attach} did. */
export interface AttachResult {
  device: string;
  /** Interface index. */
  index: number;
  policy: string;
  /** Of the policy's program: equal digests filter alike. */
  digest: string;
  /** The kernel's names of the tables that the device has now. */
  tables: string[];
  /** Tables of tapwall that the device had before; they were replaced in the same transaction. */
  replaced: string[];
  /** Whether an agent filtered the device, which brings its own policy back when it runs. */
  replacedAgent: boolean;
  /** How many netlink messages the transaction had. */
  messages: number;
  /** What it took, up to the kernel's acknowledgement. */
  microseconds: number;
}

/** What {@link Hand.detach} did. */
export interface DetachResult {
  device: string;
  /** Interface index; undefined for a device that is gone. */
  index: number | undefined;
  /** The tables that were removed. */
  tables: string[];
  /** Whether the door of the shared table was closed to it. */
  closed: boolean;
}

/** What the commands do without an agent: one look at the kernel, one transaction. */
export class Hand {
  readonly #route: NetlinkSocket;
  readonly #netfilter: NetlinkSocket;

  constructor(kernel: Kernel, namespace: NamespaceHandle | undefined) {
    this.#route = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace });
    this.#netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  }

  /** @throws TapwallError DEVICE_NOT_FOUND, or ARGUMENT for a link that is no macvtap. */
  findDevice(name: string): Link {
    const link = findLink(this.#route, { name });
    if (!link) {
      const names = this.#macvtaps().map((one) => one.name);
      throw new TapwallError('DEVICE_NOT_FOUND', `there is no device ${name} in this network namespace`, {
        hint: names.length > 0 ? `The macvtap devices are ${names.join(', ')}.` : 'It has no macvtap device.',
      });
    }
    if (link.kind !== 'macvtap') {
      throw new TapwallError('ARGUMENT', `${name} is ${link.kind ? `a ${link.kind}, ` : ''}not a macvtap`, {
        hint: 'tapwall filters macvtap devices only; it does not touch the links of the host.',
      });
    }
    return link;
  }

  /**
   * Gives a device its own tables and, where a door stands, admits it to be filtered by them alone.
   * @throws KernelError when the kernel refuses; the device keeps what it had.
   * @throws TapwallError OWNED_BY_OTHER when an agent runs, whose door nobody else can open.
   */
  attach(link: Link, program: Program): AttachResult {
    const attachments = this.#attachments();
    const shared = readShared(this.#netfilter);
    const before = attachments.find(({ index }) => index === link.index);
    // Tables of a device that is gone hook the next one of its name (6.16 on).
    const stale = attachments.filter(
      ({ index, record }) => record.device === link.name && !this.#isThere(index),
    );
    const links = new Map<string, number>();
    for (const name of program.links) {
      const other = findLink(this.#route, { name });
      if (other) links.set(name, other.index);
    }
    const facts = {
      index: link.index,
      name: link.name,
      mac: before?.record.mac || (link.mac ?? ''),
      origin: 'manual' as const,
      links,
    };
    const obsolete = [...(before ? [before] : []), ...stale].flatMap(({ tables }) => tables);
    const segments: Segment[] = [attachSegment(program, facts, obsolete)];
    const members = shared?.members.get(link.index) ?? [];
    const element = members.find(({ set }) => set === DEVICE_POLICY);
    if (readToldFacts(element?.userdata)?.quarantined) {
      throw new TapwallError('QUARANTINED', `${link.name} is in quarantine: its door was closed on request`, {
        hint: 'Open it with tapwall admit before it is given a policy.',
      });
    }
    if (shared) {
      const { leave, join } = compareMembers(members, [policyMember(link.index, BY_HAND_MARK)]);
      if (leave.length > 0) segments.push(memberSegment('leave', leave));
      if (join.length > 0) segments.push(memberSegment('join', join));
      // Its own tables begin to count what passes them with 0; so must what the door lets through to them.
      const { all } = admittedSets({ counters: [...shared.inventory.sets.keys()] });
      for (const kind of ['join', 'leave'] as const) segments.push(indexSegment(kind, all, link.index));
    }
    const start = process.hrtime.bigint();
    const messages = this.#commit(segments);
    const microseconds = Number((process.hrtime.bigint() - start) / 1000n);
    return {
      device: link.name,
      index: link.index,
      policy: program.policy,
      digest: program.digest,
      tables: program.tables.map((table) => deviceTableName(link.index, table)).sort(),
      replaced: obsolete,
      replacedAgent: before?.record.origin === 'agent' || (!before && members.length > 0),
      messages,
      microseconds,
    };
  }

  /**
   * Removes all tables of tapwall's, the door among them, in one transaction: every device is open then.
   * @returns their names.
   * @throws TapwallError OWNED_BY_OTHER as {@link attach}.
   */
  detachAll(): string[] {
    const tables = this.#attachments().flatMap((attachment) => attachment.tables);
    if (readShared(this.#netfilter)) tables.push(SHARED_TABLE);
    if (tables.length > 0) this.#commit([detachSegment(tables)]);
    return tables;
  }

  /**
   * Removes what was attached under a name, from the device that has it now and from those that are gone. Where a door
   * stands it is closed to the device then.
   * @throws TapwallError NOT_ATTACHED when there is nothing to remove.
   * @throws TapwallError OWNED_BY_OTHER as {@link attach}.
   */
  detach(name: string): DetachResult {
    const link = findLink(this.#route, { name });
    const present = new Set(this.#macvtaps().map(({ index }) => index));
    const found = this.#attachments().filter(
      ({ index, record }) => index === link?.index || (record.device === name && !present.has(index)),
    );
    const tables = found.flatMap((attachment) => attachment.tables);
    const indexes = new Set(found.map(({ index }: Attachment) => index));
    if (link) indexes.add(link.index);
    const shared = readShared(this.#netfilter);
    const members = [...indexes].flatMap((index) => shared?.members.get(index) ?? []);
    if (tables.length === 0 && members.length === 0) {
      throw new TapwallError('NOT_ATTACHED', `${name} has nothing of tapwall in this network namespace`, {
        hint: 'See what is attached with: tapwall list',
      });
    }
    const segments: Segment[] = [];
    if (tables.length > 0) segments.push(detachSegment(tables));
    if (members.length > 0) segments.push(memberSegment('leave', members));
    this.#commit(segments);
    return { device: name, index: link?.index, tables, closed: members.length > 0 };
  }

  /**
   * Closes the door to a device. Who comes next, agent or hand, finds that in the kernel.
   * @throws TapwallError NOT_ATTACHED where no door stands before the device.
   * @throws TapwallError OWNED_BY_OTHER as {@link attach}.
   */
  quarantine(name: string): Link {
    const link = this.findDevice(name);
    this.#attachments();
    const { devices } = readStatus(this.#route, this.#netfilter);
    const status = devices.find(({ index }) => index === link.index);
    const shared = readShared(this.#netfilter);
    if (!shared || !status || status.state === 'unfiltered') {
      throw new TapwallError(
        'NOT_ATTACHED',
        `no door of tapwall’s stands before ${name}: it cannot be closed`,
        {
          hint: 'Start an agent (tapwall run), which puts one there; or set the link down (ip link set DEVICE down).',
        },
      );
    }
    const members = shared.members.get(link.index) ?? [];
    const { userdata } = members.find(({ set }) => set === DEVICE_POLICY) ?? {};
    const told = { ...readToldFacts(userdata), quarantined: true };
    const mac = readAssignedMac(userdata) ?? link.mac ?? '';
    const closed = { ...policyMember(link.index, CLOSED_MARK), userdata: encodeDeviceRecord(mac, told) };
    const { leave, join } = compareMembers(members, [closed]);
    const segments: Segment[] = [];
    if (leave.length > 0) segments.push(memberSegment('leave', leave));
    if (join.length > 0) segments.push(memberSegment('join', join));
    if (segments.length > 0) this.#commit(segments);
    return link;
  }

  /** Closes its sockets. What was attached stays. */
  close(): void {
    this.#netfilter.close();
    this.#route.close();
  }

  /** Nothing is tried to see whether it fails: what is owned is known before. */
  #attachments(): Attachment[] {
    const tables = readTables(this.#netfilter);
    checkOwners(tables, this.#netfilter.portId);
    return attachmentsIn(tables);
  }

  #commit(segments: readonly Segment[]): number {
    const count = transactionLength(segments);
    this.#netfilter.commitWith(count, (sequence) => encodeTransaction(segments, sequence));
    return count - 2;
  }

  #isThere(index: number): boolean {
    return findLink(this.#route, { index }) !== undefined;
  }

  #macvtaps(): Link[] {
    return listLinks(this.#route).filter(({ kind }) => kind === 'macvtap');
  }
}
