import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeMessage, encodeRequest, parseMessages } from '#src/netlink/message.js';
import * as arbitrary from '../fixtures-support/arbitrary.js';
import { attribute, concat, hex, message, text } from '../fixtures-support/bytes.js';
import { assertSameBytes } from '../fixtures-support/hex.js';

test('a message is a header of 16 bytes in host order, and a payload', () => {
  const bytes = hex('15000000 0a0b 0c0d 01020304 05060708 616263646500 0000');
  assert.deepEqual(parseMessages(bytes), [
    { type: 0x0b0a, flags: 0x0d0c, sequence: 0x04030201, portId: 0x08070605, payload: hex('6162636465') },
  ]);
  assertSameBytes(
    encodeMessage({
      type: 0x0b0a,
      flags: 0x0d0c,
      sequence: 0x04030201,
      portId: 0x08070605,
      payload: hex('6162636465'),
    }),
    bytes,
    'written back, with padding',
  );
});

test('messages begin at multiples of four', () => {
  const parsed = parseMessages(
    concat([message({ type: 1 }, hex('61')), hex('000000'), message({ type: 2 })]),
  );
  assert.deepEqual(
    parsed.map(({ type, payload }) => [type, payload.length]),
    [
      [1, 1],
      [2, 0],
    ],
  );
  assert.equal(parseMessages(message({ type: 1 }, hex('61'))).length, 1);
  assert.deepEqual(parseMessages(hex('')), []);
});

test('lengths that lie are refused', () => {
  const bytes = concat([message({ type: 1 }), message({ type: 2 }, hex('01020304'))]);
  for (const length of [0, 1, 15, 21, 0x7fffffff, 0x80000000, 0xffffffff]) {
    const lying = bytes.slice();
    new DataView(lying.buffer).setUint32(16, length, true);
    assert.throws(() => parseMessages(lying), {
      code: 'MALFORMED_MESSAGE',
      message: `malformed netlink message: length ${length} at offset 16 of 36`,
    });
  }
});

test('a header that is cut off is refused', () => {
  for (let length = 1; length < 16; length++) {
    assert.throws(() => parseMessages(new Uint8Array(length)), {
      code: 'MALFORMED_MESSAGE',
      message: new RegExp(`${length} bytes left`),
    });
  }
});

test('any messages are read back', () => {
  const one = fc.record(
    {
      type: fc.nat(0xffff),
      flags: fc.nat(0xffff),
      sequence: arbitrary.u32,
      portId: arbitrary.u32,
      payload: arbitrary.bytes,
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(one, { maxLength: 5 }), (messages) => {
      const bytes = concat(messages.map(encodeMessage));
      const parsed = parseMessages(bytes);
      assert.deepEqual(parsed, messages);
      assertSameBytes(concat(parsed.map(encodeMessage)), bytes, 'written back');
    }),
  );
});

test('a request has its family header, its attributes and a length that holds both', () => {
  const request = {
    type: 0x0a00,
    flags: 0x401,
    familyHeader: hex('05000000'),
    attributes: [{ type: 1, flags: 0, value: text('guard') }],
  };
  const expected = message(
    { type: 0x0a00, flags: 0x401, sequence: 7 },
    hex('05000000'),
    attribute(1, text('guard')),
  );
  assertSameBytes(encodeRequest(request, 7), expected, 'NEWTABLE guard');
  const odd = encodeRequest({ ...request, familyHeader: hex('0500') }, 7);
  assertSameBytes(odd, expected, 'a family header is padded too');
});
