import { TapwallError } from '../error.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import type { Link } from '../links/link.js';
import { findLink, listLinks } from '../links/query.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/constants.js';
import { attachBatch, attachLength, detachBatch, detachLength } from '../program/attach.js';
import { deviceTableName } from '../program/name.js';
import type { Program } from '../program/program.js';
import type { Origin } from '../program/slot.js';
import { type Attachment, listAttachments } from './attachment.js';
import { CLOSED_NAME } from './plan.js';

/** What the kernel holds for one device, for people: one line of `tapwall list`. */
export interface DeviceStatus {
  device: string;
  index: number;
  /**
   * `attached`: its tables are there. `closed`: its policy was refused and everything is dropped. `unfiltered`: it has none. `stale`: tables of a device that is gone.
   * `renamed`: its tables hook the name it had when it was attached.
   */
  state: 'attached' | 'closed' | 'unfiltered' | 'stale' | 'renamed';
  mac: string | undefined;
  policy?: string;
  digest?: string;
  origin?: Origin;
  tables: string[];
}

export interface AttachResult {
  device: string;
  index: number;
  policy: string;
  digest: string;
  tables: string[];
  /** Tables of tapwall that the device had before; they were replaced in the same transaction. */
  replaced: string[];
  /** Whether those were an agent's, which brings its own policy back at its next start or reload. */
  replacedAgent: boolean;
  messages: number;
  microseconds: number;
}

export interface DetachResult {
  device: string;
  index: number | undefined;
  tables: string[];
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

  /** @throws KernelError when the kernel refuses; the device keeps what it had. */
  attach(link: Link, program: Program): AttachResult {
    const attachments = listAttachments(this.#netfilter);
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
    const start = process.hrtime.bigint();
    const batch = this.#netfilter.commitWith(attachLength(program, obsolete), (sequence) =>
      attachBatch(program, facts, sequence, obsolete),
    );
    const microseconds = Number((process.hrtime.bigint() - start) / 1000n);
    return {
      device: link.name,
      index: link.index,
      policy: program.policy,
      digest: program.digest,
      tables: program.tables.map((table) => deviceTableName(link.index, table)).sort(),
      replaced: obsolete,
      replacedAgent: before?.record.origin === 'agent',
      messages: batch.labels.length,
      microseconds,
    };
  }

  /**
   * Removes what was attached under a name: from the device that has it now, and from those that are gone.
   * @throws TapwallError NOT_ATTACHED when there is nothing to remove.
   */
  detach(name: string): DetachResult {
    const link = findLink(this.#route, { name });
    const present = new Set(this.#macvtaps().map(({ index }) => index));
    const found = listAttachments(this.#netfilter).filter(
      ({ index, record }) => index === link?.index || (record.device === name && !present.has(index)),
    );
    const tables = found.flatMap((attachment) => attachment.tables);
    if (tables.length === 0) {
      throw new TapwallError('NOT_ATTACHED', `${name} has no tables of tapwall in this network namespace`, {
        hint: 'See what is attached with: tapwall list',
      });
    }
    this.#netfilter.commitWith(detachLength(tables), (sequence) => detachBatch(tables, sequence));
    return { device: name, index: link?.index, tables };
  }

  /** Every macvtap device, and every device that is gone and left tables behind. */
  list(): DeviceStatus[] {
    const attachments = new Map(listAttachments(this.#netfilter).map((one) => [one.index, one]));
    const statuses = this.#macvtaps().map((link) => {
      const attachment = attachments.get(link.index);
      attachments.delete(link.index);
      return deviceStatus(link, attachment);
    });
    return [...statuses, ...[...attachments.values()].map(staleStatus)];
  }

  close(): void {
    this.#netfilter.close();
    this.#route.close();
  }

  #isThere(index: number): boolean {
    return findLink(this.#route, { index }) !== undefined;
  }

  #macvtaps(): Link[] {
    return listLinks(this.#route).filter(({ kind }) => kind === 'macvtap');
  }
}

function deviceStatus({ name, index, mac }: Link, attachment: Attachment | undefined): DeviceStatus {
  if (!attachment) return { device: name, index, state: 'unfiltered', mac, tables: [] };
  const { record, tables } = attachment;
  return {
    device: name,
    index,
    state: record.device !== name ? 'renamed' : record.policy === CLOSED_NAME ? 'closed' : 'attached',
    mac,
    policy: record.policy,
    digest: record.digest,
    origin: record.origin,
    tables,
  };
}

function staleStatus({ index, record, tables }: Attachment): DeviceStatus {
  const { device, mac, policy, digest, origin } = record;
  return { device, index, state: 'stale', mac: mac || undefined, policy, digest, origin, tables };
}
