/** Frames field by field, also such as no sane sender makes. */
import { parseMac } from '#src/links/link.js';
import { viewOf } from '#src/netlink/bytes.js';

/** EtherTypes. */
export const IP4 = 0x0800;
export const ARP = 0x0806;
export const RARP = 0x8035;
export const VLAN = 0x8100;
export const QINQ = 0x88a8;
export const MPLS = 0x8847;
export const PPPOE = 0x8864;
export const IP6 = 0x86dd;

/** Protocols and IPv6 extension headers. */
export const HOP_BY_HOP = 0;
export const ICMP = 1;
export const UDP = 17;
export const ROUTING = 43;
export const FRAGMENT = 44;
export const ESP = 50;
export const AH = 51;
export const ICMPV6 = 58;
export const NO_NEXT = 59;
export const DESTINATION = 60;
export const MOBILITY = 135;

export function be(size: 1 | 2 | 4, ...values: number[]): Buffer {
  const bytes = Buffer.alloc(size * values.length);
  for (const [at, value] of values.entries()) bytes.writeUIntBE(value, at * size, size);
  return bytes;
}

export function ip4(text: string): Buffer {
  return Buffer.from(text.split('.').map(Number));
}

/** `2001:db8::7`, `::`. */
export function ip6(text: string): Buffer {
  const [head = '', tail] = text.split('::');
  const groups = (part = '') =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const before = groups(head);
  const after = groups(tail);
  return be(2, ...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after);
}

export function mac(text: string): Buffer {
  return Buffer.from(parseMac(text));
}

/** Bytes from the addresses on, with whatever comes between them and the type. */
export function frame(
  to: string,
  from: string,
  type: number,
  payload: Uint8Array,
  tags: number[][] = [],
): Buffer {
  const bytes = [
    mac(to),
    mac(from),
    ...tags.map(([tpid = 0, id = 0]) => be(2, tpid, id)),
    be(2, type),
    payload,
  ];
  return Buffer.concat(bytes);
}

function checksum(...parts: Uint8Array[]): number {
  const bytes = Buffer.concat([...parts, Buffer.alloc(1)]);
  const view = viewOf(bytes);
  let sum = 0;
  for (let offset = 0; offset + 1 < bytes.length; offset += 2) sum += view.getUint16(offset);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export interface Ip4Options {
  from: string;
  to: string;
  protocol: number;
  payload: Uint8Array;
  /** Flags and offset as they stand in the header: 0x2000 for more fragments, 0x4000 for none. */
  fragment?: number;
  /** What the header says its length is, in words. */
  words?: number;
  /** What it says the length of all is. */
  length?: number;
}

export function ip4Packet({
  from,
  to,
  protocol,
  payload,
  fragment = 0x4000,
  words = 5,
  length,
}: Ip4Options): Buffer {
  const start = [
    be(1, 0x40 | words, 0),
    be(2, length ?? 20 + payload.length, 1, fragment),
    be(1, 64, protocol),
  ];
  const addresses = [ip4(from), ip4(to)];
  const sum = be(2, checksum(...start, be(2, 0), ...addresses));
  return Buffer.concat([...start, sum, ...addresses, payload]);
}

/** The checksum is left out, which IPv4 allows, and no filter looks at. */
export function udpDatagram(sourcePort: number, destinationPort: number, data = 'some data'): Buffer {
  return Buffer.concat([be(2, sourcePort, destinationPort, 8 + data.length, 0), Buffer.from(data)]);
}

export function icmp(type: number, code = 0): Buffer {
  const rest = Buffer.from('\0\0\0\0 echo this');
  return Buffer.concat([be(1, type, code), be(2, checksum(be(1, type, code), be(2, 0), rest)), rest]);
}

export interface Ip6Options {
  from: string;
  to: string;
  /** Of the payload. */
  next: number;
  payload: Uint8Array;
  hopLimit?: number;
  /** Extension headers, outermost first, by type and what follows the type of the next one. */
  headers?: [type: number, rest: Uint8Array][];
  length?: number;
}

export function ip6Packet(options: Ip6Options): Buffer {
  const { from, to, next, payload, hopLimit = 64, headers = [], length } = options;
  const types = [...headers.map(([type]) => type), next];
  const chain = headers.map(([, rest], at) => Buffer.concat([be(1, types[at + 1] ?? next), rest]));
  const body = Buffer.concat([...chain, payload]);
  return Buffer.concat([
    be(4, 0x60000000),
    be(2, length ?? body.length),
    be(1, types[0] ?? next, hopLimit),
    ip6(from),
    ip6(to),
    body,
  ]);
}

/** Eight bytes of extension header, less the first: length 0, then an option of four bytes that is padding. */
export const PADDING = Buffer.from([0, 1, 4, 0, 0, 0, 0]);
/** The same with the option that makes routers look into listener reports (RFC 2711). */
export const ROUTER_ALERT = Buffer.from([0, 5, 2, 0, 0, 1, 0]);
/** Less the first byte: reserved, offset and more flag, identification. */
export function fragmentHeader(offset: number, more: boolean): Buffer {
  return Buffer.concat([be(1, 0), be(2, (offset << 3) | (more ? 1 : 0)), be(4, 77)]);
}

export interface Icmpv6Options extends Partial<Omit<Ip6Options, 'next' | 'payload'>> {
  from: string;
  to: string;
  type: number;
  code?: number;
  /** Behind the checksum. */
  body: Uint8Array;
}

export function icmpv6Packet({ type, code = 0, body, ...rest }: Icmpv6Options): Buffer {
  const length = 4 + body.length;
  const pseudo = Buffer.concat([ip6(rest.from), ip6(rest.to), be(4, length, ICMPV6)]);
  const sum = be(2, checksum(pseudo, be(1, type, code), be(2, 0), body));
  const payload = Buffer.concat([be(1, type, code), sum, body]);
  return ip6Packet({ hopLimit: 255, ...rest, next: ICMPV6, payload });
}

/** A link-layer address option: 1 for the source, 2 for the target. */
export function linkOption(type: 1 | 2, address: string): Buffer {
  return Buffer.concat([be(1, type, 1), mac(address)]);
}

/** What a nonce looks like (RFC 3971). */
export const NONCE = Buffer.from([14, 1, 1, 2, 3, 4, 5, 6]);

/** The body of a solicitation or an advertisement; of the latter, the flags that it is solicited and overrides. */
export function ndBody(target: string, options: Uint8Array[] = [], flags = 0): Buffer {
  return Buffer.concat([be(4, flags), ip6(target), ...options]);
}

/** A report of one group, version 2 (RFC 3810). */
export function listenerReport(group: string): Buffer {
  return Buffer.concat([be(2, 0, 1), be(1, 4, 0), be(2, 0), ip6(group)]);
}

export interface ArpOptions {
  operation?: number;
  senderMac: string;
  sender: string;
  targetMac?: string;
  target: string;
  hardware?: number;
  protocol?: number;
  lengths?: [hardware: number, protocol: number];
}

export function arpPacket(options: ArpOptions): Buffer {
  const { operation = 1, senderMac, sender, targetMac = '00:00:00:00:00:00', target } = options;
  const { hardware = 1, protocol = IP4, lengths = [6, 4] } = options;
  return Buffer.concat([
    be(2, hardware, protocol),
    be(1, ...lengths),
    be(2, operation),
    mac(senderMac),
    ip4(sender),
    mac(targetMac),
    ip4(target),
    // Ethernet's shortest frame is longer than that.
    Buffer.alloc(18),
  ]);
}
