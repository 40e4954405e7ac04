import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeAttributes } from '#src/netlink/attribute.js';
import { chainSchema, hookDevices, hookSchema } from '#src/nftables/chain.js';
import { attribute, concat, n32, n64, text, userdata } from '../fixtures-support/bytes.js';
import { NEWCHAIN, parseGolden } from '../fixtures-support/golden.js';
import { assertSameBytes } from '../fixtures-support/hex.js';

const NF_DROP = 0;
const NF_ACCEPT = 1;
const INGRESS = 0;
const EGRESS = 1;
const NFT_CHAIN_BASE = 1;

const comment = userdata(0, text('jumped to'));

test('chains as the kernel dumps them', () => {
  const [first, second, third, ...more] = parseGolden('dumped/chain', NEWCHAIN, chainSchema);
  assert.equal(more.length, 0);
  // One device is told twice: in the list, and in the attribute that older programs read.
  assert.deepEqual(first, {
    table: 'guard',
    name: 'in',
    handle: 1n,
    hook: { number: INGRESS, priority: 0, devices: [{ name: 'vm0' }], device: 'vm0' },
    policy: NF_DROP,
    type: 'filter',
    flags: NFT_CHAIN_BASE,
    use: 0,
  });
  // The kernel sorts the devices as it likes.
  assert.deepEqual(
    {
      ...second,
      hook: {
        ...second?.hook,
        devices: new Set(second?.hook?.devices?.map((one) => 'name' in one && one.name)),
      },
    },
    {
      table: 'guard',
      name: 'out',
      handle: 2n,
      hook: { number: EGRESS, priority: -10, devices: new Set(['vm0', 'vm1']) },
      policy: NF_ACCEPT,
      type: 'filter',
      flags: NFT_CHAIN_BASE,
      use: 0,
    },
  );
  assert.deepEqual(third, { table: 'guard', name: 'shared', handle: 3n, use: 0, userdata: comment });
});

test('chains as nft sends them', () => {
  assert.deepEqual(parseGolden('sent/chain', NEWCHAIN, chainSchema), [
    {
      table: 'guard',
      name: 'in',
      hook: { number: INGRESS, priority: 0, device: 'vm0' },
      policy: NF_DROP,
      type: 'filter',
    },
    {
      table: 'guard',
      name: 'out',
      hook: { number: EGRESS, priority: -10, devices: [{ name: 'vm1' }, { name: 'vm0' }] },
      policy: NF_ACCEPT,
      type: 'filter',
    },
    { table: 'guard', name: 'shared', userdata: comment },
  ]);
});

test('a chain on every device of a prefix', () => {
  assert.deepEqual(parseGolden('dumped/prefix', NEWCHAIN, chainSchema), [
    {
      table: 'probe',
      name: 'ingress',
      handle: 1n,
      hook: { number: INGRESS, priority: 0, devices: [{ prefix: 'probe' }] },
      policy: NF_ACCEPT,
      type: 'filter',
      flags: NFT_CHAIN_BASE,
      use: 1,
    },
  ]);
});

test('a chain that counts', () => {
  const [chain] = parseGolden('dumped/chain-counters', NEWCHAIN, chainSchema);
  const NFTA_COUNTER_BYTES = 1;
  const NFTA_COUNTER_PACKETS = 2;
  assert.deepEqual(
    chain?.counters,
    concat([attribute(NFTA_COUNTER_PACKETS, n64(12n)), attribute(NFTA_COUNTER_BYTES, n64(984n))]),
  );
});

test('a chain of another family has a hook without a device', () => {
  const [chain] = parseGolden('dumped/family', NEWCHAIN, chainSchema);
  // NF_INET_LOCAL_IN is 1.
  assert.deepEqual(chain?.hook, { number: 1, priority: 0 });
});

test('the devices of a hook, in whichever form they came', () => {
  assert.deepEqual(hookDevices({ number: 0, priority: 0 }), []);
  assert.deepEqual(hookDevices({ number: 0, priority: 0, device: 'a' }), [{ name: 'a' }]);
  assert.deepEqual(hookDevices({ number: 0, priority: 0, devices: [{ name: 'a' }, { prefix: 'b' }] }), [
    { name: 'a' },
    { prefix: 'b' },
  ]);
  assert.deepEqual(hookDevices({ number: 0, priority: 0, devices: [{ name: 'a' }], device: 'a' }), [
    { name: 'a' },
  ]);
});

test('a priority is signed', () => {
  for (const priority of [-(2 ** 31), -10, -1, 0, 1, 2 ** 31 - 1]) {
    const bytes = encodeAttributes(hookSchema.encode({ number: 1, priority }));
    const expected = concat([attribute(1, n32(1)), attribute(2, n32(priority >>> 0))]);
    assertSameBytes(bytes, expected, `priority ${priority}`);
    assert.equal(hookSchema.parse(bytes).priority, priority);
  }
});

test('a hook on a device of a form that is not known is refused, not passed over', () => {
  const hook = concat([attribute(1, n32(0)), attribute(2, n32(0)), attribute(4, attribute(3, text('vm0')))]);
  assert.throws(() => hookSchema.parse(hook), { code: 'MALFORMED_MESSAGE', message: /device attribute 3/ });
});

test('a hook without its number or its priority is refused', () => {
  assert.throws(() => hookSchema.parse(attribute(1, n32(0))), {
    code: 'MALFORMED_MESSAGE',
    message: /priority/,
  });
  assert.throws(() => hookSchema.parse(attribute(2, n32(0))), {
    code: 'MALFORMED_MESSAGE',
    message: /number/,
  });
});
