/** What the fake kernel answers when it is asked: dumps, and single tables and chains. Compared with Linux 6.18. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dumpRuleset } from '#src/compiler/scratch.js';
import { FakeKernel } from '#src/kernel/fake.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { leaf } from '#src/netlink/attribute.js';
import { be32, cString } from '#src/netlink/bytes.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import type { Message } from '#src/netlink/message.js';
import { chainSchema } from '#src/nftables/chain.js';
import * as nft from '#src/nftables/constants.js';
import { generationSchema } from '#src/nftables/generation.js';
import { dumpRequest, nftablesRequest, parseNftablesMessage } from '#src/nftables/message.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { tableSchema } from '#src/nftables/table.js';
import { attachBatch, attachLength } from '#src/program/attach.js';
import { program } from '../agent/program.js';
import * as ask from './fake-requests.js';
import { commit } from './fake-subject.js';

const INET = 1;

function open(): { kernel: FakeKernel; socket: NetlinkSocket } {
  const kernel = new FakeKernel();
  return { kernel, socket: kernel.openSocket({ protocol: NETLINK_NETFILTER }) };
}

function names(messages: readonly Message[]): (string | undefined)[] {
  const { tables, chains, sets, objects } = parseRuleset(messages);
  return [...tables, ...chains, ...sets, ...objects].map(({ name }) => name);
}

test('a program that was installed is dumped as it was sent', () => {
  const { kernel, socket } = open();
  const both = program('both', { tables: ['in', 'out'], rules: 2 });
  const facts = { index: 7, name: 'macvtap0', mac: '', origin: 'agent' as const, links: new Map() };
  socket.commitWith(attachLength(both, []), (sequence) => attachBatch(both, facts, sequence));
  const ruleset = parseRuleset(dumpRuleset(socket));
  const tables = kernel.tables();
  assert.deepEqual(
    ruleset.tables.map(({ use: _, ...table }) => table),
    tables.map(({ chains: _, sets: __, objects: ___, ...table }) => table),
  );
  assert.deepEqual(
    ruleset.chains.map(({ use, family: _, hook, ...chain }) => ({ ...chain, hook: hook?.devices, use })),
    tables.flatMap(({ chains }) =>
      chains.map(({ rules, hook, ...chain }) => ({ ...chain, hook: hook?.devices, use: rules.length })),
    ),
  );
  assert.deepEqual(
    ruleset.rules.map(({ position: _, family: __, ...rule }) => rule),
    tables.flatMap(({ chains }) => chains.flatMap(({ rules }) => rules)),
  );
  assert.equal(ruleset.rules.length, 8);
});

test('a base chain names a single device twice, a rule the one before it', () => {
  const { socket } = open();
  commit(socket, [
    ask.newTable('a'),
    ask.newChain('a', 'one', ask.CREATE, ask.base(['lo'])),
    ask.newChain('a', 'two', ask.CREATE, ask.base(['lo', 'later0'], { number: nft.NF_NETDEV_EGRESS })),
    ask.newChain('a', 'plain'),
    ask.newRule('a', 'plain'),
    ask.newRule('a', 'plain'),
  ]);
  const { chains, rules } = parseRuleset(dumpRuleset(socket));
  assert.deepEqual(
    chains.map(({ handle, flags, use, hook }) => [handle, flags, use, hook?.device, hook?.devices?.length]),
    [
      [1n, nft.NFT_CHAIN_BASE, 0, 'lo', 1],
      [2n, nft.NFT_CHAIN_BASE, 0, undefined, 2],
      [3n, undefined, 2, undefined, undefined],
    ],
  );
  assert.deepEqual(
    rules.map(({ handle, position }) => [handle, position]),
    [
      [4n, undefined],
      [5n, 4n],
    ],
  );
});

test('a dump is of one family or of all, and of one table where one is named', () => {
  const { socket } = open();
  commit(socket, [
    ask.newTable('a'),
    ask.newTable('b'),
    ask.newTable('b', 0, {}, INET),
    ask.newChain('a', 'ca'),
    ask.newChain('b', 'cb'),
    ask.newSet('a', 'sa'),
    ask.newSet('b', 'sb'),
    ask.newObject('a', 'oa'),
    ask.newObject('b', 'ob'),
    ask.newRule('a', 'ca'),
    ask.newRule('b', 'cb'),
  ]);
  const dump = (operation: number, table?: string, family = nft.NFPROTO_NETDEV) => {
    const attributes = table === undefined ? [] : [leaf(nft.NFTA_TABLE_NAME, cString(table))];
    return socket.dump(dumpRequest(operation, attributes, family), 'the dump');
  };
  assert.deepEqual(names(dump(nft.NFT_MSG_GETTABLE)), ['a', 'b']);
  assert.deepEqual(names(dump(nft.NFT_MSG_GETTABLE, undefined, INET)), ['b']);
  assert.deepEqual(names(dump(nft.NFT_MSG_GETTABLE, undefined, 0)), ['a', 'b', 'b']);
  assert.deepEqual(names(dump(nft.NFT_MSG_GETCHAIN)), ['ca', 'cb']);
  assert.deepEqual(names(dump(nft.NFT_MSG_GETSET, 'b')), ['sb']);
  assert.deepEqual(names(dump(nft.NFT_MSG_GETOBJ, 'a')), ['oa']);
  assert.deepEqual(names(dump(nft.NFT_MSG_GETOBJ, 'nope')), []);
  assert.deepEqual(
    parseRuleset(dump(nft.NFT_MSG_GETRULE, 'b')).rules.map(({ chain }) => chain),
    ['cb'],
  );
  assert.throws(() => dump(nft.NFT_MSG_GETSET, 'nope'), { code: 'ENOENT', extendedAck: { offset: 20 } });
  assert.deepEqual(dump(nft.NFT_MSG_GETFLOWTABLE), []);
});

test('objects are dumped by type as well', () => {
  const { socket } = open();
  commit(socket, [ask.newTable('a'), ask.newObject('a', 'o')]);
  const ofType = (type: number) =>
    names(socket.dump(dumpRequest(nft.NFT_MSG_GETOBJ, [leaf(nft.NFTA_OBJ_TYPE, be32(type))]), 'the dump'));
  assert.deepEqual([ofType(1), ofType(2)], [['o'], []]);
});

test('a large set comes in several messages, all its elements in them', () => {
  const { kernel, socket } = open();
  const keys = Array.from({ length: 10_000 }, (_, key) => key);
  commit(socket, [ask.newTable('a'), ask.newSet('a', 's')]);
  for (let at = 0; at < keys.length; at += 2000) {
    commit(socket, [ask.newElements('a', 's', keys.slice(at, at + 2000))]);
  }
  const request = dumpRequest(nft.NFT_MSG_GETSETELEM, ask.ofSet('a', 's'));
  const messages = socket.dump(request, 'the dump');
  assert.ok(messages.length > 1);
  const [list, ...others] = parseRuleset(messages).elements;
  assert.deepEqual(others, []);
  assert.deepEqual(list?.elements, kernel.tables()[0]?.sets[0]?.elements);
  assert.equal(list?.elements.length, keys.length);
  const [definition] = parseRuleset(socket.dump(dumpRequest(nft.NFT_MSG_GETSET), 'the dump')).sets;
  assert.equal(definition?.count, keys.length);
});

test('the elements of what is not there are refused', () => {
  const { socket } = open();
  commit(socket, [ask.newTable('a')]);
  const dump = (attributes: ReturnType<typeof ask.ofSet>) =>
    socket.dump(dumpRequest(nft.NFT_MSG_GETSETELEM, attributes), 'the dump');
  assert.throws(() => dump(ask.ofSet('b', 's')), { code: 'ENOENT', extendedAck: { offset: 20 } });
  assert.throws(() => dump(ask.ofSet('a', 's')), { code: 'ENOENT', extendedAck: { offset: 28 } });
  assert.throws(() => dump([]), { code: 'EINVAL' });
});

test('a single table or chain', () => {
  const { socket } = open();
  commit(socket, [
    ask.newTable('a', 0, { userdata: Uint8Array.of(1, 1, 1) }),
    ask.newChain('a', 'c'),
    ask.newSet('a', 's'),
    ask.newObject('a', 'o'),
  ]);
  const table = (name: string) =>
    socket.request(nftablesRequest(nft.NFT_MSG_GETTABLE, 0, tableSchema.encode({ name })), 'GETTABLE');
  const chain = (table: string, name: string) =>
    socket.request(nftablesRequest(nft.NFT_MSG_GETCHAIN, 0, chainSchema.encode({ table, name })), 'GETCHAIN');
  assert.deepEqual(parseRuleset(table('a')).tables, [
    { family: 5, name: 'a', flags: 0, use: 3, handle: 1n, userdata: Uint8Array.of(1, 1, 1) },
  ]);
  assert.deepEqual(parseRuleset(chain('a', 'c')).chains, [
    { family: 5, table: 'a', name: 'c', handle: 1n, use: 0 },
  ]);
  assert.throws(() => table('b'), { code: 'ENOENT', extendedAck: { offset: 20 } });
  assert.throws(() => chain('b', 'c'), { code: 'ENOENT', extendedAck: { offset: 20 } });
  assert.throws(() => chain('a', 'd'), { code: 'ENOENT', extendedAck: { offset: 28 } });
  // The fake has no answer about a single rule, set or object.
  assert.throws(() => socket.request(nftablesRequest(nft.NFT_MSG_GETSET, 0), 'GETSET'), {
    code: 'EOPNOTSUPP',
  });
  assert.throws(() => socket.request(nftablesRequest(99, 0), 'operation 99'), { code: 'EINVAL' });
});

test('the generation, also in the header of each message', () => {
  const { kernel, socket } = open();
  commit(socket, [ask.newTable('a')]);
  commit(socket, [ask.newTable('b')]);
  const [message] = socket.request(nftablesRequest(nft.NFT_MSG_GETGEN, 0), 'GETGEN');
  const generation = message && parseNftablesMessage(message);
  assert.equal(generation && generationSchema.parse(generation.attributes).id, 3);
  assert.equal(kernel.generation(), 3);
  const [table] = socket.dump(dumpRequest(nft.NFT_MSG_GETTABLE), 'the dump');
  assert.deepEqual([...(table?.payload.subarray(2, 4) ?? [])], [0, 3]);
});
