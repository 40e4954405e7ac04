import type { AssignedAddress, Binding } from '../config/configuration.js';
import { parseMac } from '../links/link.js';
import { align, writeHost32 } from '../netlink/bytes.js';

/**
 * What is known of each VM, by the set of the shared table that holds it. `nd.target` and `nd.mac` hold the addresses
 * and the MAC once more: what a neighbour discovery message says is raw payload to nft 1.0.6, which takes a set for it
 * only if the set was made for raw payload.
 */
export type FactKind = 'mac.assigned' | 'ip4.assigned' | 'ip6.assigned' | 'nd.target' | 'nd.mac';

/** The lengths of the prefixes that VMs may use, single addresses left out. */
export interface PrefixLengths {
  ip4: readonly number[];
  ip6: readonly number[];
}

/** The lengths of the prefixes in bindings, shortest first, single addresses left out. */
export function prefixLengths(bindings: readonly Pick<Binding, 'addresses'>[]): PrefixLengths {
  const addresses = bindings.flatMap((binding) => binding.addresses ?? []);
  const of = (family: 4 | 6, single: number) => {
    const lengths = addresses.filter((one) => one.family === family).map((one) => one.prefixLength);
    return [...new Set(lengths)].filter((length) => length < single).sort((a, b) => a - b);
  };
  return { ip4: of(4, 32), ip6: of(6, 128) };
}

/** What the kernel calls its own of one device. */
export interface AssignedFacts {
  index: number;
  /** Six bytes as `52:54:00:aa:bb:cc`; a device without a MAC has no facts made of it. */
  mac: string;
  addresses: readonly AssignedAddress[];
}

interface Fact {
  /** The type of the set, as nft writes it. */
  type: string;
  what: string;
  /** True where every device has one at most. */
  isSingle?: true;
  family?: 4 | 6;
}

const FACTS: Record<FactKind, Fact> = {
  'mac.assigned': {
    type: 'type iface_index . ether_addr',
    what: 'the MAC of each VM',
    isSingle: true,
  },
  'ip4.assigned': { type: 'type iface_index . ipv4_addr', what: 'IPv4 addresses of each VM', family: 4 },
  'ip6.assigned': {
    type: 'type iface_index . ipv6_addr',
    what: 'IPv6 addresses of each VM, its link-local one included',
    family: 6,
  },
  'nd.target': {
    type: 'typeof oif . @th,64,128',
    what: 'IPv6 addresses of each VM as neighbour discovery tells them',
    family: 6,
  },
  'nd.mac': { type: 'typeof oif . @th,208,48', what: 'the MAC of each VM as neighbour discovery tells it' },
};

const SINGLE = { 4: 32, 6: 128 } as const;

/** Whether a fact is one of addresses, which have to be known for anything to pass. */
export function isOfAddress(kind: FactKind): boolean {
  return FACTS[kind].family !== undefined;
}

/** One set for each length of prefix: a hash set takes a new element in microseconds, an interval set does not. */
function setName(kind: FactKind, prefixLength?: number): string {
  return prefixLength === undefined ? kind : `${kind}.${prefixLength}`;
}

function lengthsOf(kind: FactKind, lengths: PrefixLengths): readonly number[] {
  const { family } = FACTS[kind];
  return family === undefined ? [] : family === 4 ? lengths.ip4 : lengths.ip6;
}

export interface FactSet {
  name: string;
  /** As nft writes it. */
  type: string;
  comment: string;
}

/**
 * The sets that one kind of fact needs.
 * @param mostDevices the size of sets in which each device has one element.
 */
export function factSets(kind: FactKind, lengths: PrefixLengths, mostDevices: number): FactSet[] {
  const { type, what, isSingle } = FACTS[kind];
  return [
    { name: setName(kind), type: isSingle ? `${type}; size ${mostDevices}` : type, comment: what },
    ...lengthsOf(kind, lengths).map((length) => ({
      name: setName(kind, length),
      type,
      comment: `${what}: prefixes of length ${length}`,
    })),
  ];
}

/** The matches that hold when a field of a frame from the VM is a fact of that VM: any of them is enough. */
export function factMatches(kind: FactKind, field: string, lengths: PrefixLengths): string[] {
  const { family } = FACTS[kind];
  const isRaw = field.startsWith('@');
  return [
    `oif . ${field} @${setName(kind)}`,
    ...lengthsOf(kind, lengths).map((length) => {
      const mask = isRaw ? rawMask(length) : family === 4 ? ip4Mask(length) : ip6Mask(length);
      return `oif . ${field} & ${mask} @${setName(kind, length)}`;
    }),
  ];
}

