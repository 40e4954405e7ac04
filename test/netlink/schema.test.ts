import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeAttributes } from '#src/netlink/attribute.js';
import {
  be32Field,
  be64Field,
  bytesField,
  host32Field,
  listField,
  nestedField,
  schema,
  textField,
  type WithOther,
} from '#src/netlink/schema.js';
import { attribute, concat, h32, hex, n32, n64, nested, text } from '../fixtures-support/bytes.js';
import { assertSameBytes } from '../fixtures-support/hex.js';

interface Inner extends WithOther {
  name: string;
}

interface Thing extends WithOther {
  name: string;
  number?: number;
  large?: bigint;
  host?: number;
  raw?: Uint8Array;
  inner?: Inner;
  list?: Inner[];
}

const LIST_ELEM = 1;
const innerSchema = schema<Inner>('inner', { name: textField(1) }, ['name']);
const thingSchema = schema<Thing>(
  'thing',
  {
    name: textField(1),
    number: be32Field(2),
    large: be64Field(3),
    host: host32Field(4),
    raw: bytesField(5),
    inner: nestedField(6, innerSchema),
    list: listField(7, LIST_ELEM, innerSchema),
  },
  ['name'],
);

const whole: Thing = {
  name: 'vm0',
  number: 0xfffffffe,
  large: 0x0102030405060708n,
  host: 0x01020304,
  raw: hex('00ff'),
  inner: { name: 'a' },
  list: [{ name: 'b' }, { name: 'c' }],
};
const wholeBytes = concat([
  attribute(1, text('vm0')),
  attribute(2, n32(0xfffffffe)),
  attribute(3, n64(0x0102030405060708n)),
  attribute(4, h32(0x01020304)),
  attribute(5, hex('00ff')),
  attribute(6, attribute(1, text('a'))),
  attribute(7, attribute(1, attribute(1, text('b'))), attribute(1, attribute(1, text('c')))),
]);

const encode = (thing: Thing) => encodeAttributes(thingSchema.encode(thing));
const malformed = { code: 'MALFORMED_MESSAGE' };

test('each property is an attribute, in both directions', () => {
  assert.deepEqual(thingSchema.parse(wholeBytes), whole);
  assertSameBytes(encode(whole), wholeBytes, 'all of it');
});

test('what is absent stays absent', () => {
  const bytes = attribute(1, text('vm0'));
  const thing = thingSchema.parse(bytes);
  assert.deepEqual(Object.keys(thing), ['name']);
  assertSameBytes(encode(thing), bytes, 'a name');
});

test('what is empty is there', () => {
  const thing: Thing = { name: '', number: 0, large: 0n, raw: hex(''), list: [] };
  const bytes = encode(thing);
  assertSameBytes(
    bytes,
    concat([attribute(1, text('')), attribute(2, n32(0)), attribute(3, n64(0n)), attribute(5), attribute(7)]),
    'nothing in it',
  );
  assert.deepEqual(thingSchema.parse(bytes), thing);
});

test('attributes come in any order and leave in that of the schema', () => {
  const turned = concat([attribute(2, n32(7)), attribute(1, text('vm0'))]);
  const thing = thingSchema.parse(turned);
  assert.deepEqual(thing, { name: 'vm0', number: 7 });
  assertSameBytes(encode(thing), concat([attribute(1, text('vm0')), attribute(2, n32(7))]), 'in order');
});

test('unknown attributes survive at every level, flags and order included', () => {
  const unknown = [attribute(99, hex('0102')), nested(98, attribute(1, hex('03'))), attribute(99, hex(''))];
  const bytes = concat([
    attribute(1, text('vm0')),
    attribute(6, attribute(1, text('a')), ...unknown),
    attribute(7, attribute(1, attribute(1, text('b')), ...unknown)),
    ...unknown,
  ]);
  const thing = thingSchema.parse(bytes);
  assert.deepEqual(thing.other, [
    { type: 99, flags: 0, value: hex('0102') },
    { type: 98, flags: 0x8000, value: attribute(1, hex('03')) },
    { type: 99, flags: 0, value: hex('') },
  ]);
  assert.deepEqual(thing.inner?.other, thing.other);
  assertSameBytes(encode(thing), bytes, 'with what is unknown');
});

test('what was parsed does not hold on to the datagram, also when that is a Buffer', () => {
  const datagram = Buffer.concat([wholeBytes, attribute(99, hex('0102'))]);
  const thing = thingSchema.parse(datagram);
  datagram.fill(0xff);
  assert.deepEqual(thing, { ...whole, other: [{ type: 99, flags: 0, value: hex('0102') }] });
});

test('what is required and missing is refused, by name', () => {
  assert.throws(() => thingSchema.parse(hex('')), { ...malformed, message: 'malformed thing: no name' });
  const without = concat([attribute(1, text('vm0')), attribute(6)]);
  assert.throws(() => thingSchema.parse(without), { ...malformed, message: 'malformed inner: no name' });
});

test('values that are too short are refused', () => {
  for (const type of [2, 3, 4]) {
    const bytes = concat([attribute(1, text('vm0')), attribute(type, hex('010203'))]);
    assert.throws(() => thingSchema.parse(bytes), { ...malformed, message: /has 3 bytes/ });
  }
});

test('lengths that lie inside a nest are refused', () => {
  for (const type of [6, 7]) {
    const bytes = concat([attribute(1, text('vm0')), attribute(type, hex('0c00 0100 61626300'))]);
    assert.throws(() => thingSchema.parse(bytes), { ...malformed, message: /length 12 at offset 0/ });
  }
});

test('a list may hold nothing but its entries, unless they are numbered', () => {
  const entries = [1, 2, 3].map((type) => attribute(type, attribute(1, text(`n${type}`))));
  const list = concat([attribute(1, text('vm0')), attribute(7, ...entries)]);
  assert.throws(() => thingSchema.parse(list), { ...malformed, message: 'attribute 2 in a list of 1' });

  const field = listField(7, LIST_ELEM, innerSchema, { numbered: true });
  const names = field.parse({ type: 7, flags: 0, value: concat(entries) });
  assert.deepEqual(names, [{ name: 'n1' }, { name: 'n2' }, { name: 'n3' }]);
  const written = entries.map((_, index) => attribute(LIST_ELEM, attribute(1, text(`n${index + 1}`))));
  assertSameBytes(encodeAttributes([field.encode(names)]), attribute(7, ...written), 'all of one type');
});
