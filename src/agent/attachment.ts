import type { NetlinkSocket } from '../kernel/socket.js';
import { NFT_MSG_GETTABLE } from '../nftables/constants.js';
import { dumpRequest } from '../nftables/message.js';
import { parseRuleset } from '../nftables/ruleset.js';
import type { Table } from '../nftables/table.js';
import { parseDeviceTableName } from '../program/name.js';
import { type AttachmentRecord, parseRecord } from '../program/record.js';

/** What one device has of tapwall's in the kernel. */
export interface Attachment {
  /** Interface index of the device that the tables were made for; it may be gone. */
  index: number;
  record: AttachmentRecord;
  /** The kernel's names of the tables, sorted. */
  tables: string[];
}

/**
 * Reads the kernel's tables and groups those that tapwall made by their device. A table that only has a name like
 * tapwall's, without the record, is somebody else's.
 */
export function listAttachments(netfilter: NetlinkSocket): Attachment[] {
  return attachmentsIn(readTables(netfilter));
}

/** Every netdev table of the namespace. */
export function readTables(netfilter: NetlinkSocket): Table[] {
  const messages = netfilter.dump(dumpRequest(NFT_MSG_GETTABLE), 'the dump of the tables');
  return parseRuleset(messages).tables;
}

/** The same for tables that have been read. */
export function attachmentsIn(tables: readonly Table[]): Attachment[] {
  const attachments = new Map<number, Attachment>();
  for (const { name, userdata } of tables) {
    const parsed = parseDeviceTableName(name);
    const record = parsed && parseRecord(userdata);
    if (!parsed || !record) continue;
    const known = attachments.get(parsed.index);
    if (known) known.tables.push(name);
    else attachments.set(parsed.index, { index: parsed.index, record, tables: [name] });
  }
  for (const attachment of attachments.values()) attachment.tables.sort();
  return [...attachments.values()].sort((a, b) => a.index - b.index);
}
