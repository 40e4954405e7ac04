import { TapwallError } from '../error.js';
import {
  IFF_UP,
  IFINFOMSG_LENGTH,
  IFLA_ADDRESS,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
  MAXIMUM_NAME_LENGTH,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
} from '../links/constants.js';
import { type Link, parseMac } from '../links/link.js';
import {
  type Attribute,
  encodeAttributes,
  leaf,
  nest,
  parseAttributes,
  readText,
} from '../netlink/attribute.js';
import { concatenate, cString, HOST_LITTLE_ENDIAN, host32, viewOf } from '../netlink/bytes.js';
import { NLM_F_DUMP } from '../netlink/constants.js';
import type { Message } from '../netlink/message.js';
import { type Answer, Refusal, tooLong } from './fake-answer.js';

/** A link to add to a fake kernel, as `ip link add` would. */
export interface FakeLinkOptions {
  name: string;
  /** `macvtap`, `veth`, …; absent for a physical device. */
  kind?: string;
  /** The index to have; absent for the next that was never used. */
  index?: number;
  /** `52:54:00:aa:bb:cc`; absent for one that tells the index. */
  mac?: string;
  alias?: string;
  /** The name of the link it stands on. */
  parent?: string;
  /** The index of the link it stands on when that is in another network namespace. */
  parentElsewhere?: number;
  /** A new link is down unless this is set. */
  up?: boolean;
}

/** What to change of a link, as `ip link set` would. */
export interface FakeLinkChanges {
  name?: string;
  mac?: string;
  /** Empty to take it away. */
  alias?: string;
  up?: boolean;
}

/** ARPHRD_ETHER, linux/if_arp.h. */
const ARPHRD_ETHER = 1;
/** linux/if.h. */
const IFF_RUNNING = 0x40;
/** `ifi_change` of an event about a link as a whole. */
const EVERYTHING = 0xffffffff;

const LOOPBACK: Link = {
  index: 1,
  name: 'lo',
  up: false,
  kind: undefined,
  mac: '00:00:00:00:00:00',
  alias: undefined,
  parentIndex: undefined,
  parentElsewhere: false,
};

/** A locally administered address that tells the index. */
function macOf(index: number): string {
  return `02:00:${(index.toString(16).padStart(8, '0').match(/../g) ?? []).join(':')}`;
}

function encodeLink(link: Link, change: number): Uint8Array {
  const header = new Uint8Array(IFINFOMSG_LENGTH);
  const view = viewOf(header);
  view.setUint16(2, ARPHRD_ETHER, HOST_LITTLE_ENDIAN);
  view.setInt32(4, link.index, HOST_LITTLE_ENDIAN);
  view.setUint32(8, link.up ? IFF_UP : 0, HOST_LITTLE_ENDIAN);
  view.setUint32(12, change, HOST_LITTLE_ENDIAN);
  const attributes: Attribute[] = [leaf(IFLA_IFNAME, cString(link.name))];
  if (link.parentIndex !== undefined) attributes.push(leaf(IFLA_LINK, host32(link.parentIndex)));
  if (link.alias !== undefined) attributes.push(leaf(IFLA_IFALIAS, cString(link.alias)));
  if (link.mac !== undefined) attributes.push(leaf(IFLA_ADDRESS, parseMac(link.mac)));
  if (link.parentElsewhere) attributes.push(leaf(IFLA_LINK_NETNSID, host32(0)));
  if (link.kind !== undefined) {
    attributes.push(nest(IFLA_LINKINFO, [leaf(IFLA_INFO_KIND, cString(link.kind))]));
  }
  return concatenate([header, encodeAttributes(attributes)]);
}

/** The links of one network namespace of a fake kernel. */
export class FakeLinks {
  readonly #links = new Map<number, Link>([[LOOPBACK.index, LOOPBACK]]);
  readonly #notify: (link: Link, event: Answer) => void;
  /** Of those that the kernel chose. Somebody who asks for an index does not move it (dev_index_reserve()). */
  #lastIndex = LOOPBACK.index;

  /** @param notify is told of every event, in the order of the kernel's. */
  constructor(notify: (link: Link, event: Answer) => void) {
    this.#notify = notify;
  }

