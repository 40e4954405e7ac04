import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { seededRandom, shuffle } from '../../dist-bench/random.js';
import { quantile, ratioOfMedians, summarise } from '../../dist-bench/statistics.js';

const sample = fc.array(fc.double({ min: 1, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 60 });

test('a quantile is the sample at the nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  assert.equal(quantile(hundred, 0.5), 50);
  assert.equal(quantile(hundred, 0.95), 95);
  assert.equal(quantile(hundred, 0.99), 99);
  assert.equal(quantile(hundred, 1), 100);
  assert.equal(quantile([7], 0.5), 7);
  assert.equal(quantile([1, 2, 3, 4], 0.5), 2);
  assert.equal(quantile([3, 1, 2], 0.5), 2);
});

test('numbers are sorted as numbers', () => {
  assert.equal(quantile([9, 10, 100], 0.5), 10);
});

test('a quantile is one of the samples, and at least that share of them is not above it', () => {
  fc.assert(
    fc.property(sample, fc.double({ min: 0.001, max: 1, noNaN: true }), (samples, fraction) => {
      const value = quantile(samples, fraction);
      const notAbove = samples.filter((one) => one <= value).length;
      const below = samples.filter((one) => one < value).length;
      assert.ok(samples.includes(value));
      assert.ok(notAbove >= fraction * samples.length);
      assert.ok(below < fraction * samples.length);
    }),
  );
});

test('what is no quantile is refused', () => {
  assert.throws(() => quantile([], 0.5), RangeError);
  assert.throws(() => quantile([1], 0), RangeError);
  assert.throws(() => quantile([1], 1.5), RangeError);
  assert.throws(() => quantile([1], Number.NaN), RangeError);
  assert.throws(() => summarise([]), RangeError);
});

test('a summary leaves out the quantiles that it has too few samples for', () => {
  const counted = (n: number) => summarise(Array.from({ length: n }, (_, index) => index + 1));
  assert.deepEqual(counted(19), { n: 19, p50: 10, p95: undefined, p99: undefined, max: 19 });
  assert.deepEqual(counted(20), { n: 20, p50: 10, p95: 19, p99: undefined, max: 20 });
  assert.deepEqual(counted(99), { n: 99, p50: 50, p95: 95, p99: undefined, max: 99 });
  assert.deepEqual(counted(100), { n: 100, p50: 50, p95: 95, p99: 99, max: 100 });
});

test('the samples are left as they were', () => {
  const samples = [3, 1, 2];
  summarise(samples);
  ratioOfMedians(samples, samples, seededRandom(1));
  assert.deepEqual(samples, [3, 1, 2]);
});

test('constant samples have a ratio without doubt', () => {
  const estimate = ratioOfMedians([6, 6, 6], [2, 2], seededRandom(1));
  assert.deepEqual(estimate, { value: 3, low: 3, high: 3 });
});

test('the interval holds the ratio of the medians', () => {
  fc.assert(
    fc.property(sample, sample, fc.nat(), (above, below, seed) => {
      const { value, low, high } = ratioOfMedians(above, below, seededRandom(seed));
      assert.equal(value, quantile(above, 0.5) / quantile(below, 0.5));
      assert.ok(low <= value && value <= high, `${low} ${value} ${high}`);
    }),
    { numRuns: 30 },
  );
});

test('the interval covers the true ratio about as often as it says', () => {
  const random = seededRandom(2026);
  // Exponential, like latencies: most are small, some are large. The true medians are 3 ln 2 and ln 2.
  const draw = (mean: number) => Array.from({ length: 80 }, () => -mean * Math.log(1 - random()));
  const rounds = 200;
  let covered = 0;
  for (let round = 0; round < rounds; round++) {
    const { low, high } = ratioOfMedians(draw(3), draw(1), random);
    if (low <= 3 && 3 <= high) covered++;
  }
  assert.ok(covered / rounds > 0.9, `${covered} of ${rounds}`);
  assert.ok(covered / rounds < 1, 'an interval that is never wrong is too wide');
});

test('the interval covers the true ratio when rows of samples share a disturbance, if they are drawn together', () => {
  const random = seededRandom(2027);
  const row = 20;
  // Each row has a level of its own, and within it little differs: as on a machine that does other work now and then.
  const draw = () =>
    Array.from({ length: 30 }, () => 100 * (1 + random())).flatMap((level) =>
      Array.from({ length: row }, () => level + random()),
    );
  const rounds = 60;
  const coverage = (rows: { above: number; below: number }) => {
    let covered = 0;
    for (let round = 0; round < rounds; round++) {
      const { low, high } = ratioOfMedians(draw(), draw(), random, rows);
      if (low <= 1 && 1 <= high) covered++;
    }
    return covered / rounds;
  };
  assert.ok(coverage({ above: row, below: row }) > 0.85);
  assert.ok(coverage({ above: 1, below: 1 }) < 0.6, 'one by one the interval is too narrow');
});

test('more samples make the interval narrower', () => {
  const random = seededRandom(7);
  const width = (n: number) => {
    const draw = () => Array.from({ length: n }, () => 100 + random());
    const { low, high } = ratioOfMedians(draw(), draw(), random);
    return high - low;
  };
  assert.ok(width(1_000) < width(20));
});

test('a seed repeats its numbers, and another gives others', () => {
  const take = (seed: number) => Array.from({ length: 5 }, seededRandom(seed));
  assert.deepEqual(take(1), take(1));
  assert.notDeepEqual(take(1), take(2));
  for (const number of Array.from({ length: 1_000 }, seededRandom(3))) assert.ok(number >= 0 && number < 1);
});

test('a shuffle keeps every item, and reaches every order', () => {
  const random = seededRandom(5);
  const orders = new Set<string>();
  for (let round = 0; round < 200; round++) {
    const shuffled = shuffle(['a', 'b', 'c'], random);
    assert.deepEqual([...shuffled].sort(), ['a', 'b', 'c']);
    orders.add(shuffled.join(''));
  }
  assert.equal(orders.size, 6);
});
