import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Message, parseMessages } from '#src/netlink/message.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { attribute, hex, message, n32, text } from '../fixtures-support/bytes.js';
import { concat, readFixture } from '../fixtures-support/hex.js';

const NETDEV = 5;
const IPV4 = 2;
const NEWFLOWTABLE = 22;

function rulesetOf(...fixtures: string[]) {
  return parseRuleset(parseMessages(concat(fixtures.map((name) => readFixture(name).bytes))));
}

test('a whole dump, sorted by what it is', () => {
  const ruleset = rulesetOf('dumped/rule');
  assert.deepEqual(
    ruleset.tables.map(({ family, name }) => [family, name]),
    [[NETDEV, 'guard']],
  );
  assert.deepEqual(
    ruleset.chains.map(({ family, name }) => [family, name]),
    [
      [NETDEV, 'lan'],
      [NETDEV, 'in'],
    ],
  );
  assert.deepEqual(
    ruleset.rules.map(({ handle }) => handle),
    [3n, 4n, 5n, 7n, 8n],
  );
  assert.deepEqual(
    ruleset.sets.map(({ name }) => name),
    ['__set0'],
  );
  assert.deepEqual(
    ruleset.elements.map(({ family, table, set, elements }) => [family, table, set, elements.length]),
    [[NETDEV, 'guard', '__set0', 2]],
  );
  assert.deepEqual(ruleset.objects, []);
  assert.equal(ruleset.flowtables, 0);
});

test('the dump of a set is one list, however many messages it took', () => {
  // The catch-all element comes in a message of its own, and every list ends with one that has no elements.
  const lists = rulesetOf('dumped/map').elements;
  assert.deepEqual(
    lists.map(({ set, elements }) => [set, elements.length]),
    [
      ['gateways', 1],
      ['dispatch', 3],
    ],
  );
});

test('tables of one name in two families are two', () => {
  const ruleset = rulesetOf('dumped/family', 'dumped/object');
  assert.deepEqual(
    ruleset.tables.map(({ family, name }) => [family, name]),
    [
      [IPV4, 'other'],
      [NETDEV, 'guard'],
    ],
  );
  const elements = (family: number, key: string): Message[] =>
    parseMessages(
      message(
        { type: 0x0a0c },
        Uint8Array.of(family, 0, 0, 0),
        attribute(1, text('guard')),
        attribute(2, text('s')),
        attribute(3, attribute(1, attribute(1, attribute(1, hex(key))))),
      ),
    );
  const lists = parseRuleset([
    ...elements(NETDEV, '01'),
    ...elements(IPV4, '02'),
    ...elements(NETDEV, '03'),
  ]).elements;
  assert.deepEqual(
    lists.map(({ family, elements: found }) => [family, found.length]),
    [
      [NETDEV, 2],
      [IPV4, 1],
    ],
  );
});

test('flow tables are counted', () => {
  const flowtable = message({ type: 0x0a00 | NEWFLOWTABLE }, hex('02000000'), attribute(1, text('other')));
  assert.equal(parseRuleset(parseMessages(concat([flowtable, flowtable]))).flowtables, 2);
});

test('what is no object of nf_tables is passed over', () => {
  const empty = { tables: [], chains: [], rules: [], sets: [], elements: [], objects: [], flowtables: 0 };
  const generation = message({ type: 0x0a0f }, hex('00000001'), attribute(1, n32(1)));
  const done = message({ type: 3, flags: 2 }, n32(0));
  const conntrack = message({ type: 0x0100 }, hex('02000000'));
  assert.deepEqual(parseRuleset(parseMessages(concat([generation, done, conntrack]))), empty);
});
