/** The soak in a short form: what does not grow in a few thousand pairs is counted, not timed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { growth, type Sample, sampleWords } from './sample.js';
import { soakByHand, soakEvents } from './soak.js';
import { storm } from './storm.js';

const MIB = 2 ** 20;
/** What V8 may not have given back yet. What leaked a kilobyte for each pair would be far more. */
const MOST_GROWTH = 32 * MIB;

/** All but memory must be exactly what it was, and memory may not grow with what was done. */
function checkFlat(samples: readonly Sample[], say: (text: string) => void): void {
  const [first, last] = [samples[Math.floor(samples.length / 4)], samples.at(-1)];
  assert.ok(first && last);
  for (const sample of [first, last]) say(sampleWords(sample));
  const objects = ({ descriptors, tables, chains, rules, sets }: Sample) => [
    descriptors,
    tables,
    chains,
    rules,
    sets,
  ];
  assert.deepEqual(objects(last), objects(first));
  assert.ok(growth(samples) < MOST_GROWTH, `${growth(samples)} bytes more`);
}

describe('devices attached and detached', () => {
  it('leave nothing behind: 3,000 pairs through an agent', async (t) => {
    const samples = await soakEvents({ pairs: 3_000, devices: 100, roundsOfALife: 10 });
    checkFlat(samples, (text) => t.diagnostic(text));
    // All devices are gone at the end; what is left belongs to the policies.
    assert.ok((samples.at(-1)?.elements ?? 0) < 30);
  });

  it('leave nothing behind: 1,000 pairs by hand', async (t) => {
    const samples = await soakByHand({ pairs: 1_000, devices: 10 });
    checkFlat(samples, (text) => t.diagnostic(text));
    assert.equal(samples.at(-1)?.tables, 0);
  });
});

describe('devices that come and go while the agent is stopped', () => {
  it('cost it no memory, and few words', async (t) => {
    const { before, most, lines, left } = await storm(600, 20);
    t.diagnostic(
      `${(before / MIB).toFixed(1)} MiB before, at most ${(most / MIB).toFixed(1)}; ${lines.length} lines`,
    );
    assert.ok(most - before < 64 * MIB, `${most - before} bytes more`);
    assert.equal(left, 30);
    // One for each of the first twenty devices, one for the rest, and that it stops.
    assert.ok(lines.length <= 24, lines.join('\n'));
    assert.ok(
      lines.some((line) => /and 10 more devices match no binding/.test(line)),
      lines.join('\n'),
    );
  });
});
