import { TapwallError } from '../error.js';
import { concatenate, parseString, utf8 } from '../netlink/bytes.js';
import { NFT_USERDATA_MAXLEN } from '../nftables/constants.js';
import {
  parseUserdata,
  readUserdata,
  USERDATA_TABLE_COMMENT,
  type UserdataEntry,
} from '../nftables/userdata.js';
import {
  DIGEST_SLOT_LENGTH,
  type FixedSlot,
  MAC_SLOT_LENGTH,
  NAME_SLOT_LENGTH,
  type Origin,
} from './slot.js';

/**
 * What tapwall writes into the user data of each table it makes: enough for another process, or the next one, to
 * tell what the table is and whether it is up to date. nft skips entries whose type it does not know.
 */
export interface AttachmentRecord {
  origin: Origin;
  /** Digest of the program. */
  digest: string;
  /** The device's name and MAC when it was attached. */
  device: string;
  mac: string;
  policy: string;
}

/** A user data type far from those libnftnl hands out upwards from 0. */
const RECORD_TYPE = 0xf7;
const VERSION = 1;
const ORIGINS: Record<Origin, string> = { agent: 'a', manual: 'm' };

// version, origin, digest, name, MAC, then the policy's name up to the end.
const ORIGIN_AT = 1;
const DIGEST_AT = 2;
const NAME_AT = DIGEST_AT + DIGEST_SLOT_LENGTH;
const MAC_AT = NAME_AT + NAME_SLOT_LENGTH;
const POLICY_AT = MAC_AT + MAC_SLOT_LENGTH;

export function originByte(origin: Origin): number {
  return ORIGINS[origin].charCodeAt(0);
}

/**
 * A table's user data with slots: the user's own entries, else a comment for whoever lists the table with nft, and
 * the record.
 * @throws TapwallError POLICY_NOT_PORTABLE when the user's own comment leaves no room.
 */
export function recordTemplate(
  own: Uint8Array | undefined,
  policy: string,
): { value: Uint8Array; slots: FixedSlot[] } {
  const entries: UserdataEntry[] = own ? parseUserdata(own) : [];
  const parts: Uint8Array[] = [];
  const slots: FixedSlot[] = [];
  let length = 0;
  const push = (type: number, value: Uint8Array, slotsInside: FixedSlot[] = []) => {
    parts.push(Uint8Array.of(type, value.length), value);
    for (const slot of slotsInside) slots.push({ ...slot, offset: length + 2 + slot.offset });
    length += 2 + value.length;
  };
  if (!entries.some(({ type }) => type === USERDATA_TABLE_COMMENT)) {
    const words = utf8(`tapwall: policy ${policy} on `);
    const comment = concatenate([words, new Uint8Array(NAME_SLOT_LENGTH + 1)]);
    push(USERDATA_TABLE_COMMENT, comment, [{ kind: 'name', offset: words.length }]);
  }
  for (const { type, value } of entries) push(type, value);
  const record = concatenate([
    Uint8Array.of(VERSION, 0),
    new Uint8Array(DIGEST_SLOT_LENGTH + NAME_SLOT_LENGTH + MAC_SLOT_LENGTH),
    utf8(policy),
  ]);
  push(RECORD_TYPE, record, [
    { kind: 'origin', offset: ORIGIN_AT },
    { kind: 'digest', offset: DIGEST_AT },
    { kind: 'name', offset: NAME_AT },
    { kind: 'mac', offset: MAC_AT },
  ]);
  if (length > NFT_USERDATA_MAXLEN) {
    throw new TapwallError(
      'POLICY_NOT_PORTABLE',
      `policy ${policy}: a table's comment and the policy's name together take ${length} bytes of the ${NFT_USERDATA_MAXLEN} a table can carry`,
      { hint: 'Shorten the comment or the name.' },
    );
  }
  return { value: concatenate(parts), slots };
}

/** The record in a table's user data; undefined when there is none, or one of another version. */
export function parseRecord(userdata: Uint8Array | undefined): AttachmentRecord | undefined {
  const value = readUserdata(userdata).find(({ type }) => type === RECORD_TYPE)?.value;
  if (!value || value[0] !== VERSION || value.length < POLICY_AT) return undefined;
  const origin = (Object.keys(ORIGINS) as Origin[]).find((key) => originByte(key) === value[ORIGIN_AT]);
  if (!origin) return undefined;
  return {
    origin,
    digest: parseString(value.subarray(DIGEST_AT, NAME_AT)),
    device: parseString(value.subarray(NAME_AT, MAC_AT)),
    mac: parseString(value.subarray(MAC_AT, POLICY_AT)),
    policy: parseString(value.subarray(POLICY_AT)),
  };
}
