import { TapwallError } from '../error.js';
import { leaf } from '../netlink/attribute.js';
import { cString, HOST_LITTLE_ENDIAN, utf8, viewOf } from '../netlink/bytes.js';
import { NLM_F_ACK } from '../netlink/constants.js';
import { encodeRequest } from '../netlink/message.js';
import { type Batch, batchBegin, batchEnd, encodeBatch, type Operation } from '../nftables/batch.js';
import { NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE, NFTA_TABLE_NAME } from '../nftables/constants.js';
import { nftablesRequest } from '../nftables/message.js';
import { type Layout, layOut, type Poke, type Shape } from './layout.js';
import { deviceTableName, deviceTableTemplate } from './name.js';
import type { Program, ProgramMessage } from './program.js';
import { originByte } from './record.js';
import { type DeviceFacts, MAC_SLOT_LENGTH, NAME_SLOT_LENGTH } from './slot.js';

/** What deletes a table whether or not it is there. */
const CLEARING = [
  [NFT_MSG_NEWTABLE, 'NEWTABLE'],
  [NFT_MSG_DELTABLE, 'DELTABLE'],
] as const;

/** Where the sequence number is in a message (struct nlmsghdr). */
const SEQUENCE_AT = 8;

/** The transaction's frame, less the sequence numbers. */
const BEGIN = batchBegin(0);
const END = batchEnd(0);

/** A program laid out for one shape, with all in place that does not depend on the device. */
interface Prepared extends Layout {
  labels: readonly string[];
}

/** A program has few shapes: names of a host's devices have two or three lengths, indexes as many digits. */
const prepared = new WeakMap<Program, Map<string, Prepared>>();

function preparedFor(program: Program, shape: Shape): Prepared {
  const key = `${shape.nameLength}.${shape.indexLength}`;
  let byShape = prepared.get(program);
  if (!byShape) {
    byShape = new Map();
    prepared.set(program, byShape);
  }
  let layout = byShape.get(key);
  if (!layout) {
    layout = prepare(program, shape);
    byShape.set(key, layout);
  }
  return layout;
}

/** The tables cleared, and the program's messages: all but the transaction's frame. */
function prepare(program: Program, shape: Shape): Prepared {
  const messages = [...program.tables.flatMap(clearOwnTable), ...program.messages];
  const { bytes, pokes, messages: starts } = layOut(messages, shape);
  const digest = utf8(program.digest);
  for (const place of pokes) if (place.kind === 'digest') bytes.set(digest, place.offset);
  const last = starts.at(-1);
  if (last !== undefined) {
    const view = viewOf(bytes);
    const flags = view.getUint16(last + 6, HOST_LITTLE_ENDIAN);
    view.setUint16(last + 6, flags | NLM_F_ACK, HOST_LITTLE_ENDIAN);
  }
  return {
    bytes,
    pokes: pokes.filter(({ kind }) => kind !== 'digest'),
    messages: starts,
    labels: messages.map(({ label }) => label),
  };
}

/** Deletes a table whether or not it is there, on any kernel: nothing is tried to see if it fails. */
function clearTable(name: string): Operation[] {
  const attributes = [leaf(NFTA_TABLE_NAME, cString(name))];
  return CLEARING.map(([operation, word]) => ({
    request: nftablesRequest(operation, 0, attributes),
    label: `${word} ${name}`,
  }));
}

/** The same for a table of the program, whose name depends on the device. */
function clearOwnTable(table: string): ProgramMessage[] {
  const attributes = [{ type: NFTA_TABLE_NAME, flags: 0, text: deviceTableTemplate(table) }];
  return CLEARING.map(([operation, word]) => ({
    operation,
    flags: 0,
    label: `${word} ${table}`,
    attributes,
  }));
}

function indexOf(facts: DeviceFacts, link: string | undefined): number {
  if (link === undefined) return facts.index;
  const index = facts.links.get(link);
  if (index === undefined) {
    throw new TapwallError(
      'LINK_NOT_FOUND',
      `the policy names the link ${link}, and there is none of that name`,
      {
        hint: 'Create the link first, or change the rule.',
      },
    );
  }
  return index;
}

