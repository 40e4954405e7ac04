import { TapwallError } from '../error.js';
import { encodeDeviceRecord, type ToldFacts } from '../program/told-facts.js';
import type { Device } from './device.js';
import { eventError } from './event.js';
import type { HostLinks } from './host-links.js';
import type { Keeper } from './keeper.js';
import type { AgentRequest, DeviceAnswer, DeviceSelector, ToldDevice } from './request.js';

/** What was told of a device that is not there yet. */
interface Expected {
  selector: DeviceSelector;
  facts: ToldFacts;
  assignedMac: string | undefined;
  /** Until when, on the loop's clock. */
  until: number;
}

/** Nobody starts more VMs at once than that; what is more pushes the oldest out. */
const MOST_EXPECTED = 4096;

/** Answers what is asked of the agent's thread about single devices. */
export class Clerk {
  readonly #keeper: Keeper;
  readonly #links: HostLinks;
  readonly #now: () => number;
  #expected: Expected[] = [];

  constructor(keeper: Keeper, links: HostLinks, now: () => number) {
    this.#keeper = keeper;
    this.#links = links;
    this.#now = now;
    keeper.recognise = (device) => this.#recognise(device);
  }

  /**
   * @throws TapwallError ARGUMENT when two devices fit, or the kernel has no room for what is told.
   * @throws TapwallError DEVICE_NOT_FOUND when a device that is to be closed is not there.
   */
  answer(request: AgentRequest): DeviceAnswer[] {
    switch (request.request) {
      case 'admit':
        return this.#admit(request);
      case 'quarantine':
        return [this.#quarantine(request)];
      case 'devices':
        return [...this.#keeper.devices.values()]
          .filter(({ told }) => !request.untold || !isTold(told))
          .map(describe);
    }
  }

  #admit(request: AgentRequest & { request: 'admit' }): DeviceAnswer[] {
    // Everything is checked before anything is changed.
    const asked = request.devices.map((told) => {
      const facts = factsOf(request, told);
      const device = this.#find(told);
      const mac = told.assignedMac ?? device?.assignedMac ?? told.mac ?? '';
      encodeDeviceRecord(mac, { ...facts, quarantined: true });
      return { told, facts, device };
    });
    const there: Device[] = [];
    for (const { told, facts, device } of asked) {
      if (!device) {
        this.#expect(told, facts, request.expectMs);
        continue;
      }
      if (request.onlyUntold && isTold(device.told)) continue;
      const quarantined = device.told?.quarantined && !request.lift ? true : undefined;
      if (Object.keys(facts).length > 0) device.told = { ...facts, ...(quarantined && { quarantined }) };
      else if (request.lift && device.told) device.told = withoutQuarantine(device.told);
      if (told.assignedMac !== undefined) device.assignedMac = told.assignedMac;
      there.push(device);
    }
    this.#bringInLine(there);
    return asked.map(({ told, device }) => (device ? describe(device) : absent(told)));
  }

  #quarantine({ device: selector, on }: AgentRequest & { request: 'quarantine' }): DeviceAnswer {
    const device = this.#find(selector);
    if (!device) {
      throw new TapwallError(
        'DEVICE_NOT_FOUND',
        `there is no device ${wordsFor(selector)} that tapwall keeps`,
        {
          hint: 'It must be a macvtap device whose name begins with one of the configuration’s prefixes.',
        },
      );
    }
    const told = { ...device.told, quarantined: true };
    encodeDeviceRecord(device.assignedMac, told);
    device.told = on ? told : withoutQuarantine(told);
    this.#bringInLine([device]);
    return describe(device);
  }

