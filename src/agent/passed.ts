import type { NetlinkSocket } from '../kernel/socket.js';
import { parseAttributes, readText } from '../netlink/attribute.js';
import {
  NFT_MSG_GETCHAIN,
  NFT_MSG_NEWCHAIN,
  NFTA_CHAIN_COUNTERS,
  NFTA_CHAIN_NAME,
  NFTA_CHAIN_TABLE,
} from '../nftables/constants.js';
import { dumpRequest, parseNftablesMessage } from '../nftables/message.js';
import { parseDeviceTableName } from '../program/name.js';
import { type CountedDirection, passedDirection } from '../program/passed.js';
import { type Count, readCounter } from './counters.js';

/** What devices' own tables have let through, by interface index; no direction in which they have no chains. */
export type Passed = Map<number, Partial<Record<CountedDirection, Count>>>;

/**
 * Reads what has passed devices' own tables. Read what the door has admitted before, never behind it: what comes between the two
 * is then missing among the drops for a moment, and nothing is called dropped that was not.
 * @throws KernelError; TapwallError TIMEOUT as {@link NetlinkSocket.dump}.
 */
export function readPassed(netfilter: NetlinkSocket): Passed {
  const passed: Passed = new Map();
  for (const message of netfilter.dump(dumpRequest(NFT_MSG_GETCHAIN), 'the dump of the chains')) {
    const parsed = parseNftablesMessage(message);
    if (parsed?.operation !== NFT_MSG_NEWCHAIN) continue;
    const attributes = parseAttributes(parsed.attributes);
    const find = (wanted: number) => attributes.find(({ type }) => type === wanted);
    const name = find(NFTA_CHAIN_NAME);
    const direction = name && passedDirection(readText(name));
    const counters = direction && find(NFTA_CHAIN_COUNTERS);
    const table = counters && find(NFTA_CHAIN_TABLE);
    const device = table && parseDeviceTableName(readText(table));
    if (!device || !counters) continue;
    const known = passed.get(device.index) ?? {};
    known[direction] = readCounter(counters.value);
    passed.set(device.index, known);
  }
  return passed;
}

/**
 * What became of the frames that the door let through to a device's own tables.
 * @param handed what the door has admitted; of an earlier moment than `passed`, so that it may be less.
 */
export function whatBecame(handed: Count, passed: Count): { admitted: Count; dropped: Count } {
  const dropped = {
    packets: Math.max(0, handed.packets - passed.packets),
    bytes: Math.max(0, handed.bytes - passed.bytes),
  };
  return { admitted: passed, dropped };
}
