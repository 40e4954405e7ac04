import ipaddr from 'ipaddr.js';
import type { AssignedAddress } from './configuration.js';
import { quote } from './suggest.js';

export interface AddressFlaw {
  flaw: string;
  hint?: string | undefined;
}

/** What no VM can call its own, and why; a prefix that reaches into one of them is refused as well. */
const RESERVED: readonly (readonly [prefix: string, reason: string])[] = [
  ['0.0.0.0/8', 'it says that there is no address yet'],
  ['127.0.0.0/8', 'it is a loopback address'],
  ['224.0.0.0/4', 'it is a multicast address'],
  ['255.255.255.255/32', 'it is the broadcast address'],
  ['::/128', 'it says that there is no address yet'],
  ['::1/128', 'it is the loopback address'],
  ['::ffff:0:0/96', 'it is an IPv4 address in IPv6 form'],
  ['ff00::/8', 'it is a multicast address'],
];

const reserved = RESERVED.map(([prefix, reason]) => {
  const [network, length] = ipaddr.parseCIDR(prefix);
  return { network, length, reason };
});

/** Reads `192.0.2.7`, `2001:db8::7`, `10.1.0.0/16`, `2001:db8::/64`. */
export function readAddress(text: string): AssignedAddress | AddressFlaw {
  const [written = '', length, ...more] = text.split('/');
  const address = parse(written);
  if (!address || more.length > 0) {
    return {
      flaw: `${quote(text)} is not an address`,
      hint: 'Write it as `192.0.2.7`, `2001:db8::7`, `10.1.0.0/16` or `2001:db8::/64`.',
    };
  }
  const bytes = Uint8Array.from(address.toByteArray());
  const bits = bytes.length * 8;
  const prefixLength = length === undefined ? bits : readLength(length);
  if (prefixLength === undefined || prefixLength > bits) {
    return { flaw: `${quote(text)}: the length of the prefix must be a number from 1 to ${bits}` };
  }
  if (prefixLength === 0) {
    return {
      flaw: `${quote(text)} is every address there is`,
      hint: 'To let a VM use any address leave out the guards that compare addresses.',
    };
  }
  const network = masked(bytes, prefixLength);
  const assigned: AssignedAddress = { family: bits === 32 ? 4 : 6, bytes: network, prefixLength };
  if (!network.every((byte, index) => byte === bytes[index])) {
    return {
      flaw: `${quote(text)} has bits behind its prefix`,
      hint: `Write \`${addressText(assigned)}\` for the whole prefix, or \`${address.toString()}\` for the one address.`,
    };
  }
  return flawIn(address, prefixLength) ?? assigned;
}

type Address = ReturnType<typeof ipaddr.parse>;

/** IPv4 in its usual form alone: the library also takes octal numbers and addresses of fewer parts. */
function parse(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  return ipaddr.IPv6.isValid(text) && !text.includes('%') ? ipaddr.IPv6.parse(text) : undefined;
}

function readLength(text: string): number | undefined {
  return /^(?:0|[1-9][0-9]{0,2})$/.test(text) ? Number(text) : undefined;
}

function flawIn(address: Address, prefixLength: number): AddressFlaw | undefined {
  const hit = reserved.find(
    ({ network, length }) =>
      network.kind() === address.kind() && address.match(network, Math.min(length, prefixLength)),
  );
  if (!hit) return undefined;
  const isInside = hit.length <= prefixLength;
  const prefix = `${hit.network.toString()}/${hit.length}`;
  return {
    flaw: `${quote(address.toString())} cannot be a VM’s own: ${isInside ? hit.reason : `with this prefix it takes in ${prefix}`}`,
  };
}

function masked(bytes: Uint8Array, prefixLength: number): Uint8Array {
  return bytes.map((byte, index) => {
    const kept = Math.min(8, Math.max(0, prefixLength - index * 8));
    return byte & (0xff << (8 - kept));
  });
}

/** As it is written in a configuration: the shortest form, and the prefix's length unless it is a single address. */
export function addressText({ bytes, prefixLength }: AssignedAddress): string {
  const text = ipaddr.fromByteArray([...bytes]).toString();
  return prefixLength === bytes.length * 8 ? text : `${text}/${prefixLength}`;
}

/** True for `192.0.2.7` or, of family 6, `2001:db8::7`: one address and nothing else. */
export function isAddress(text: string, family: 4 | 6): boolean {
  if (family === 4) return ipaddr.IPv4.isValidFourPartDecimal(text);
  return !text.includes('%') && ipaddr.IPv6.isValid(text);
}
