/** Frames and their bytes. */
interface Sum {
  packets: number;
  bytes: number;
}

/** What the kernel said last of one device in one set, and in which reading. */
interface Known extends Sum {
  reading: number;
}

/** What one set has counted: of all devices, and of those without series of their own. */
interface SetTraffic {
  known: Map<number, Known>;
  total: Sum;
  others: Sum;
}

/** One series. */
export interface TrafficLine extends Sum {
  set: string;
}

/** One series of a device's. */
export interface DeviceTrafficLine extends TrafficLine {
  device: number;
}

/**
 * What devices have sent and received, as counters that never go back. The kernel's elements go with their devices, so
 * sums are made of differences; what passed between the last reading and a device's end is in none.
 *
 * The first devices, as many as the limit says, have series of their own until they go. One that came when all places were
 * taken is summed up with its like for as long as it lives: a sum that it left would go back.
 */
export class Traffic {
  readonly #limit: number;
  readonly #sets = new Map<string, SetTraffic>();
  /** By number: in which reading a device was seen last. */
  readonly #own = new Map<number, number>();
  readonly #summed = new Map<number, number>();
  #reading = 0;

  /** @param limit devices with series of their own. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** What is counted now belongs to another reading. */
  begin(): void {
    this.#reading++;
  }

  /**
   * Takes what the kernel says of one device in one set.
   * @param device a number that no other device has while this one is there.
   */
  count(set: string, device: number, packets: number, bytes: number): void {
    const traffic = this.#of(set);
    const known = traffic.known.get(device);
    // An element that was made anew counts from 0.
    const isAnew = known === undefined || packets < known.packets || bytes < known.bytes;
    const more = {
      packets: isAnew ? packets : packets - known.packets,
      bytes: isAnew ? bytes : bytes - known.bytes,
    };
    add(traffic.total, more);
    if (!this.#isOwn(device)) add(traffic.others, more);
    if (!known) {
      traffic.known.set(device, { packets, bytes, reading: this.#reading });
      return;
    }
    known.packets = packets;
    known.bytes = bytes;
    known.reading = this.#reading;
  }

  /** Forgets what a whole reading of these sets did not find. */
  end(sets: readonly string[]): void {
    for (const set of sets) {
      const { known } = this.#of(set);
      for (const [device, { reading }] of known) if (reading !== this.#reading) known.delete(device);
    }
    for (const seen of [this.#own, this.#summed]) {
      for (const [device, reading] of seen) if (reading !== this.#reading) seen.delete(device);
    }
  }

  /** The devices that have series of their own. */
  get own(): Iterable<number> {
    return this.#own.keys();
  }

  get devices(): { own: number; summed: number } {
    return { own: this.#own.size, summed: this.#summed.size };
  }

  /** Of all devices. */
  *totals(): Iterable<TrafficLine> {
    for (const [set, { total }] of this.#sets) yield { set, ...total };
  }

  /** Of the devices without series of their own, all together. */
  *others(): Iterable<TrafficLine> {
    if (this.#summed.size === 0 && ![...this.#sets.values()].some(({ others }) => others.packets > 0)) return;
    for (const [set, { others }] of this.#sets) yield { set, ...others };
  }

  /** Of the others, one by one. */
  *byDevice(): Iterable<DeviceTrafficLine> {
    for (const [set, { known }] of this.#sets) {
      for (const device of this.#own.keys()) {
        const count = known.get(device);
        if (count) yield { set, device, packets: count.packets, bytes: count.bytes };
      }
    }
  }

  #of(set: string): SetTraffic {
    let traffic = this.#sets.get(set);
    if (!traffic) {
      traffic = { known: new Map(), total: { packets: 0, bytes: 0 }, others: { packets: 0, bytes: 0 } };
      this.#sets.set(set, traffic);
    }
    return traffic;
  }

  #isOwn(device: number): boolean {
    if (this.#summed.has(device)) {
      this.#summed.set(device, this.#reading);
      return false;
    }
    const isOwn = this.#own.has(device) || this.#own.size < this.#limit;
    (isOwn ? this.#own : this.#summed).set(device, this.#reading);
    return isOwn;
  }
}

function add(sum: Sum, more: Sum): void {
  sum.packets += more.packets;
  sum.bytes += more.bytes;
}
