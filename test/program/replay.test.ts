import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeAttributes } from '#src/netlink/attribute.js';
import { type Chain, chainSchema } from '#src/nftables/chain.js';
import type { SetElement } from '#src/nftables/element.js';
import { objectSchema } from '#src/nftables/object.js';
import { type Expression, ruleSchema } from '#src/nftables/rule.js';
import {
  anonymousChainNames,
  chainToInstall,
  elementToInstall,
  objectToInstall,
  ruleToInstall,
  setToInstall,
} from '#src/program/replay.js';
import { attribute, concat, hex, n32, n64, text } from '../fixtures-support/bytes.js';
import { canonical, NEWCHAIN, NEWOBJ, NEWRULE, nftablesMessages } from '../fixtures-support/golden.js';
import { assertSameBytes } from '../fixtures-support/hex.js';

const NO_NAMES = anonymousChainNames([]);

/** That of what the kernel dumped becomes what nft had sent, but for order and NLA_F_NESTED. */
function assertReplays(
  fixture: string,
  operation: number,
  replay: (attributes: Uint8Array) => ReturnType<typeof chainSchema.encode>,
  which?: readonly number[],
): void {
  const [sent, dumped] = ['sent', 'dumped'].map((folder) =>
    nftablesMessages(`${folder}/${fixture}`).filter((message) => message.operation === operation),
  );
  assert.ok(sent && dumped && sent.length === dumped.length && sent.length > 0);
  for (const index of which ?? sent.keys()) {
    const [request, dump] = [sent[index], dumped[index]];
    assert.ok(request && dump);
    const replayed = encodeAttributes(replay(dump.attributes));
    const guide = request.attributes;
    assertSameBytes(canonical(replayed, guide), canonical(guide, guide), `${fixture}, number ${index}`);
  }
}

test('chains are replayed as nft had sent them', () => {
  const replay = (bytes: Uint8Array) =>
    chainSchema.encode(chainToInstall(chainSchema.parse(bytes), NO_NAMES));
  // The second is on two devices, which no policy may have.
  assertReplays('chain', NEWCHAIN, replay, [0, 2]);
  for (const fixture of ['family', 'map', 'rule']) assertReplays(fixture, NEWCHAIN, replay);
});

test('objects are replayed as nft had sent them', () => {
  assertReplays('object', NEWOBJ, (bytes) => objectSchema.encode(objectToInstall(objectSchema.parse(bytes))));
});

test('rules are replayed as nft had sent them', () => {
  const replay = (bytes: Uint8Array) => ruleSchema.encode(ruleToInstall(ruleSchema.parse(bytes), NO_NAMES));
  // A dumped counter has its numbers, and a lookup the name that the kernel gave the set.
  assertReplays('rule', NEWRULE, replay, [1, 2, 4]);
});

test('what only the kernel says is left away', () => {
  const set = { table: 'guard', name: 's', flags: 4, keyType: 7, keyLength: 4 };
  const dumped = { ...set, handle: 1n, backend: text('0xffff'), count: 3 };
  assert.deepEqual(setToInstall(dumped, 7, NO_NAMES), { ...set, id: 7 });
  assert.deepEqual(ruleToInstall({ table: 'guard', chain: 'in', handle: 3n, position: 2n }, NO_NAMES), {
    table: 'guard',
    chain: 'in',
  });
});

test('a hook keeps its one device in the form that every kernel reads', () => {
  const hook = { number: 0, priority: 0 };
  const chain: Chain = { table: 'guard', name: 'in', flags: 1 };
  const hookOf = (one: Chain['hook']) => chainToInstall(one ? { ...chain, hook: one } : chain, NO_NAMES).hook;
  assert.deepEqual(hookOf({ ...hook, devices: [{ name: 'vm0' }] }), { ...hook, device: 'vm0' });
  assert.deepEqual(hookOf({ ...hook, devices: [{ name: 'vm0' }], device: 'vm0' }), {
    ...hook,
    device: 'vm0',
  });
  assert.equal(hookOf(undefined), undefined);
  // NFT_CHAIN_BASE is for the kernel to set; NFT_CHAIN_HW_OFFLOAD is not.
  assert.equal(chainToInstall(chain, NO_NAMES).flags, undefined);
  assert.equal(chainToInstall({ ...chain, flags: 3 }, NO_NAMES).flags, 2);
});

const jump = (chain: string): Expression => ({
  name: 'immediate',
  data: concat([
    attribute(1, n32(0)),
    attribute(2, attribute(2, attribute(1, n32(-3 >>> 0)), attribute(2, text(chain)))),
  ]),
});

