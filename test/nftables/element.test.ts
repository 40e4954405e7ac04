import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ElementList, elementListSchema, type SetElement } from '#src/nftables/element.js';
import { attribute, concat, h32, hex, n16, n32, n64, text, userdata } from '../fixtures-support/bytes.js';
import { NEWSETELEM, parseGolden } from '../fixtures-support/golden.js';

const INTERVAL_END = 1;
const CATCHALL = 2;
const NF_DROP = 0;
const NFT_JUMP = 0xfffffffd;
const NFT_GOTO = 0xfffffffc;

/** vm0 and vm1 had these indexes while the fixtures were captured. */
const VM0 = h32(11);
const VM1 = h32(12);

/** NFTA_DATA_VALUE */
const value = (bytes: Uint8Array) => attribute(1, bytes);
/** NFTA_DATA_VERDICT { NFTA_VERDICT_CODE, NFTA_VERDICT_CHAIN } */
const verdict = (code: number, chain?: string) =>
  attribute(2, attribute(1, n32(code)), ...(chain === undefined ? [] : [attribute(2, text(chain))]));
/** Bytes, packets. */
const counter = (packets: bigint, bytes: bigint) => ({
  name: 'counter',
  data: concat([attribute(1, n64(bytes)), attribute(2, n64(packets))]),
});

/** By key: the kernel walks a hash in an order of its own. */
function inOrder(elements: readonly SetElement[]): SetElement[] {
  const none = new Uint8Array();
  return [...elements].sort((a, b) => Buffer.compare(a.key ?? none, b.key ?? none));
}

function elementsOf(name: string, set: string): SetElement[] {
  const lists: ElementList[] = parseGolden(`dumped/${name}`, NEWSETELEM, elementListSchema);
  const ours = lists.filter((list) => list.set === set);
  assert.ok(ours.length > 0, `${name} has no elements of ${set}`);
  for (const { table, setId } of ours)
    assert.deepEqual({ table, setId }, { table: 'guard', setId: undefined });
  return inOrder(ours.flatMap(({ elements }) => elements ?? []));
}

test('elements that time out', () => {
  const [first, second, ...more] = elementsOf('set', 'recent');
  assert.equal(more.length, 0);
  // The first has the time-out of its set, of an hour; what is left of it depends on the capture.
  assert.deepEqual({ ...first, expiration: 0n }, { key: value(hex('c0000201')), expiration: 0n });
  assert.ok(first?.expiration && first.expiration > 3_500_000n && first.expiration <= 3_600_000n);
  assert.deepEqual(
    { ...second, expiration: 0n },
    {
      key: value(hex('c0000202')),
      timeout: 300_000n,
      expiration: 0n,
      userdata: userdata(0, text('short')),
    },
  );
  assert.ok(second?.expiration && second.expiration > 200_000n && second.expiration <= 300_000n);
});

test('elements that count', () => {
  assert.deepEqual(elementsOf('set', 'admitted'), [
    { key: value(VM0), expression: counter(12n, 984n) },
    { key: value(VM1), expression: counter(0n, 0n) },
  ]);
});

test('intervals, each a beginning and an end', () => {
  assert.deepEqual(
    elementsOf('interval', 'lan').map(({ userdata: _, ...element }) => element),
    [
      // nft begins with the end of what is before the first interval.
      { key: value(hex('00000000')), flags: INTERVAL_END },
      { key: value(hex('0a010203')) },
      { key: value(hex('0a01020a')), flags: INTERVAL_END },
      { key: value(hex('c0a80000')) },
      { key: value(hex('c0a90000')), flags: INTERVAL_END },
      // 240.0.0.0/4 goes up to the last address, and has no end.
      { key: value(hex('f0000000')) },
    ],
  );
  assert.deepEqual(elementsOf('interval', 'ports'), [
    { key: value(n16(0)) },
    { key: value(n16(2048)), flags: INTERVAL_END },
  ]);
});

test('an open interval says so in its user data', () => {
  const [last] = elementsOf('interval', 'lan').slice(-1);
  const NFTNL_UDATA_SET_ELEM_FLAGS = 1;
  const INTERVAL_OPEN = h32(1);
  assert.deepEqual(last?.userdata, userdata(NFTNL_UDATA_SET_ELEM_FLAGS, INTERVAL_OPEN));
});

test('concatenated keys, and where each field is an interval', () => {
  // Every field begins at a multiple of four bytes.
  assert.deepEqual(elementsOf('concatenation', 'pairs'), [
    { key: value(concat([VM0, hex('525400aabbcc 0000')])) },
  ]);
  assert.deepEqual(elementsOf('concatenation', 'services'), [
    {
      key: value(hex('c0a80200 06000000 00500000')),
      keyEnd: value(hex('c0a802ff 06000000 00580000')),
    },
    {
      key: value(hex('c0a80235 11000000 00350000')),
      keyEnd: value(hex('c0a80235 11000000 00350000')),
    },
  ]);
});

test('elements of maps, and the one that catches all', () => {
  assert.deepEqual(elementsOf('map', 'gateways'), [{ key: value(VM0), data: value(hex('c0000201')) }]);
  assert.deepEqual(elementsOf('map', 'dispatch'), [
    { data: verdict(NF_DROP), flags: CATCHALL },
    { key: value(VM0), data: verdict(NFT_JUMP, 'first') },
    { key: value(VM1), data: verdict(NFT_GOTO, 'first') },
  ]);
  assert.deepEqual(elementsOf('object', 'meters'), [{ key: value(VM0), object: 'seen' }]);
});

test('elements as nft sends them name their set by its id', () => {
  const [recent, admitted, ...more] = parseGolden('sent/set', NEWSETELEM, elementListSchema);
  assert.equal(more.length, 0);
  assert.deepEqual(
    { ...recent, elements: inOrder(recent?.elements ?? []) },
    {
      table: 'guard',
      set: 'recent',
      setId: 1,
      elements: [
        { key: value(hex('c0000201')) },
        { key: value(hex('c0000202')), timeout: 300_000n, userdata: userdata(0, text('short')) },
      ],
    },
  );
  assert.equal(admitted?.setId, 2);
  assert.deepEqual(
    inOrder(admitted?.elements ?? []).map(({ key }) => key),
    [value(VM0), value(VM1)],
  );
});

test('a list without its table or its set is refused', () => {
  for (const type of [1, 2]) {
    assert.throws(() => elementListSchema.parse(attribute(type, text('x'))), { code: 'MALFORMED_MESSAGE' });
  }
});
