import { type DeviceFacts, matchBinding } from '../config/binding.js';
import type { Binding } from '../config/configuration.js';
import { TapwallError } from '../error.js';
import type { Link } from '../links/link.js';
import { isPassing, isUncertain } from '../netlink/error.js';
import { NO_ADMISSION } from '../program/admission.js';
import { type Meanwhile, moreChain } from '../program/hook.js';
import type { Attachment } from './attachment.js';
import type { Committer, Outcome } from './committer.js';
import { type Device, isRefused, newDevice } from './device.js';
import { eventError } from './event.js';
import type { Herald } from './herald.js';
import { type HostLinks, NO_LINKS } from './host-links.js';
import type { Plan } from './plan.js';
import { Roster } from './roster.js';
import { planStep, type Step, type StepOptions } from './step.js';
import {
  closedAdmission,
  handTarget,
  isInPlace,
  needsHook,
  quarantineTarget,
  type Target,
  targetOf,
} from './target.js';

/** What bindings may ask about a device. */
class KnownFacts implements DeviceFacts {
  readonly name: string;
  readonly kind: string;
  readonly mac: string;
  readonly alias: string | undefined;
  readonly guest: string | undefined;
  readonly uuid: string | undefined;
  readonly namespace: string | undefined;
  readonly #link: Link;
  readonly #links: HostLinks;

  constructor({ link, assignedMac, told }: Device, links: HostLinks, namespace: string | undefined) {
    this.name = link.name;
    this.kind = link.kind ?? '';
    this.mac = assignedMac;
    this.alias = link.alias ?? told?.alias;
    this.guest = told?.guest;
    this.uuid = told?.uuid;
    this.namespace = namespace;
    this.#link = link;
    this.#links = links;
  }

  /** Asked of the kernel only if a binding asks for it. */
  get parentName(): string | undefined {
    return this.#links.parentName(this.#link);
  }
}

/** What a device should have that is behind no door any more. */
const NOTHING: Target = { policy: undefined, admission: NO_ADMISSION, program: undefined, hook: undefined };

/** Whether somebody has said which policy a device is to have, which is as good as a binding. */
function isTold({ told }: Device): boolean {
  return told?.policy !== undefined || told?.quarantined === true;
}

/** How devices are looked at. */
export interface Look {
  /** What the kernel holds for them was read just now, and what was refused is tried again. */
  verified: boolean;
  meanwhile: Meanwhile;
}

/** The devices the agent knows, what each should have, and what becomes of giving it that. */
export class Keeper {
  plan: Plan;
  /** Sends what the keeper has to send by itself. */
  committer: Committer;
  /** By interface index. */
  readonly devices = new Map<number, Device>();
  readonly roster = new Roster();
  /** Asked of each device that is new to the agent: what was told of it before it was there. */
  recognise: (device: Device) => void = () => undefined;
  readonly #herald: Herald;
  readonly #links: HostLinks;
  readonly #namespace: string | undefined;
  #isTroubled = false;

  constructor(
    plan: Plan,
    parts: { committer: Committer; herald: Herald; links: HostLinks; namespaceName?: string | undefined },
  ) {
    this.plan = plan;
    this.committer = parts.committer;
    this.#herald = parts.herald;
    this.#links = parts.links;
    this.#namespace = parts.namespaceName;
  }

  count(state: Device['state']): number {
    let count = 0;
    for (const device of this.devices.values()) if (device.state === state) count++;
    return count;
  }

  /** Remembers how a link is now; undefined for one that is none of tapwall's business. */
  note(link: Link, attachment: Attachment | undefined, isKnown = false): Device | undefined {
    let device = this.devices.get(link.index);
    if (!device) {
      // What an agent gave a device that has left the prefixes meanwhile, or that the prefixes have left, has to go.
      const left = attachment?.record.origin === 'agent' || isKnown;
      if (link.kind !== 'macvtap' || !(this.covers(link) || left)) return undefined;
      device = newDevice(link);
      this.devices.set(link.index, device);
      this.recognise(device);
    }
    device.link = link;
    if (this.covers(link)) device.wasCovered = true;
    return device;
  }

  /** Whether a device was left with less than it should have for a reason that may be gone by now. */
  takeTroubled(): boolean {
    const was = this.#isTroubled;
    this.#isTroubled = false;
    return was;
  }

  covers({ name }: Link): boolean {
    return this.plan.prefixes.some((prefix) => name.startsWith(prefix));
  }

  /**
   * What has to be done for devices; those that need nothing are told of where that is news.
   */
  steps(devices: readonly Device[], how: Look): Step[] {
    const steps: Step[] = [];
    for (const device of devices) {
      const step = this.#step(device, how);
      if (step) steps.push(step);
    }
    return steps;
  }

