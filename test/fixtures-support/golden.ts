/** Fixtures of nf_tables as operations and attributes, and the schema for each operation. Split by hand. */
import assert from 'node:assert/strict';
import type { Schema } from '#src/netlink/schema.js';
import { chainSchema } from '#src/nftables/chain.js';
import { elementListSchema } from '#src/nftables/element.js';
import { generationSchema } from '#src/nftables/generation.js';
import { objectSchema } from '#src/nftables/object.js';
import { ruleSchema } from '#src/nftables/rule.js';
import { setSchema } from '#src/nftables/set.js';
import { tableSchema } from '#src/nftables/table.js';
import { concat, h16 } from './bytes.js';
import { readFixture } from './hex.js';

/** enum nf_tables_msg_types. */
export const NEWTABLE = 0;
export const NEWCHAIN = 3;
export const NEWRULE = 6;
export const NEWSET = 9;
export const NEWSETELEM = 12;
export const NEWGEN = 15;
export const NEWOBJ = 18;

const NFTABLES = 10;
/** struct nlmsghdr and struct nfgenmsg. */
const HEADERS = 20;

// Each schema has a type of its own; encode takes what parse of the same schema gave.
export const schemas: ReadonlyMap<number, Schema<object>> = new Map(
  [
    [NEWTABLE, tableSchema],
    [NEWCHAIN, chainSchema],
    [NEWRULE, ruleSchema],
    [NEWSET, setSchema],
    [NEWSETELEM, elementListSchema],
    [NEWGEN, generationSchema],
    [NEWOBJ, objectSchema],
  ].map(([operation, schema]) => [operation as number, schema as unknown as Schema<object>]),
);

export interface GoldenMessage {
  what: string;
  operation: number;
  family: number;
  attributes: Uint8Array;
}

/** The nf_tables messages of a fixture, without BATCH_BEGIN, NLMSG_DONE and the like. */
export function nftablesMessages(name: string): GoldenMessage[] {
  return readFixture(name).messages.flatMap(({ bytes }, index) => {
    if (bytes[5] !== NFTABLES) return [];
    const [operation = 0, family = 0] = [bytes[4], bytes[16]];
    return [
      { what: `${name}, message ${index + 1}`, operation, family, attributes: bytes.subarray(HEADERS) },
    ];
  });
}

/** What a schema reads from the messages of one kind. */
export function parseGolden<T extends object>(name: string, operation: number, schema: Schema<T>): T[] {
  const messages = nftablesMessages(name).filter((message) => message.operation === operation);
  assert.ok(messages.length > 0, `${name} has no message of kind ${operation}`);
  return messages.map(({ attributes }) => schema.parse(attributes));
}

export interface RawAttribute {
  /** With its flags. */
  type: number;
  payload: Uint8Array;
}

export function splitAttributes(bytes: Uint8Array): RawAttribute[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const attributes: RawAttribute[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const length = view.getUint16(offset, true);
    assert.ok(length >= 4 && offset + length <= bytes.length, `attribute of ${length} bytes at ${offset}`);
    const type = view.getUint16(offset + 2, true);
    attributes.push({ type, payload: bytes.subarray(offset + 4, offset + length) });
    offset += (length + 3) & ~3;
  }
  return attributes;
}

const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
const SET_ELEM_LIST_ELEMENTS = 3;
const LIST_ELEM = 1;

/** libnftnl counts the elements in NFTA_SET_ELEM_LIST_ELEMENTS where the kernel's dumps have 1 for each. */
export function withoutNumbers({ operation, attributes }: GoldenMessage): Uint8Array {
  if (operation !== NEWSETELEM) return attributes;
  const copy = attributes.slice();
  for (const { type, payload } of splitAttributes(copy)) {
    if ((type & TYPE_MASK) !== SET_ELEM_LIST_ELEMENTS) continue;
    for (const entry of splitAttributes(payload)) {
      const header = new DataView(copy.buffer, entry.payload.byteOffset - 4, 4);
      header.setUint16(2, LIST_ELEM | (entry.type & ~TYPE_MASK), true);
    }
  }
  return copy;
}

/**
 * Attributes sorted by type and without flags, at every level. What is a nest is told by the flags in `guide`, a
 * message of libmnl, which sets them; entries of one list have one type, and keep their order.
 */
export function canonical(bytes: Uint8Array, guide: Uint8Array): Uint8Array {
  const nests = splitAttributes(guide).filter(({ type }) => type & NESTED);
  const used = new Map<number, number>();
  const sorted = splitAttributes(bytes).map(({ type, payload }) => ({ type: type & TYPE_MASK, payload }));
  sorted.sort((a, b) => a.type - b.type);
  return concat(
    sorted.map(({ type, payload }) => {
      const occurrence = used.get(type) ?? 0;
      used.set(type, occurrence + 1);
      const nest = nests.filter((one) => (one.type & TYPE_MASK) === type)[occurrence];
      const inside = nest ? canonical(payload, nest.payload) : payload;
      const padding = new Uint8Array(-inside.length & 3);
      return concat([h16(4 + inside.length), h16(type), inside, padding]);
    }),
  );
}
