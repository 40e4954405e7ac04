import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Acknowledgement, parseAcknowledgement } from '#src/netlink/acknowledgement.js';
import { parseMessages } from '#src/netlink/message.js';
import { attribute, concat, h32, hex, message, text } from '../fixtures-support/bytes.js';
import { readFixture } from '../fixtures-support/hex.js';

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const CAPPED = 0x100;
const ACK_TLVS = 0x200;
const EPERM = 1;
const ENOENT = 2;
const EEXIST = 17;
const ENODEV = 19;
const EINVAL = 22;
const ERANGE = 34;
const ERESTART = 85;

function parse(bytes: Uint8Array): Acknowledgement {
  const [first, ...more] = parseMessages(bytes);
  assert.ok(first && more.length === 0);
  return parseAcknowledgement(first);
}

/** What was asked, with the answer, of every message of a fixture. */
function answers(name: string): [string, Acknowledgement['errno'], Acknowledgement['extendedAck']][] {
  return readFixture(name).messages.map(({ comments, bytes }) => {
    const { errno, sequence, extendedAck } = parse(bytes);
    assert.equal(sequence, new DataView(bytes.buffer).getUint32(8, true));
    return [comments[0] ?? '', errno, extendedAck];
  });
}

test('refusals that quote the whole request', () => {
  assert.deepEqual(answers('answers/uncapped'), [
    ['nft delete table netdev absent', ENOENT, { offset: 20 }],
    ['nft create table netdev guard', EEXIST, { offset: 20 }],
    ['nft delete chain netdev guard absent', ENOENT, { offset: 32 }],
    // ip first sends an RTM_NEWLINK with nothing in it.
    ['ip link add link lo name macvtap0 type macvtap mode bridge', ENODEV, {}],
    ['ip link add link lo name macvtap0 type macvtap mode bridge', EINVAL, {}],
    ['ip link set nosuch up', ENODEV, {}],
    ['ip link set nosuch up', ENODEV, {}],
  ]);
});

test('answers that quote the header of the request', () => {
  assert.deepEqual(answers('answers/capped'), [
    ['NEWTABLE guard', 0, {}],
    ['NEWTABLE guard with NLM_F_EXCL', EEXIST, { offset: 20 }],
    ['DELTABLE missing', ENOENT, { offset: 20 }],
    [
      'NEWTABLE with two bytes of flags',
      ERANGE,
      { message: 'Attribute failed policy validation', offset: 32 },
    ],
    ['NEWTABLE without a name', EINVAL, {}],
    ['NEWCHAIN in', 0, {}],
    ['NEWRULE with a comparison of nothing', EINVAL, { offset: 44 }],
    ['a batch for generation 99', ERESTART, {}],
    [
      'RTM_GETLINK with an unknown attribute',
      EINVAL,
      { message: 'Unsupported attribute in get link request' },
    ],
    [
      'RTM_NEWMDB without MDBA_SET_ENTRY',
      EINVAL,
      { message: 'Missing MDBA_SET_ENTRY attribute', missingType: 1 },
    ],
    ['ETHTOOL_MSG_STRSET_GET without a set id', EINVAL, { missingType: 1, missingNest: 36 }],
  ]);
});

test('the end of a dump that failed quotes no request', () => {
  assert.deepEqual(answers('answers/dump'), [
    [
      'RTM_GETLINK with a change mask, under NETLINK_GET_STRICT_CHK',
      EINVAL,
      { message: 'Invalid values in header for link dump request' },
    ],
    ['GETSETELEM of a set that is not there', ENOENT, { offset: 32 }],
  ]);
});

test('the end of a dump that went well', () => {
  const done = readFixture('dumped/table').messages.at(-1);
  assert.ok(done);
  assert.deepEqual(parse(done.bytes), { errno: 0, sequence: 5, extendedAck: {} });
});

