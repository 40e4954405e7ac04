import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeAttributes } from '#src/netlink/attribute.js';
import { NLM_F_REQUEST } from '#src/netlink/constants.js';
import { encodeMessage, encodeRequest, parseMessages } from '#src/netlink/message.js';
import { nftablesRequest, parseNftablesMessage } from '#src/nftables/message.js';
import { canonical, nftablesMessages, schemas, withoutNumbers } from '../fixtures-support/golden.js';
import { assertSameBytes, fixtureNames, readFixture } from '../fixtures-support/hex.js';

/** What parse and encode make of a message's attributes. */
function throughSchema(operation: number, attributes: Uint8Array): Uint8Array {
  const schema = schemas.get(operation);
  assert.ok(schema, `there is no schema for message ${operation}`);
  return encodeAttributes(schema.encode(schema.parse(attributes)));
}

for (const name of [...fixtureNames('dumped'), ...fixtureNames('policy')]) {
  test(`what the kernel dumped is written back byte for byte: ${name}`, () => {
    const messages = nftablesMessages(name);
    assert.ok(messages.length > 0);
    for (const { what, operation, attributes } of messages) {
      assertSameBytes(throughSchema(operation, attributes), attributes, what);
    }
  });
}

for (const name of fixtureNames('sent')) {
  // Not byte for byte: nft writes some attributes in an order of its own, numbers the elements of a set, and sets
  // NLA_F_NESTED, which the kernel's dumps, and so the schemas, do not. Everything else is the same.
  test(`what nft sent is written back, but for order, numbers and NLA_F_NESTED: ${name}`, () => {
    const messages = nftablesMessages(name);
    assert.ok(messages.length > 0);
    for (const message of messages) {
      const guide = withoutNumbers(message);
      const emitted = throughSchema(message.operation, message.attributes);
      assertSameBytes(canonical(emitted, guide), canonical(guide, guide), message.what);
    }
  });
}

for (const name of fixtureNames()) {
  test(`every message is written back byte for byte: ${name}`, () => {
    const { bytes, messages } = readFixture(name);
    const parsed = parseMessages(bytes);
    assert.equal(parsed.length, messages.length);
    parsed.forEach((message, index) => {
      assertSameBytes(
        encodeMessage(message),
        messages[index]?.bytes ?? new Uint8Array(),
        `message ${index + 1}`,
      );
    });
  });
}

test('a request is a header, a family and attributes, as nft writes them', () => {
  const [, newTable] = readFixture('sent/table').messages;
  assert.ok(newTable);
  const [message] = parseMessages(newTable.bytes);
  assert.ok(message);
  const parsed = parseNftablesMessage(message);
  const schema = parsed && schemas.get(parsed.operation);
  assert.ok(parsed && schema);
  const attributes = schema.encode(schema.parse(parsed.attributes));
  // nft sends NEWTABLE without NLM_F_CREATE.
  const request = nftablesRequest(
    parsed.operation,
    message.flags & ~NLM_F_REQUEST,
    attributes,
    parsed.family,
  );
  assertSameBytes(encodeRequest(request, message.sequence), newTable.bytes, 'NEWTABLE');
});
