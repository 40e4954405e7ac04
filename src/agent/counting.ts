import { TapwallError } from '../error.js';
import { indexSegment } from '../program/member.js';
import { admittedSets } from './admitted-sets.js';
import type { Committer } from './committer.js';
import type { Device } from './device.js';
import type { Plan } from './plan.js';

/**
 * Milliseconds without a new device: devices come together, and with what else takes the host's time. Also those between
 * two transactions: each has whoever dumps the tables begin again, and a dump of thousands takes a while.
 */
const PAUSE_MS = 500;
/** After so many milliseconds it's done whether devices come or not, in turns in which there is nothing else to do. */
const LONGEST_MS = 10_000;
/** Devices in one transaction: some 6 µs each, for which a device that comes just then has to wait. */
const MOST_DEVICES = 128;

/**
 * Makes the elements in which what passes is counted, when there is nothing else to do. Until then frames count
 * themselves elsewhere, which takes them longer, and a device that is attached does not wait for 6 µs more.
 */
export class Counting {
  readonly #now: () => number;
  readonly #waiting = new Set<Device>();
  #dueAt = Number.POSITIVE_INFINITY;
  /** Since when there have been some that wait. */
  #since = Number.POSITIVE_INFINITY;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** On the clock that it was given; infinite where all is made. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** Milliseconds until some are to be made; infinite where all are. */
  get untilDue(): number {
    return Math.max(0, this.#dueAt - this.#now());
  }

  /** Remembers those of some devices that have none. To be called when they have been dealt with. */
  note(devices: Iterable<Device>): void {
    const now = this.#now();
    for (const device of devices) {
      if (device.hasCounters || !device.admission.admits) continue;
      if (this.#waiting.size === 0) this.#since = now;
      this.#waiting.add(device);
      this.#dueAt = Math.min(now + PAUSE_MS, this.#since + LONGEST_MS);
    }
  }

  /**
   * Makes some of them, if it is time.
   * @returns why it cannot; frames are counted all the same.
   */
  run(plan: Plan, devices: ReadonlyMap<number, Device>, committer: Committer): TapwallError | undefined {
    if (this.#now() < this.#dueAt) return undefined;
    const some: Device[] = [];
    for (const device of this.#waiting) {
      if (some.length >= MOST_DEVICES) break;
      this.#waiting.delete(device);
      if (devices.get(device.link.index) === device && device.admission.admits) some.push(device);
    }
    const { made } = admittedSets(plan);
    this.#dueAt = this.#waiting.size > 0 ? this.#now() + PAUSE_MS : Number.POSITIVE_INFINITY;
    if (some.length === 0 || made.length === 0) return undefined;
    try {
      committer.transact(some.map(({ link }) => indexSegment('join', made, link.index)));
    } catch (error) {
      if (!(error instanceof TapwallError)) throw error;
      this.#waiting.clear();
      this.#dueAt = Number.POSITIVE_INFINITY;
      return error;
    }
    for (const device of some) device.hasCounters = true;
    return undefined;
  }
}
