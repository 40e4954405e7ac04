import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeAttributes, leaf, parseAttributes } from '#src/netlink/attribute.js';

import { type Message, parseMessages } from '#src/netlink/message.js';
import { NFT_MSG_DELSETELEM, NFT_MSG_NEWSETELEM } from '#src/nftables/constants.js';
import { type ElementList, elementListSchema, type SetElement } from '#src/nftables/element.js';
import { nftablesRequest, parseNftablesMessage } from '#src/nftables/message.js';
import { readPackedElements } from '#src/nftables/packed-dump.js';
import { packElements } from '#src/nftables/packed-elements.js';
import { addElements, countTold, removeElements } from '#src/nftables/packed-messages.js';
import { encodeSegment, type Segment } from '#src/nftables/transaction.js';

const NAME = { table: 'tapwall', set: 'blocked' };

function listsOf({ bytes }: Segment): { operation: number; list: ElementList }[] {
  return parseMessages(bytes).map((message) => {
    const parsed = parseNftablesMessage(message) ?? assert.fail('no nf_tables message');
    return { operation: parsed.operation, list: elementListSchema.parse(parsed.attributes) };
  });
}

/** `0a000001` for a beginning or a key alone, `0a000002 end` for an end, `… open` for one without. */
function words(segment: Segment): string[] {
  return listsOf(segment)
    .flatMap(({ list }) => list.elements ?? [])
    .map(({ key, flags, userdata }) => {
      const value = Buffer.from(parseAttributes(key ?? new Uint8Array())[0]?.value ?? []).toString('hex');
      return `${value}${flags === 1 ? ' end' : ''}${userdata ? ' open' : ''}`;
    });
}

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

test('keys go to the set of that name, as nft sends them', () => {
  const segment = addElements(NAME, packElements(4, false, hex('0a000002 0a000001')));
  assert.deepEqual(words(segment), ['0a000001', '0a000002']);
  const [{ operation, list } = assert.fail('nothing'), ...more] = listsOf(segment);
  assert.deepEqual(
    [operation, list.table, list.set, more.length],
    [NFT_MSG_NEWSETELEM, 'tapwall', 'blocked', 0],
  );
  assert.deepEqual([segment.starts, segment.labels], [[0], ['NEWSETELEM blocked']]);
  const gone = removeElements(NAME, packElements(2, false, hex('0035')));
  assert.deepEqual([words(gone), gone.labels], [['0035'], ['DELSETELEM blocked']]);
  assert.equal(listsOf(gone)[0]?.operation, NFT_MSG_DELSETELEM);
});

test('an interval is a beginning and the end behind it', () => {
  const some = packElements(2, true, hex('0005 0008 00ff 00ff'));
  assert.deepEqual(words(addElements(NAME, some)), ['0000 end', '0005', '0009 end', '00ff', '0100 end']);
  assert.deepEqual(words(removeElements(NAME, some, false)), ['0005', '0009 end', '00ff', '0100 end']);
  const zero = packElements(2, true, hex('0000 0000 ff00 ffff'));
  assert.deepEqual(words(addElements(NAME, zero)), ['0000', '0001 end', 'ff00 open']);
  assert.deepEqual(words(removeElements(NAME, zero)), ['0000', '0001 end', 'ff00']);
  assert.deepEqual(words(addElements(NAME, packElements(2, true, hex('0000 ffff')))), ['0000 open']);
  assert.deepEqual(addElements(NAME, packElements(2, true, hex(''))).starts, []);
});

test('a list is no longer than its length can say, and none of many elements is lost', () => {
  for (const isInterval of [false, true]) {
    const bytes = Buffer.alloc(20_000 * (isInterval ? 32 : 16));
    for (let at = 0; at < bytes.length / 16; at++)
      bytes.writeUInt32BE(3 * Math.floor(at / (isInterval ? 2 : 1)), 16 * at + 12);
    const packed = packElements(16, isInterval, bytes);
    const segment = addElements(NAME, packed);
    const messages = parseMessages(segment.bytes);
    assert.equal(messages.length, segment.starts.length);
    assert.ok(messages.length > 5);
    for (const { payload } of messages.slice(0, -1)) assert.ok(payload.length > 65_000, `${payload.length}`);
    assert.deepEqual(readPackedElements(messages, packed), packed);
  }
});