/** struct nlmsgerr with a request of `length` bytes, of which `quoted` are there. */
function refusal(flags: number, length: number, quoted: number, ...attributes: Uint8Array[]): Uint8Array {
  const request = concat([h32(length), hex('000a 0500'), h32(7), h32(0)]).subarray(0, quoted);
  const payload = new Uint8Array(Math.max(0, quoted - 16));
  return message({ type: NLMSG_ERROR, flags, sequence: 7 }, h32(-EPERM), request, payload, ...attributes);
}

const words = attribute(1, text('no'));

test('the attributes begin behind the request, padding included', () => {
  const expected = { errno: EPERM, sequence: 7, extendedAck: { message: 'no' } };
  assert.deepEqual(parse(refusal(ACK_TLVS, 20, 20, words)), expected);
  assert.deepEqual(parse(refusal(ACK_TLVS, 18, 20, words)), expected);
  assert.deepEqual(parse(refusal(ACK_TLVS | CAPPED, 4000, 16, words)), expected);
});

test('without the flag nothing behind the error is looked at', () => {
  assert.deepEqual(parse(refusal(0, 20, 20, hex('ffff'))).extendedAck, {});
  assert.deepEqual(parse(message({ type: NLMSG_ERROR }, h32(0))), { errno: 0, sequence: 0, extendedAck: {} });
});

test('attributes that are not known are passed over', () => {
  // NLMSGERR_ATTR_COOKIE, NLMSGERR_ATTR_POLICY and one that is to come.
  const others = [3, 4, 99].map((type) => attribute(type, hex('01020304')));
  assert.deepEqual(parse(refusal(ACK_TLVS | CAPPED, 16, 16, ...others, words)).extendedAck, {
    message: 'no',
  });
});

test('an answer that is cut off, or whose lengths lie, is refused', () => {
  const refused: [string, Uint8Array][] = [
    ['no error number', message({ type: NLMSG_ERROR }, hex('ffffff'))],
    [
      'no request header',
      message({ type: NLMSG_ERROR, flags: ACK_TLVS | CAPPED }, h32(-EPERM), hex('14000000')),
    ],
    ['a request longer than the message', refusal(ACK_TLVS, 24, 20)],
    ['a request shorter than its header', refusal(ACK_TLVS, 12, 16, words)],
    ['a request of no length', refusal(ACK_TLVS, 0, 16, words)],
    // Rounded up to a multiple of four in 32 bits, these would be 0 and negative.
    ['a request of 0xffffffff bytes', refusal(ACK_TLVS, 0xffffffff, 16, words)],
    ['a request of 0x80000000 bytes', refusal(ACK_TLVS, 0x80000000, 16, words)],
    ['an attribute that lies', refusal(ACK_TLVS | CAPPED, 16, 16, hex('0300 0100'))],
    ['an offset of two bytes', refusal(ACK_TLVS | CAPPED, 16, 16, attribute(2, hex('0102')))],
    [
      'an attribute that lies, at the end of a dump',
      message({ type: NLMSG_DONE, flags: ACK_TLVS }, h32(0), hex('0900 0100 00000000')),
    ],
    ['an error number above 0', message({ type: NLMSG_ERROR }, h32(5))],
  ];
  for (const [what, bytes] of refused) {
    assert.throws(() => parse(bytes), { code: 'MALFORMED_MESSAGE' }, what);
  }
});

test('a quoted request that ends inside its own header is refused, also where attributes could be read there', () => {
  // The port id looks like an empty attribute.
  const header = (length: number) => concat([h32(length), hex('000a 0500'), h32(7), hex('0400 0300')]);
  const answer = (length: number) =>
    message({ type: NLMSG_ERROR, flags: ACK_TLVS }, h32(-EPERM), header(length), words);
  assert.deepEqual(parse(answer(16)).extendedAck, { message: 'no' });
  assert.throws(() => parse(answer(12)), { code: 'MALFORMED_MESSAGE', message: /says it has 12 bytes/ });
});

test('the largest error number there is', () => {
  assert.equal(parse(message({ type: NLMSG_ERROR }, h32(0x80000000))).errno, 2 ** 31);
  assert.equal(parse(message({ type: NLMSG_ERROR }, h32(-4095))).errno, 4095);
});
