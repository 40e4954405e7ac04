import { TapwallError } from '../error.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import { MACVLAN_MODE_BRIDGE, MACVLAN_MODE_PASSTHRU } from '../links/constants.js';
import { type Link, parseMac } from '../links/link.js';
import { findLink } from '../links/query.js';
import { deleteLink, newLink, renameLink, setLinkAllMulticast, setLinkUp } from '../links/request.js';
import { NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE } from '../netlink/constants.js';
import { openCharacterDevice, Tap } from './tap.js';

/** The one multicast group of kernel uevents (lib/kobject_uevent.c). */
const UEVENT_GROUP = 1;
const UEVENT_BUFFER = 1 << 20;
const PARENT = 'vx0';
const UPLINK = 'vx1';

/** One side of the cable: a namespace, its links, and the uevents that tell a new tap's device number. */
class Side {
  readonly namespace: NamespaceHandle;
  readonly route: NetlinkSocket;
  readonly #uevents: NetlinkSocket;

  constructor(kernel: Kernel) {
    this.namespace = kernel.createNamespace();
    this.route = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace: this.namespace });
    this.#uevents = kernel.openSocket({
      protocol: NETLINK_KOBJECT_UEVENT,
      namespace: this.namespace,
      groups: [UEVENT_GROUP],
      receiveBuffer: UEVENT_BUFFER,
    });
  }

  link(name: string): Link {
    const link = findLink(this.route, { name });
    if (!link) throw new TapwallError('LINK_NOT_FOUND', `there is no link ${name}`);
    return link;
  }

  /** Uevents are sent while the device registers, so what belongs to a link just made is queued already. */
  deviceNumber(index: number): { major: number; minor: number } {
    let found: { major: number; minor: number } | undefined;
    for (
      let datagram = this.#uevents.transport.receive();
      datagram;
      datagram = this.#uevents.transport.receive()
    ) {
      const fields = new Map(
        Buffer.from(datagram)
          .toString('latin1')
          .split('\0')
          .map((field) => field.split('=', 2) as [string, string]),
      );
      if (fields.get('ACTION') === 'add' && fields.get('DEVNAME') === `tap${index}`) {
        found = { major: Number(fields.get('MAJOR')), minor: Number(fields.get('MINOR')) };
      }
    }
    if (!found)
      throw new TapwallError('DEVICE_NOT_FOUND', `the kernel announced no device node for index ${index}`);
    return found;
  }

  forgetUevents(): void {
    while (this.#uevents.transport.receive());
  }

  close(): void {
    this.#uevents.close();
    this.route.close();
    this.namespace.close();
  }
}

export interface MacvtapOptions {
  name: string;
  mac: string;
  /** Whether to set it up; true unless given. */
  up?: boolean;
  /** The interface index to have; the kernel's choice unless given. */
  index?: number;
}

/**
 * A throw-away host: one namespace with a parent link `vx0` and the macvtap devices of its guests, and, behind a
 * cable, another that stands for the rest of the world. Everything in it goes with it.
 */
export class Lab {
  readonly host: Side;
  readonly #outside: Side;
  readonly #taps: Tap[] = [];
  #world: Tap | undefined;

  constructor(kernel: Kernel) {
    this.host = new Side(kernel);
    this.#outside = new Side(kernel);
    const peer = { name: UPLINK, namespace: this.#outside.namespace.fd };
    this.host.route.request(newLink({ name: PARENT, kind: 'veth', peer }), `RTM_NEWLINK ${PARENT}`);
    this.host.route.request(setLinkUp(this.host.link(PARENT).index), `RTM_SETLINK ${PARENT}`);
    this.#outside.route.request(setLinkUp(this.#outside.link(UPLINK).index), `RTM_SETLINK ${UPLINK}`);
  }

  /** The host's namespace, by a path that `--namespace` takes. */
  get namespacePath(): string {
    return this.host.namespace.path;
  }

  get parent(): string {
    return PARENT;
  }

  /** Whatever is at the far end of the cable, as a tap that sees every frame. */
  world(): Tap {
    this.#world ??= this.#openWorld();
    return this.#world;
  }

  /** Makes a guest's macvtap without opening its tap. */
  addMacvtap({ name, mac, up = true, index = 0 }: MacvtapOptions): Link {
    const parentIndex = this.host.link(PARENT).index;
    this.#make(this.host, { name, mac, index, parentIndex, mode: MACVLAN_MODE_BRIDGE });
    const link = this.host.link(name);
    if (up) this.setUp(link.index);
    return link;
  }

  /** Makes a guest's macvtap and opens it, as a virtual machine monitor does. */
  addGuest(options: MacvtapOptions): Tap {
    const parentIndex = this.host.link(PARENT).index;
    return this.#open(this.host, options.name, parentIndex, { ...options, mode: MACVLAN_MODE_BRIDGE });
  }

  setUp(index: number, up = true): void {
    this.host.route.request(setLinkUp(index, up), `RTM_SETLINK ${index}`);
  }

  rename(index: number, name: string): void {
    this.host.route.request(renameLink(index, name), `RTM_SETLINK ${name}`);
  }

  remove(index: number): void {
    this.host.route.request(deleteLink(index), `RTM_DELLINK ${index}`);
  }

  close(): void {
    for (const tap of this.#taps) tap.close();
    this.#taps.length = 0;
    this.#outside.close();
    this.host.close();
  }

  #openWorld(): Tap {
    const { route } = this.#outside;
    const world = this.#open(this.#outside, 'world', this.#outside.link(UPLINK).index, {
      name: 'world',
      mac: '02:00:00:00:00:fe',
      mode: MACVLAN_MODE_PASSTHRU,
    });
    // Pass-through takes every unicast frame, but multicast only for groups that were joined (macvlan's mc_filter).
    route.request(setLinkAllMulticast(world.index), 'RTM_SETLINK world');
    return world;
  }

  #make(
    side: Side,
    link: { name: string; mac: string; index: number; parentIndex: number; mode: number },
  ): void {
    side.forgetUevents();
    side.route.request(
      newLink({ ...link, kind: 'macvtap', mac: parseMac(link.mac) }),
      `RTM_NEWLINK ${link.name}`,
    );
  }

  #open(
    side: Side,
    name: string,
    parentIndex: number,
    options: { name: string; mac: string; mode: number; index?: number; up?: boolean },
  ): Tap {
    this.#make(side, { ...options, index: options.index ?? 0, parentIndex });
    const { index } = side.link(name);
    const { major, minor } = side.deviceNumber(index);
    const tap = new Tap({ name, index, mac: options.mac }, openCharacterDevice(major, minor));
    this.#taps.push(tap);
    if (options.up !== false) side.route.request(setLinkUp(index), `RTM_SETLINK ${name}`);
    return tap;
  }
}
