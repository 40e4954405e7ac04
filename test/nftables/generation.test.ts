import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generationSchema } from '#src/nftables/generation.js';
import { attribute, concat, n32, text } from '../fixtures-support/bytes.js';
import { NEWGEN, nftablesMessages, parseGolden } from '../fixtures-support/golden.js';

test('the generation as the kernel answers and tells it', () => {
  const [before, told, after, ...more] = parseGolden('dumped/generation', NEWGEN, generationSchema);
  assert.equal(more.length, 0);
  assert.deepEqual(
    [before, told, after].map((one) => one?.id),
    [1, 2, 2],
  );
  // Who asks is named in an answer, who committed in a notification.
  assert.equal(before?.processName, 'node');
  assert.equal(told?.processName, 'nft');
  assert.equal(after?.processName, 'node');
  assert.equal(before?.processId, after?.processId);
  assert.notEqual(told?.processId, before?.processId);
});

test("a generation's numbers are in network order", () => {
  const bytes = concat([
    attribute(1, n32(0x01020304)),
    attribute(2, n32(4711)),
    attribute(3, text('tapwall')),
  ]);
  assert.deepEqual(generationSchema.parse(bytes), {
    id: 0x01020304,
    processId: 4711,
    processName: 'tapwall',
  });
});

test('a commit is told object by object, and the generation last', () => {
  const [, newTable, newGeneration] = nftablesMessages('dumped/generation');
  assert.deepEqual([newTable?.operation, newGeneration?.operation], [0, NEWGEN]);
  // A generation belongs to no family.
  assert.deepEqual([newTable?.family, newGeneration?.family], [5, 0]);
});
