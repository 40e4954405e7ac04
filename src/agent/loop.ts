import { matchBinding } from '../config/binding.js';
import { TapwallError } from '../error.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import { RTNLGRP_LINK } from '../links/constants.js';
import { macvtapFilter } from '../links/filter.js';
import { type Link, type LinkEvent, parseLinkEvent } from '../links/link.js';
import { findLink, listLinks } from '../links/query.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/constants.js';
import { isKernelError } from '../netlink/error.js';
import { attachBatch, attachLength, detachBatch, detachLength } from '../program/attach.js';
import type { Program } from '../program/program.js';
import { type Attachment, listAttachments } from './attachment.js';
import { adopt, type Device, isCurrent, newDevice, tablesFor } from './device.js';
import type { AgentEvent, DetachReason, EventError } from './event.js';
import type { Plan } from './plan.js';

/**
 * Bytes of events the kernel keeps for the agent while it is busy. An event is about 1.5 KB, so this holds several
 * thousand; the system's default held 92.
 */
const EVENT_BUFFER = 8 << 20;

export interface LoopOptions {
  kernel: Kernel;
  /** Where the devices are; absent for the namespace of the process. */
  namespace?: NamespaceHandle | undefined;
  /** The descriptor of a waker that ends a wait. */
  wakerFd: number;
  emit(event: AgentEvent): void;
}

export function eventError(error: unknown): EventError {
  if (error instanceof TapwallError) return error.toJSON() as EventError;
  return { code: 'UNKNOWN', message: error instanceof Error ? error.message : String(error) };
}

function microsecondsSince(start: bigint): number {
  return Number((process.hrtime.bigint() - start) / 1000n);
}

/**
 * The agent's loop: link event, binding, program, transaction. It blocks, and so runs in a thread of its own; all it
 * knows of the outside is the kernel it is given.
 */
export class AgentLoop {
  readonly #options: LoopOptions;
  readonly #events: NetlinkSocket;
  readonly #route: NetlinkSocket;
  readonly #netfilter: NetlinkSocket;
  readonly #devices = new Map<number, Device>();
  #plan: Plan;
  /** When the loop woke for what it is doing now. */
  #woke = process.hrtime.bigint();