test('what was sent is read again, whatever it is', () => {
  const key = fc.constantFrom('0000', '0001', '0002', '0005', '00ff', '0100', '7fff', 'fffe', 'ffff');
  fc.assert(
    fc.property(fc.array(key), fc.boolean(), (keys, isInterval) => {
      const rows = isInterval ? keys.flatMap((one) => [one, one]) : keys;
      const packed = packElements(2, isInterval, hex(rows.join('')));
      const messages = parseMessages(addElements(NAME, packed).bytes);
      assert.deepEqual(readPackedElements(messages, packed), packed);
    }),
  );
});

test('the kernel counts intervals by half', () => {
  // As Linux 6.18 told of the sets of these elements.
  const cases: [bytes: string, told: number][] = [
    ['', 0],
    ['0001 0001', 1],
    ['0001 0001 0005 0007 ff00 ffff', 3],
    ['0000 ffff', 0],
    ['0000 0001', 1],
  ];
  for (const [bytes, told] of cases) assert.equal(countTold(packElements(2, true, hex(bytes))), told, bytes);
  assert.equal(countTold(packElements(2, false, hex('0001 0002'))), 2);
});

function dumpOf(...elements: SetElement[]): Message[] {
  const list = elementListSchema.encode({ ...NAME, elements });
  return parseMessages(
    encodeSegment([{ request: nftablesRequest(NFT_MSG_NEWSETELEM, 0, list), label: '' }]).bytes,
  );
}

const value = (text: string) => encodeAttributes([leaf(1, hex(text))]);
const END = 1;

test('what is none of tapwall’s doing is not taken for elements', () => {
  const form = { keyLength: 2, isInterval: false };
  const strange: SetElement[][] = [
    [{ key: value('000001') }],
    [{ key: value('0001'), timeout: 5n }],
    [{ key: value('0001'), keyEnd: value('0002') }],
    [{ key: value('0001'), data: value('0002') }],
    [{ key: value('0001'), flags: END }],
    [{ flags: 2 }],
  ];
  for (const elements of strange.slice(0, 4))
    assert.equal(readPackedElements(dumpOf(...elements), form), undefined);
  assert.equal(readPackedElements(dumpOf(...(strange[5] ?? [])), form), undefined);
  const intervals: SetElement[][] = [
    // Two beginnings, an end that ends nothing, an end at 0 that is missing, one that is too much.
    [{ key: value('0000') }, { key: value('0005') }],
    [{ key: value('0000') }, { key: value('0005'), flags: END }, { key: value('0007'), flags: END }],
    [{ key: value('0003') }, { key: value('0005'), flags: END }],
    [{ key: value('0000'), flags: END }, { key: value('0000') }],
    [{ key: value('0005'), flags: END }],
  ];
  for (const elements of intervals) {
    assert.equal(readPackedElements(dumpOf(...elements), { keyLength: 2, isInterval: true }), undefined);
  }
  const right = dumpOf(
    { key: value('0000'), flags: END },
    { key: value('0003') },
    { key: value('0005'), flags: END },
  );
  assert.deepEqual(readPackedElements(right, { keyLength: 2, isInterval: true })?.bytes, hex('0003 0004'));
});

test('bytes that lie are refused', () => {
  const [message] = dumpOf({ key: value('0001') });
  const payload = Buffer.from(message?.payload ?? []);
  payload.writeUInt16LE(0xfff0, payload.length - 12);
  assert.throws(
    () =>
      readPackedElements([{ ...(message ?? assert.fail()), payload }], { keyLength: 2, isInterval: false }),
    {
      code: 'MALFORMED_MESSAGE',
    },
  );
});