function maskBytes(size: number, length: number): number[] {
  return Array.from(
    { length: size },
    (_, at) => 0xff & (0xff00 >> Math.min(8, Math.max(0, length - at * 8))),
  );
}

function ip4Mask(length: number): string {
  return maskBytes(4, length).join('.');
}

function ip6Mask(length: number): string {
  const hex = Buffer.from(maskBytes(16, length)).toString('hex');
  const groups = (hex.match(/.{4}/g) ?? []).filter((group) => group !== '0000');
  return groups.length === 8 ? groups.join(':') : `${groups.join(':')}::`;
}

function rawMask(length: number): string {
  return `0x${Buffer.from(maskBytes(16, length)).toString('hex')}`;
}

/** What of a VM a key holds behind the device's index: its MAC, what it makes of that, or one of its addresses. */
export type FactSource = 'mac' | 'link-local' | number;

export interface FactPattern {
  set: string;
  source: FactSource;
  /** Bytes of the key behind the index, padded to registers. */
  length: number;
}

export interface FactMember {
  set: string;
  key: Uint8Array;
}

/** Bytes of a MAC address; no other length is a fact. */
const MAC_LENGTH = 6;

/** The elements by which one device's facts of a kind are known, but for the facts; each assigned address once. */
export function factPatterns(kind: FactKind, addresses: readonly AssignedAddress[]): FactPattern[] {
  const { family } = FACTS[kind];
  if (family === undefined) return [macPattern(kind)];
  const patterns: FactPattern[] = [];
  if (family === 6) patterns.push({ set: kind, source: 'link-local', length: SINGLE[family] / 8 });
  addresses.forEach((address, source) => {
    if (address.family !== family || isRepeated(addresses, source)) return;
    const isSingle = address.prefixLength === SINGLE[family];
    const set = isSingle ? kind : setName(kind, address.prefixLength);
    patterns.push({ set, source, length: SINGLE[family] / 8 });
  });
  return patterns;
}

/** An element of an index and a MAC, but for both. */
export function macPattern(set: string): FactPattern {
  return { set, source: 'mac', length: align(MAC_LENGTH) };
}

/** The element of a device's index and its MAC; none for a device without one. */
export function macMember(set: string, { index, mac }: Pick<AssignedFacts, 'index' | 'mac'>): FactMember[] {
  const bytes = parseAssignedMac(mac);
  return bytes ? [{ set, key: keyOf(index, bytes) }] : [];
}

/** Whether an address of a list stands in it before. */
export function isRepeated(addresses: readonly AssignedAddress[], at: number): boolean {
  const address = addresses[at];
  return address !== undefined && addresses.findIndex((other) => isSame(other, address)) < at;
}

/** The elements by which one device's facts of a kind are known, each once. */
export function factMembers(kind: FactKind, { index, mac, addresses }: AssignedFacts): FactMember[] {
  const bytes = parseAssignedMac(mac);
  const linkLocal = bytes && linkLocalAddress(bytes);
  const members: FactMember[] = [];
  for (const { set, source } of factPatterns(kind, addresses)) {
    if (typeof source === 'number') {
      const address = addresses[source];
      const isKnown = linkLocal && address && isSame(linkLocal, address);
      if (address && !isKnown) members.push({ set, key: keyOf(index, address.bytes) });
    } else {
      const value = source === 'mac' ? bytes : linkLocal?.bytes;
      if (value) members.push({ set, key: keyOf(index, value) });
    }
  }
  return members;
}

function isSame(one: AssignedAddress, other: AssignedAddress): boolean {
  if (one === other) return true;
  if (one.prefixLength !== other.prefixLength || one.family !== other.family) return false;
  return one.bytes.every((byte, at) => byte === other.bytes[at]);
}

/** @returns undefined for a device without a MAC, or with one of another length. */
export function parseAssignedMac(mac: string): Uint8Array | undefined {
  const bytes = mac === '' ? undefined : parseMac(mac);
  return bytes?.length === MAC_LENGTH ? bytes : undefined;
}

/** An index and a value as nft concatenates them: in host order, then padded to registers of four bytes. */
function keyOf(index: number, value: Uint8Array): Uint8Array {
  const key = new Uint8Array(4 + align(value.length));
  writeHost32(key, 0, index);
  key.set(value, 4);
  return key;
}

/** The address that a VM makes of its MAC (RFC 4291, appendix A) before it has any other. */
export function linkLocalAddress(mac: Uint8Array): AssignedAddress {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac;
  const bytes = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 0x02, b, c, 0xff, 0xfe, d, e, f);
  return { family: 6, bytes, prefixLength: 128 };
}