  #bringInLine(devices: readonly Device[]): void {
    const keeper = this.#keeper;
    const steps = keeper.steps(devices, { verified: true, meanwhile: 'closed' });
    keeper.conclude(keeper.committer.commit(steps));
  }

  #expect(selector: ToldDevice, facts: ToldFacts, expectMs: number): void {
    const now = this.#now();
    this.#expected = this.#expected.filter(
      (one) => one.until > now && !isSameSelector(one.selector, selector),
    );
    if (expectMs <= 0 || (Object.keys(facts).length === 0 && selector.assignedMac === undefined)) return;
    const { name, index, mac, parent, assignedMac } = selector;
    this.#expected.push({
      selector: { name, index, mac, parent },
      facts,
      assignedMac,
      until: now + expectMs,
    });
    if (this.#expected.length > MOST_EXPECTED) this.#expected.shift();
  }

  #recognise(device: Device): void {
    if (this.#expected.length === 0) return;
    const now = this.#now();
    const at = this.#expected.findIndex(({ selector, until }) => until > now && this.#fits(selector, device));
    const [found] = at < 0 ? [] : this.#expected.splice(at, 1);
    if (!found) return;
    if (Object.keys(found.facts).length > 0) device.told = found.facts;
    if (found.assignedMac !== undefined) device.assignedMac = found.assignedMac;
  }

  #find(selector: DeviceSelector): Device | undefined {
    const [found, second] = [...this.#keeper.devices.values()].filter((device) =>
      this.#fits(selector, device),
    );
    if (!second) return found;
    throw new TapwallError('ARGUMENT', `more than one device is ${wordsFor(selector)}`, {
      hint: 'Say its name or its interface index.',
    });
  }

  #fits({ name, index, mac, parent }: DeviceSelector, { link, assignedMac }: Device): boolean {
    return (
      (name === undefined || name === link.name) &&
      (index === undefined || index === link.index) &&
      (mac === undefined || mac === assignedMac || mac === link.mac) &&
      (parent === undefined || parent === this.#links.parentName(link))
    );
  }
}

function factsOf({ guest }: AgentRequest & { request: 'admit' }, told: ToldDevice): ToldFacts {
  const { alias, policy, addresses } = told;
  return {
    ...(guest?.name !== undefined && { guest: guest.name }),
    ...(guest?.uuid !== undefined && { uuid: guest.uuid }),
    ...(alias !== undefined && { alias }),
    ...(policy !== undefined && { policy }),
    ...(addresses !== undefined && { addresses }),
  };
}

/** Whether anything is known of the VM. */
function isTold(told: ToldFacts | undefined): boolean {
  return told !== undefined && withoutQuarantine(told) !== undefined;
}

function withoutQuarantine({ quarantined: _, ...told }: ToldFacts): ToldFacts | undefined {
  return Object.keys(told).length > 0 ? told : undefined;
}

function isSameSelector(a: DeviceSelector, b: DeviceSelector): boolean {
  return a.name === b.name && a.index === b.index && a.mac === b.mac && a.parent === b.parent;
}

function wordsFor({ name, index, mac, parent }: DeviceSelector): string {
  return [
    name,
    index === undefined ? undefined : `interface ${index}`,
    mac,
    parent === undefined ? undefined : `on ${parent}`,
  ]
    .filter((word) => word !== undefined)
    .join(', ');
}

function absent(told: ToldDevice): DeviceAnswer {
  return {
    device: told.name ?? wordsFor(told),
    index: told.index,
    state: 'absent',
    filtered: false,
    closed: false,
  };
}

function describe(device: Device): DeviceAnswer {
  const { link, state, policy, told, refusal, assignedMac } = device;
  return {
    device: link.name,
    index: link.index,
    state,
    filtered: state === 'attached' || state === 'manual',
    closed: state === 'closed' || state === 'unmatched' || state === 'quarantined',
    policy,
    mac: assignedMac === '' ? undefined : assignedMac,
    guest: told?.guest,
    uuid: told?.uuid,
    reason: refusal ?? reasonFor(device),
  };
}

function reasonFor({ state }: Device) {
  if (state === 'unmatched') {
    return eventError(new TapwallError('UNMATCHED', 'no binding matches the device', {}));
  }
  if (state === 'quarantined') {
    return eventError(new TapwallError('QUARANTINED', 'its door was closed on request', {}));
  }
  return undefined;
}
