import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeafAttribute } from '#src/netlink/attribute.js';
import type { FixedSlot } from '#src/program/slot.js';
import {
  equalTemplates,
  type Markers,
  Marking,
  openNest,
  type TemplateAttribute,
} from '#src/program/template.js';
import { attribute, concat, h32, hex, n32, text } from '../fixtures-support/bytes.js';

const NAME = 'qwertzuiopasdfg';
const INDEX = 0x12345678;
const UP0 = 0x23456789;
const BR0 = 0x456789ab;
const markers: Markers = {
  name: NAME,
  index: INDEX,
  links: [
    { name: 'up0', index: UP0 },
    { name: 'br0', index: BR0 },
  ],
};
const marking = new Marking(markers);
const name = new Uint8Array(Buffer.from(NAME));
const leaf = (value: Uint8Array): LeafAttribute => ({ type: 3, flags: 0x8000, value });
const nothing = (length: number) => new Uint8Array(length);

/** The slots found in a value, which must be all that is blanked in it. */
function slotsIn(value: Uint8Array): FixedSlot[] {
  const before = value.slice();
  const marked = marking.mark(leaf(value));
  assert.ok('value' in marked);
  assert.deepEqual(value, before, 'what was marked is not changed');
  const { type, flags, slots = [] } = marked;
  assert.deepEqual([type, flags], [3, 0x8000]);
  const expected = value.slice();
  for (const { kind, offset } of slots) expected.fill(0, offset, offset + (kind === 'name' ? 15 : 4));
  assert.deepEqual(marked.value, expected, 'slots are blanked, and nothing else is');
  return slots;
}

const index = (offset: number, order: 'host' | 'network', add: 0 | 1 = 0, link?: string): FixedSlot =>
  link === undefined ? { kind: 'index', offset, order, add } : { kind: 'index', offset, order, add, link };

test('a name is found at any offset', () => {
  for (let offset = 0; offset <= 16; offset++) {
    const value = concat([nothing(offset).fill(0xff), name, nothing(3).fill(0xff)]);
    assert.deepEqual(slotsIn(value), [{ kind: 'name', offset }]);
  }
});

test('every occurrence of a name is found, also one right behind another', () => {
  const twice = concat([name, name, nothing(1), name]);
  assert.deepEqual(slotsIn(twice), [
    { kind: 'name', offset: 0 },
    { kind: 'name', offset: 15 },
    { kind: 'name', offset: 31 },
  ]);
});

test('a part of a name is not a name', () => {
  assert.deepEqual(slotsIn(name.subarray(0, 14)), []);
  assert.deepEqual(slotsIn(name.subarray(1)), []);
  const other = name.slice();
  other[14] = 'h'.charCodeAt(0);
  assert.deepEqual(slotsIn(other), []);
  assert.deepEqual(slotsIn(concat([name.subarray(0, 7), name])), [{ kind: 'name', offset: 7 }]);
});

test('an index is found in either byte order, and so is the one behind it', () => {
  assert.deepEqual(slotsIn(h32(INDEX)), [index(0, 'host')]);
  assert.deepEqual(slotsIn(n32(INDEX)), [index(0, 'network')]);
  assert.deepEqual(slotsIn(h32(INDEX + 1)), [index(0, 'host', 1)]);
  assert.deepEqual(slotsIn(n32(INDEX + 1)), [index(0, 'network', 1)]);
  assert.deepEqual(slotsIn(h32(INDEX - 1)), []);
  assert.deepEqual(slotsIn(n32(INDEX + 2)), []);
});

test('an index is found where a register may begin, at multiples of four, and nowhere else', () => {
  for (let offset = 0; offset <= 16; offset++) {
    const value = concat([nothing(offset), n32(INDEX), nothing(3)]);
    assert.deepEqual(slotsIn(value), offset % 4 === 0 ? [index(offset, 'network')] : [], `at ${offset}`);
  }
  assert.deepEqual(slotsIn(n32(INDEX).subarray(0, 3)), []);
});

test('the indexes of other links are found and named', () => {
  const value = concat([h32(UP0), n32(BR0), n32(UP0 + 1), h32(INDEX)]);
  assert.deepEqual(slotsIn(value), [
    index(0, 'host', 0, 'up0'),
    index(4, 'network', 0, 'br0'),
    index(8, 'network', 1, 'up0'),
    index(12, 'host'),
  ]);
});