  constructor(plan: Plan, options: LoopOptions) {
    const { kernel, namespace } = options;
    this.#plan = plan;
    this.#options = options;
    // Subscribed before anything is read, so that no device falls between the dump and the first event.
    this.#events = kernel.openSocket({
      protocol: NETLINK_ROUTE,
      namespace,
      receiveBuffer: EVENT_BUFFER,
      groups: [RTNLGRP_LINK],
      filter: macvtapFilter(),
    });
    this.#route = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace });
    this.#netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  }

  /**
   * Brings the devices that are there in line, and says `ready`.
   * @param beforeReady is called in between, when nothing waits for a filter any more.
   */
  start(beforeReady?: () => void): void {
    this.#woke = process.hrtime.bigint();
    for (const message of this.#plan.warnings) this.#options.emit({ event: 'warning', message });
    this.#synchronise();
    const microseconds = microsecondsSince(this.#woke);
    beforeReady?.();
    this.#options.emit({
      event: 'ready',
      devices: this.#devices.size,
      attached: this.#count('attached'),
      microseconds,
    });
  }

  /**
   * Waits for events, at most `timeoutMs`, and handles what came.
   * @returns true when the waker was signalled.
   */
  step(timeoutMs: number): boolean {
    const { kernel, wakerFd } = this.#options;
    const { sockets, woken } = kernel.wait([this.#events], wakerFd, timeoutMs);
    this.#woke = process.hrtime.bigint();
    if (sockets[0]) this.#drain();
    return woken;
  }

  /** Puts another plan in force. What stays the same is left alone, counters included. */
  reload(plan: Plan): void {
    this.#woke = process.hrtime.bigint();
    this.#plan = plan;
    for (const message of plan.warnings) this.#options.emit({ event: 'warning', message });
    this.#synchronise();
    this.#options.emit({
      event: 'reloaded',
      file: plan.file,
      policies: plan.programs.size,
      bindings: plan.bindings.length,
      microseconds: microsecondsSince(this.#woke),
    });
  }

  /** Ends the loop. Filters stay unless `detach` is given, and then only the agent's own go. */
  stop(options: { detach: boolean }): void {
    let detached = 0;
    if (options.detach) {
      // As the kernel has them now: somebody may have attached by hand over the agent's.
      for (const { index, record, tables } of listAttachments(this.#netfilter)) {
        const device = this.#devices.get(index);
        if (!device || record.origin !== 'agent') continue;
        this.#woke = process.hrtime.bigint();
        if (this.#removeTables(device.link.name, index, tables, 'exit')) detached++;
      }
    }
    this.#events.close();
    this.#route.close();
    this.#netfilter.close();
    this.#options.emit({ event: 'stopped', detached });
  }

  #count(state: Device['state']): number {
    let count = 0;
    for (const device of this.#devices.values()) if (device.state === state) count++;
    return count;
  }

  #drain(): void {
    for (;;) {
      let messages: ReturnType<NetlinkSocket['receive']>;
      try {
        messages = this.#events.receive();
      } catch (error) {
        if (!isKernelError(error, 'ENOBUFS')) throw error;
        this.#options.emit({
          event: 'overflow',
          message: 'link events were lost; reading all devices again',
        });
        this.#discard();
        this.#synchronise();
        continue;
      }
      if (!messages) return;
      for (const message of messages) {
        const event = parseLinkEvent(message);
        if (event) this.#handle(event);
      }
    }
  }

  /**
   * Throws away what is queued before everything is read again. It is older than what will be read; and until the
   * queue has been empty once, the kernel loses further events without another ENOBUFS (netlink_overrun() and
   * NETLINK_S_CONGESTED, net/netlink/af_netlink.c).
   */
  #discard(): void {
    for (;;) {
      try {
        if (!this.#events.receive()) return;
      } catch (error) {
        if (!isKernelError(error, 'ENOBUFS')) throw error;
      }
    }
  }

  #handle({ type, link }: LinkEvent): void {
    if (type === 'new') {
      this.#update(link);
      return;
    }
    const device = this.#devices.get(link.index);
    if (!device) return;
    this.#devices.delete(link.index);
    if (device.tables.length > 0) this.#detach(device, 'gone');
  }

  /** Makes the kernel's state what the plan says, from what both sockets read now. */
  #synchronise(): void {
    const attachments = new Map(listAttachments(this.#netfilter).map((one) => [one.index, one]));
    const links = listLinks(this.#route).filter(({ kind }) => kind === 'macvtap');
    const present = new Set(links.map(({ index }) => index));
    for (const [index, device] of this.#devices) {
      if (present.has(index)) continue;
      this.#devices.delete(index);
      adopt(device, attachments.get(index) ?? null);
      if (device.tables.length > 0) this.#detach(device, 'gone');
      attachments.delete(index);
    }
    for (const link of links) {
      const attachment = attachments.get(link.index);
      attachments.delete(link.index);
      this.#update(link, attachment ?? null);
    }
    for (const { index, record, tables } of attachments.values()) {
      this.#removeTables(record.device, index, tables, 'stale');
    }
  }

  /**
   * Decides what a device should have, and sees to it.
   * @param attachment what the kernel holds for it: read just now, null when it holds nothing, undefined when it
   *   was not read.
   */
  #update(link: Link, attachment?: Attachment | null): void {
    let device = this.#devices.get(link.index);
    const covered = this.#plan.prefixes.some((prefix) => link.name.startsWith(prefix));
    if (!device) {
      // What an agent gave a device that has left the prefixes meanwhile, or that the prefixes have left, has to go.
      const left = attachment?.record.origin === 'agent';
      if (link.kind !== 'macvtap' || !(covered || left)) return;
      device = newDevice(link);
      this.#devices.set(link.index, device);
    }
    device.link = link;
    if (attachment !== undefined) adopt(device, attachment);
    const policy = covered ? this.#policyFor(device) : undefined;
    if (policy === undefined) this.#release(device, covered, attachment !== undefined);
    else this.#apply(device, policy, attachment !== undefined);
  }

  #policyFor(device: Device): string | undefined {
    const { link } = device;
    const binding = matchBinding(this.#plan.bindings, {
      name: link.name,
      kind: link.kind ?? '',
      mac: device.assignedMac,
      alias: link.alias,
      parentName: this.#parentName(link),
    });
    return binding?.policy;
  }

  /** The parent's name as it is now; undefined when it is in another namespace, where its index means nothing here. */
  #parentName(link: Link): string | undefined {
    if (link.parentIndex === undefined || link.parentElsewhere) return undefined;
    if (!this.#plan.bindings.some(({ parent }) => parent !== undefined)) return undefined;
    return findLink(this.#route, { index: link.parentIndex })?.name;
  }

  /**
   * Takes the agent's tables from a device that no binding matches. What was attached by hand stays until it is
   * detached by hand or a binding matches.
   */
  #release(device: Device, covered: boolean, verified: boolean): void {
    const { link } = device;
    const told = device.state === 'unmatched';
    device.policy = undefined;
    if (device.origin === 'manual') {
      device.state = 'manual';
      return;
    }
    // Tables that could not be removed are not tried again on every event: a refusal stalls the host's link creation.
    if (device.tables.length > 0 && (!told || verified)) this.#detach(device, 'unbound');
    if (!covered) {
      this.#devices.delete(link.index);
      return;
    }
    device.state = 'unmatched';
    if (!told) this.#options.emit({ event: 'unmatched', device: link.name, index: link.index });
  }

  #apply(device: Device, policy: string, verified: boolean): void {
    const program = this.#plan.programs.get(policy);
    if (!program) throw new TapwallError('CONFIG', `policy ${policy} was not compiled`);
    const { link } = device;
    if (isCurrent(device, program)) {
      const kept = device.state !== 'attached';
      device.state = 'attached';
      device.policy = policy;
      if (kept) this.#emitAttached(device, program, { replaced: false, kept: true });
      return;
    }
    // A name that the device had in passing: filtering for it would leave the device open until the next event.
    if (device.tables.length > 0 && device.attachedName !== link.name && !this.#hasName(link)) return;
    // What was refused is not tried again on every event: a refused batch stalls the host's link creation.
    const refused = device.state === 'closed' || device.state === 'failed';
    if (refused && device.policy === policy && device.attachedName === link.name && !verified) return;
    device.policy = policy;
    this.#attach(device, program);
  }

  #attach(device: Device, program: Program): void {
    const replaced = device.tables.length > 0;
    try {
      this.#commit(device, program);
      device.state = 'attached';
      this.#emitAttached(device, program, { replaced, kept: false });
    } catch (error) {
      if (!(error instanceof TapwallError)) throw error;
      if (this.#hasName(device.link)) {
        this.#close(device, program.policy, error);
      } else {
        // Not a failure; and whatever comes next, this policy has not been tried.
        device.policy = undefined;
      }
    }
  }

  /** False for a device that went away or was renamed meanwhile: the event that says so is on its way. */
  #hasName({ index, name }: Link): boolean {
    return findLink(this.#route, { index })?.name === name;
  }

  /** Drops everything to and from a device whose policy was refused. */
  #close(device: Device, policy: string, error: TapwallError): void {
    let closed = true;
    try {
      this.#commit(device, this.#plan.closed);
      device.state = 'closed';
    } catch (second) {
      if (!(second instanceof TapwallError)) throw second;
      closed = false;
      device.state = 'failed';
    }
    device.attachedName = device.link.name;
    device.digest = undefined;
    const { name, index } = device.link;
    this.#options.emit({ event: 'failed', device: name, index, policy, error: eventError(error), closed });
  }

  #commit(device: Device, program: Program): void {
    const { link } = device;
    if (link.name.includes('\ufffd')) {
      throw new TapwallError('NOT_SUPPORTED', `the name of interface ${link.index} is not valid UTF-8`, {
        hint: 'Rename the device.',
      });
    }
    const facts = {
      index: link.index,
      name: link.name,
      mac: device.assignedMac,
      origin: 'agent' as const,
      links: this.#linkIndexes(program),
    };
    this.#netfilter.commitWith(attachLength(program, device.tables), (sequence) =>
      attachBatch(program, facts, sequence, device.tables),
    );
    device.tables = tablesFor(program, link.index);
    device.origin = 'agent';
    device.digest = program.digest;
    device.attachedName = link.name;
  }

  #linkIndexes(program: Program): Map<string, number> {
    const indexes = new Map<string, number>();
    for (const name of program.links) {
      const link = findLink(this.#route, { name });
      if (link) indexes.set(name, link.index);
    }
    return indexes;
  }

  #detach(device: Device, reason: DetachReason): void {
    if (this.#removeTables(device.link.name, device.link.index, device.tables, reason)) adopt(device, null);
  }

  /** @returns false when the kernel refused: the tables stay, and filter as before. */
  #removeTables(device: string, index: number, tables: string[], reason: DetachReason): boolean {
    try {
      this.#netfilter.commitWith(detachLength(tables), (sequence) => detachBatch(tables, sequence));
    } catch (error) {
      if (!(error instanceof TapwallError)) throw error;
      // The next start, reload or overflow finds them and tries again.
      const message = `cannot remove ${tables.join(', ')} of ${device}: ${error.message}`;
      this.#options.emit({ event: 'warning', message });
      return false;
    }
    const microseconds = microsecondsSince(this.#woke);
    this.#options.emit({ event: 'detached', device, index, reason, tables, microseconds });
    return true;
  }

  #emitAttached(device: Device, program: Program, how: { replaced: boolean; kept: boolean }): void {
    const { name, index } = device.link;
    this.#options.emit({
      event: 'attached',
      device: name,
      index,
      policy: program.policy,
      digest: program.digest,
      tables: device.tables,
      ...how,
      microseconds: microsecondsSince(this.#woke),
    });
  }
}
