import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeRequest } from '#src/netlink/message.js';
import {
  dumpRequest,
  generalHeader,
  messageType,
  nftablesRequest,
  parseNftablesMessage,
} from '#src/nftables/message.js';
import { attribute, h32, hex, message, text } from '../fixtures-support/bytes.js';
import { assertSameBytes } from '../fixtures-support/hex.js';

const REQUEST = 0x1;
const DUMP = 0x300;
const CREATE = 0x400;

test('struct nfgenmsg has its resource id in network order', () => {
  assertSameBytes(generalHeader(5), hex('05 00 0000'), 'netdev');
  assertSameBytes(generalHeader(0, 10), hex('00 00 000a'), 'the header of a batch');
  assertSameBytes(generalHeader(2, 0x1234), hex('02 00 1234'), 'a resource id of two bytes');
});

test('the subsystem is the upper byte of the type', () => {
  assert.equal(messageType(0), 0x0a00);
  assert.equal(messageType(26), 0x0a1a);
});

test('requests are for the netdev family unless another is given', () => {
  const name = { type: 1, flags: 0, value: text('guard') };
  assertSameBytes(
    encodeRequest(nftablesRequest(0, CREATE, [name]), 7),
    message(
      { type: 0x0a00, flags: REQUEST | CREATE, sequence: 7 },
      hex('05000000'),
      attribute(1, text('guard')),
    ),
    'NEWTABLE',
  );
  assertSameBytes(
    encodeRequest(dumpRequest(1, [], 0), 8),
    message({ type: 0x0a01, flags: REQUEST | DUMP, sequence: 8 }, h32(0)),
    'GETTABLE of every family',
  );
});

test('a message of nf_tables is an operation, a family and attributes', () => {
  const payload = hex('05 00 0002 0800010061000000');
  const header = { flags: 0, sequence: 1, portId: 0 };
  assert.deepEqual(parseNftablesMessage({ ...header, type: 0x0a03, payload }), {
    operation: 3,
    family: 5,
    attributes: hex('0800010061000000'),
  });
  assert.equal(parseNftablesMessage({ ...header, type: 3, payload }), undefined);
  assert.equal(parseNftablesMessage({ ...header, type: 0x0903, payload }), undefined);
  assert.throws(() => parseNftablesMessage({ ...header, type: 0x0a03, payload: hex('050000') }), {
    code: 'MALFORMED_MESSAGE',
    message: 'malformed nf_tables message: 3 bytes',
  });
});
