import { TapwallError } from '../error.js';
import { concatenate, cString } from '../netlink/bytes.js';

/**
 * User data is libnftnl's: a row of {type: u8, length: u8, value}. The kernel keeps it and never looks.
 * nft skips types it does not know, so a program may put its own beside nft's (libnftnl, udata.h).
 */
export interface UserdataEntry {
  type: number;
  value: Uint8Array;
}

/** NFTNL_UDATA_TABLE_COMMENT: a NUL-terminated comment that `nft list` prints. */
export const USERDATA_TABLE_COMMENT = 0;

/** NFTNL_UDATA_CHAIN_COMMENT: the same for a chain. */
const USERDATA_CHAIN_COMMENT = 0;

/** @throws TapwallError MALFORMED_MESSAGE when an entry runs past the end. */
export function parseUserdata(bytes: Uint8Array): UserdataEntry[] {
  const entries: UserdataEntry[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const type = bytes[offset];
    const length = bytes[offset + 1];
    if (type === undefined || length === undefined || offset + 2 + length > bytes.length) {
      throw new TapwallError(
        'MALFORMED_MESSAGE',
        `malformed user data: entry at ${offset} of ${bytes.length}`,
      );
    }
    entries.push({ type, value: bytes.subarray(offset + 2, offset + 2 + length) });
    offset += 2 + length;
  }
  return entries;
}

/** @throws TapwallError ARGUMENT when a value is longer than the 255 bytes its length can say. */
export function encodeUserdata(entries: readonly UserdataEntry[]): Uint8Array {
  return concatenate(
    entries.flatMap(({ type, value }) => {
      if (value.length > 0xff) {
        throw new TapwallError(
          'ARGUMENT',
          `user data entry ${type} of ${value.length} bytes is longer than 255`,
        );
      }
      return [Uint8Array.of(type, value.length), value];
    }),
  );
}

export function tableComment(comment: string): UserdataEntry {
  return { type: USERDATA_TABLE_COMMENT, value: cString(comment) };
}

export function chainComment(comment: string): UserdataEntry {
  return { type: USERDATA_CHAIN_COMMENT, value: cString(comment) };
}

/** The entries of user data that anybody may have written: none where there are none, or what stands there is no list. */
export function readUserdata(userdata: Uint8Array | undefined): UserdataEntry[] {
  if (!userdata) return [];
  try {
    return parseUserdata(userdata);
  } catch {
    // Somebody else's object may carry anything.
    return [];
  }
}
