import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NLM_F_EXCL } from '#src/netlink/constants.js';
import { parseMessages } from '#src/netlink/message.js';
import { chainSchema } from '#src/nftables/chain.js';
import { parseNftablesMessage } from '#src/nftables/message.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { tableSchema } from '#src/nftables/table.js';
import { attachBatch, attachLength, attachSegment, detachBatch, detachLength } from '#src/program/attach.js';
import { parseDeviceTableName } from '#src/program/name.js';
import type { Program } from '#src/program/program.js';
import { parseRecord } from '#src/program/record.js';
import { type DeviceFacts, type FixedSlot, slotLength } from '#src/program/slot.js';
import { attribute, concat, hex, message, text } from '../fixtures-support/bytes.js';
import { NEWCHAIN, NEWTABLE, schemas, splitAttributes } from '../fixtures-support/golden.js';
import { assertSameBytes, splitMessages } from '../fixtures-support/hex.js';
import { device, encodeNaively } from './facts.js';
import { policyProgram } from './policy.js';

const BATCH_BEGIN = 16;
const BATCH_END = 17;
const REQUEST = 0x1;
const ACK = 0x4;
const DELTABLE = 2;
const LARGEST_INDEX = 2 ** 31 - 1;

const fixedSlots: FixedSlot[] = [
  { kind: 'name', offset: 1 },
  { kind: 'mac', offset: 17 },
  { kind: 'digest', offset: 35 },
  { kind: 'origin', offset: 52 },
  { kind: 'index', offset: 56, order: 'host', add: 0 },
  { kind: 'index', offset: 60, order: 'host', add: 1 },
  { kind: 'index', offset: 64, order: 'network', add: 0 },
  { kind: 'index', offset: 68, order: 'network', add: 1 },
  { kind: 'index', offset: 72, order: 'host', add: 1, link: 'up0' },
];

/** As Marking leaves a value: with nothing in its slots. */
function blanked(value: Uint8Array): Uint8Array {
  for (const slot of fixedSlots) value.fill(0, slot.offset, slot.offset + slotLength(slot));
  return value;
}

/** A program with every kind of slot, in places where the policy's own program has none. */
const everySlot: Program = {
  policy: 'every slot',
  digest: '0123456789abcdef',
  tables: ['guard'],
  messages: [
    {
      operation: 0,
      flags: 0x400,
      label: 'NEWTABLE guard',
      attributes: [
        { type: 1, flags: 0, text: [{ text: 'tapwall.' }, { slot: 'index' }, { text: '.guard' }] },
        {
          type: 100,
          flags: 0x8000,
          nested: [
            { type: 1, flags: 0, text: [{ slot: 'name' }, { slot: 'index' }, { slot: 'name' }] },
            {
              type: 2,
              flags: 0,
              value: blanked(new Uint8Array(96).fill(0xff)),
              slots: fixedSlots,
            },
          ],
        },
      ],
    },
  ],
  hooks: { ingress: true, egress: false },
  links: ['up0'],
};

const programs: [string, Program][] = [
  ['a policy', policyProgram()],
  ['every kind of slot', everySlot],
];

/** Least and largest of every number of digits. */
const indexes = Array.from({ length: 10 }, (_, digits) => [
  10 ** digits,
  Math.min(10 ** (digits + 1) - 1, LARGEST_INDEX),
]).flat();
const names = Array.from({ length: 15 }, (_, length) => 'macvtap-0123456'.slice(0, length + 1));

for (const [what, program] of programs) {
  test(`the bytes are those of a plain encoding, for every shape: ${what}`, () => {
    for (const index of indexes) {
      for (const name of names) {
        const facts = device({ index, name });
        assertSameBytes(
          attachBatch(program, facts, 7).bytes,
          encodeNaively(program, facts, 7),
          `${name} ${index}`,
        );
      }
    }
  });

  test(`the bytes are those of a plain encoding, for any device: ${what}`, () => {
    const name = fc.string({ unit: fc.constantFrom(...'abcz019.-_'), minLength: 1, maxLength: 15 });
    const index = fc.integer({ min: 1, max: LARGEST_INDEX });
    const facts = fc.record({
      index,
      name: fc.oneof(name, fc.constantFrom('é', '✓✓✓✓✓')),
      mac: fc.constantFrom('', '52:54:00:aa:bb:cc', '0a:00'),
      origin: fc.constantFrom('agent', 'manual'),
      up0: index,
    });
    const obsolete = fc.uniqueArray(fc.constantFrom('old', 'tapwall.1.old', 'tapwall.2.older'));
    fc.assert(
      fc.property(
        facts,
        fc.integer({ min: 1, max: 2 ** 31 - 100 }),
        obsolete,
        ({ up0, ...one }, sequence, tables) => {
          const facts: DeviceFacts = {
            ...(one as Omit<DeviceFacts, 'links'>),
            links: new Map([['up0', up0]]),
          };
          const batch = attachBatch(program, facts, sequence, tables);
          assertSameBytes(batch.bytes, encodeNaively(program, facts, sequence, tables), JSON.stringify(one));
          assert.ok(batch.labels.length + 2 <= attachLength(program, tables));
        },
      ),
      { numRuns: 300 },
    );
  });
}

