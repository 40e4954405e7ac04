/** The campaign in a short form: once from a seed that stays the same, and once from another each time. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { runCampaign } from './campaign.js';

/** Each host is of another placement. */
const STEPS_ON_ONE_HOST = 15;
const STEPS = 4 * STEPS_ON_ONE_HOST;

for (const [what, seed] of [
  ['a seed that stays the same', 20],
  ['a seed of today', randomInt(2 ** 32)],
] as const) {
  test(`nothing opens a guest: ${STEPS} random steps, ${what}`, async (t) => {
    t.diagnostic(`seed ${seed}`);
    const tally = await runCampaign({
      seed,
      steps: STEPS,
      stepsOnOneHost: STEPS_ON_ONE_HOST,
    });
    for (const line of tally.lines()) t.diagnostic(line);
    assert.equal(tally.steps, STEPS);
    assert.ok(tally.framesSent > 10_000, `${tally.framesSent} frames were sent`);
  });
}
