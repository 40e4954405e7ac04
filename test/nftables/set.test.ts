import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SetDefinition, setSchema } from '#src/nftables/set.js';
import { attribute, concat, h32, n32, n64, text, userdata } from '../fixtures-support/bytes.js';
import { NEWSET, parseGolden } from '../fixtures-support/golden.js';

// enum nft_set_flags
const ANONYMOUS = 0x1;
const CONSTANT = 0x2;
const INTERVAL = 0x4;
const MAP = 0x8;
const TIMEOUT = 0x10;
const EVAL = 0x20;
const OBJECT = 0x40;
const CONCAT = 0x80;
const EXPR = 0x100;

// nft's own numbers for types; in a concatenation each has six bits.
const IPV4_ADDR = 7;
const IPV6_ADDR = 8;
const ETHER_ADDR = 9;
const INET_PROTO = 12;
const INET_SERVICE = 13;
const IFACE_INDEX = 20;
const VERDICT = 0xffffff00;

const HOST = 1;
const NETWORK = 2;
const keyByteOrder = (order: number) => userdata(0, h32(order));
const dataByteOrder = (order: number) => userdata(1, h32(order));
const mergeElements = userdata(2, h32(1));
const dataInterval = userdata(6, h32(0));

const none = new Uint8Array();
/** NFTA_SET_DESC_SIZE */
const size = (value: number) => attribute(1, n32(value));

const counter = { name: 'counter', data: concat([attribute(1, n64(0n)), attribute(2, n64(0n))]) };

/** The sets of a dump. What the kernel chose is an address of its own (6.17), and of no interest but that it is there. */
function dumpedSets(name: string): SetDefinition[] {
  return parseGolden(`dumped/${name}`, NEWSET, setSchema).map(({ backend, ...set }) => {
    assert.ok(backend && backend.length > 1);
    return set;
  });
}

test('a set with time-outs, one that counts, one that rules fill', () => {
  const [recent, admitted, flooders, ...more] = dumpedSets('set');
  assert.equal(more.length, 0);
  assert.deepEqual(recent, {
    table: 'guard',
    name: 'recent',
    handle: 1n,
    flags: TIMEOUT,
    keyType: IPV4_ADDR,
    keyLength: 4,
    timeout: 3_600_000n,
    gcInterval: 600_000,
    policy: 1,
    userdata: concat([keyByteOrder(NETWORK), userdata(7, text('seen lately'))]),
    description: none,
    count: 2,
  });
  assert.deepEqual(
    { ...admitted, userdata: undefined },
    {
      table: 'guard',
      name: 'admitted',
      handle: 2n,
      keyType: IFACE_INDEX,
      keyLength: 4,
      userdata: undefined,
      description: size(1000),
      count: 2,
      expression: counter,
    },
  );
  assert.deepEqual(flooders, {
    table: 'guard',
    name: 'flooders',
    handle: 3n,
    flags: TIMEOUT | EVAL | EXPR,
    keyType: IPV6_ADDR,
    keyLength: 16,
    timeout: 30_000n,
    userdata: keyByteOrder(NETWORK),
    description: none,
    count: 0,
    expressions: [
      {
        name: 'limit',
        // 5 in 60 seconds, burst 5, packets
        data: concat([
          attribute(1, n64(5n)),
          attribute(2, n64(60n)),
          attribute(3, n32(5)),
          attribute(4, n32(0)),
          attribute(5, n32(0)),
        ]),
      },
      counter,
    ],
  });
});

test('interval sets', () => {
  const common = { table: 'guard', flags: INTERVAL, description: none };
  assert.deepEqual(dumpedSets('interval'), [
    {
      ...common,
      name: 'lan',
      handle: 1n,
      keyType: IPV4_ADDR,
      keyLength: 4,
      userdata: keyByteOrder(NETWORK),
      count: 3,
    },
    {
      ...common,
      name: 'ports',
      handle: 2n,
      keyType: INET_SERVICE,
      keyLength: 2,
      userdata: concat([keyByteOrder(NETWORK), mergeElements]),
      count: 1,
    },
  ]);
});

test('concatenations', () => {
  const [pairs, services, ...more] = dumpedSets('concatenation').map(({ userdata: _, ...set }) => set);
  assert.equal(more.length, 0);
  assert.deepEqual(pairs, {
    table: 'guard',
    name: 'pairs',
    handle: 1n,
    keyType: (IFACE_INDEX << 6) | ETHER_ADDR,
    // 4 bytes, and 6 padded to 8
    keyLength: 12,
    description: none,
    count: 1,
  });
  // NFTA_SET_DESC_CONCAT { NFTA_LIST_ELEM { NFTA_SET_FIELD_LEN } }
  const fields = attribute(2, ...[4, 1, 2].map((length) => attribute(1, attribute(1, n32(length)))));
  assert.deepEqual(services, {
    table: 'guard',
    name: 'services',
    handle: 2n,
    flags: INTERVAL | CONCAT,
    keyType: (IPV4_ADDR << 12) | (INET_PROTO << 6) | INET_SERVICE,
    keyLength: 12,
    description: fields,
    count: 2,
  });
});

test('maps to values, to verdicts and to objects', () => {
  const [gateways, dispatch, ...more] = dumpedSets('map');
  assert.equal(more.length, 0);
  const common = { table: 'guard', keyType: IFACE_INDEX, keyLength: 4, description: none };
  assert.deepEqual(gateways, {
    ...common,
    name: 'gateways',
    handle: 2n,
    flags: MAP,
    dataType: IPV4_ADDR,
    dataLength: 4,
    userdata: concat([keyByteOrder(HOST), dataByteOrder(NETWORK), dataInterval]),
    count: 1,
  });
  assert.deepEqual(dispatch, {
    ...common,
    name: 'dispatch',
    handle: 3n,
    flags: MAP,
    dataType: VERDICT,
    dataLength: 16,
    userdata: concat([keyByteOrder(HOST), dataByteOrder(0), dataInterval]),
    count: 2,
  });
  assert.deepEqual(dumpedSets('object'), [
    {
      ...common,
      name: 'meters',
      handle: 4n,
      flags: OBJECT,
      objectType: 1,
      userdata: concat([keyByteOrder(HOST), dataInterval]),
      count: 1,
    },
  ]);
});

test('the anonymous set of a rule', () => {
  const [set, ...more] = dumpedSets('rule');
  assert.equal(more.length, 0);
  assert.deepEqual(
    { ...set, userdata: undefined },
    {
      table: 'guard',
      name: '__set0',
      handle: 6n,
      flags: ANONYMOUS | CONSTANT,
      keyType: IPV4_ADDR,
      keyLength: 4,
      userdata: undefined,
      description: size(2),
      count: 2,
    },
  );
});

test('sets as nft sends them, with an id inside the transaction', () => {
  assert.deepEqual(
    parseGolden('sent/set', NEWSET, setSchema).map(({ name, id, handle }) => ({ name, id, handle })),
    [
      { name: 'recent', id: 1, handle: undefined },
      { name: 'admitted', id: 2, handle: undefined },
      { name: 'flooders', id: 3, handle: undefined },
    ],
  );
  const [anonymous] = parseGolden('sent/rule', NEWSET, setSchema);
  // The kernel puts a number in place of %d.
  assert.equal(anonymous?.name, '__set%d');
  assert.equal(anonymous?.id, 1);
});
