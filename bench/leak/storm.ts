import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ETH_P_IP, ethernet, udp } from '#src/demo/frame.js';
import type { Lab } from '#src/demo/lab.js';
import { formatMac, type Link } from '#src/links/link.js';
import { getLink } from '#src/links/request.js';
import { parseAttributes } from '#src/netlink/attribute.js';
import { HOST_LITTLE_ENDIAN, viewOf } from '#src/netlink/bytes.js';
import { type FloodCounts, Flooder } from './flooder.js';

/** The MAC of every guest, whatever its name and index; in each process another, for taps are known by it. */
const STORM_MAC = formatMac(Uint8Array.of(0x52, 0x54, ...randomBytes(4)));
/** What the frames of both ends carry on the other's side: a filter for the LAN drops them. */
export const FORBIDDEN_ADDRESS = '192.168.7.7';
/** Names are used again, as they are on a host, but not at once: what a name inherits is its own question. */
const NAMES = 8;

const IFINFOMSG_LENGTH = 16;
/** IFLA_STATS64 of linux/if_link.h; struct rtnl_link_stats64 begins with rx_packets. */
const IFLA_STATS64 = 23;

const POLL_MS = 1;
const PATIENCE_MS = 20_000;

/** A character device's. */
interface DeviceNumber {
  major: number;
  minor: number;
}

export interface StormOptions {
  /** Microseconds between two frames of one end. */
  pause?: number;
  /** Always the same name, as libvirt gives it to the first guest; otherwise several take turns. */
  oneName?: boolean;
}

function frameFrom(end: 'guest' | 'world', guestMac: string, worldMac: string): Buffer {
  const fromGuest = end === 'guest';
  const [from, to] = fromGuest ? [guestMac, worldMac] : [worldMac, guestMac];
  const [source, destination] = fromGuest
    ? ['198.51.100.1', FORBIDDEN_ADDRESS]
    : [FORBIDDEN_ADDRESS, '198.51.100.1'];
  const data = fromGuest ? 'a frame of the guest: <G>>' : 'a frame of the world: <W>>';
  return ethernet({ from, to, type: ETH_P_IP, payload: udp({ from: source, to: destination, data }) });
}

/** Makes and removes guests' devices while both of their ends are flooded. */
export class Storm {
  readonly #lab: Lab;
  readonly #flooder: Flooder;
  readonly #folder: string;
  readonly #options: StormOptions;
  #number: DeviceNumber;
  #created = 0;

  private constructor(
    lab: Lab,
    parts: { flooder: Flooder; folder: string; number: DeviceNumber },
    options: StormOptions,
  ) {
    this.#lab = lab;
    this.#flooder = parts.flooder;
    this.#folder = parts.folder;
    this.#number = parts.number;
    this.#options = options;
  }

  /** The flood begins; there is no guest yet. */
  static async start(lab: Lab, options: StormOptions = {}): Promise<Storm> {
    const folder = mkdtempSync(join(tmpdir(), 'tapwall-storm-'));
    const world = lab.world();
    // The kernel gives a tap the lowest number that is free, so the next will have that of this one.
    const first = lab.addMacvtap({ name: 'macvtap0', mac: STORM_MAC, up: false });
    const number = lab.host.deviceNumber(first.index);
    lab.remove(first.index);
    makeNode(folder, number);
    const flooder = await Flooder.start({
      node: join(folder, 'tap'),
      mac: STORM_MAC,
      world,
      guestFrame: frameFrom('guest', STORM_MAC, world.mac),
      worldFrame: frameFrom('world', STORM_MAC, world.mac),
      pause: options.pause ?? 20,
    });
    return new Storm(lab, { flooder, folder, number }, options);
  }

  /** Makes a guest's device and sets it up at once. */
  create(): Link {
    const name = `macvtap${this.#options.oneName ? 0 : this.#created % NAMES}`;
    this.#created++;
    const link = this.#lab.addMacvtap({ name, mac: STORM_MAC });
    const number = this.#lab.host.deviceNumber(link.index);
    // Somebody else may have made a tap meanwhile and got the number that was free.
    if (number.minor !== this.#number.minor) makeNode(this.#folder, number);
    this.#number = number;
    return link;
  }

  /** Waits until each end has sent a device so many frames. */
  async flood(link: Link, frames: number, before: FloodCounts): Promise<void> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(POLL_MS)) {
      const { guest } = await this.#flooder.report();
      if (guest.written >= before.guest.written + frames && this.received(link) >= frames) return;
    }
    throw new Error(`the flood did not reach ${link.name}`);
  }

  /** How many frames have come to a device, before anything filters: macvlan counts them (macvlan_count_rx()). */
  received({ index }: Link): number {
    const [answer] = this.#lab.host.route.request(getLink({ index }), 'RTM_GETLINK');
    const attributes = parseAttributes(answer?.payload.subarray(IFINFOMSG_LENGTH) ?? new Uint8Array());
    const statistics = attributes.find(({ type }) => type === IFLA_STATS64)?.value;
    if (!statistics) throw new Error(`the kernel counts nothing for interface ${index}`);
    return Number(viewOf(statistics).getBigUint64(0, HOST_LITTLE_ENDIAN));
  }

  remove({ index }: Link): void {
    this.#lab.remove(index);
  }

  report(): Promise<FloodCounts> {
    return this.#flooder.report();
  }

  pause(): Promise<FloodCounts> {
    return this.#flooder.pause();
  }

  resume(): void {
    this.#flooder.resume();
  }

  /** Ends the flood, and gives what came of it. */
  stop(): Promise<FloodCounts> {
    return this.#flooder.stop();
  }

  close(): void {
    this.#flooder.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The flooder finds the device by this file, whichever it is at the moment. */
function makeNode(folder: string, { major, minor }: DeviceNumber): void {
  const [next, node] = [join(folder, 'next'), join(folder, 'tap')];
  const made = spawnSync('mknod', ['-m', '600', next, 'c', String(major), String(minor)], {
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`cannot make a device node: ${made.stderr}`);
  renameSync(next, node);
}