test('a value with neither has no slots', () => {
  assert.deepEqual(slotsIn(nothing(0)), []);
  assert.ok(!('slots' in marking.mark(leaf(nothing(64)))));
});

test('a Buffer is not written to either', () => {
  const value = Buffer.from(name);
  marking.mark(leaf(value));
  assert.equal(value.toString(), NAME);
});

test('nests are searched at every depth', () => {
  const inner = { type: 1, flags: 0, value: h32(INDEX) };
  const marked = marking.mark({ type: 4, flags: 0x8000, nested: [{ type: 2, flags: 0, nested: [inner] }] });
  assert.deepEqual(marked, {
    type: 4,
    flags: 0x8000,
    nested: [
      { type: 2, flags: 0, nested: [{ type: 1, flags: 0, value: nothing(4), slots: [index(0, 'host')] }] },
    ],
  });
});

test('in a text the name may have any length, and stand anywhere', () => {
  const partsOf = (value: string) => {
    const marked = marking.markText({ type: 2, flags: 0, value: text(value) });
    assert.ok('text' in marked);
    return marked.text;
  };
  const slot = { slot: 'name' };
  assert.deepEqual(partsOf('lan: '), [{ text: 'lan: ' }]);
  assert.deepEqual(partsOf(''), []);
  assert.deepEqual(partsOf(NAME), [slot]);
  assert.deepEqual(partsOf(`${NAME}: `), [slot, { text: ': ' }]);
  assert.deepEqual(partsOf(`in ${NAME}`), [{ text: 'in ' }, slot]);
  assert.deepEqual(partsOf(`a${NAME}${NAME}é`), [{ text: 'a' }, slot, slot, { text: 'é' }]);
});

test('a text that is not UTF-8 is carried as it is, and refused with a name in it', () => {
  // Latin-1, as an included file may have it: réseau.
  const latin1 = hex('72e9736561 75 00');
  assert.deepEqual(marking.markText({ type: 2, flags: 0, value: latin1 }), {
    type: 2,
    flags: 0,
    value: latin1,
  });
  const named = concat([latin1.subarray(0, 6), name, hex('00')]);
  assert.throws(() => marking.markText({ type: 2, flags: 0, value: named }), { code: 'POLICY_NOT_PORTABLE' });
});

test('a payload is opened one level deeper', () => {
  const value = concat([attribute(2, text('lan: ')), attribute(5, n32(4))]);
  assert.deepEqual(openNest({ type: 2, flags: 0, value }), {
    type: 2,
    flags: 0,
    nested: [
      { type: 2, flags: 0, value: text('lan: ') },
      { type: 5, flags: 0, value: n32(4) },
    ],
  });
  assert.throws(() => openNest({ type: 2, flags: 0, value: hex('0300 0100') }), {
    code: 'MALFORMED_MESSAGE',
  });
});

test('templates are equal when all of them is', () => {
  const value = hex('01020304');
  const slots = [index(0, 'host')];
  const different: TemplateAttribute[] = [
    { type: 1, flags: 0, value },
    { type: 2, flags: 0, value },
    { type: 1, flags: 0x8000, value },
    { type: 1, flags: 0, value: hex('01020305') },
    { type: 1, flags: 0, value: hex('0102030400') },
    { type: 1, flags: 0, value, slots },
    { type: 1, flags: 0, value, slots: [index(0, 'network')] },
    { type: 1, flags: 0, value, slots: [index(0, 'host', 0, 'up0')] },
    { type: 1, flags: 0, text: [] },
    { type: 1, flags: 0, text: [{ slot: 'name' }] },
    { type: 1, flags: 0, text: [{ text: 'name' }] },
    { type: 1, flags: 0, nested: [] },
    { type: 1, flags: 0, nested: [{ type: 1, flags: 0, value }] },
    { type: 1, flags: 0, nested: [{ type: 1, flags: 0, value: hex('') }] },
    {
      type: 1,
      flags: 0,
      nested: [
        { type: 1, flags: 0, value },
        { type: 1, flags: 0, value },
      ],
    },
  ];
  different.forEach((one, row) => {
    different.forEach((other, column) => {
      assert.equal(equalTemplates(one, other), row === column, `${row} and ${column}`);
    });
    // As it arrives in a worker.
    assert.ok(equalTemplates(one, structuredClone(one)));
  });
  const [plain] = different;
  assert.ok(plain && equalTemplates(plain, { type: 1, flags: 0, value, slots: [] }));
});
