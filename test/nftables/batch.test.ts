import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isUncertain, KernelError } from '#src/netlink/error.js';
import {
  type Batch,
  batchBegin,
  batchEnd,
  batchLength,
  checkBatch,
  encodeBatch,
  type Operation,
} from '#src/nftables/batch.js';
import { nftablesRequest } from '#src/nftables/message.js';
import { attribute, concat, h32, hex, message, n32, text } from '../fixtures-support/bytes.js';
import { assertSameBytes, readFixture } from '../fixtures-support/hex.js';

const REQUEST = 0x1;
const ACK = 0x4;
const CREATE = 0x400;
const BEGIN = 16;
const END = 17;
const NLMSG_ERROR = 2;
const CAPPED = 0x100;
const ACK_TLVS = 0x200;
const EPROTO = 71;
const header = hex('00 00 000a');

const operations: Operation[] = ['a', 'b', 'c'].map((name) => ({
  request: nftablesRequest(0, CREATE, [{ type: 1, flags: 0, value: text(name) }]),
  label: `NEWTABLE ${name}`,
}));

/** What the kernel answers to the request `sequence`. */
function answer(sequence: number, errno = 0, ...extended: Uint8Array[]): Uint8Array {
  const flags = CAPPED | (extended.length > 0 ? ACK_TLVS : 0);
  const request = concat([h32(20), hex('000a 0500'), h32(sequence), h32(0)]);
  return message({ type: NLMSG_ERROR, flags, sequence }, h32(-errno), request, ...extended);
}

function refusal(batch: Batch, reply: Uint8Array): KernelError {
  try {
    checkBatch(batch, reply);
  } catch (error) {
    assert.ok(error instanceof KernelError);
    return error;
  }
  return assert.fail('the reply was taken for success');
}

test('a batch is a beginning, its operations in a row, and an end; only the last asks for an answer', () => {
  const batch = encodeBatch(operations, 40);
  const table = (name: string, sequence: number, flags: number) =>
    message(
      { type: 0x0a00, flags: REQUEST | CREATE | flags, sequence },
      hex('05000000'),
      attribute(1, text(name)),
    );
  assertSameBytes(
    batch.bytes,
    concat([
      message({ type: BEGIN, flags: REQUEST, sequence: 40 }, header),
      table('a', 41, 0),
      table('b', 42, 0),
      table('c', 43, ACK),
      message({ type: END, flags: REQUEST, sequence: 44 }, header),
    ]),
    'three tables',
  );
  assert.equal(batch.firstSequence, 40);
  assert.deepEqual(batch.labels, ['NEWTABLE a', 'NEWTABLE b', 'NEWTABLE c']);
  assert.equal(batchLength(batch), 5);
});

test('the flags of the operations themselves stay as they are', () => {
  encodeBatch(operations, 1);
  assert.deepEqual(
    operations.map(({ request }) => request.flags),
    [REQUEST | CREATE, REQUEST | CREATE, REQUEST | CREATE],
  );
});

test('a batch begins and ends as that of nft', () => {
  const { messages } = readFixture('sent/table');
  const [begin, end] = [messages[0], messages.at(-1)];
  assert.ok(begin && end);
  assertSameBytes(batchBegin(0), begin.bytes, 'BATCH_BEGIN');
  assertSameBytes(batchEnd(3), end.bytes, 'BATCH_END');
});

test('a generation goes into BATCH_BEGIN, in network order; so does generation 0', () => {
  const begin = (generation: number) =>
    message({ type: BEGIN, flags: REQUEST, sequence: 9 }, header, attribute(1, n32(generation)));
  assertSameBytes(batchBegin(9, 0x01020304), begin(0x01020304), 'a generation');
  assertSameBytes(batchBegin(9, 0), begin(0), 'generation 0');
  const { bytes } = encodeBatch(operations, 9, 7);
  assertSameBytes(bytes.subarray(0, 28), begin(7), 'in a whole batch');
});

test('an empty batch asks nothing and needs no answer', () => {
  const batch = encodeBatch([], 3);
  assertSameBytes(
    batch.bytes,
    concat([
      message({ type: BEGIN, flags: REQUEST, sequence: 3 }, header),
      message({ type: END, flags: REQUEST, sequence: 4 }, header),
    ]),
    'nothing',
  );
  assert.equal(batchLength(batch), 2);
  checkBatch(batch, new Uint8Array());
});