  #step(device: Device, { verified, meanwhile }: Look): Step | undefined {
    const { link } = device;
    const binding = this.covers(link) ? this.#bindingFor(device) : undefined;
    if (device.origin === 'manual' && !binding && !isTold(device)) {
      // What was attached by hand stays until it is detached by hand or a binding matches.
      device.state = 'manual';
      device.policy = undefined;
      if (!this.covers(link)) return undefined;
    }
    let target: Target;
    try {
      target = this.#targetOf(device, binding);
    } catch (error) {
      if (!(error instanceof TapwallError)) throw error;
      const policy = device.told?.policy ?? binding?.policy;
      const isKnown = isRefused(device) && device.policy === policy && device.attachedName === link.name;
      if (!isKnown || verified) this.#refuse(device, policy, error);
      return undefined;
    }
    const directions = [...this.plan.blueprint.bases.keys()];
    const mustForget = (device.isCounted || device.wasCovered) && !this.covers(link);
    if (!mustForget && isInPlace(device, target, directions)) {
      this.#settle(device, target);
      return undefined;
    }
    // A name that the device had in passing: filtering for it would leave the device open until the next event.
    if (device.tables.length > 0 && device.attachedName !== link.name && !this.#links.hasName(link))
      return undefined;
    // What was refused is not tried again on every event: a refused batch stalls the host's link creation.
    if (
      isRefused(device) &&
      device.policy === target.policy &&
      device.attachedName === link.name &&
      !verified
    ) {
      return undefined;
    }
    const links = target.program ? this.#links.indexes(target.program.links) : NO_LINKS;
    let step: Step;
    try {
      // Of a device that leaves the prefixes nobody will say that it is gone.
      step = this.#planStep(device, target, { links, meanwhile, forgets: !this.covers(link) });
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
    if (!this.covers(device.link)) return NOTHING;
    if (device.told?.quarantined) return quarantineTarget(this.plan, device);
    const isByHand = device.origin === 'manual' && !binding && !isTold(device);
    return isByHand ? handTarget(this.plan, device) : targetOf(this.plan, device, binding);
  }

  #planStep(device: Device, target: Target, options: Partial<StepOptions> = {}): Step {
    const isTaken = (name: string, chain: string, word: string) => {
      for (const { link } of this.devices.values()) {
        if (link.name !== name || link.index === device.link.index) continue;
        if (this.covers(link) && moreChain(word, link.index) === chain) return true;
      }
      return false;
    };
    const common = { links: NO_LINKS, roster: this.roster, isTaken };
    return planStep(this.plan, device, target, { ...common, ...options });
  }

  /** Tells of a device that has all it should, where that is news. */
  #settle(device: Device, { policy, keepsTables }: Target): void {
    const { link } = device;
    device.refusal = undefined;
    if (device.told?.quarantined && this.covers(link)) {
      const isNews = device.state !== 'quarantined';
      device.state = 'quarantined';
      device.policy = undefined;
      if (isNews) this.#herald.quarantined(device);
      return;
    }
    if (keepsTables) return;
    if (!this.covers(link)) {
      this.devices.delete(link.index);
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
  conclude(outcomes: readonly Outcome[]): void {
    for (const { step, error, replaced, had } of outcomes) {
      const { device, target } = step;
      if (error) {
        if (isPassing(error)) this.#isTroubled = true;
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
        device.refusal = undefined;
        device.policy = target.policy;
        this.#herald.attached(device, target.policy, { replaced, kept: false });
        continue;
      }
      if (replaced && !target.keepsTables) this.#herald.detached(device, 'unbound', had);
      this.#settle(device, target);
    }
  }

  #bindingFor(device: Device): Binding | undefined {
    return matchBinding(this.plan.bindings, new KnownFacts(device, this.#links, this.#namespace));
  }

  /** Leaves a device what it has, where it should have nothing: the next start, reload or overflow tries again. */
  #keep(device: Device, error: TapwallError): void {
    device.state = 'failed';
    device.policy = undefined;
    device.attachedName = device.link.name;
    device.refusal = eventError(error);
    if (device.admission.isEmpty && device.tables.length === 0 && this.covers(device.link)) {
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
    device.refusal = eventError(error);
    device.attachedName = device.link.name;
    this.#herald.failed(device, policy ?? '', error, closed);
  }

  /** @returns false when the kernel refused, or the device's name cannot be said. */
  #close(device: Device): boolean {
    const hook = needsHook(this.plan, device.link.name) ? device.link.name : undefined;
    try {
      const step = this.#planStep(device, { ...NOTHING, admission: closedAdmission(device), hook });
      if (step.segments.length === 0 && step.late.length === 0) return true;
      const [outcome] = this.committer.commit([step]);
      return outcome?.error === undefined;
    } catch (error) {
      if (error instanceof TapwallError && !isUncertain(error)) return false;
      throw error;
    }
  }

  /** Takes away what a device that is gone has left. */
  forget(device: Device, reason: 'gone' | 'stale'): void {
    const had = [...device.tables];
    const wasAdmitted = device.admission.admits || had.length > 0;
    const step = this.#planStep(device, NOTHING, { gone: true, forgets: true });
    if (step.segments.length === 0) return;
    const [outcome] = this.committer.commit([step]);
    if (outcome?.error) {
      // The next start, reload or overflow finds it and tries again.
      this.#herald.warn(`cannot detach ${device.link.name}: ${outcome.error.message}`);
    } else if (wasAdmitted) {
      this.#herald.detached(device, reason, had);
    }
  }
}
