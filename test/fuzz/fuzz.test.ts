/** The fuzzer in a short form: once from a seed that stays the same, and once from another each time. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { fuzz } from './fuzz.js';
import { TARGETS } from './targets.js';

for (const [what, seed] of [
  ['a seed that stays the same', 4],
  ['a seed of today', randomInt(2 ** 31)],
] as const) {
  test(`whatever is read is answered or refused in a civil way: ${what}`, async (t) => {
    t.diagnostic(`seed ${seed}`);
    const { targets } = await fuzz({ seed, inputs: 40_000, targets: TARGETS });
    // Some were answered, some refused, and some led further, or this has shown nothing.
    let allKept = 0;
    for (const { name, neverThrows = false } of TARGETS) {
      const { answered, refused, kept } = targets.get(name) ?? assert.fail(name);
      assert.ok(answered > 0, `${name}: nothing was answered`);
      assert.equal(refused > 0, !neverThrows, `${name}: ${refused} were refused`);
      allKept += kept;
    }
    assert.ok(allKept > 1_000, `${allKept} inputs led further`);
  });
}

test('what crashes is found, with the input', async () => {
  const target = {
    name: 'a bad one',
    seeds: [Buffer.from('0123456789')],
    run: (input: Buffer) => {
      if (input.length > 12) throw new RangeError('out of range');
      return input.length;
    },
  };
  const options = { seed: 1, inputs: 1_000, targets: [target] };
  await assert.rejects(fuzz(options), { message: /^a bad one, on "/ });
});