test('the answer to the last operation proves the batch', () => {
  const batch = encodeBatch(operations, 40);
  checkBatch(batch, answer(43));
  for (const sequence of [40, 41, 42, 44]) {
    assert.equal(refusal(batch, answer(sequence)).code, 'EPROTO', `an answer to ${sequence} proves nothing`);
  }
});

test('no answer to the last operation is EPROTO: the outcome is unknown', () => {
  const batch = encodeBatch(operations, 40);
  const error = refusal(batch, new Uint8Array());
  assert.equal(error.code, 'EPROTO');
  assert.equal(error.errno, EPROTO);
  assert.equal(error.operation, 'NEWTABLE c');
  assert.equal(error.sequence, 0);
  assert.equal(isUncertain(error), true);
});

test('each sequence number is the operation it was given to', () => {
  const batch = encodeBatch(operations, 40);
  const names = [40, 41, 42, 43, 44].map((sequence) => refusal(batch, answer(sequence, 1)).operation);
  assert.deepEqual(names, [
    'the transaction',
    'NEWTABLE a',
    'NEWTABLE b',
    'NEWTABLE c',
    "the transaction's message 4",
  ]);
});

test('the first refusal counts, also before an answer of success', () => {
  const batch = encodeBatch(operations, 40);
  const reply = concat([answer(42, 17), answer(41, 2), answer(43)]);
  const error = refusal(batch, reply);
  assert.deepEqual([error.code, error.operation, error.sequence], ['EEXIST', 'NEWTABLE b', 42]);
});

test('answers to what somebody else asked are passed over', () => {
  const batch = encodeBatch(operations, 40);
  const before = answer(39, 1);
  const after = answer(45, 1);
  checkBatch(batch, concat([before, answer(43), after]));
  // A notification, and a message of a dump.
  checkBatch(batch, concat([message({ type: 0x0a0f, sequence: 42 }, header), answer(43)]));
});

test("an error carries the kernel's own words, and where it stumbled", () => {
  const batch = encodeBatch(operations, 40);
  const extended = [attribute(1, text('Chain already exists')), attribute(2, h32(20))];
  const error = refusal(batch, answer(42, 17, ...extended));
  assert.deepEqual(error.toJSON(), {
    code: 'EEXIST',
    message: 'the kernel refused NEWTABLE b: EEXIST, "Chain already exists", at byte 20 of the request',
    errno: 17,
    operation: 'NEWTABLE b',
    sequence: 42,
    extendedAck: { message: 'Chain already exists', offset: 20 },
  });
});

test('refusals as the kernel wrote them', () => {
  const batch: Batch = { bytes: new Uint8Array(), firstSequence: 1000, labels: ['the operation'] };
  const refusals = readFixture('answers/capped').messages.flatMap(({ comments, bytes }) => {
    const [what = ''] = comments;
    if (what.startsWith('RTM_') || what.startsWith('ETHTOOL_')) return [];
    try {
      checkBatch(batch, bytes);
      return [[what, 'taken']];
    } catch (error) {
      assert.ok(error instanceof KernelError);
      return [[what, error.code, error.operation, error.extendedAck]];
    }
  });
  assert.deepEqual(refusals, [
    ['NEWTABLE guard', 'taken'],
    ['NEWTABLE guard with NLM_F_EXCL', 'EEXIST', 'the operation', { offset: 20 }],
    ['DELTABLE missing', 'ENOENT', 'the operation', { offset: 20 }],
    [
      'NEWTABLE with two bytes of flags',
      'ERANGE',
      'the operation',
      { message: 'Attribute failed policy validation', offset: 32 },
    ],
    ['NEWTABLE without a name', 'EINVAL', 'the operation', {}],
    ['NEWCHAIN in', 'taken'],
    ['NEWRULE with a comparison of nothing', 'EINVAL', 'the operation', { offset: 44 }],
    // A stale generation is refused at BATCH_BEGIN.
    ['a batch for generation 99', 'ERESTART', 'the transaction', {}],
  ]);
});
