import { parseMac } from '../links/link.js';
import { viewOf } from '../netlink/bytes.js';

/** EtherTypes, linux/if_ether.h. */
export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_8021Q = 0x8100;
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

const IPPROTO_UDP = 17;
const UDP_HEADER_LENGTH = 8;
const IPV4_HEADER_LENGTH = 20;

function be16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** The Internet checksum of RFC 1071. */
function checksum(bytes: Uint8Array): number {
  const view = viewOf(bytes);
  let sum = 0;
  for (let offset = 0; offset + 1 < bytes.length; offset += 2) sum += view.getUint16(offset);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function ipv4Address(text: string): Buffer {
  return Buffer.from(text.split('.').map(Number));
}

/** An Ethernet II frame around a payload; `tags` are VLAN ids, outermost first. */
export function ethernet(options: {
  from: string;
  to: string;
  type: number;
  payload: Uint8Array;
  tags?: readonly number[];
}): Buffer {
  const tags = (options.tags ?? []).flatMap((id) => [be16(ETH_P_8021Q), be16(id)]);
  return Buffer.concat([
    parseMac(options.to),
    parseMac(options.from),
    ...tags,
    be16(options.type),
    options.payload,
  ]);
}

/** An IPv4 packet with a UDP datagram. The UDP checksum is left out, which IPv4 allows. */
export function udp(options: {
  from: string;
  to: string;
  sourcePort?: number;
  destinationPort?: number;
  data: string;
}): Buffer {
  const data = Buffer.from(options.data);
  const header = Buffer.alloc(IPV4_HEADER_LENGTH);
  header[0] = 0x45;
  header.writeUInt16BE(IPV4_HEADER_LENGTH + UDP_HEADER_LENGTH + data.length, 2);
  header[8] = 64;
  header[9] = IPPROTO_UDP;
  ipv4Address(options.from).copy(header, 12);
  ipv4Address(options.to).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([
    header,
    be16(options.sourcePort ?? 40_000),
    be16(options.destinationPort ?? 40_001),
    be16(UDP_HEADER_LENGTH + data.length),
    be16(0),
    data,
  ]);
}

/** An ARP request for an IPv4 address (RFC 826), with text behind it that a receiver can know it by. */
export function arpRequest(options: { mac: string; from: string; to: string; data: string }): Buffer {
  return Buffer.concat([
    be16(1),
    be16(ETH_P_IP),
    Buffer.from([6, 4]),
    be16(1),
    parseMac(options.mac),
    ipv4Address(options.from),
    Buffer.alloc(6),
    ipv4Address(options.to),
    Buffer.from(options.data),
  ]);
}