test('anonymous chains are numbered from 0, wherever they are named', () => {
  const BINDING = 4;
  const table = 'guard';
  const names = anonymousChainNames([
    { table, name: 'in' },
    { table, name: '__chain4711', flags: BINDING },
    { table, name: '__chain12', flags: BINDING },
  ]);
  assert.deepEqual(
    [...names],
    [
      ['__chain4711', '__chain0'],
      ['__chain12', '__chain1'],
    ],
  );
  assert.equal(chainToInstall({ table, name: '__chain12', flags: BINDING }, names).name, '__chain1');
  assert.equal(chainToInstall({ table, name: 'in' }, names).name, 'in');
  const rule = ruleToInstall(
    { table, chain: '__chain4711', expressions: [jump('__chain12'), jump('in')] },
    names,
  );
  assert.deepEqual(rule, { table, chain: '__chain0', expressions: [jump('__chain1'), jump('in')] });
  const element = elementToInstall({ expressions: [jump('__chain12')] }, undefined, 0, names);
  assert.deepEqual(element.expressions, [jump('__chain1')]);
});

/** What becomes of one expression. */
function replayed(name: string, ...attributes: Uint8Array[]): Uint8Array | undefined {
  const rule = { table: 'guard', chain: 'in', expressions: [{ name, data: concat(attributes) }] };
  return ruleToInstall(rule, NO_NAMES).expressions?.[0]?.data;
}

test('an extension header that is set or stripped has no flags', () => {
  const DREG = attribute(1, n32(1));
  const TYPE = attribute(2, hex('02'));
  const OFFSET = attribute(3, n32(2));
  const LEN = attribute(4, n32(2));
  const FLAGS = attribute(5, n32(0));
  const SREG = attribute(7, n32(1));
  assert.deepEqual(
    replayed('exthdr', DREG, TYPE, OFFSET, LEN, FLAGS),
    concat([DREG, TYPE, OFFSET, LEN, FLAGS]),
  );
  assert.deepEqual(replayed('exthdr', SREG, TYPE, OFFSET, LEN, FLAGS), concat([SREG, TYPE, OFFSET, LEN]));
  assert.deepEqual(replayed('exthdr', TYPE, OFFSET, LEN, FLAGS), TYPE);
});

test('a quota is replayed without the flag of one that is used up', () => {
  const bytes = attribute(1, n64(1000n));
  const flags = (value: number) => attribute(2, n32(value));
  assert.deepEqual(replayed('quota', bytes, flags(3)), concat([bytes, flags(1)]));
  assert.deepEqual(replayed('quota', bytes, flags(2)), concat([bytes, flags(0)]));
  const NFT_OBJECT_QUOTA = 2;
  const object = { table: 'guard', name: 'q', type: NFT_OBJECT_QUOTA };
  const data = objectToInstall({ ...object, data: concat([bytes, flags(3)]), use: 1, handle: 1n });
  assert.deepEqual(data, { ...object, data: concat([bytes, flags(1)]) });
});

test('a rule that adds to a set has a time-out only when it is not 0', () => {
  const set = attribute(1, text('s'));
  const timeout = (value: bigint) => attribute(6, n64(value));
  const quota = (flags: number) =>
    attribute(7, attribute(1, text('quota')), attribute(2, attribute(2, n32(flags))));
  const list = (flags: number) =>
    attribute(10, attribute(1, attribute(1, text('quota')), attribute(2, attribute(2, n32(flags)))));
  assert.deepEqual(replayed('dynset', set, timeout(0n)), set);
  assert.deepEqual(replayed('dynset', set, timeout(1n)), concat([set, timeout(1n)]));
  // What is inside it is replayed too.
  assert.deepEqual(replayed('dynset', set, quota(3), list(2)), concat([set, quota(1), list(0)]));
});

test('other expressions are as they were', () => {
  const data = hex('0800010000000001');
  assert.deepEqual(replayed('meta', data), data);
  const bare: Expression = { name: 'notrack' };
  assert.deepEqual(ruleToInstall({ table: 't', chain: 'c', expressions: [bare] }, NO_NAMES).expressions, [
    bare,
  ]);
});

test('the time that passed while a policy was compiled is not part of it', () => {
  const HOUR = 3_600_000n;
  const expirationOf = (element: SetElement, setTimeout: bigint | undefined, elapsedMs: number) =>
    elementToInstall(element, setTimeout, elapsedMs, NO_NAMES);
  // 40 ms of an hour have passed, and the element was there for 40 ms at most.
  assert.deepEqual(expirationOf({ expiration: HOUR - 40n }, HOUR, 40), {});
  assert.deepEqual(expirationOf({ timeout: HOUR, expiration: HOUR - 40n }, undefined, 40), { timeout: HOUR });
  // The user wrote `expires 30m`.
  assert.deepEqual(expirationOf({ timeout: HOUR, expiration: HOUR / 2n - 40n }, undefined, 40), {
    timeout: HOUR,
    expiration: HOUR / 2n,
  });
  // The time-out of the element goes before that of the set.
  assert.deepEqual(expirationOf({ timeout: HOUR, expiration: HOUR - 1n }, 2n * HOUR, 1), { timeout: HOUR });
  // Without any time-out nothing expires.
  assert.deepEqual(expirationOf({ expiration: 5n }, undefined, 0), {});
});

test('the end of an interval has no time-out', () => {
  const INTERVAL_END = 1;
  const element = { flags: INTERVAL_END, timeout: 0n, expiration: 0n };
  assert.deepEqual(elementToInstall(element, 1000n, 0, NO_NAMES), { flags: INTERVAL_END });
});
