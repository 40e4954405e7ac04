import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { attributeSize } from '#src/netlink/attribute.js';
import type { SetElement } from '#src/nftables/element.js';
import { elementMessages } from '#src/program/elements.js';
import { deviceTableTemplate } from '#src/program/name.js';
import { Marking, type TemplateAttribute } from '#src/program/template.js';
import { attribute, h32, n32, text } from '../fixtures-support/bytes.js';
import { firstMarkers, secondMarkers } from '../fixtures-support/markers.js';
import { device, fillTemplate } from './facts.js';

const INTERVAL_END = 1;
const NAME = 1;
const SET = 2;
const ELEMENTS = 3;
const SET_ID = 4;

const key = (bytes: Uint8Array): SetElement => ({ key: attribute(1, bytes) });
const end = (bytes: Uint8Array): SetElement => ({ key: attribute(1, bytes), flags: INTERVAL_END });

function messagesFor(elements: readonly SetElement[], markers = firstMarkers): TemplateAttribute[][] {
  const place = { table: deviceTableTemplate('guard'), set: 's', id: 3 };
  return elementMessages(place, elements, new Marking(markers));
}

/** The keys of a message's elements for one device, as numbers in network order. */
function keysOf(message: readonly TemplateAttribute[]): number[] {
  const list = message.find(({ type }) => type === ELEMENTS);
  assert.ok(list && 'nested' in list);
  return list.nested.map((element) => {
    const filled = fillTemplate(element, device(), '');
    assert.ok('nested' in filled);
    const [first] = filled.nested;
    assert.ok(first && 'value' in first);
    return Buffer.from(first.value).readUInt32BE(4);
  });
}

test('a message names its table, its set and the id of the set', () => {
  const [message, ...more] = messagesFor([key(n32(7))]);
  assert.equal(more.length, 0);
  assert.deepEqual(message?.slice(0, 3), [
    { type: NAME, flags: 0, text: [{ text: 'tapwall.' }, { slot: 'index' }, { text: '.guard' }] },
    { type: SET, flags: 0, value: text('s') },
    { type: SET_ID, flags: 0, value: n32(3) },
  ]);
  assert.deepEqual(message?.[3], {
    type: ELEMENTS,
    flags: 0,
    nested: [{ type: 1, flags: 0, nested: [{ type: 1, flags: 0, value: attribute(1, n32(7)) }] }],
  });
});

test('no elements are no message', () => {
  assert.deepEqual(messagesFor([]), []);
});

test('elements are in the order of their keys, and an end before the beginning of the next', () => {
  const [message] = messagesFor([
    key(n32(9)),
    end(n32(5)),
    key(n32(5)),
    key(n32(1)),
    end(n32(9)),
    end(n32(0x80000000)),
  ]);
  assert.deepEqual(message && keysOf(message), [1, 5, 5, 9, 9, 0x80000000]);
  const list = message?.[3];
  assert.ok(list && 'nested' in list);
  const ends = list.nested.map((element) => 'nested' in element && element.nested.length > 1);
  assert.deepEqual(ends, [false, true, false, true, false, true]);
});

test('the order does not depend on the markers, nor on that of the dump, also where only slots differ', () => {
  const elements = ({ index, links, name }: typeof firstMarkers): SetElement[] => [
    key(h32(index)),
    ...links.map((link) => key(h32(link.index))),
    key(n32(index)),
    end(n32(index + 1)),
    ...links.flatMap((link) => [key(n32(link.index)), end(n32(link.index + 1))]),
    key(new Uint8Array(Buffer.from(`${name}\0`))),
    key(n32(7)),
  ];
  const expected = messagesFor(elements(firstMarkers));
  const shuffled = fc.shuffledSubarray(elements(secondMarkers), {
    minLength: elements(secondMarkers).length,
  });
  fc.assert(
    fc.property(shuffled, (dumped) => {
      assert.deepEqual(messagesFor(dumped, secondMarkers), expected);
    }),
  );
});

test("an interval on the device's own index begins before it ends", () => {
  const { index } = firstMarkers;
  const [message] = messagesFor([end(n32(index + 1)), key(n32(index))]);
  assert.deepEqual(message && keysOf(message), [42, 43]);
});

test('many elements are many messages, each within what one attribute can hold', () => {
  const elements = Array.from({ length: 10_000 }, (_, number) => key(n32(number)));
  const messages = messagesFor(elements);
  assert.deepEqual(
    messages.flatMap(keysOf),
    elements.map((_, number) => number),
  );
  assert.ok(messages.length > 1);
  for (const message of messages) {
    const list = message.at(-1);
    assert.ok(list);
    const size = attributeSize(fillTemplate(list, device(), ''));
    assert.ok(size <= 32_004, `${size} bytes`);
  }
  // No message is smaller than it has to be, but for the last.
  const counts = messages.map((message) => keysOf(message).length);
  assert.equal(new Set(counts.slice(0, -1)).size, 1);
});
