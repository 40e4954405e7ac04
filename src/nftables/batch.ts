import { constants } from 'node:os';
import { parseAcknowledgement } from '../netlink/acknowledgement.js';
import { leaf } from '../netlink/attribute.js';
import { be32, concatenate } from '../netlink/bytes.js';
import { NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR } from '../netlink/constants.js';
import { KernelError } from '../netlink/error.js';
import { encodeRequest, parseMessages, type Request } from '../netlink/message.js';
import {
  NFNL_BATCH_GENID,
  NFNL_MSG_BATCH_BEGIN,
  NFNL_MSG_BATCH_END,
  NFNL_SUBSYS_NFTABLES,
} from './constants.js';
import { generalHeader } from './message.js';

/** One step of a transaction, with the words an error names it by: `NEWCHAIN filterin`. */
export interface Operation {
  request: Request;
  label: string;
}

/** A transaction, ready to send: all of it happens or nothing. */
export interface Batch {
  /** BATCH_BEGIN, the operations, BATCH_END. */
  bytes: Uint8Array;
  /** The sequence number of BATCH_BEGIN; operation i has `firstSequence + 1 + i`. */
  firstSequence: number;
  labels: readonly string[];
}

function frame(type: number, sequence: number, generation?: number): Uint8Array {
  return encodeRequest(
    {
      type,
      flags: NLM_F_REQUEST,
      familyHeader: generalHeader(0, NFNL_SUBSYS_NFTABLES),
      attributes: generation === undefined ? [] : [leaf(NFNL_BATCH_GENID, be32(generation))],
    },
    sequence,
  );
}

/** @param generation when given, the kernel refuses the batch with ERESTART unless it is the current one. */
export function batchBegin(sequence: number, generation?: number): Uint8Array {
  return frame(NFNL_MSG_BATCH_BEGIN, sequence, generation);
}

export function batchEnd(sequence: number): Uint8Array {
  return frame(NFNL_MSG_BATCH_END, sequence);
}

/**
 * Puts operations into one transaction. Only the last asks for an acknowledgement: the kernel reports the errors
 * of all the others unasked, and an answer to the last proves that the batch was read to its end.
 */
export function encodeBatch(
  operations: readonly Operation[],
  firstSequence: number,
  generation?: number,
): Batch {
  const parts = [batchBegin(firstSequence, generation)];
  operations.forEach(({ request }, index) => {
    const last = index === operations.length - 1;
    const flags = last ? request.flags | NLM_F_ACK : request.flags;
    parts.push(encodeRequest({ ...request, flags }, firstSequence + 1 + index));
  });
  parts.push(batchEnd(firstSequence + 1 + operations.length));
  return { bytes: concatenate(parts), firstSequence, labels: operations.map(({ label }) => label) };
}

/** How many sequence numbers a batch uses. */
export function batchLength(batch: Batch): number {
  return batch.labels.length + 2;
}

function labelOf(batch: Batch, sequence: number): string {
  const index = sequence - batch.firstSequence;
  if (index === 0) return 'the transaction';
  return batch.labels[index - 1] ?? `the transaction's message ${index}`;
}

/**
 * Reads what the kernel answered to a batch.
 * @throws KernelError for the first operation that was refused; nothing of the batch is in force then.
 * @throws KernelError EPROTO when the last operation was not acknowledged: the outcome is unknown.
 */
export function checkBatch(batch: Batch, reply: Uint8Array): void {
  const last = batch.firstSequence + batch.labels.length;
  let acknowledged = batch.labels.length === 0;
  for (const message of parseMessages(reply)) {
    if (message.type !== NLMSG_ERROR) continue;
    const index = message.sequence - batch.firstSequence;
    // An answer to somebody else's question, left over from a socket that overflowed.
    if (index < 0 || index > batch.labels.length + 1) continue;
    const acknowledgement = parseAcknowledgement(message);
    if (acknowledgement.errno !== 0) throw new KernelError(labelOf(batch, message.sequence), acknowledgement);
    if (message.sequence === last) acknowledged = true;
  }
  if (!acknowledged) {
    throw new KernelError(labelOf(batch, last), {
      errno: constants.errno.EPROTO,
      sequence: 0,
      extendedAck: { message: 'no acknowledgement came' },
    });
  }
}
