import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Attribute,
  attributeSize,
  encodeAttributes,
  leaf,
  nest,
  parseAttributes,
  readBe16,
  readBe32,
  readBe64,
  readHost32,
  readText,
  readU8,
  writeAttributes,
} from '#src/netlink/attribute.js';
import { attributeTrees, encodeTrees } from '../fixtures-support/arbitrary.js';
import { attribute, concat, hex, nested, text } from '../fixtures-support/bytes.js';
import { assertSameBytes } from '../fixtures-support/hex.js';

const NESTED = 0x8000;
const NET_BYTEORDER = 0x4000;
const malformed = { code: 'MALFORMED_MESSAGE' };

test('an attribute is a length, a type and a value, padded with zeros', () => {
  assertSameBytes(encodeAttributes([leaf(3, text('vm0'))]), hex('0800 0300 766d3000'), 'no padding');
  assertSameBytes(encodeAttributes([leaf(3, text('in'))]), hex('0700 0300 696e0000'), 'one byte of padding');
  assertSameBytes(encodeAttributes([leaf(3, hex(''))]), hex('0400 0300'), 'empty');
  assertSameBytes(encodeAttributes([]), hex(''), 'none');
});

test('a nest is an attribute of attributes, and has a flag that says so', () => {
  const bytes = encodeAttributes([
    nest(4, [leaf(1, hex('00000001')), nest(2, [leaf(1, hex('61'))])]),
    leaf(5, hex('07')),
  ]);
  const expected = concat([
    nested(4, attribute(1, hex('00000001')), nested(2, attribute(1, hex('61')))),
    attribute(5, hex('07')),
  ]);
  assertSameBytes(bytes, expected, 'two levels');
  assertSameBytes(
    bytes.subarray(0, 4),
    hex('1800 0480'),
    'the length of the nest has that of the padding inside',
  );
});

test('type and flags are told apart, and put together again', () => {
  const bytes = hex('0400 0180 0400 0140 0400 ffff 0400 ff3f');
  const attributes = parseAttributes(bytes);
  assert.deepEqual(
    attributes.map(({ type, flags }) => [type, flags]),
    [
      [1, NESTED],
      [1, NET_BYTEORDER],
      [0x3fff, NESTED | NET_BYTEORDER],
      [0x3fff, 0],
    ],
  );
  assertSameBytes(encodeAttributes(attributes), bytes, 'with their flags');
});

test('the last attribute may come without its padding', () => {
  const expected = [{ type: 1, flags: 0, value: hex('61') }];
  assert.deepEqual(parseAttributes(hex('0500 0100 61')), expected);
  assert.deepEqual(parseAttributes(hex('0500 0100 61000000')), expected);
});

test('lengths that lie are refused', () => {
  const refused: [string, RegExp][] = [
    ['00', /1 bytes left/],
    ['080001', /3 bytes left/],
    ['0000 0100', /length 0 at offset 0/],
    ['0300 0100', /length 3 at offset 0/],
    ['0800 0100', /length 8 at offset 0 runs past the end \(4\)/],
    ['ffff 0100 00000000', /length 65535/],
    ['0400 0100 0900 0200 00000000', /length 9 at offset 4 runs past the end \(12\)/],
    // What is behind the padding is an attribute again, or nothing.
    ['0500 0100 61000000 01', /1 bytes left/],
  ];
  for (const [digits, message] of refused) {
    assert.throws(() => parseAttributes(hex(digits)), { ...malformed, message }, digits);
  }
});

test('values are views into what was parsed', () => {
  const bytes = hex('0800 0100 01020304');
  const [first] = parseAttributes(bytes);
  bytes[4] = 0xff;
  assert.deepEqual(first?.value, hex('ff020304'));
});

test('a tree is written as it is by hand, its size is known before, and it is read back', () => {
  const readBack = (bytes: Uint8Array, like: readonly Attribute[]): Attribute[] =>
    parseAttributes(bytes).map((one, index) => {
      const original = like[index];
      if (!original || 'value' in original) return { ...one, value: new Uint8Array(one.value) };
      return { type: one.type, flags: one.flags, nested: readBack(one.value, original.nested) };
    });
  fc.assert(
    fc.property(attributeTrees(), (trees) => {
      const bytes = encodeAttributes(trees);
      assertSameBytes(bytes, encodeTrees(trees), 'a tree');
      assert.equal(
        trees.reduce((sum, tree) => sum + attributeSize(tree), 0),
        bytes.length,
      );
      assert.deepEqual(readBack(bytes, trees), trees);
      assertSameBytes(encodeAttributes(parseAttributes(bytes)), bytes, 'written back');
    }),
    { numRuns: 500 },
  );
});

test('attributes are written where they are wanted', () => {
  const target = new Uint8Array(16);
  const end = writeAttributes(target, 4, [leaf(1, hex('61')), leaf(2, hex(''))]);
  assert.equal(end, 16);
  assertSameBytes(target, hex('00000000 05000100 61000000 04000200'), 'behind four bytes');
});

test('a payload may have all that 16 bits can say, and no more', () => {
  const largest = encodeAttributes([leaf(1, new Uint8Array(0xffff - 4))]);
  assertSameBytes(largest.subarray(0, 4), hex('ffff 0100'), 'the largest attribute');
  assert.equal(largest.length, 0x10000);
  assert.throws(() => encodeAttributes([leaf(1, new Uint8Array(0xffff - 3))]), {
    ...malformed,
    message: /65536 bytes/,
  });
  const halves = [leaf(1, new Uint8Array(0x8000)), leaf(1, new Uint8Array(0x8000))];
  assert.throws(() => encodeAttributes([nest(2, halves)]), malformed);
});

test('numbers and texts are read from values that are long enough', () => {
  const value = { type: 1, flags: 0, value: hex('0102030405060708') };
  assert.equal(readU8(value), 1);
  assert.equal(readBe16(value), 0x0102);
  assert.equal(readBe32(value), 0x01020304);
  assert.equal(readBe64(value), 0x0102030405060708n);
  assert.equal(readHost32(value), 0x04030201);
  assert.equal(readText({ ...value, value: text('vm0') }), 'vm0');
  const largest = { ...value, value: hex('ffffffffffffffff') };
  assert.equal(readBe32(largest), 0xffffffff);
  assert.equal(readHost32(largest), 0xffffffff);
  assert.equal(readBe64(largest), 2n ** 64n - 1n);
  for (const [read, length] of [
    [readU8, 1],
    [readBe16, 2],
    [readBe32, 4],
    [readBe64, 8],
    [readHost32, 4],
  ] as const) {
    const short = { type: 9, flags: 0, value: new Uint8Array(length - 1) };
    assert.throws(() => read(short), {
      ...malformed,
      message: `malformed netlink attribute: attribute 9 has ${length - 1} bytes, expected ${length}`,
    });
  }
});
