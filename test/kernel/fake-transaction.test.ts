/** Transactions of the fake kernel: all or nothing, what is told of them, and how one is made to fail. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import fc from 'fast-check';
import { dumpRuleset } from '#src/compiler/scratch.js';
import { TapwallError } from '#src/error.js';
import { FakeKernel } from '#src/kernel/fake.js';
import { NETLINK_NETFILTER, NLM_F_ACK } from '#src/netlink/constants.js';
import { encodeRequest, parseMessages, type Request } from '#src/netlink/message.js';
import { encodeBatch } from '#src/nftables/batch.js';
import { NFT_MSG_GETSETELEM } from '#src/nftables/constants.js';
import { dumpRequest } from '#src/nftables/message.js';
import * as ask from './fake-requests.js';
import { commit, Subject } from './fake-subject.js';

test('all or nothing: after an error nothing is in force, but every error is told', () => {
  const subject = new Subject();
  subject.send([ask.newTable('kept'), ask.newChain('kept', 'c')]);
  const before = subject.kernel.tables();
  const requests = [
    ask.deleteTable('kept'),
    ask.newTable('a'),
    ask.newChain('b', 'c'),
    ask.newChain('a', 'c'),
    ask.newRule('a', 'zz'),
  ];
  assert.deepEqual(subject.send(requests), ['3 ENOENT@20', '5 ENOENT@28']);
  assert.deepEqual(subject.send(requests, { all: true }), [
    '1 ok',
    '2 ok',
    '3 ENOENT@20',
    '4 ok',
    '5 ENOENT@28',
  ]);
  // What went well is acknowledged also in a transaction that fails.
  assert.deepEqual(subject.send(requests.slice(0, 4)), ['3 ENOENT@20', '4 ok']);
  assert.deepEqual(subject.kernel.tables(), before);
  assert.equal(subject.kernel.generation(), 2);
  assert.equal(subject.kernel.transactions.length, 1);
});

test('a transaction that fails leaves no trace in what was there', () => {
  const subject = new Subject();
  const chain = ask.newChain('a', 'c', ask.CREATE, ask.base(['lo']));
  commit(subject.socket, [
    ask.newTable('a'),
    chain,
    ask.newRule('a', 'c'),
    ask.newSet('a', 's'),
    ask.newElements('a', 's', [1]),
    ask.newObject('a', 'o'),
  ]);
  const before = subject.kernel.tables();
  for (const request of [
    ask.newChain('a', 'c', ask.CREATE, ask.base(['later0'])),
    ask.newChain('a', 'd'),
    ask.newRule('a', 'c'),
    ask.deleteRule('a', 'c', 2n),
    ask.newRule('a', 'c', ask.REPLACE, { handle: 2n, userdata: Uint8Array.of(1) }),
    ask.newElements('a', 's', [2]),
    ask.deleteElements('a', 's', [1]),
    ask.newObject('a', 'p'),
    ask.deleteObject('a', 'o'),
    ask.deleteSet('a', 's'),
    ask.deleteChain('a', 'c'),
  ]) {
    assert.deepEqual(subject.send([request, ask.deleteTable('nope')]), ['2 ENOENT@20']);
    assert.deepEqual(subject.kernel.tables(), before);
  }
});

test('operations run in their order', () => {
  assert.deepEqual(new Subject().send([ask.newChain('a', 'c'), ask.newTable('a')]), ['1 ENOENT@20', '2 ok']);
});

test('without its end a transaction is acknowledged and not in force', () => {
  const subject = new Subject();
  assert.deepEqual(subject.send([ask.newTable('a')], { end: false }), ['1 ok']);
  assert.deepEqual(subject.tables(), []);
});

test('a commit raises the generation, unless it changes nothing', () => {
  const subject = new Subject();
  const after = (...requests: Request[]) => {
    subject.send(requests);
    return subject.kernel.generation();
  };
  assert.equal(subject.kernel.generation(), 1);
  assert.equal(after(), 1);
  assert.equal(after(ask.newTable('a')), 2);
  assert.equal(after(ask.newTable('a')), 2);
  assert.equal(after(ask.newTable('b'), ask.deleteTable('b')), 3);
  assert.equal(after(ask.newChain('a', 'c')), 4);
  assert.equal(after(ask.newChain('a', 'c')), 5);
  assert.equal(after(ask.newSet('a', 's')), 6);
  assert.equal(after(ask.newElements('a', 's', [1])), 7);
  assert.equal(after(ask.newElements('a', 's', [1])), 7);
  assert.equal(after(ask.deleteTable('nope')), 7);
});

test('a stale generation is ERESTART on the whole transaction', () => {
  const subject = new Subject();
  assert.deepEqual(subject.send([ask.newTable('a')], { generation: 77 }), ['0 ERESTART']);
  assert.deepEqual(subject.tables(), []);
  assert.deepEqual(subject.send([ask.newTable('a')], { generation: 1 }), ['1 ok']);
  assert.deepEqual(subject.send([ask.newTable('b')], { generation: 1 }), ['0 ERESTART']);
  assert.deepEqual(subject.send([ask.newTable('b')], { generation: 2 }), ['1 ok']);
  assert.throws(() => commit(subject.socket, [ask.newTable('c')], 1), {
    code: 'ERESTART',
    errno: 85,
    operation: 'the transaction',
  });
  assert.deepEqual(
    subject.kernel.refusals.map(({ code, operation }) => [code, operation]),
    [
      ['ERESTART', -1],
      ['ERESTART', -1],
      ['ERESTART', -1],
    ],
  );
});

test('outside a transaction nothing can be changed', () => {
  const { socket } = new Subject();
  assert.throws(() => socket.request(ask.newTable('a', NLM_F_ACK), 'NEWTABLE'), { code: 'EINVAL' });
});

test('a refusal names the operation that the caller sent', () => {
  const { socket, kernel } = new Subject();
  const operations = [ask.newTable('a'), ask.newChain('nope', 'c')];
  assert.throws(() => commit(socket, operations), {
    name: 'KernelError',
    code: 'ENOENT',
    operation: 'operation 1',
    extendedAck: { offset: 20 },
  });
  assert.deepEqual(kernel.transactions, []);
});

test('refuseNext refuses one transaction at its last operation, with the kernel’s words', () => {
  const { kernel, socket } = new Subject();
  const send = () => commit(socket, [ask.newTable('a'), ask.newChain('a', 'c')]);
  kernel.refuseNext(constants.errno.ENOMEM, 'Too many tables');
  kernel.refuseNext(constants.errno.EPERM);
  assert.throws(send, {
    code: 'ENOMEM',
    operation: 'operation 1',
    extendedAck: { message: 'Too many tables' },
  });
  assert.throws(send, { code: 'EPERM', extendedAck: {} });
  assert.deepEqual(kernel.tables(), []);
  send();
  const operations = [
    { operation: 'NEWTABLE', family: 'netdev', table: 'a' },
    { operation: 'NEWCHAIN', family: 'netdev', table: 'a', chain: 'c' },
  ];
  assert.deepEqual(
    kernel.refusals.map(({ namespace: _, ...refusal }) => refusal),
    [
      { operations, code: 'ENOMEM', operation: 1 },
      { operations, code: 'EPERM', operation: 1 },
    ],
  );
  for (const errno of [0, -1, 1.5, 5000]) assert.throws(() => kernel.refuseNext(errno), { code: 'ARGUMENT' });
});

test('what was committed is kept, decoded and by namespace', () => {
  const kernel = new FakeKernel();
  const namespace = kernel.createNamespace();
  const socket = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  const requests = [
    ask.newTable('a'),
    ask.newChain('a', 'c'),
    ask.newSet('a', 's'),
    ask.newElements('a', 's', [1, 2, 3]),
    ask.newRule('a', 'c'),
    ask.newObject('a', 'o'),
    ask.deleteTable(),
  ];
  assert.equal(kernel.lastTransaction, undefined);
  commit(socket, requests);
  commit(socket, []);
  const family = 'netdev';
  assert.deepEqual(kernel.lastTransaction, {
    namespace: namespace.inode,
    operations: [
      { operation: 'NEWTABLE', family, table: 'a' },
      { operation: 'NEWCHAIN', family, table: 'a', chain: 'c' },
      { operation: 'NEWSET', family, table: 'a', set: 's' },
      { operation: 'NEWSETELEM', family, table: 'a', set: 's', elements: 3 },
      { operation: 'NEWRULE', family, table: 'a', chain: 'c' },
      { operation: 'NEWOBJ', family, table: 'a', object: 'o' },
      { operation: 'DELTABLE', family },
    ],
  });
  assert.equal(kernel.transactions.length, 1);
  assert.deepEqual(kernel.tables(), []);
});

test('what tables() gives is the caller’s', () => {
  const subject = new Subject();
  subject.send([ask.newTable('a', 0, { userdata: Uint8Array.of(1, 2) }), ask.newChain('a', 'c')]);
  const [table] = subject.kernel.tables();
  assert.ok(table?.userdata);
  table.userdata[0] = 9;
  table.chains.length = 0;
  const [again] = subject.kernel.tables();
  assert.deepEqual(again?.userdata, Uint8Array.of(1, 2));
  assert.equal(again.chains.length, 1);
});

test('whatever the bytes, the answer is an answer, or the one error of bytes that nobody can read', () => {
  const requests = [
    ask.newTable('a', 0, { userdata: Uint8Array.of(1) }),
    ask.newChain('a', 'c', ask.CREATE, ask.base(['lo'])),
    ask.newSet('a', 's'),
    ask.newElements('a', 's', [1, 2]),
    ask.newRule('a', 'c', ask.CREATE, { expressions: [{ name: 'counter' }] }),
    ask.newObject('a', 'o'),
    ask.deleteElements('a', 's', [1]),
    ask.deleteRule('a', 'c'),
    ask.deleteChain('a', 'c'),
    ask.deleteTable(),
  ];
  const batch = encodeBatch(
    requests.map((request) => ({ request, label: '' })),
    1,
  ).bytes;
  const dump = encodeRequest(dumpRequest(NFT_MSG_GETSETELEM, ask.ofSet('a', 's')), 1);
  const change = fc.record({ at: fc.nat(batch.length - 1), value: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), fc.boolean(), (changes, batched) => {
      const { kernel, socket } = new Subject();
      commit(socket, requests.slice(0, 4));
      const bytes = (batched ? batch : dump).slice();
      for (const { at, value } of changes) bytes[at % bytes.length] = value;
      try {
        parseMessages(socket.transport.transact(bytes));
      } catch (error) {
        assert.ok(error instanceof TapwallError && error.code === 'MALFORMED_MESSAGE', String(error));
      }
      kernel.tables();
      dumpRuleset(socket);
    }),
    { numRuns: 2000 },
  );
});
