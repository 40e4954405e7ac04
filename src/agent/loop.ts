import { matchBinding } from '../config/binding.js';
import type { Binding } from '../config/configuration.js';
import { TapwallError } from '../error.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import type { Link, LinkEvent } from '../links/link.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/constants.js';
import { ListedAdmission, NO_ADMISSION } from '../program/admission.js';
import { detachSegment } from '../program/attach.js';
import { type Meanwhile, moreChain } from '../program/hook.js';
import type { Member } from '../program/member.js';
import { type Attachment, listAttachments } from './attachment.js';
import { Committer, type Outcome } from './committer.js';
import { adoptMembers, adoptTables, type Device, newDevice } from './device.js';
import { Door } from './door.js';
import type { AgentEvent } from './event.js';
import { Herald } from './herald.js';
import { HostLinks, NO_LINKS } from './host-links.js';
import { LinkEvents } from './link-events.js';
import type { Plan } from './plan.js';
import { Roster } from './roster.js';
import { planStep, type Step, type StepOptions } from './step.js';
import { handTarget, isInPlace, needsHook, type Target, targetOf } from './target.js';

export interface LoopOptions {
  kernel: Kernel;
  /** Where the devices are; absent for the namespace of the process. */
  namespace?: NamespaceHandle | undefined;
  /** The descriptor of a waker that ends a wait. */
  wakerFd: number;
  emit(event: AgentEvent): void;
}

/** What a device should have that is behind no door any more. */
const NOTHING: Target = { policy: undefined, admission: NO_ADMISSION, program: undefined, hook: undefined };

/**
 * The agent's loop: link event, binding, target, transaction. It blocks, and so runs in a thread of its own; all it
 * knows of the outside is the kernel it is given.
 */
export class AgentLoop {
  readonly #options: LoopOptions;
  readonly #herald: Herald;
  readonly #events: LinkEvents;
  readonly #links: HostLinks;
  readonly #netfilter: NetlinkSocket;
  readonly #committer: Committer;
  readonly #door: Door;
  readonly #roster = new Roster();
  readonly #devices = new Map<number, Device>();
  /** Devices that an event was about and that have not been looked at since. */
  readonly #pending = new Set<Device>();
  #plan: Plan;

  constructor(plan: Plan, options: LoopOptions) {
    const { kernel, namespace } = options;
    this.#plan = plan;
    this.#options = options;
    this.#herald = new Herald(options.emit);
    // Subscribed before anything is read, so that no device falls between the dump and the first event.
    this.#events = new LinkEvents(kernel, namespace);
    this.#links = new HostLinks(kernel.openSocket({ protocol: NETLINK_ROUTE, namespace }));
    this.#netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
    this.#committer = new Committer(this.#netfilter);
    this.#door = new Door(this.#netfilter, this.#committer);
  }

