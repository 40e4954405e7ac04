/** The same transactions to the fake kernel and to the real one: the same answers, and the same state after each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NLM_F_NONREC } from '#src/netlink/constants.js';
import type { Request } from '#src/netlink/message.js';
import type { HookDevice } from '#src/nftables/chain.js';
import * as nft from '#src/nftables/constants.js';
import * as ask from './fake-requests.js';
import { onBoth } from './fake-subject.js';

const TABLE = ask.newTable('a');
const NFT_SET_EVAL = 0x20;

const rule = (chain: string, ...expressions: ReturnType<typeof ask.jump>) =>
  ask.newRule('a', chain, ask.CREATE | ask.APPEND, { expressions });

const only = (request: Request): Request => ({ ...request, flags: request.flags | NLM_F_NONREC });

/** Devices that come to a chain, or leave it. */
const hooked = (...devices: (string | HookDevice)[]) => {
  const { hook } = ask.base(devices);
  return { hook };
};
const join = (chain: string, ...devices: (string | HookDevice)[]) =>
  ask.newChain('a', chain, 0, hooked(...devices));
const leave = (chain: string, ...devices: (string | HookDevice)[]) =>
  ask.deleteChain('a', chain, hooked(...devices));

test('an element is destroyed whether it is there or not, but not in a set that is not', () => {
  const answers = onBoth(
    [TABLE, ask.newSet('a', 's'), ask.newElements('a', 's', [1, 2, 3])],
    [ask.destroyElements('a', 's', [2, 9])],
    [ask.destroyElements('a', 's', [9])],
    [ask.destroyElements('a', 't', [1])],
    [ask.deleteElements('a', 's', [1, 9])],
  );
  assert.deepEqual(answers, ['3 ok', '1 ok', '1 ok', '1 ENOENT@28', '1 ENOENT@56']);
});

test('an element that is put there and deleted again leaves nothing, whether it was there or not', () => {
  const clear = (key: number) => [ask.newElements('a', 's', [key]), ask.deleteElements('a', 's', [key])];
  onBoth([TABLE, ask.newSet('a', 's'), ask.newElements('a', 's', [1])], clear(1), clear(2));
});

test('an element has the expression of its set, or one of its own', () => {
  const counted = ask.newSet('a', 's', ask.CREATE, { flags: NFT_SET_EVAL, expression: ask.COUNTER });
  const answers = onBoth(
    [TABLE, counted, ask.newElements('a', 's', [1])],
    [ask.newElementWith('a', 's', 2, ask.COUNTER)],
    [ask.newElements('a', 's', [1, 2])],
    [ask.deleteElements('a', 's', [1])],
  );
  assert.deepEqual(answers, ['3 ok', '1 ok', '1 ok', '1 ok']);
});

test('a rule holds the chain it leads to', () => {
  const answers = onBoth(
    [TABLE, ask.newChain('a', 'from'), ask.newChain('a', 'to'), rule('from', ...ask.jump('to'))],
    [ask.deleteChain('a', 'to')],
    [rule('to', ...ask.goto('nowhere'))],
    [ask.newChain('a', 'base', ask.CREATE, ask.base(['lo'])), rule('from', ...ask.goto('base'))],
    [ask.deleteRule('a', 'from'), ask.deleteChain('a', 'to')],
    // With a chain go its rules, and what they held is free.
    [ask.newChain('a', 'to'), rule('from', ...ask.goto('to'))],
    [ask.deleteChain('a', 'from'), ask.deleteChain('a', 'to')],
  );
  assert.deepEqual(answers, ['4 ok', '1 EBUSY@28', '1 ENOENT@40', '2 EOPNOTSUPP@44', '2 ok', '2 ok', '2 ok']);
});

test('a chain with rules is deleted, unless only an empty one may be', () => {
  const answers = onBoth(
    [TABLE, ask.newChain('a', 'c'), rule('c')],
    [only(ask.deleteChain('a', 'c'))],
    [ask.deleteChain('a', 'c')],
    [ask.newChain('a', 'c')],
    [only(ask.deleteChain('a', 'c'))],
  );
  assert.deepEqual(answers, ['3 ok', '1 EBUSY', '1 ok', '1 ok', '1 ok']);
});

