import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TapwallError } from '#src/error.js';
import { encodeAttributes, leaf, parseAttributes } from '#src/netlink/attribute.js';
import { elementListSchema, readElementValues, type SetElement } from '#src/nftables/element.js';
import { generalHeader, messageType } from '#src/nftables/message.js';

const NEWSETELEM = 12;
/** NFTA_DATA_VALUE. */
const VALUE = 1;

function messageOf(attributes: Uint8Array) {
  const payload = Buffer.concat([generalHeader(5), attributes]);
  return { type: messageType(NEWSETELEM), flags: 0, sequence: 1, portId: 1, payload };
}

const bytes = fc.uint8Array({ minLength: 1, maxLength: 24 });
const dataOf = (value: Uint8Array) => encodeAttributes([leaf(VALUE, value)]);
const element: fc.Arbitrary<SetElement> = fc.record(
  {
    key: bytes.map(dataOf),
    data: bytes.map(dataOf),
    userdata: bytes,
    expression: fc.record(
      { name: fc.constantFrom('counter', 'limit'), data: bytes },
      { noNullPrototype: true },
    ),
    flags: fc.nat(7),
  },
  { requiredKeys: [] },
);

test('the values of elements are those that the whole elements have', () => {
  fc.assert(
    fc.property(fc.array(element, { maxLength: 5 }), (elements) => {
      const list = elementListSchema.encode({ table: 'tapwall', set: 's', elements });
      const values = readElementValues('s', [messageOf(encodeAttributes(list))]);
      const plain = (data: Uint8Array | undefined) => data && parseAttributes(data)[0]?.value;
      assert.deepEqual(
        values.map(({ set, key, data, userdata, expression }) => ({ set, key, data, userdata, expression })),
        elements
          .filter(({ key }) => key !== undefined)
          .map(({ key, data, userdata, expression }) => ({
            set: 's',
            key: plain(key),
            data: plain(data),
            userdata,
            expression,
          })),
      );
    }),
  );
});

test('of any bytes values are read or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (junk) => {
      try {
        readElementValues('s', [messageOf(junk)]);
      } catch (error) {
        assert.ok(error instanceof TapwallError && error.code === 'MALFORMED_MESSAGE', String(error));
      }
    }),
  );
});
