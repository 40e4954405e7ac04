import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layOut } from '#src/program/layout.js';
import type { ProgramMessage } from '#src/program/program.js';
import type { TemplateAttribute } from '#src/program/template.js';
import { attribute, hex, message, text } from '../fixtures-support/bytes.js';
import { assertSameBytes } from '../fixtures-support/hex.js';

const NETDEV = hex('05000000');
const REQUEST = 0x1;
const CREATE = 0x400;

function program(...attributes: TemplateAttribute[]): ProgramMessage[] {
  return [{ operation: 3, flags: CREATE, label: 'NEWCHAIN in', attributes }];
}

test('bytes, with places to write to', () => {
  const messages: ProgramMessage[] = [
    {
      operation: 0,
      flags: CREATE,
      label: '',
      attributes: [{ type: 1, flags: 0, text: [{ text: 'guard' }] }],
    },
    {
      operation: 3,
      flags: CREATE,
      label: '',
      attributes: [
        { type: 1, flags: 0, text: [{ text: 't.' }, { slot: 'index' }, { text: '.é' }] },
        {
          type: 4,
          flags: 0x8000,
          nested: [
            { type: 3, flags: 0, text: [{ slot: 'name' }] },
            {
              type: 5,
              flags: 0,
              value: new Uint8Array(8),
              slots: [{ kind: 'index', offset: 4, order: 'host', add: 1 }],
            },
          ],
        },
      ],
    },
  ];
  const layout = layOut(messages, { nameLength: 3, indexLength: 2 });
  assertSameBytes(
    layout.bytes,
    Buffer.concat([
      message({ type: 0x0a00, flags: REQUEST | CREATE }, NETDEV, attribute(1, text('guard'))),
      message(
        { type: 0x0a03, flags: REQUEST | CREATE },
        NETDEV,
        attribute(1, text('t.\0\0.é')),
        attribute(0x8004, attribute(3, hex('00000000')), attribute(5, new Uint8Array(8))),
      ),
    ]),
    'two messages',
  );
  // The first message has 16 + 4 + 12 bytes.
  assert.deepEqual(layout.messages, [0, 32]);
  assert.deepEqual(layout.pokes, [
    { kind: 'text', offset: 32 + 20 + 4 + 2, slot: 'index' },
    { kind: 'text', offset: 32 + 20 + 12 + 4 + 4, slot: 'name' },
    { kind: 'index', offset: 32 + 20 + 12 + 4 + 8 + 4 + 4, order: 'host', add: 1 },
  ]);
});

test('no messages are no bytes', () => {
  assert.deepEqual(layOut([], { nameLength: 3, indexLength: 2 }), {
    bytes: new Uint8Array(),
    pokes: [],
    messages: [],
  });
});

const refused = {
  code: 'POLICY_NOT_PORTABLE',
  message: 'NEWCHAIN in: 65536 bytes in one attribute, of at most 65535',
};

test('an attribute of 65,535 bytes is laid out, and one of more is refused', () => {
  const shape = { nameLength: 3, indexLength: 2 };
  const value = (length: number): TemplateAttribute => ({ type: 1, flags: 0, value: new Uint8Array(length) });
  const { bytes } = layOut(program(value(65_531)), shape);
  assertSameBytes(bytes.subarray(20, 24), hex('ffff0100'), 'the longest there is');
  assert.throws(() => layOut(program(value(65_532)), shape), refused);
  // In a nest, whose own header counts.
  assert.throws(() => layOut(program({ type: 4, flags: 0, nested: [value(65_528)] }), shape), refused);
  const inside = layOut(program({ type: 4, flags: 0, nested: [value(65_520)] }), shape);
  assertSameBytes(inside.bytes.subarray(20, 28), hex('f8ff0400 f4ff0100'), 'just short of it');
});

test('the length of a text is that of what is written into it', () => {
  const text65k: TemplateAttribute = {
    type: 1,
    flags: 0,
    text: [{ text: 'x'.repeat(65_528) }, { slot: 'name' }],
  };
  assert.equal(layOut(program(text65k), { nameLength: 2, indexLength: 1 }).bytes.length, 20 + 65_536);
  assert.throws(() => layOut(program(text65k), { nameLength: 3, indexLength: 1 }), refused);
});