test('an element of a map holds the chain it leads to', () => {
  const answers = onBoth(
    [TABLE, ask.newChain('a', 'to'), ask.newVerdictMap('a', 'm'), ask.newVerdictElement('a', 'm', 1, 'to')],
    [ask.deleteChain('a', 'to')],
    [ask.newVerdictElement('a', 'm', 2, 'nowhere')],
    [ask.deleteElements('a', 'm', [1]), ask.deleteChain('a', 'to')],
    [ask.newChain('a', 'to'), ask.newVerdictElement('a', 'm', 1, 'to')],
    [ask.deleteSet('a', 'm'), ask.deleteChain('a', 'to')],
  );
  assert.deepEqual(answers, ['4 ok', '1 EBUSY@28', '1 ENOENT@40', '2 ok', '2 ok', '2 ok']);
});

test('a rule holds the set that it looks up', () => {
  const answers = onBoth(
    [TABLE, ask.newChain('a', 'c'), ask.newSet('a', 's'), rule('c', ...ask.lookup('s'))],
    [ask.deleteSet('a', 's')],
    [rule('c', ...ask.lookup('nothing'))],
    [ask.deleteRule('a', 'c'), ask.deleteSet('a', 's'), ask.newSet('a', 's'), rule('c', ...ask.lookup('s'))],
    [ask.deleteRule('a', 'c'), ask.deleteSet('a', 's')],
  );
  assert.deepEqual(answers, ['4 ok', '1 EBUSY@28', '1 ENOENT@76', '4 ok', '2 ok']);
});

test('an anonymous set goes with its rule, and what it led to is free', () => {
  const flags = nft.NFT_SET_ANONYMOUS | 0x2 | 0x8;
  const answers = onBoth(
    [
      TABLE,
      ask.newChain('a', 'c'),
      ask.newChain('a', 'to'),
      ask.newVerdictMap('a', '__set.c', { flags }),
      ask.newVerdictElement('a', '__set.c', 1, 'to'),
      rule('c', ...ask.lookup('__set.c', { isMap: true })),
    ],
    [ask.deleteChain('a', 'to')],
    [ask.deleteRule('a', 'c'), ask.deleteChain('a', 'to')],
  );
  assert.deepEqual(answers, ['6 ok', '1 EBUSY@28', '2 ok']);
});

test('an anonymous chain goes with its rule', () => {
  const flags = nft.NFT_CHAIN_BINDING;
  const answers = onBoth(
    [
      TABLE,
      ask.newChain('a', 'c'),
      ask.newChain('a', 'to'),
      ask.newChain('a', '__chain.c', ask.CREATE, { flags }),
      rule('__chain.c', ...ask.jump('to')),
      rule('c', ...ask.jump('__chain.c')),
    ],
    [ask.deleteChain('a', 'to')],
    [ask.deleteRule('a', 'c'), ask.deleteChain('a', 'to')],
  );
  assert.deepEqual(answers, ['6 ok', '1 EBUSY@28', '2 ok']);
});

const BASES = [
  TABLE,
  ask.newChain('a', 'in', ask.CREATE, ask.base([])),
  ask.newChain('a', 'out', ask.CREATE, ask.base([], { number: nft.NF_NETDEV_EGRESS })),
];
const joinOut = (...devices: string[]) => {
  const { hook } = ask.base(devices, { number: nft.NF_NETDEV_EGRESS });
  return ask.newChain('a', 'out', 0, { hook });
};

test('one transaction adds a device to one chain of a table that was there', () => {
  const answers = onBoth(
    BASES,
    [join('in', 'x'), joinOut('x')],
    [join('in', 'x'), join('in', 'x')],
    [join('in', 'x'), joinOut('y')],
    [join('in', 'x'), joinOut('x')],
    [leave('in', 'x'), join('in', 'x')],
    // In a chain that is new it is no second time.
    [
      ask.newChain('a', 'new', ask.CREATE, ask.base(['z'])),
      ask.newChain('a', 'new', ask.CREATE, ask.base(['z'])),
      join('in', 'z'),
    ],
  );
  assert.deepEqual(answers, ['3 ok', '2 EEXIST', '2 EEXIST', '2 ok', '2 ok', '2 ok', '3 ok']);
});

test('a device leaves a chain only when it was there before the transaction', () => {
  const answers = onBoth(
    BASES,
    [join('in', 'x'), leave('in', 'x')],
    [join('in', 'x', 'y', { prefix: 'vm' })],
    [leave('in', 'x', 'nobody')],
    [leave('in', 'x'), leave('in', 'x')],
    [leave('in', 'x', { prefix: 'vm' })],
    [leave('in', 'y')],
    [ask.deleteChain('a', 'in')],
  );
  assert.deepEqual(answers, ['3 ok', '2 ENOENT', '1 ok', '1 ENOENT', '2 ENOENT', '1 ok', '1 ok', '1 ok']);
});