  /** By index. */
  list(): Link[] {
    return [...this.#links.values()].sort((a, b) => a.index - b.index);
  }

  find(name: string): Link | undefined {
    for (const link of this.#links.values()) if (link.name === name) return link;
    return undefined;
  }

  add(options: FakeLinkOptions): Link {
    const { name, kind, alias, parent, parentElsewhere } = options;
    this.#checkNewName(name);
    const index = options.index ?? this.#nextIndex();
    if (!Number.isInteger(index) || index < 1 || index > 0x7fffffff || this.#links.has(index)) {
      throw new TapwallError('ARGUMENT', `a link cannot have the index ${index}, or it is taken`);
    }
    const link: Link = {
      index,
      name,
      up: options.up ?? false,
      kind,
      mac: options.mac ?? macOf(index),
      alias: alias || undefined,
      parentIndex: parent === undefined ? parentElsewhere : this.#named(parent).index,
      parentElsewhere: parent === undefined && parentElsewhere !== undefined,
    };
    // Encoded first: a MAC that is none is thrown before anything changed.
    const payload = encodeLink(link, EVERYTHING);
    this.#links.set(index, link);
    if (options.index === undefined) this.#lastIndex = index;
    this.#notify(link, { type: RTM_NEWLINK, flags: 0, payload });
    return link;
  }

  /**
   * One event for each change, in the order of do_setlink() (net/core/rtnetlink.c). A new alias alone is no event
   * while the link is down: netdev_state_change() says nothing then (seen on 6.18).
   */
  update(name: string, { mac, name: newName, alias, up }: FakeLinkChanges): Link {
    const { index } = this.#named(name);
    if (mac !== undefined) parseMac(mac);
    const renamed = newName !== undefined && newName !== name;
    if (renamed) this.#checkNewName(newName);
    if (mac !== undefined) this.#change(index, { mac }, 0);
    if (renamed) this.#change(index, { name: newName }, 0);
    if (alias !== undefined) this.#set(index, { alias: alias || undefined });
    if (up !== undefined && up !== this.#indexed(index).up) this.#change(index, { up }, IFF_UP);
    if (alias !== undefined && this.#indexed(index).up) this.#change(index, {}, 0);
    return this.#indexed(index);
  }

  /** It goes down, if it was up; then goes what stands on it, then the link itself. */
  remove(name: string): void {
    const { index, up } = this.#named(name);
    if (up) this.#change(index, { up: false }, IFF_UP | IFF_RUNNING);
    for (const other of this.list()) {
      if (other.parentIndex === index && !other.parentElsewhere) this.remove(other.name);
    }
    const link = this.#indexed(index);
    this.#links.delete(index);
    this.#notify(link, { type: RTM_DELLINK, flags: 0, payload: encodeLink(link, EVERYTHING) });
  }

  /** Answers RTM_GETLINK: a dump, or one link by index or name (rtnl_getlink(), net/core/rtnetlink.c). */
  answer({ type, flags, payload }: Message): Answer[] {
    if (type !== RTM_GETLINK) throw new Refusal('EOPNOTSUPP');
    if (payload.length < IFINFOMSG_LENGTH) throw new Refusal('EINVAL');
    const links = (flags & NLM_F_DUMP) === NLM_F_DUMP ? this.list() : [this.#wanted(payload)];
    return links.map((link) => ({ type: RTM_NEWLINK, flags: 0, payload: encodeLink(link, 0) }));
  }

  #wanted(payload: Uint8Array): Link {
    const index = viewOf(payload).getInt32(4, HOST_LITTLE_ENDIAN);
    const attribute = parseAttributes(payload.subarray(IFINFOMSG_LENGTH)).find(
      (one) => one.type === IFLA_IFNAME,
    );
    if (attribute && attribute.value.length > MAXIMUM_NAME_LENGTH + 1) throw tooLong(IFLA_IFNAME);
    let link: Link | undefined;
    if (index > 0) link = this.#links.get(index);
    else if (attribute) link = this.find(readText(attribute));
    else throw new Refusal('EINVAL');
    if (!link) throw new Refusal('ENODEV');
    return link;
  }

  #nextIndex(): number {
    let index = this.#lastIndex + 1;
    while (this.#links.has(index)) index++;
    return index;
  }

  #set(index: number, changes: Partial<Link>): Link {
    const link = { ...this.#indexed(index), ...changes };
    this.#links.set(index, link);
    return link;
  }

  #change(index: number, changes: Partial<Link>, change: number): void {
    const link = this.#set(index, changes);
    this.#notify(link, { type: RTM_NEWLINK, flags: 0, payload: encodeLink(link, change) });
  }

  #indexed(index: number): Link {
    const link = this.#links.get(index);
    if (!link) throw new TapwallError('LINK_NOT_FOUND', `the fake kernel has no link ${index}`);
    return link;
  }

  #named(name: string): Link {
    const link = this.find(name);
    if (!link) throw new TapwallError('LINK_NOT_FOUND', `the fake kernel has no link ${name}`);
    return link;
  }

  /** As dev_valid_name() and dev_alloc_name_ns() do, net/core/dev.c. */
  #checkNewName(name: string): void {
    const length = Buffer.byteLength(name);
    if (length < 1 || length > MAXIMUM_NAME_LENGTH || name === '.' || name === '..' || /[/:\s]/.test(name)) {
      throw new TapwallError('ARGUMENT', `${JSON.stringify(name)} cannot be the name of a link`);
    }
    if (this.find(name)) throw new TapwallError('ARGUMENT', `the fake kernel has a link ${name} already`);
  }
}
