import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchBegin, batchEnd, encodeBatch, type Operation } from '#src/nftables/batch.js';
import { nftablesRequest } from '#src/nftables/message.js';
import {
  encodeSegment,
  encodeTransaction,
  transactionLength,
  transactionSize,
} from '#src/nftables/transaction.js';
import { text } from '../fixtures-support/bytes.js';
import { assertSameBytes } from '../fixtures-support/hex.js';

const CREATE = 0x400;

const operations: Operation[] = ['a', 'bb', 'ccccc', 'd'].map((name) => ({
  request: nftablesRequest(0, CREATE, [{ type: 1, flags: 0, value: text(name) }]),
  label: `NEWTABLE ${name}`,
}));

/** Every way of cutting the operations into pieces, empty ones among them. */
function pieces(): Operation[][][] {
  const ways: Operation[][][] = [];
  for (let first = 0; first <= operations.length; first++) {
    for (let second = first; second <= operations.length; second++) {
      ways.push([operations.slice(0, first), operations.slice(first, second), operations.slice(second)]);
    }
  }
  return ways;
}

test('however it is cut, a transaction is what it would be in one piece', () => {
  for (const generation of [undefined, 7]) {
    const whole = encodeBatch(operations, 40, generation);
    for (const way of pieces()) {
      const segments = way.map(encodeSegment);
      const batch = encodeTransaction(segments, 40, generation);
      assertSameBytes(batch.bytes, whole.bytes, `${way.map(({ length }) => length)}`);
      assert.deepEqual(batch.labels, whole.labels);
      assert.equal(batch.firstSequence, 40);
      assert.equal(transactionLength(segments), operations.length + 2);
    }
  }
});

test('a piece is not changed by what it is put into', () => {
  const segment = encodeSegment(operations);
  const before = segment.bytes.slice();
  const first = encodeTransaction([segment], 1);
  encodeTransaction([segment, segment], 100, 9);
  assertSameBytes(segment.bytes, before, 'the piece');
  assertSameBytes(encodeTransaction([segment], 1).bytes, first.bytes, 'the same again');
});

test('its size is known before', () => {
  for (const way of pieces()) {
    const segments = way.map(encodeSegment);
    assert.equal(transactionSize(segments), encodeTransaction(segments, 1).bytes.length);
  }
});

test('of nothing there is the frame', () => {
  const { bytes, labels } = encodeTransaction([], 5);
  assertSameBytes(bytes, Buffer.concat([batchBegin(5), batchEnd(6)]), 'begin and end');
  assert.deepEqual(labels, []);
});