/** Writes a device's facts into a copy of what was prepared. */
function fill(target: Uint8Array, pokes: readonly Poke[], facts: DeviceFacts): void {
  const view = viewOf(target);
  // Each stands in several places, and is encoded once.
  const name = Buffer.from(facts.name);
  const index = Buffer.from(String(facts.index));
  const fixedName = name.subarray(0, NAME_SLOT_LENGTH);
  const mac = Buffer.from(facts.mac).subarray(0, MAC_SLOT_LENGTH);
  for (const place of pokes) {
    const { offset } = place;
    switch (place.kind) {
      case 'text':
        target.set(place.slot === 'name' ? name : index, offset);
        break;
      case 'name':
        target.set(fixedName, offset);
        break;
      case 'mac':
        target.set(mac, offset);
        break;
      case 'origin':
        target[offset] = originByte(facts.origin);
        break;
      case 'index': {
        const value = indexOf(facts, place.link) + place.add;
        view.setUint32(offset, value, place.order === 'host' && HOST_LITTLE_ENDIAN);
        break;
      }
    }
  }
}

/** How many sequence numbers `attachBatch` may use. */
export function attachLength(program: Program, obsolete: readonly string[]): number {
  return 2 + 2 * (program.tables.length + obsolete.length) + program.messages.length;
}

/**
 * The transaction that gives a program to a device. It replaces whatever the device had: the tables of the program
 * and those in `obsolete` are deleted and the new ones made in one commit, so that at no moment less is filtered.
 * @param obsolete kernel names of tables of this device that the program does not have.
 * @throws TapwallError LINK_NOT_FOUND when a rule names another link that is not in `facts.links`.
 */
export function attachBatch(
  program: Program,
  facts: DeviceFacts,
  firstSequence: number,
  obsolete: readonly string[] = [],
): Batch {
  const shape: Shape = { nameLength: Buffer.byteLength(facts.name), indexLength: String(facts.index).length };
  const layout = preparedFor(program, shape);
  const others = clearOthers(program, facts, obsolete);
  let sequence = firstSequence + 1;
  const head = others.map(({ request }) => encodeRequest(request, sequence++));
  const bodyAt = head.reduce((length, part) => length + part.length, BEGIN.length);
  const endAt = bodyAt + layout.bytes.length;
  // Every byte is written below.
  const bytes = Buffer.allocUnsafe(endAt + END.length);
  bytes.set(BEGIN);
  let offset = BEGIN.length;
  for (const part of head) {
    bytes.set(part, offset);
    offset += part.length;
  }
  bytes.set(layout.bytes, bodyAt);
  bytes.set(END, endAt);

  fill(bytes.subarray(bodyAt, endAt), layout.pokes, facts);
  const view = viewOf(bytes);
  view.setUint32(SEQUENCE_AT, firstSequence, HOST_LITTLE_ENDIAN);
  for (const start of layout.messages) {
    view.setUint32(bodyAt + start + SEQUENCE_AT, sequence++, HOST_LITTLE_ENDIAN);
  }
  view.setUint32(endAt + SEQUENCE_AT, sequence, HOST_LITTLE_ENDIAN);
  const labels =
    others.length === 0 ? layout.labels : [...others.map(({ label }) => label), ...layout.labels];
  return { bytes, firstSequence, labels };
}

/** Clears what the device has and the program does not make anew; most devices have nothing. */
function clearOthers(program: Program, facts: DeviceFacts, obsolete: readonly string[]): Operation[] {
  if (obsolete.length === 0) return [];
  const own = new Set(program.tables.map((table) => deviceTableName(facts.index, table)));
  return obsolete.filter((name) => !own.has(name)).flatMap(clearTable);
}

/** The transaction that removes tables, whether they are there or not. */
export function detachBatch(tables: readonly string[], firstSequence: number): Batch {
  return encodeBatch(tables.flatMap(clearTable), firstSequence);
}

export function detachLength(tables: readonly string[]): number {
  return 2 + 2 * tables.length;
}
