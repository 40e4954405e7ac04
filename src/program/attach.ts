import { TapwallError } from '../error.js';
import { leaf } from '../netlink/attribute.js';
import { cString, HOST_LITTLE_ENDIAN, viewOf } from '../netlink/bytes.js';
import { NLM_F_ACK } from '../netlink/constants.js';
import { encodeRequest } from '../netlink/message.js';
import { type Batch, batchBegin, batchEnd, encodeBatch, type Operation } from '../nftables/batch.js';
import { NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE, NFTA_TABLE_NAME } from '../nftables/constants.js';
import { nftablesRequest } from '../nftables/message.js';
import { type Layout, layOut, type Poke, type Shape } from './layout.js';
import { deviceTableName } from './name.js';
import type { Program } from './program.js';
import { originByte } from './record.js';
import { type DeviceFacts, MAC_SLOT_LENGTH, NAME_SLOT_LENGTH } from './slot.js';

/** A program has few shapes: names of a host's devices have two or three lengths, indexes as many digits. */
const layouts = new WeakMap<Program, Map<string, Layout>>();

function layoutFor(program: Program, shape: Shape): Layout {
  const key = `${shape.nameLength}.${shape.indexLength}`;
  let byShape = layouts.get(program);
  if (!byShape) {
    byShape = new Map();
    layouts.set(program, byShape);
  }
  let layout = byShape.get(key);
  if (!layout) {
    layout = layOut(program.messages, shape);
    byShape.set(key, layout);
  }
  return layout;
}

/** Deletes a table whether or not it is there, on any kernel: nothing is tried to see if it fails. */
function clearTable(name: string): Operation[] {
  const attributes = [leaf(NFTA_TABLE_NAME, cString(name))];
  return [
    { request: nftablesRequest(NFT_MSG_NEWTABLE, 0, attributes), label: `NEWTABLE ${name}` },
    { request: nftablesRequest(NFT_MSG_DELTABLE, 0, attributes), label: `DELTABLE ${name}` },
  ];
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

function poke(target: Buffer, view: DataView, place: Poke, program: Program, facts: DeviceFacts): void {
  switch (place.kind) {
    case 'text':
      target.write(place.slot === 'name' ? facts.name : String(facts.index), place.offset);
      break;
    case 'name':
      target.write(facts.name, place.offset, NAME_SLOT_LENGTH);
      break;
    case 'mac':
      target.write(facts.mac, place.offset, MAC_SLOT_LENGTH);
      break;
    case 'digest':
      target.write(program.digest, place.offset);
      break;
    case 'origin':
      target[place.offset] = originByte(facts.origin);
      break;
    case 'index':
      view.setUint32(
        place.offset,
        indexOf(facts, place.link) + place.add,
        place.order === 'host' && HOST_LITTLE_ENDIAN,
      );
      break;
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
  const layout = layoutFor(program, shape);
  const names = program.tables.map((table) => deviceTableName(facts.index, table));
  const cleared = [...obsolete.filter((name) => !names.includes(name)), ...names].flatMap(clearTable);
  let sequence = firstSequence;
  const head = [batchBegin(sequence++), ...cleared.map(({ request }) => encodeRequest(request, sequence++))];
  const headLength = head.reduce((sum, part) => sum + part.length, 0);
  const tail = batchEnd(sequence + layout.messages.length);
  const bytes = Buffer.alloc(headLength + layout.bytes.length + tail.length);
  let offset = 0;
  for (const part of head) {
    bytes.set(part, offset);
    offset += part.length;
  }
  bytes.set(layout.bytes, headLength);
  bytes.set(tail, headLength + layout.bytes.length);

  const body = bytes.subarray(headLength, headLength + layout.bytes.length);
  const view = viewOf(body);
  for (const place of layout.pokes) poke(body, view, place, program, facts);
  for (const start of layout.messages) view.setUint32(start + 8, sequence++, HOST_LITTLE_ENDIAN);
  const last = layout.messages.at(-1);
  if (last !== undefined) {
    const flags = view.getUint16(last + 6, HOST_LITTLE_ENDIAN);
    view.setUint16(last + 6, flags | NLM_F_ACK, HOST_LITTLE_ENDIAN);
  }
  return {
    bytes,
    firstSequence,
    labels: [...cleared.map(({ label }) => label), ...program.messages.map(({ label }) => label)],
  };
}

/** The transaction that removes tables, whether they are there or not. */
export function detachBatch(tables: readonly string[], firstSequence: number): Batch {
  return encodeBatch(tables.flatMap(clearTable), firstSequence);
}

export function detachLength(tables: readonly string[]): number {
  return 2 + 2 * tables.length;
}
