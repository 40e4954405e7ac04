import assert from 'node:assert/strict';
import { test } from 'node:test';
import { objectSchema } from '#src/nftables/object.js';
import { attribute, concat, n32, n64, text, userdata } from '../fixtures-support/bytes.js';
import { NEWOBJ, parseGolden } from '../fixtures-support/golden.js';

const NFT_OBJECT_COUNTER = 1;
const NFT_OBJECT_QUOTA = 2;
const NFT_OBJECT_LIMIT = 4;
const NFT_LIMIT_PKT_BYTES = 1;

test('objects as the kernel dumps them', () => {
  assert.deepEqual(parseGolden('dumped/object', NEWOBJ, objectSchema), [
    {
      table: 'guard',
      name: 'seen',
      type: NFT_OBJECT_COUNTER,
      handle: 1n,
      use: 1,
      // bytes, packets
      data: concat([attribute(1, n64(420n)), attribute(2, n64(7n))]),
      userdata: userdata(0, text('everything')),
    },
    {
      table: 'guard',
      name: 'monthly',
      type: NFT_OBJECT_QUOTA,
      handle: 2n,
      use: 0,
      // bytes, consumed, NFT_QUOTA_F_INV
      data: concat([
        attribute(1, n64(500n * 1048576n)),
        attribute(4, n64(10n * 1048576n)),
        attribute(2, n32(1)),
      ]),
    },
    {
      table: 'guard',
      name: 'slow',
      type: NFT_OBJECT_LIMIT,
      handle: 3n,
      use: 0,
      // rate, unit, burst, type, NFT_LIMIT_F_INV
      data: concat([
        attribute(1, n64(102400n)),
        attribute(2, n64(1n)),
        attribute(3, n32(16384)),
        attribute(4, n32(NFT_LIMIT_PKT_BYTES)),
        attribute(5, n32(1)),
      ]),
    },
  ]);
});

test('objects as nft sends them', () => {
  const objects = parseGolden('sent/object', NEWOBJ, objectSchema);
  assert.deepEqual(
    objects.map(({ table, name, type, handle }) => ({ table, name, type, handle })),
    [
      { table: 'guard', name: 'seen', type: NFT_OBJECT_COUNTER, handle: undefined },
      { table: 'guard', name: 'monthly', type: NFT_OBJECT_QUOTA, handle: undefined },
      { table: 'guard', name: 'slow', type: NFT_OBJECT_LIMIT, handle: undefined },
    ],
  );
});
