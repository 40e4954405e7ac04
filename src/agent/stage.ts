import { addStandIn, Scratch } from '../compiler/scratch.js';
import type { Kernel, NamespaceHandle, Poller, Readiness, SocketOptions, Waker } from '../kernel/kernel.js';
import { NetlinkSocket, type Transport } from '../kernel/socket.js';
import {
  IFINFOMSG_LENGTH,
  IFLA_ADDRESS,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINKINFO,
  IFLA_MACVLAN_MODE,
  MACVLAN_MODE_BRIDGE,
  RTM_DELLINK,
  RTM_NEWLINK,
  RTNLGRP_LINK,
} from '../links/constants.js';
import { parseMac } from '../links/link.js';
import { getLink } from '../links/request.js';
import { type Attribute, encodeAttributes, leaf, nest, parseAttributes } from '../netlink/attribute.js';
import { cString, host32 } from '../netlink/bytes.js';
import { encodeMessage } from '../netlink/message.js';

/** The stand-in for the link that devices hang on. */
const PARENT = 'parent';
const PARENT_INDEX = 999;
const FIRST_INDEX = 1000;

export interface StagedDevice {
  name: string;
  /** Absent for one that the kernel chooses. */
  mac: string | undefined;
}

/** What the kernel would tell of a macvtap device: that it is there, and that it is gone. */
interface Scene {
  appears: Uint8Array;
  goes: Uint8Array;
}

/** Link events by script; nothing can be asked through it. */
class ScriptedEvents implements Transport {
  readonly portId = 0;
  readonly #queue: Uint8Array[] = [];

  tell(datagram: Uint8Array): void {
    this.#queue.push(datagram);
  }

  receive(): Uint8Array | undefined {
    return this.#queue.shift();
  }

  transact(): Uint8Array {
    return new Uint8Array();
  }

  confirm(): undefined {
    return undefined;
  }

  dump(): Uint8Array {
    return new Uint8Array();
  }

  listen(): void {}

  linkName(): undefined {
    return undefined;
  }

  close(): void {
    this.#queue.length = 0;
  }
}

/**
 * The kernel, but for a network namespace of its own in which macvtap devices come and go by script: stand-ins have
 * their names and indexes, and what the kernel says of those is told as if it were of macvtap devices. All else is real.
 */
export class Stage implements Kernel {
  readonly #kernel: Kernel;
  readonly #scratch: Scratch;
  readonly #events = new ScriptedEvents();
  readonly #scenes: readonly Scene[];

  constructor(kernel: Kernel, devices: readonly StagedDevice[]) {
    this.#kernel = kernel;
    this.#scratch = new Scratch(kernel);
    try {
      addStandIn(this.#scratch.route, PARENT, PARENT_INDEX);
      this.#scenes = devices.map((device, number) => this.#scene(device, FIRST_INDEX + number));
    } catch (error) {
      this.#scratch.close();
      throw error;
    }
  }

  /** A loop that is handed link events next hears that a device, by its number, is there; or that it is gone. */
  tell(what: keyof Scene, number: number): void {
    const scene = this.#scenes[number];
    if (scene) this.#events.tell(scene[what]);
  }

  createNamespace(): NamespaceHandle {
    return this.#kernel.createNamespace();
  }

  openNamespace(nameOrPath: string): NamespaceHandle {
    return this.#kernel.openNamespace(nameOrPath);
  }

  openSocket(options: SocketOptions): NetlinkSocket {
    if (options.groups?.includes(RTNLGRP_LINK)) return new NetlinkSocket(this.#events);
    return this.#kernel.openSocket({ ...options, namespace: this.#scratch.namespace });
  }

  createWaker(): Waker {
    return this.#kernel.createWaker();
  }

  createPoller(wakerFd: number): Poller {
    return this.#kernel.createPoller(wakerFd);
  }

  wait(sockets: readonly NetlinkSocket[], wakerFd: number, timeoutMs: number): Readiness {
    return this.#kernel.wait(sockets, wakerFd, timeoutMs);
  }

  close(): void {
    this.#scratch.close();
  }

  #scene({ name, mac }: StagedDevice, index: number): Scene {
    const { route } = this.#scratch;
    addStandIn(route, name, index);
    const [answer] = route.request(getLink({ index }), 'RTM_GETLINK');
    const payload = answer?.payload ?? new Uint8Array(IFINFOMSG_LENGTH);
    const told = parseAttributes(payload.subarray(IFINFOMSG_LENGTH));
    const isOther = ({ type }: { type: number }) => type !== IFLA_LINKINFO && type !== IFLA_LINK;
    const attributes: Attribute[] = told
      .filter(isOther)
      .map((attribute) =>
        attribute.type === IFLA_ADDRESS && mac !== undefined ? leaf(IFLA_ADDRESS, parseMac(mac)) : attribute,
      );
    const data = nest(IFLA_INFO_DATA, [leaf(IFLA_MACVLAN_MODE, host32(MACVLAN_MODE_BRIDGE))]);
    attributes.push(
      leaf(IFLA_LINK, host32(PARENT_INDEX)),
      nest(IFLA_LINKINFO, [leaf(IFLA_INFO_KIND, cString('macvtap')), data]),
    );
    const body = encodeAttributes(attributes);
    const message = {
      flags: 0,
      sequence: 0,
      portId: 0,
      payload: Buffer.concat([payload.subarray(0, IFINFOMSG_LENGTH), body]),
    };
    return {
      appears: encodeMessage({ ...message, type: RTM_NEWLINK }),
      goes: encodeMessage({ ...message, type: RTM_DELLINK }),
    };
  }
}
