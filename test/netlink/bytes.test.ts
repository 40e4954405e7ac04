import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  align,
  be16,
  be32,
  be64,
  concatenate,
  copyBytes,
  cString,
  equalBytes,
  host32,
  parseString,
  u8,
  viewOf,
} from '#src/netlink/bytes.js';
import * as arbitrary from '../fixtures-support/arbitrary.js';
import { hex } from '../fixtures-support/bytes.js';

test('numbers in network order and in that of the host', () => {
  assert.deepEqual(u8(0xfe), hex('fe'));
  assert.deepEqual(be16(0x0102), hex('0102'));
  assert.deepEqual(be32(0xfffefdfc), hex('fffefdfc'));
  assert.deepEqual(be64(0x0102030405060708n), hex('0102030405060708'));
  // Fixtures are from a little-endian host, and so is this one.
  assert.deepEqual(host32(0x01020304), hex('04030201'));
});

test('lengths are rounded up to four', () => {
  assert.deepEqual([0, 1, 3, 4, 5, 65535].map(align), [0, 4, 4, 4, 8, 65536]);
});

test('a string ends at its first NUL, or where its bytes end', () => {
  assert.equal(parseString(hex('61620063')), 'ab');
  assert.equal(parseString(hex('6162')), 'ab');
  assert.equal(parseString(hex('00')), '');
  assert.equal(parseString(hex('')), '');
  assert.deepEqual(cString('é'), hex('c3a900'));
});

test('text is read as it was written, a byte order mark at its beginning included', () => {
  assert.equal(parseString(cString('\uFEFFvm')), '\uFEFFvm');
  fc.assert(fc.property(arbitrary.text, (text) => assert.equal(parseString(cString(text)), text)));
});

test('a view is of the bytes given, not of what they are part of', () => {
  const view = viewOf(hex('00010203').subarray(1, 3));
  assert.equal(view.byteLength, 2);
  assert.equal(view.getUint16(0), 0x0102);
  assert.throws(() => view.getUint16(1), RangeError);
});

test('a copy shares nothing, also with a Buffer, whose slice does', () => {
  for (const original of [hex('0102'), Buffer.from('0102', 'hex')]) {
    const copy = copyBytes(original);
    original[0] = 0xff;
    assert.deepEqual(copy, hex('0102'));
  }
});

test('parts are put together in order', () => {
  assert.deepEqual(concatenate([]), hex(''));
  assert.deepEqual(concatenate([hex('01'), hex(''), hex('0203')]), hex('010203'));
});

test('bytes are equal by length and value', () => {
  assert.ok(equalBytes(hex('0102'), Buffer.from('0102', 'hex')));
  assert.ok(!equalBytes(hex('0102'), hex('010200')));
  assert.ok(!equalBytes(hex('0102'), hex('0103')));
});
