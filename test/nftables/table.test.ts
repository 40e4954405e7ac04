import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tableSchema } from '#src/nftables/table.js';
import { text, userdata } from '../fixtures-support/bytes.js';
import { NEWTABLE, parseGolden } from '../fixtures-support/golden.js';

const comment = userdata(0, text('keeps VMs off the LAN'));

test('tables as the kernel dumps them', () => {
  assert.deepEqual(parseGolden('dumped/table', NEWTABLE, tableSchema), [
    { name: 'guard', use: 0, handle: 1n, flags: 0, userdata: comment },
    // NFT_TABLE_F_DORMANT
    { name: 'asleep', use: 0, handle: 2n, flags: 1 },
  ]);
});

test('tables as nft sends them', () => {
  assert.deepEqual(parseGolden('sent/table', NEWTABLE, tableSchema), [
    { name: 'guard', flags: 0, userdata: comment },
    { name: 'asleep', flags: 1 },
  ]);
});

test('a table counts what it holds', () => {
  const [table] = parseGolden('dumped/set', NEWTABLE, tableSchema);
  assert.equal(table?.use, 3);
});

test('an owned table tells its owner', () => {
  const [table, ...more] = parseGolden('dumped/owner', NEWTABLE, tableSchema);
  assert.equal(more.length, 0);
  assert.ok(table);
  const { owner, ...rest } = table;
  // NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST
  assert.deepEqual(rest, {
    name: 'guard',
    use: 0,
    handle: 1n,
    flags: 6,
    userdata: userdata(0, text('owned')),
  });
  // The port id, which is that of whoever captured this.
  assert.ok(owner !== undefined && owner > 0);
});
