import type { AssignedAddress } from '../config/configuration.js';
import { TapwallError } from '../error.js';
import { utf8 } from '../netlink/bytes.js';
import { encodeUserdata, readUserdata, type UserdataEntry } from '../nftables/userdata.js';
import { encodeAssignedMac } from './assigned-mac.js';

/** What somebody who knows a VM has told the agent of one of its devices. Plain data. */
export interface ToldFacts {
  /** The VM's name. */
  guest?: string | undefined;
  /** The VM's UUID, small letters with dashes. */
  uuid?: string | undefined;
  /** What the VM's owner calls the device. */
  alias?: string | undefined;
  /** The policy it is to have, whatever the bindings say. */
  policy?: string | undefined;
  /** In place of those of a binding. */
  addresses?: readonly AssignedAddress[] | undefined;
  /** Whether its door is to stay closed, whatever policy it should have. */
  quarantined?: boolean | undefined;
}

/** User data types far from those libnftnl hands out upwards from 0; beside that of the assigned MAC. */
const TYPES = {
  guest: 0xe0,
  uuid: 0xe1,
  alias: 0xe2,
  policy: 0xe3,
  addresses: 0xe4,
  quarantined: 0xe5,
} as const;

/**
 * Bytes of user data that an element of tapwall's may have. The kernel takes 256 (NFT_USERDATA_MAXLEN of
 * linux/netfilter/nf_tables.h), but keeps the length of that with its header in one byte (struct nft_set_ext_tmpl of
 * net/netfilter/nf_tables.h).
 */
const MOST_BYTES = 240;

/**
 * The user data of the element that says a device's policy: the MAC it was assigned and what was told of it, so that
 * the next agent knows it too. Without facts it is what {@link encodeAssignedMac} gives.
 * @throws TapwallError ARGUMENT when there is no room for all of it.
 */
export function encodeDeviceRecord(mac: string, told: ToldFacts | undefined): Uint8Array | undefined {
  const ofMac = encodeAssignedMac(mac);
  if (!told) return ofMac;
  const entries: UserdataEntry[] = [];
  for (const key of ['guest', 'alias', 'policy'] as const) {
    const text = told[key];
    if (text !== undefined) entries.push({ type: TYPES[key], value: utf8(text) });
  }
  if (told.uuid !== undefined) {
    entries.push({ type: TYPES.uuid, value: Buffer.from(told.uuid.replaceAll('-', ''), 'hex') });
  }
  if (told.addresses) entries.push({ type: TYPES.addresses, value: packAddresses(told.addresses) });
  if (told.quarantined) entries.push({ type: TYPES.quarantined, value: new Uint8Array() });
  const size = entries.reduce((sum, { value }) => sum + 2 + value.length, ofMac?.length ?? 0);
  if (size > MOST_BYTES) {
    throw new TapwallError(
      'ARGUMENT',
      `what was told of the device takes ${size} bytes, and the kernel keeps ${MOST_BYTES} with an element`,
      {
        hint: 'Tell less: a shorter alias, fewer addresses, or a prefix in their place. The name of a policy or a binding can say the rest.',
      },
    );
  }
  return Buffer.concat([ofMac ?? new Uint8Array(), encodeUserdata(entries)]);
}

/** What was told of a device, out of user data; undefined when nothing was. */
export function readToldFacts(userdata: Uint8Array | undefined): ToldFacts | undefined {
  const told: ToldFacts = {};
  for (const { type, value } of readUserdata(userdata)) {
    if (type === TYPES.guest) told.guest = textOf(value);
    else if (type === TYPES.alias) told.alias = textOf(value);
    else if (type === TYPES.policy) told.policy = textOf(value);
    else if (type === TYPES.uuid && value.length === 16) told.uuid = formatUuid(value);
    else if (type === TYPES.addresses) told.addresses = unpackAddresses(value);
    else if (type === TYPES.quarantined) told.quarantined = true;
  }
  return Object.keys(told).length > 0 ? told : undefined;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

function formatUuid(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Each as the length of its prefix, with the highest bit for family 6, and its bytes. A prefix of 128 is written 0. */
function packAddresses(addresses: readonly AssignedAddress[]): Uint8Array {
  return Buffer.concat(
    addresses.flatMap(({ family, bytes, prefixLength }) => [
      Uint8Array.of(family === 6 ? 0x80 | (prefixLength & 0x7f) : prefixLength),
      bytes,
    ]),
  );
}

/** Undefined for bytes that are no such list: no address at all is then the policy's to refuse. */
function unpackAddresses(packed: Uint8Array): AssignedAddress[] | undefined {
  const addresses: AssignedAddress[] = [];
  for (let at = 0; at < packed.length; ) {
    const first = packed[at] ?? 0;
    const family = (first & 0x80) === 0 ? 4 : 6;
    const length = family === 4 ? 4 : 16;
    const prefixLength = family === 4 ? first : first & 0x7f || 128;
    const bytes = packed.slice(at + 1, at + 1 + length);
    if (bytes.length < length || prefixLength < 1 || prefixLength > length * 8) return undefined;
    addresses.push({ family, bytes: Uint8Array.from(bytes), prefixLength });
    at += 1 + length;
  }
  return addresses;
}
