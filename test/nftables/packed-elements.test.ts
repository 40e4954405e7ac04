import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  countElements,
  differenceOf,
  digestOfElements,
  type PackedElements,
  packElements,
  sameElements,
} from '#src/nftables/packed-elements.js';
import { sortRecords } from '#src/nftables/record-sort.js';

/** Small numbers as keys of so many bytes, so that they meet often. */
function keysOf(numbers: readonly number[], keyLength: number, base = 0): Uint8Array {
  const bytes = Buffer.alloc(numbers.length * keyLength);
  for (const [at, number] of numbers.entries()) {
    bytes.fill(base, at * keyLength, (at + 1) * keyLength);
    bytes.writeUInt16BE(number, (at + 1) * keyLength - 2);
  }
  return bytes;
}

function numbersIn({ bytes, keyLength }: PackedElements): number[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / keyLength }, (_, at) =>
    view.readUInt16BE((at + 1) * keyLength - 2),
  );
}

/** Numbers on both sides of a byte's end, and at the ends of all. */
const number = fc.oneof(
  fc.integer({ min: 0, max: 12 }),
  fc.integer({ min: 250, max: 262 }),
  fc.constantFrom(0xfffe, 0xffff),
);
const keyLength = fc.constantFrom(2, 4, 6, 16);
const interval = fc.tuple(number, number).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);

function packIntervals(list: readonly (readonly [number, number])[], length: number): PackedElements {
  return packElements(length, true, keysOf(list.flat(), length));
}

/** What the intervals hold, number by number. */
function members(list: readonly (readonly [number, number])[]): Set<number> {
  return new Set(
    list.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, at) => first + at)),
  );
}

test('keys are in order, each once', () => {
  fc.assert(
    fc.property(fc.array(number), keyLength, (numbers, length) => {
      const packed = packElements(length, false, keysOf(numbers, length));
      assert.deepEqual(
        numbersIn(packed),
        [...new Set(numbers)].sort((a, b) => a - b),
      );
      assert.equal(countElements(packed), new Set(numbers).size);
    }),
  );
});

test('intervals hold what was given, and none touches the next', () => {
  fc.assert(
    fc.property(fc.array(interval, { maxLength: 12 }), keyLength, (list, length) => {
      const packed = packIntervals(list, length);
      const bounds = numbersIn(packed);
      const pairs = Array.from(
        { length: bounds.length / 2 },
        (_, at) => [bounds[2 * at] ?? 0, bounds[2 * at + 1] ?? 0] as const,
      );
      assert.deepEqual(
        [...members(pairs)],
        [...members(list)].sort((a, b) => a - b),
      );
      for (const [at, [first]] of pairs.entries()) {
        assert.ok(at === 0 || first > (pairs[at - 1]?.[1] ?? 0) + 1, `${pairs}`);
      }
    }),
    { numRuns: 400 },
  );
});

test('sorting moves whole records, and leaves equal keys in their order', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(number, fc.nat(255))), (rows) => {
      const bytes = Buffer.concat(
        rows.map(([key, rest]) => Buffer.concat([keysOf([key], 2), Buffer.of(rest)])),
      );
      const sorted = [...rows].sort(([a], [b]) => a - b);
      const expected = sorted.flatMap(([key, rest]) => [key >> 8, key & 0xff, rest]);
      assert.deepEqual([...sortRecords(bytes, 3, 2)], expected);
    }),
  );
});

test('a difference is what one has and the other has not', () => {
  fc.assert(
    fc.property(fc.array(number), fc.array(number), keyLength, (before, after, length) => {
      const [a, b] = [before, after].map((one) => packElements(length, false, keysOf(one, length)));
      const { removed, added } = (a && b && differenceOf(a, b)) ?? assert.fail('no difference');
      const without = (list: readonly number[], others: readonly number[]) =>
        [...new Set(list)].filter((one) => !others.includes(one)).sort((x, y) => x - y);
      assert.deepEqual(numbersIn(removed), without(before, after));
      assert.deepEqual(numbersIn(added), without(after, before));
    }),
  );
});

test('of intervals the difference takes whole ones away and adds whole ones', () => {
  const [before, after] = [
    packIntervals(
      [
        [1, 5],
        [9, 9],
        [20, 30],
      ],
      4,
    ),
    packIntervals(
      [
        [1, 6],
        [9, 9],
      ],
      4,
    ),
  ];
  const { removed, added } = differenceOf(before, after) ?? assert.fail('no difference');
  assert.deepEqual(
    [numbersIn(removed), numbersIn(added)],
    [
      [1, 5, 20, 30],
      [1, 6],
    ],
  );
  assert.equal(differenceOf(before, packElements(4, false, new Uint8Array())), undefined);
});

test('equal elements have equal digests, and others do not', () => {
  const one = packElements(4, false, keysOf([1, 2], 4));
  const same = packElements(4, false, keysOf([2, 1, 2], 4));
  const others = [packElements(4, false, keysOf([1, 3], 4)), packElements(2, false, keysOf([0, 1, 0, 2], 2))];
  others.push(packElements(2, true, keysOf([0, 1, 0, 2], 2)), { ...one, isInterval: true });
  assert.equal(digestOfElements(one), digestOfElements(same));
  assert.ok(sameElements(one, same));
  for (const other of others) {
    assert.notEqual(digestOfElements(one), digestOfElements(other));
    assert.ok(!sameElements(one, other));
  }
  assert.match(digestOfElements(one), /^[0-9a-f]{16}$/);
});

test('keys that differ in their first bytes alone are told apart', () => {
  const keys = Buffer.concat([keysOf([7], 16, 9), keysOf([7], 16, 1)]);
  assert.equal(countElements(packElements(16, false, keys)), 2);
  // 0x00ff and 0x0100 touch, 0x01ff and 0x0100 don't.
  const touching = Buffer.from('00ff00ff01000100', 'hex');
  assert.equal(countElements(packElements(2, true, touching)), 1);
  assert.equal(countElements(packElements(2, true, Buffer.from('01ff01ff03000300', 'hex'))), 2);
});
