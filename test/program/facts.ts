/** Devices to attach programs to, and what a template becomes for one, in the plainest way there is. */
import assert from 'node:assert/strict';
import type { Attribute } from '#src/netlink/attribute.js';
import { encodeBatch, type Operation } from '#src/nftables/batch.js';
import { nftablesRequest } from '#src/nftables/message.js';
import type { Program } from '#src/program/program.js';
import type { DeviceFacts, FixedSlot, TextPart } from '#src/program/slot.js';
import type { TemplateAttribute } from '#src/program/template.js';
import { text } from '../fixtures-support/bytes.js';

const NEWTABLE = 0;
const DELTABLE = 2;
const TABLE_NAME = 1;

export function device(facts: Partial<DeviceFacts> = {}): DeviceFacts {
  return {
    index: 42,
    name: 'macvtap0',
    mac: '52:54:00:aa:bb:cc',
    origin: 'agent',
    links: new Map([['up0', 21]]),
    ...facts,
  };
}

/** What stands in a slot, as bytes. */
export function slotBytes(slot: FixedSlot, facts: DeviceFacts, digest: string): Uint8Array {
  const padded = (value: string, length: number) => {
    const bytes = Buffer.alloc(length);
    bytes.write(value);
    return new Uint8Array(bytes);
  };
  switch (slot.kind) {
    case 'name':
      return padded(facts.name, 15);
    case 'mac':
      return padded(facts.mac, 17);
    case 'digest':
      return padded(digest, 16);
    case 'origin':
      return padded(facts.origin === 'agent' ? 'a' : 'm', 1);
    case 'index': {
      const index = slot.link === undefined ? facts.index : facts.links.get(slot.link);
      assert.ok(index !== undefined, `there is no ${slot.link}`);
      const bytes = Buffer.alloc(4);
      if (slot.order === 'host') bytes.writeUInt32LE(index + slot.add);
      else bytes.writeUInt32BE(index + slot.add);
      return new Uint8Array(bytes);
    }
  }
}

export function fillValue(
  value: Uint8Array,
  slots: readonly FixedSlot[],
  facts: DeviceFacts,
  digest: string,
): Uint8Array {
  const filled = value.slice();
  for (const slot of slots) filled.set(slotBytes(slot, facts, digest), slot.offset);
  return filled;
}

export function fillText(parts: readonly TextPart[], facts: DeviceFacts): string {
  return parts
    .map((part) => ('text' in part ? part.text : part.slot === 'name' ? facts.name : String(facts.index)))
    .join('');
}

export function fillTemplate(template: TemplateAttribute, facts: DeviceFacts, digest: string): Attribute {
  const { type, flags } = template;
  if ('text' in template) return { type, flags, value: text(fillText(template.text, facts)) };
  if ('nested' in template) {
    return { type, flags, nested: template.nested.map((inner) => fillTemplate(inner, facts, digest)) };
  }
  return { type, flags, value: fillValue(template.value, template.slots ?? [], facts, digest) };
}

/** The transaction of attachBatch, every message of it encoded anew. */
export function encodeNaively(
  program: Program,
  facts: DeviceFacts,
  firstSequence: number,
  obsolete: readonly string[] = [],
): Uint8Array {
  const clear = (name: string): Operation[] =>
    [NEWTABLE, DELTABLE].map((operation) => ({
      request: nftablesRequest(operation, 0, [{ type: TABLE_NAME, flags: 0, value: text(name) }]),
      label: '',
    }));
  const own = program.tables.map((table) => `tapwall.${facts.index}.${table}`);
  const operations: Operation[] = [
    ...obsolete.filter((name) => !own.includes(name)).flatMap(clear),
    ...own.flatMap(clear),
    ...program.messages.map(({ operation, flags, attributes, label }) => {
      const filled = attributes.map((attribute) => fillTemplate(attribute, facts, program.digest));
      return { request: nftablesRequest(operation, flags, filled), label };
    }),
  ];
  return encodeBatch(operations, firstSequence).bytes;
}
