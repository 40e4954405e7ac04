import { TapwallError } from '../error.js';
import { leaf } from '../netlink/attribute.js';
import { cString, HOST_LITTLE_ENDIAN, utf8, viewOf } from '../netlink/bytes.js';
import { NLM_F_EXCL } from '../netlink/constants.js';
import type { Batch, Operation } from '../nftables/batch.js';
import { NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE, NFTA_TABLE_NAME } from '../nftables/constants.js';
import { nftablesRequest } from '../nftables/message.js';
import { encodeSegment, encodeTransaction, type Segment } from '../nftables/transaction.js';
import { type Layout, layOut, type Poke, type Shape } from './layout.js';
import { deviceTableName, deviceTableTemplate } from './name.js';
import { ownTable } from './ownership.js';
import type { Program, ProgramMessage } from './program.js';
import { originByte } from './record.js';
import { type DeviceFacts, MAC_SLOT_LENGTH, NAME_SLOT_LENGTH, type Ownership } from './slot.js';

/** What deletes a table whether or not it is there. */
const CLEARING = [
  [NFT_MSG_NEWTABLE, 'NEWTABLE'],
  [NFT_MSG_DELTABLE, 'DELTABLE'],
] as const;

/** A program laid out for one shape, with all in place that does not depend on the device. */
interface Prepared extends Layout {
  labels: readonly string[];
}

/** A program has few shapes: names of a host's devices have two or three lengths, indexes as many digits. */
const prepared = new WeakMap<Program, Map<string, Prepared>>();

function preparedFor(program: Program, shape: Shape, ownership: Ownership, isFirst: boolean): Prepared {
  const key = `${shape.nameLength}.${shape.indexLength}.${ownership}${isFirst ? '.first' : ''}`;
  let byShape = prepared.get(program);
  if (!byShape) {
    byShape = new Map();
    prepared.set(program, byShape);
  }
  let layout = byShape.get(key);
  if (!layout) {
    layout = prepare(program, shape, ownership, isFirst);
    byShape.set(key, layout);
  }
  return layout;
}

/** The tables cleared, or there for the first time, and the program's messages: all but the transaction's frame. */
function prepare(program: Program, shape: Shape, ownership: Ownership, isFirst: boolean): Prepared {
  const own = program.messages.map((message) => ownTable(message, ownership));
  const messages = isFirst ? own.map(refuseOther) : [...program.tables.flatMap(clearOwnTable), ...own];
  const { bytes, pokes, messages: starts } = layOut(messages, shape);
  const digest = utf8(program.digest);
  for (const place of pokes) if (place.kind === 'digest') bytes.set(digest, place.offset);
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

/** The same message; where it makes a table, the kernel refuses if there is one of that name (EEXIST). */
function refuseOther(message: ProgramMessage): ProgramMessage {
  if (message.operation !== NFT_MSG_NEWTABLE) return message;
  return { ...message, flags: message.flags | NLM_F_EXCL };
}

function indexOf(facts: Pick<DeviceFacts, 'index' | 'links'>, link: string | undefined): number {
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
export function fill(target: Uint8Array, pokes: readonly Poke[], facts: DeviceFacts): void {
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

/**
 * The messages that give a program to a device, without the transaction's frame. They replace whatever the device had:
 * the tables of the program and those in `obsolete` are deleted and the new ones made in one commit, so that at no
 * moment less is filtered.
 * @param obsolete kernel names of tables of this device that the program does not have.
 * @param isFirst the device has never had tables: nothing is deleted, which spares the kernel two messages for each table, and
 * a table of somebody else's that has the name is refused.
 * @throws TapwallError LINK_NOT_FOUND when a rule names another link that is not in `facts.links`.
 */
export function attachSegment(
  program: Program,
  facts: DeviceFacts,
  obsolete: readonly string[] = [],
  isFirst = false,
): Segment {
  const shape: Shape = { nameLength: Buffer.byteLength(facts.name), indexLength: String(facts.index).length };
  const layout = preparedFor(program, shape, facts.ownership ?? 'none', isFirst);
  const others = detachSegment(othersOf(program, facts, obsolete));
  const bytes = Buffer.allocUnsafe(others.bytes.length + layout.bytes.length);
  bytes.set(others.bytes);
  bytes.set(layout.bytes, others.bytes.length);
  fill(bytes.subarray(others.bytes.length), layout.pokes, facts);
  if (others.starts.length === 0) return { bytes, starts: layout.messages, labels: layout.labels };
  return {
    bytes,
    starts: [...others.starts, ...layout.messages.map((start) => start + others.bytes.length)],
    labels: [...others.labels, ...layout.labels],
  };
}

/** What the device has and the program does not make anew; most devices have nothing. */
function othersOf(program: Program, facts: DeviceFacts, obsolete: readonly string[]): readonly string[] {
  if (obsolete.length === 0) return obsolete;
  const own = new Set(program.tables.map((table) => deviceTableName(facts.index, table)));
  return obsolete.filter((name) => !own.has(name));
}

/** The messages that remove tables, whether they are there or not. */
export function detachSegment(tables: readonly string[]): Segment {
  return encodeSegment(tables.flatMap(clearTable));
}

/** How many sequence numbers `attachBatch` may use. */
export function attachLength(program: Program, obsolete: readonly string[]): number {
  return 2 + 2 * (program.tables.length + obsolete.length) + program.messages.length;
}

/** The transaction of `attachSegment` alone. */
export function attachBatch(
  program: Program,
  facts: DeviceFacts,
  firstSequence: number,
  obsolete: readonly string[] = [],
): Batch {
  return encodeTransaction([attachSegment(program, facts, obsolete)], firstSequence);
}

/** The transaction that removes tables, whether they are there or not. */
export function detachBatch(tables: readonly string[], firstSequence: number): Batch {
  return encodeTransaction([detachSegment(tables)], firstSequence);
}

export function detachLength(tables: readonly string[]): number {
  return 2 + 2 * tables.length;
}