test('every message of every shape is whole, numbered in a row, and only the last asks for an answer', () => {
  const program = policyProgram();
  for (const index of indexes) {
    for (const name of names) {
      const { bytes, labels, firstSequence } = attachBatch(program, device({ index, name }), 1000, ['old']);
      assert.equal(firstSequence, 1000);
      // By hand: the lengths of messages and attributes add up to what is there.
      const parts = splitMessages(bytes);
      assert.equal(
        parts.reduce((sum, part) => sum + part.length, 0),
        bytes.length,
      );
      for (const part of parts) splitAttributes(part.subarray(20));
      const messages = parseMessages(bytes);
      assert.equal(messages.length, labels.length + 2);
      assert.deepEqual(
        messages.map(({ sequence }) => sequence),
        messages.map((_, position) => 1000 + position),
      );
      const asking = messages.flatMap(({ flags }, position) => (flags & ACK ? [position] : []));
      assert.deepEqual(asking, [messages.length - 2]);
      assert.deepEqual([messages[0]?.type, messages.at(-1)?.type], [BATCH_BEGIN, BATCH_END]);
      assert.ok(messages.every(({ flags, portId }) => flags & REQUEST && portId === 0));
    }
  }
});

test('every message of every shape can be read again, and says what it should of the device', () => {
  const program = policyProgram();
  for (const index of indexes) {
    for (const name of names) {
      const facts = device({ index, name, origin: 'manual' });
      const messages = parseMessages(attachBatch(program, facts, 1).bytes).flatMap((one) => {
        const parsed = parseNftablesMessage(one);
        return parsed ? [parsed] : [];
      });
      const expected = ['guard', 'extra'].map((table) => `tapwall.${index}.${table}`);
      for (const { operation, attributes, family } of messages) {
        assert.equal(family, 5);
        // The table's name is attribute 1 of every object.
        const [first] = splitAttributes(attributes);
        assert.equal(first?.type, 1);
        const table = Buffer.from(first.payload).toString().slice(0, -1);
        assert.ok(expected.includes(table), table);
        assert.equal(parseDeviceTableName(table)?.index, index);
        if (operation !== DELTABLE) assert.ok(schemas.get(operation)?.parse(attributes));
      }
      const made = messages.slice(2 * program.tables.length);
      const hooks = made
        .filter(({ operation }) => operation === NEWCHAIN)
        .flatMap(({ attributes }) => chainSchema.parse(attributes).hook?.device ?? []);
      assert.deepEqual(hooks, [name, name, name, name, name]);
      const records = made
        .filter(({ operation }) => operation === NEWTABLE)
        .map(({ attributes }) => parseRecord(tableSchema.parse(attributes).userdata));
      const record = {
        origin: 'manual',
        digest: program.digest,
        device: name,
        mac: facts.mac,
        policy: 'lan-guard',
      };
      assert.deepEqual(records, [record, record]);
    }
  }
});

test('elements and rules have the indexes of the device and of the other links', () => {
  const facts = device({ index: 0x01020304, name: 'vm', links: new Map([['up0', 0x0a0b0c0d]]) });
  const { elements } = parseRuleset(parseMessages(attachBatch(policyProgram(), facts, 1).bytes));
  const keys = (set: string) =>
    elements
      .find((list) => list.set === set)
      ?.elements.map(({ key }) => Buffer.from(key ?? []).toString('hex', 4));
  assert.deepEqual(keys('own'), ['04030201525400000001' + '0000']);
  // nft begins an interval set with the end of what is before the first interval.
  assert.deepEqual(keys('around'), ['00000000', '01020304', '01020305']);
  assert.deepEqual(keys('verdicts'), ['04030201', '0d0c0b0a']);
  const elsewhere = Buffer.from('elsewhere').toString('hex');
  const padded = (name: string) => name.padEnd(32, '0');
  assert.deepEqual(keys('names'), [padded(Buffer.from('vm').toString('hex')), padded(elsewhere)]);
});

