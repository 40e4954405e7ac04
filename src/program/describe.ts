import { MESSAGE_HEADER_LENGTH } from '../netlink/constants.js';
import { parseMessages } from '../netlink/message.js';
import type { Batch } from '../nftables/batch.js';
import { attachBatch } from './attach.js';
import { deviceTableName } from './name.js';
import type { Program } from './program.js';
import type { DeviceFacts } from './slot.js';

/** What a program would install on one device, for people. */
export interface Description {
  policy: string;
  digest: string;
  device: string;
  index: number;
  /** The kernel's names of the tables. */
  tables: string[];
  /** The rules as nft prints them, with the names that the kernel would see. */
  listing: string;
  /** The transaction, message by message. */
  messages: { label: string; hex: string }[];
  /** Of the whole transaction. */
  bytes: number;
}

/** The messages of a transaction, one by one. */
export function describeBatch(batch: Batch): Description['messages'] {
  const labels = ['BATCH_BEGIN', ...batch.labels, 'BATCH_END'];
  let offset = 0;
  return parseMessages(batch.bytes).map(({ payload }, index) => {
    const end = offset + MESSAGE_HEADER_LENGTH + payload.length;
    const hex = Buffer.from(batch.bytes.subarray(offset, end)).toString('hex');
    offset = end;
    return { label: labels[index] ?? '', hex };
  });
}

/** @param listing what nft printed while `standIn` stood for the device. */
export function describeProgram(
  program: Program,
  facts: DeviceFacts,
  listing: { text: string; standIn: string } | undefined,
): Description {
  const batch = attachBatch(program, facts, 1);
  return {
    policy: program.policy,
    digest: program.digest,
    device: facts.name,
    index: facts.index,
    tables: program.tables.map((table) => deviceTableName(facts.index, table)),
    listing: listing ? nameDevice(listing, facts) : '',
    messages: describeBatch(batch),
    bytes: batch.bytes.length,
  };
}

function nameDevice({ text, standIn }: { text: string; standIn: string }, facts: DeviceFacts): string {
  return text
    .replaceAll(standIn, () => facts.name)
    .replace(
      /^table netdev (\S+) \{/gm,
      (_, name: string) => `table netdev ${deviceTableName(facts.index, name)} {`,
    );
}
