import { utf8 } from '../netlink/bytes.js';
import { encodeUserdata, readUserdata } from '../nftables/userdata.js';

/**
 * A user data type far from those libnftnl hands out upwards from 0. On the element that gives a device its policy stands
 * the MAC that the device was assigned, as text: a guest can change the one it has, and the next agent must not go by it.
 */
const ASSIGNED_MAC_TYPE = 0xf6;

/** Where the text begins: behind the entry's type and length. */
export const MAC_TEXT_AT = 2;

/** User data for an element; undefined for a device that has no MAC. */
export function encodeAssignedMac(mac: string): Uint8Array | undefined {
  return mac === '' ? undefined : encodeUserdata([{ type: ASSIGNED_MAC_TYPE, value: utf8(mac) }]);
}

/** The MAC in an element's user data; undefined when there is none. */
export function readAssignedMac(userdata: Uint8Array | undefined): string | undefined {
  const value = readUserdata(userdata).find(({ type }) => type === ASSIGNED_MAC_TYPE)?.value;
  const text = value && Buffer.from(value).toString('latin1');
  return text !== undefined && /^[0-9a-f]{2}(?::[0-9a-f]{2})+$/.test(text) ? text : undefined;
}