  /**
   * Brings the devices that are there in line, and says `ready`.
   * @param beforeReady is called in between, when nothing waits for a filter any more.
   */
  start(beforeReady?: () => void): void {
    this.#herald.wake();
    for (const message of this.#plan.warnings) this.#herald.warn(message);
    this.#synchronise('open');
    const { microseconds } = this.#herald;
    beforeReady?.();
    this.#herald.emit({
      event: 'ready',
      devices: this.#devices.size,
      attached: this.#count('attached'),
      placement: this.#plan.placement,
      microseconds,
    });
  }

  /**
   * Waits for events, at most `timeoutMs`, and handles what came.
   * @returns true when the waker was signalled.
   */
  step(timeoutMs: number): boolean {
    const { kernel, wakerFd } = this.#options;
    const { sockets, woken } = kernel.wait([this.#events.socket], wakerFd, timeoutMs);
    this.#herald.wake();
    this.#links.forgetParents();
    if (sockets[0]) this.#drain();
    return woken;
  }

  /**
   * Puts another plan in force. What stays the same is left alone, counters included.
   * @throws KernelError when the kernel refuses it; the old plan stays in force.
   */
  reload(plan: Plan): void {
    this.#herald.wake();
    const before = this.#plan;
    this.#plan = plan;
    try {
      this.#synchronise('open');
    } catch (error) {
      this.#plan = before;
      // What was read went by the other plan.
      this.#synchronise('open');
      throw error;
    }
    for (const message of plan.warnings) this.#herald.warn(message);
    this.#herald.emit({
      event: 'reloaded',
      file: plan.file,
      policies: plan.policies.size,
      bindings: plan.bindings.length,
      microseconds: this.#herald.microseconds,
    });
  }

  /** Ends the loop. What filters stays unless `detach` is given: then the agent's own goes, and the door with it. */
  stop(options: { detach: boolean }): void {
    const detached = options.detach ? this.#detachAll() : 0;
    this.#events.close();
    this.#links.close();
    this.#netfilter.close();
    this.#herald.emit({ event: 'stopped', detached });
  }

  /** @returns from how many devices something was taken. */
  #detachAll(): number {
    this.#herald.wake();
    // As the kernel has them now: somebody may have attached by hand over the agent's.
    for (const attachment of listAttachments(this.#netfilter)) {
      const device = this.#devices.get(attachment.index);
      if (device) adoptTables(device, attachment);
    }
    const own = [...this.#devices.values()].filter(
      ({ origin, admission, tables }) => origin !== 'manual' && (!admission.isEmpty || tables.length > 0),
    );
    try {
      const { mostDevices } = this.#committer;
      for (let at = 0; at < own.length; at += mostDevices) {
        const tables = own.slice(at, at + mostDevices).flatMap((device) => device.tables);
        if (tables.length > 0) this.#committer.transact([detachSegment(tables)]);
      }
      // With it go all elements and hooks.
      this.#door.remove();
    } catch (error) {
      if (!(error instanceof TapwallError)) throw error;
      this.#herald.warn(`cannot take the filters away: ${error.message}`);
      return 0;
    }
    for (const device of own) this.#herald.detached(device, 'exit', device.tables);
    return own.length;
  }

  #count(state: Device['state']): number {
    let count = 0;
    for (const device of this.#devices.values()) if (device.state === state) count++;
    return count;
  }

  #drain(): void {
    for (;;) {
      const events = this.#events.next();
      if (events === undefined) break;
      if (events === 'lost') {
        this.#herald.emit({ event: 'overflow', message: 'link events were lost; reading all devices again' });
        this.#pending.clear();
        this.#events.discard();
        this.#synchronise('closed');
        continue;
      }
      for (const event of events) this.#handle(event);
      // Devices that appear together go into one transaction, and none waits for hundreds of others.
      if (this.#pending.size >= this.#committer.mostDevices) this.#flush();
    }
    this.#flush();
  }

  #handle({ type, link }: LinkEvent): void {
    if (type === 'new') {
      const device = this.#note(link, undefined);
      if (device) this.#pending.add(device);
      return;
    }
    const device = this.#devices.get(link.index);
    if (!device) return;
    this.#devices.delete(link.index);
    this.#pending.delete(device);
    this.#forget(device, 'gone');
  }

  /** Remembers how a link is now; undefined for one that is none of tapwall's business. */
  #note(link: Link, attachment: Attachment | undefined, isKnown = false): Device | undefined {
    let device = this.#devices.get(link.index);
    if (!device) {
      // What an agent gave a device that has left the prefixes meanwhile, or that the prefixes have left, has to go.
      const left = attachment?.record.origin === 'agent' || isKnown;
      if (link.kind !== 'macvtap' || !(this.#covers(link) || left)) return undefined;
      device = newDevice(link);
      this.#devices.set(link.index, device);
    }
    device.link = link;
    return device;
  }

  #covers({ name }: Link): boolean {
    return this.#plan.prefixes.some((prefix) => name.startsWith(prefix));
  }

  /**
   * Makes the kernel's state what the plan says, from what both sockets read now.
   * @param meanwhile what frames meet on hooks that are not yet in force.
   */
  #synchronise(meanwhile: Meanwhile): void {
    this.#pending.clear();
    this.#links.forgetParents();
    const macvtaps = this.#links.macvtaps();
    const state = this.#door.read(this.#plan, macvtaps);
    this.#roster.reset(state.counts);
    const attachments = new Map(listAttachments(this.#netfilter).map((one) => [one.index, one]));
    const present = new Set(macvtaps.map(({ index }) => index));
    const gone: Device[] = [];
    for (const [index, device] of this.#devices) {
      if (present.has(index)) continue;
      this.#devices.delete(index);
      gone.push(device);
    }
    for (const link of macvtaps) {
      const attachment = attachments.get(link.index);
      const isKnown = [state.members, state.hooks, state.counted].some((one) => one.has(link.index));
      const device = this.#note(link, attachment, isKnown);
      if (!device) continue;
      adoptTables(device, attachment ?? null);
      attachments.delete(link.index);
      adoptMembers(device, state.members.get(link.index) ?? []);
      device.hooks = state.hooks.get(link.index) ?? new Map();
      device.isCounted = state.counted.has(link.index);
    }
    const stale = new Set([...state.members.keys(), ...state.counted.keys(), ...attachments.keys()]);
    for (const { link } of gone) stale.add(link.index);
    for (const { index } of macvtaps) stale.delete(index);
    const steps = this.#steps([...this.#devices.values()], { verified: true, meanwhile });
    const links = this.#links.indexes(this.#plan.blueprint.links);
    this.#door.put(this.#plan, state, { steps, links, meanwhile }, (outcomes) => this.#conclude(outcomes));
    for (const index of stale) {
      const device = gone.find(({ link }) => link.index === index);
      const attachment = attachments.get(index);
      this.#removeStale(device, attachment, index, state.members.get(index) ?? []);
    }
  }

  /** Takes away what a device left behind that went while nobody listened. */
  #removeStale(
    known: Device | undefined,
    attachment: Attachment | undefined,
    index: number,
    members: readonly Member[],
  ): void {
    const name = known?.link.name ?? attachment?.record.device ?? `interface ${index}`;
    const device = known ?? newDevice({ ...GONE_LINK, index, name });
    adoptTables(device, attachment ?? null);
    device.admission = new ListedAdmission(members);
    device.hooks = new Map();
    this.#forget(device, known ? 'gone' : 'stale');
  }

  /** Looks at the devices that events were about. */
  #flush(): void {
    if (this.#pending.size === 0) return;
    const devices = [...this.#pending];
    this.#pending.clear();
    this.#conclude(this.#committer.commit(this.#steps(devices, { verified: false, meanwhile: 'closed' })));
  }

  /**
   * What has to be done for devices; those that need nothing are told of where that is news.
   * @param how.verified what the kernel holds for them was read just now.
   */
  #steps(devices: readonly Device[], how: { verified: boolean; meanwhile: Meanwhile }): Step[] {
    const steps: Step[] = [];
    for (const device of devices) {
      const step = this.#step(device, how);
      if (step) steps.push(step);
    }
    return steps;
  }

  #step(
    device: Device,
    { verified, meanwhile }: { verified: boolean; meanwhile: Meanwhile },
  ): Step | undefined {
    const { link } = device;
    const binding = this.#covers(link) ? this.#bindingFor(device) : undefined;
    if (device.origin === 'manual' && !binding) {
      // What was attached by hand stays until it is detached by hand or a binding matches.
      device.state = 'manual';
      device.policy = undefined;
      if (!this.#covers(link)) return undefined;
    }
    const target = this.#targetOf(device, binding);
    const directions = [...this.#plan.blueprint.bases.keys()];
    const mustForget = device.isCounted && !this.#covers(link);
    if (!mustForget && isInPlace(device, target, directions)) {
      this.#settle(device, target);
      return undefined;
    }
    // A name that the device had in passing: filtering for it would leave the device open until the next event.
    if (device.tables.length > 0 && device.attachedName !== link.name && !this.#links.hasName(link))
      return undefined;
    // What was refused is not tried again on every event: a refused batch stalls the host's link creation.
    const refused = device.state === 'closed' || device.state === 'failed';
    if (refused && device.policy === target.policy && device.attachedName === link.name && !verified) {
      return undefined;
    }
    const links = target.program ? this.#links.indexes(target.program.links) : NO_LINKS;
    let step: Step;
    try {
      // Of a device that leaves the prefixes nobody will say that it is gone.
      step = this.#planStep(device, target, { links, meanwhile, forgets: !this.#covers(link) });
    } catch (error) {
      if (!(error instanceof TapwallError)) throw error;
      this.#refuse(device, target.policy, error);
      return undefined;
    }
    if (step.segments.length > 0 || step.late.length > 0) return step;
    // Hooks that follow a device to its next name need nothing.
    step.apply();
    step.applyLate();
    this.#settle(device, target);
    return undefined;
  }

  #targetOf(device: Device, binding: Binding | undefined): Target {
    if (!this.#covers(device.link)) return NOTHING;
    const isByHand = device.origin === 'manual' && !binding;
    return isByHand ? handTarget(this.#plan, device) : targetOf(this.#plan, device, binding);
  }

  #planStep(device: Device, target: Target, options: Partial<StepOptions> = {}): Step {
    const isTaken = (name: string, chain: string, word: string) => {
      for (const { link } of this.#devices.values()) {
        if (link.name !== name || link.index === device.link.index) continue;
        if (this.#covers(link) && moreChain(word, link.index) === chain) return true;
      }
      return false;
    };
    const common = { links: NO_LINKS, roster: this.#roster, isTaken };
    return planStep(this.#plan, device, target, { ...common, ...options });
  }

  /** Tells of a device that has all it should, where that is news. */
  #settle(device: Device, { policy, keepsTables }: Target): void {
    const { link } = device;
    if (keepsTables) return;
    if (!this.#covers(link)) {
      this.#devices.delete(link.index);
      return;
    }
    const before = device.state;
    device.policy = policy;
    if (policy === undefined) {
      device.state = 'unmatched';
      if (before !== 'unmatched') {
        this.#herald.unmatched(device, true);
      }
      return;
    }
    device.state = 'attached';
    if (before !== 'attached') this.#herald.attached(device, policy, { replaced: false, kept: true });
  }

  /** Tells what became of steps. */
  #conclude(outcomes: readonly Outcome[]): void {
    for (const { step, error, replaced, had } of outcomes) {
      const { device, target } = step;
      if (error) {
        if (!this.#links.hasName(device.link)) {
          // Not a failure; and whatever comes next, this policy has not been tried.
          device.policy = undefined;
        } else if (target.policy === undefined) {
          this.#keep(device, error);
        } else {
          this.#refuse(device, target.policy, error);
        }
        continue;
      }
      if (target.policy !== undefined) {
        device.state = 'attached';
        device.policy = target.policy;
        this.#herald.attached(device, target.policy, { replaced, kept: false });
        continue;
      }
      if (replaced && !target.keepsTables) this.#herald.detached(device, 'unbound', had);
      this.#settle(device, target);
    }
  }

  #bindingFor({ link, assignedMac }: Device): Binding | undefined {
    const parentName = () => this.#links.parentName(link);
    return matchBinding(this.#plan.bindings, {
      name: link.name,
      kind: link.kind ?? '',
      mac: assignedMac,
      alias: link.alias,
      // Asked of the kernel only if a binding asks for it.
      get parentName() {
        return parentName();
      },
    });
  }

  /** Leaves a device what it has, where it should have nothing: the next start, reload or overflow tries again. */
  #keep(device: Device, error: TapwallError): void {
    device.state = 'failed';
    device.policy = undefined;
    device.attachedName = device.link.name;
    if (device.admission.isEmpty && device.tables.length === 0 && this.#covers(device.link)) {
      this.#herald.warn(`cannot close the door to ${device.link.name}: ${error.message}`);
      this.#herald.unmatched(device, false);
      return;
    }
    this.#herald.warn(`cannot detach ${device.link.name}: ${error.message}`);
  }

  /** Closes the door to a device whose policy was refused. */
  #refuse(device: Device, policy: string | undefined, error: TapwallError): void {
    const closed = this.#close(device);
    device.state = closed ? 'closed' : 'failed';
    device.policy = policy;
    device.attachedName = device.link.name;
    this.#herald.failed(device, policy ?? '', error, closed);
  }

  /** @returns false when the kernel refused, or the device's name cannot be said. */
  #close(device: Device): boolean {
    const hook = needsHook(this.#plan, device.link.name) ? device.link.name : undefined;
    try {
      const step = this.#planStep(device, { ...NOTHING, hook });
      if (step.segments.length === 0 && step.late.length === 0) return true;
      const [outcome] = this.#committer.commit([step]);
      return outcome?.error === undefined;
    } catch (error) {
      if (error instanceof TapwallError) return false;
      throw error;
    }
  }

  /** Takes away what a device that is gone has left. */
  #forget(device: Device, reason: 'gone' | 'stale'): void {
    const had = [...device.tables];
    const wasAdmitted = !device.admission.isEmpty || had.length > 0;
    const step = this.#planStep(device, NOTHING, { gone: true, forgets: true });
    if (step.segments.length === 0) return;
    const [outcome] = this.#committer.commit([step]);
    if (outcome?.error) {
      // The next start, reload or overflow finds it and tries again.
      this.#herald.warn(`cannot detach ${device.link.name}: ${outcome.error.message}`);
    } else if (wasAdmitted) {
      this.#herald.detached(device, reason, had);
    }
  }
}

/** What is known of a link that is not there. */
const GONE_LINK: Omit<Link, 'index' | 'name'> = {
  up: false,
  kind: 'macvtap',
  mac: undefined,
  alias: undefined,
  parentIndex: undefined,
  parentElsewhere: false,
};
