import { TapwallError } from '../error.js';
import {
  eachAttribute,
  type LeafAttribute,
  parseAttributes,
  readHost32,
  readText,
} from '../netlink/attribute.js';
import { HOST_LITTLE_ENDIAN, viewOf } from '../netlink/bytes.js';
import type { Message } from '../netlink/message.js';
import {
  AF_UNSPEC,
  IFF_UP,
  IFINFOMSG_LENGTH,
  IFLA_ADDRESS,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
  RTM_DELLINK,
  RTM_NEWLINK,
} from './constants.js';

/** A network interface, as RTM_NEWLINK describes it. */
export interface Link {
  /** Interface index; never reused in a network namespace while the host is up, unless somebody asks for it. */
  index: number;
  name: string;
  up: boolean;
  /** `macvtap`, `veth`, …; undefined for a physical device. */
  kind: string | undefined;
  /** Six bytes as `52:54:00:aa:bb:cc`; other lengths likewise; undefined where there is none. */
  mac: string | undefined;
  alias: string | undefined;
  /** Index of the link this one stands on. */
  parentIndex: number | undefined;
  /** True when the parent is in another network namespace, where `parentIndex` means something else here. */
  parentElsewhere: boolean;
}

export interface LinkEvent {
  type: 'new' | 'gone';
  link: Link;
}

export function formatMac(bytes: Uint8Array): string {
  // By hand, as `parseMac`: every device that appears waits for it.
  let text = '';
  for (const byte of bytes) text += text === '' ? HEXADECIMAL[byte] : `:${HEXADECIMAL[byte]}`;
  return text;
}

/** Each byte as two digits. */
const HEXADECIMAL = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * Reads an RTM_NEWLINK or RTM_DELLINK message; undefined for any other. A bridge tells the same listeners of its
 * ports, in messages of family AF_BRIDGE: there RTM_DELLINK means that a link, which lives on, has left the bridge.
 * @throws TapwallError MALFORMED_MESSAGE when it is cut off or has no name.
 */
export function parseLinkEvent(message: Message): LinkEvent | undefined {
  if (message.type !== RTM_NEWLINK && message.type !== RTM_DELLINK) return undefined;
  const { payload } = message;
  if (payload.length < IFINFOMSG_LENGTH) {
    throw new TapwallError('MALFORMED_MESSAGE', `malformed link message: ${payload.length} bytes`);
  }
  if (payload[0] !== AF_UNSPEC) return undefined;
  const view = viewOf(payload);
  const flags = view.getUint32(8, HOST_LITTLE_ENDIAN);
  const link: Link = {
    index: view.getInt32(4, HOST_LITTLE_ENDIAN),
    name: '',
    up: (flags & IFF_UP) !== 0,
    kind: undefined,
    mac: undefined,
    alias: undefined,
    parentIndex: undefined,
    parentElsewhere: false,
  };
  eachAttribute(view, IFINFOMSG_LENGTH, payload.length, (type, start, end) => {
    // Some fifty are in a message, and there are thousands of devices.
    if (LINK_ATTRIBUTES.has(type)) readInto(link, { type, flags: 0, value: payload.subarray(start, end) });
  });
  if (link.name === '') throw new TapwallError('MALFORMED_MESSAGE', `link ${link.index} has no name`);
  return { type: message.type === RTM_NEWLINK ? 'new' : 'gone', link };
}

const LINK_ATTRIBUTES = new Set([
  IFLA_IFNAME,
  IFLA_ADDRESS,
  IFLA_IFALIAS,
  IFLA_LINK,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
]);

function readInto(link: Link, attribute: LeafAttribute): void {
  switch (attribute.type) {
    case IFLA_IFNAME:
      link.name = readText(attribute);
      break;
    case IFLA_ADDRESS:
      if (attribute.value.length > 0) link.mac = formatMac(attribute.value);
      break;
    case IFLA_IFALIAS:
      link.alias = readText(attribute);
      break;
    case IFLA_LINK:
      // 0 for none: a veth device until its peer is there.
      link.parentIndex = readHost32(attribute) || undefined;
      break;
    case IFLA_LINK_NETNSID:
      link.parentElsewhere = true;
      break;
    case IFLA_LINKINFO:
      for (const info of parseAttributes(attribute.value)) {
        if (info.type === IFLA_INFO_KIND) link.kind = readText(info);
      }
      break;
  }
}

/**
 * The bytes of an address written as `52:54:00:aa:bb:cc`.
 * @throws TapwallError ARGUMENT
 */
export function parseMac(text: string): Uint8Array {
  // By hand: every device that is attached waits for it.
  const length = (text.length + 1) / 3;
  const bytes = new Uint8Array(Math.ceil(length));
  let isMac = Number.isInteger(length) && length > 0;
  for (let at = 0; at < length && isMac; at++) {
    const [high, low] = [hexDigit(text.charCodeAt(3 * at)), hexDigit(text.charCodeAt(3 * at + 1))];
    isMac = high >= 0 && low >= 0 && (at === length - 1 || text[3 * at + 2] === ':');
    bytes[at] = (high << 4) | low;
  }
  if (!isMac) throw new TapwallError('ARGUMENT', `${text} is not a MAC address`);
  return bytes;
}

/** @returns -1 for the code of what is no hexadecimal digit. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