test('a device that has never had tables has none deleted, and a table that is there is refused', () => {
  const program = policyProgram();
  const { labels, bytes, starts } = attachSegment(program, device(), [], true);
  assert.deepEqual(
    labels,
    program.messages.map(({ label }) => label),
  );
  const exclusive = starts.filter((start) => Buffer.from(bytes).readUInt16LE(start + 6) & NLM_F_EXCL);
  assert.deepEqual(
    exclusive.map((start) => labels[starts.indexOf(start)]),
    ['NEWTABLE guard', 'NEWTABLE extra'],
  );
  // What is laid out for such a device is not taken for another.
  assert.equal(attachSegment(program, device()).labels[1], 'DELTABLE guard');
});

test('what the device had is deleted first, whether or not it is there', () => {
  const obsolete = ['tapwall.42.guard', 'tapwall.42.older'];
  const { labels, bytes } = attachBatch(policyProgram(), device(), 1, obsolete);
  // A table that the program makes anew is not deleted twice.
  assert.deepEqual(labels.slice(0, 7), [
    'NEWTABLE tapwall.42.older',
    'DELTABLE tapwall.42.older',
    'NEWTABLE guard',
    'DELTABLE guard',
    'NEWTABLE extra',
    'DELTABLE extra',
    'NEWTABLE guard',
  ]);
  const tables = splitMessages(bytes)
    .slice(1, 7)
    .map((part) => `${part[4]} ${Buffer.from(part.subarray(24)).toString().replaceAll('\0', '')}`);
  assert.deepEqual(tables, [
    '0 tapwall.42.older',
    '2 tapwall.42.older',
    '0 tapwall.42.guard',
    '2 tapwall.42.guard',
    '0 tapwall.42.extra',
    '2 tapwall.42.extra',
  ]);
});

test('one device leaves nothing behind in what the next one gets', () => {
  const program = policyProgram();
  const first = attachBatch(program, device({ name: 'macvtap0', index: 10 }), 1);
  const kept = first.bytes.slice();
  const other = device({
    name: 'macvtap1',
    index: 99,
    mac: '',
    origin: 'manual',
    links: new Map([['up0', 1]]),
  });
  assertSameBytes(attachBatch(program, other, 500).bytes, encodeNaively(program, other, 500), 'the second');
  assertSameBytes(first.bytes, kept, 'the first, which may still be on its way');
});

test('a link that a rule names and that is not there is an error before anything is sent', () => {
  const facts = device({ links: new Map([['up1', 3]]) });
  assert.throws(() => attachBatch(policyProgram(), facts, 1), {
    code: 'LINK_NOT_FOUND',
    message: 'the policy names the link up0, and there is none of that name',
  });
  // And none the next time.
  assert.ok(attachBatch(policyProgram(), device(), 1).bytes.length > 0);
});

test('an attribute that is too long is refused, and so the next time', () => {
  const program: Program = {
    ...everySlot,
    messages: [
      {
        operation: 0,
        flags: 0,
        label: 'NEWTABLE guard',
        attributes: [{ type: 6, flags: 0, value: new Uint8Array(65_532) }],
      },
    ],
  };
  for (let attempt = 0; attempt < 2; attempt++) {
    assert.throws(() => attachBatch(program, device(), 1), {
      code: 'POLICY_NOT_PORTABLE',
      message: /NEWTABLE guard: 65536 bytes/,
    });
  }
});

test('to detach is to delete the tables', () => {
  const batch = detachBatch(['tapwall.42.a', 'b'], 9);
  const header = hex('00 00 000a');
  const clear = (name: string, sequence: number, flags = 0) => [
    message({ type: 0x0a00, flags: REQUEST, sequence }, hex('05000000'), attribute(1, text(name))),
    message(
      { type: 0x0a02, flags: REQUEST | flags, sequence: sequence + 1 },
      hex('05000000'),
      attribute(1, text(name)),
    ),
  ];
  assertSameBytes(
    batch.bytes,
    concat([
      message({ type: BATCH_BEGIN, flags: REQUEST, sequence: 9 }, header),
      ...clear('tapwall.42.a', 10),
      ...clear('b', 12, ACK),
      message({ type: BATCH_END, flags: REQUEST, sequence: 14 }, header),
    ]),
    'two tables',
  );
  assert.deepEqual(batch.labels, [
    'NEWTABLE tapwall.42.a',
    'DELTABLE tapwall.42.a',
    'NEWTABLE b',
    'DELTABLE b',
  ]);
  assert.equal(detachLength(['tapwall.42.a', 'b']), batch.labels.length + 2);
});
