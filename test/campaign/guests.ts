import type { Lab } from '#src/demo/lab.js';
import { openCharacterDevice, Tap } from '#src/demo/tap.js';
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { IFLA_NET_NS_FD } from '#src/links/constants.js';
import { parseMac } from '#src/links/link.js';
import { findLink } from '#src/links/query.js';
import { deleteLink, renameLink, setLinkUp } from '#src/links/request.js';
import { leaf } from '#src/netlink/attribute.js';
import { cString, host32 } from '#src/netlink/bytes.js';
import { NETLINK_ROUTE } from '#src/netlink/constants.js';
import { kernel } from '../support/host.js';
import { addressOf, type Identity, LISTED, macOf, type PolicyName, type Rules } from './rules.js';

/** linux/if_link.h. */
const IFLA_ADDRESS = 1;
const IFLA_IFALIAS = 20;

export const PREFIX = 'macvtap';
/** Names of the first and the third base chain, such as no list has, and such as are none of tapwall's business. */
export const NAMES = {
  listed: ['macvtap0', 'macvtap1', 'macvtap2', 'macvtap12', 'macvtap300', 'macvtap501', 'macvtap599'],
  unlisted: ['macvtap-w1', 'macvtap600', 'macvtap-a-long1', 'macvtap-a-long2'],
  outside: ['vm0', 'tap-macvtap'],
} as const;

export interface Guest extends Identity {
  readonly slot: number;
  readonly id: number;
  readonly tap: Tap;
  index: number;
  /** As it is now. */
  mac: string;
  isElsewhere: boolean;
  /** The step in which it was made. */
  born: number;
  /** What it had when all was last as it should be. */
  lastPolicy: PolicyName | undefined;
  /** Whether it may have had tables of its own since: they hook the name that it had then. */
  mayHaveTables: boolean;
}

/** Whether the agent has anything to do with it. */
export function isCovered({ name, isElsewhere }: Guest): boolean {
  return !isElsewhere && name.startsWith(PREFIX);
}

/** Whether the kernel's hooks were there before the device. */
export function isHookedInAdvance({ placement }: Rules, name: string): boolean {
  if (placement === 'prefix') return name.startsWith(PREFIX);
  if (placement !== 'names') return false;
  const number = /^macvtap(0|[1-9]\d*)$/.exec(name)?.[1];
  return number !== undefined && Number(number) < LISTED;
}

/** What somebody does to the guests of a host. */
export class Guests {
  readonly lab: Lab;
  readonly elsewhere: NamespaceHandle;
  readonly #elsewhereRoute: NetlinkSocket;
  readonly all: Guest[] = [];

  constructor(lab: Lab) {
    this.lab = lab;
    this.elsewhere = kernel.createNamespace();
    this.#elsewhereRoute = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace: this.elsewhere });
  }

  create(slot: number, id: number, name: string, born: number): Guest {
    const mac = macOf(id);
    const { index } = this.lab.addMacvtap({ name, mac, up: false });
    const { major, minor } = this.lab.host.deviceNumber(index);
    const tap = new Tap({ name, index, mac }, openCharacterDevice(major, minor));
    const guest: Guest = {
      slot,
      id,
      tap,
      index,
      name,
      mac,
      macId: id,
      alias: '',
      isElsewhere: false,
      born,
      lastPolicy: undefined,
      mayHaveTables: false,
    };
    this.all.push(guest);
    return guest;
  }

  remove(guest: Guest): void {
    this.#route(guest).request(deleteLink(guest.index), `RTM_DELLINK ${guest.name}`);
    this.forget(guest);
  }

  /** Of one whose device is gone already. */
  forget(guest: Guest): void {
    guest.tap.close();
    this.all.splice(this.all.indexOf(guest), 1);
  }

  setUp({ index }: Guest, up: boolean): void {
    this.lab.host.route.request(setLinkUp(index, up), 'RTM_SETLINK');
  }

  rename(guest: Guest, name: string): void {
    this.lab.rename(guest.index, name);
    guest.name = name;
  }

  setMac(guest: Guest, mac: string): void {
    this.#set(guest, leaf(IFLA_ADDRESS, parseMac(mac)));
    guest.mac = mac;
  }

  setAlias(guest: Guest, alias: string): void {
    this.#set(guest, leaf(IFLA_IFALIAS, alias === '' ? new Uint8Array() : cString(alias)));
    guest.alias = alias;
  }

  sendElsewhere(guest: Guest): void {
    this.#set(guest, leaf(IFLA_NET_NS_FD, host32(this.elsewhere.fd)));
    guest.isElsewhere = true;
    guest.index = findLink(this.#elsewhereRoute, { name: guest.name })?.index ?? 0;
    this.#elsewhereRoute.request(setLinkUp(guest.index), 'RTM_SETLINK');
  }

  bringBack(guest: Guest): void {
    const attributes = [leaf(IFLA_NET_NS_FD, host32(this.lab.host.namespace.fd))];
    this.#elsewhereRoute.request({ ...renameLink(guest.index, ''), attributes }, 'the move back');
    guest.isElsewhere = false;
    guest.index = this.lab.host.link(guest.name).index;
  }

  close(): void {
    for (const guest of [...this.all]) this.forget(guest);
    this.#elsewhereRoute.close();
    this.elsewhere.close();
  }

  #route({ isElsewhere }: Guest): NetlinkSocket {
    return isElsewhere ? this.#elsewhereRoute : this.lab.host.route;
  }

  #set({ index }: Guest, attribute: ReturnType<typeof leaf>): void {
    this.lab.host.route.request({ ...renameLink(index, ''), attributes: [attribute] }, 'RTM_SETLINK');
  }
}

/** What the traffic needs to know of a guest. */
export function endpointOf({ slot, id, tap, mac, macId }: Guest) {
  // A guard compares with the MAC that it was assigned; what comes to it must have the one it has.
  const source = macId === undefined ? mac : macOf(macId);
  return { slot, descriptor: tap.descriptor, source, destination: mac, address: addressOf(id) };
}
