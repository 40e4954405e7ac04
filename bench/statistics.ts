import type { Random } from './random.js';

/** What is told of a sample. */
export interface Summary {
  n: number;
  p50: number;
  /** Undefined below 20 samples, where it would be the maximum by another name. */
  p95: number | undefined;
  /** Undefined below 100 samples. */
  p99: number | undefined;
  max: number;
}

/** An estimate and the bounds of its confidence interval. */
export interface Estimate {
  value: number;
  low: number;
  high: number;
}

const RESAMPLES = 2_000;
const CONFIDENCE = 0.95;

/** How many samples it takes until at least one lies beyond the quantile. */
function fewestFor(fraction: number): number {
  return Math.round(1 / (1 - fraction));
}

function sort(samples: readonly number[]): Float64Array {
  return Float64Array.from(samples).sort();
}

/** Where the quantile is in `n` sorted samples, from 0: the nearest rank, so that it is a sample that was measured. */
function rank(n: number, fraction: number): number {
  return Math.max(0, Math.ceil(fraction * n) - 1);
}

function at(sorted: Float64Array, fraction: number): number {
  const value = sorted[rank(sorted.length, fraction)];
  if (value === undefined) throw new RangeError('there are no samples');
  return value;
}

/**
 * The smallest sample that is not below `fraction` of all of them; of an even number, the median is the lower of
 * the two in the middle.
 * @throws RangeError without samples, or with a fraction outside (0, 1].
 */
export function quantile(samples: readonly number[], fraction: number): number {
  if (!(fraction > 0 && fraction <= 1)) throw new RangeError(`${fraction} is not in (0, 1]`);
  return at(sort(samples), fraction);
}

/** @throws RangeError without samples. */
export function summarise(samples: readonly number[]): Summary {
  const sorted = sort(samples);
  const n = sorted.length;
  const tail = (fraction: number) => (n >= fewestFor(fraction) ? at(sorted, fraction) : undefined);
  return { n, p50: at(sorted, 0.5), p95: tail(0.95), p99: tail(0.99), max: at(sorted, 1) };
}

/** The median of as many samples as there are, drawn with replacement. */
function resampleMedian(sorted: Float64Array, drawn: Uint32Array, random: Random): number {
  const n = sorted.length;
  drawn.fill(0);
  for (let draw = 0; draw < n; draw++) {
    const index = Math.floor(random() * n);
    drawn[index] = (drawn[index] ?? 0) + 1;
  }
  // Counted and not sorted: the samples are in order already.
  let left = rank(n, 0.5);
  let index = 0;
  for (; index < n - 1 && left >= (drawn[index] ?? 0); index++) left -= drawn[index] ?? 0;
  return sorted[index] ?? Number.NaN;
}

/**
 * The ratio of two medians, with its 95% confidence interval by the percentile bootstrap: both samples are drawn
 * again with replacement, 2,000 times, and the middle 95% of the ratios are the interval. It takes the samples as
 * independent; noise that lasts for many samples in a row makes the true interval wider.
 * @throws RangeError without samples.
 */
export function ratioOfMedians(above: readonly number[], below: readonly number[], random: Random): Estimate {
  const numerator = sort(above);
  const denominator = sort(below);
  const value = at(numerator, 0.5) / at(denominator, 0.5);
  const drawnAbove = new Uint32Array(numerator.length);
  const drawnBelow = new Uint32Array(denominator.length);
  const ratios = Float64Array.from(
    { length: RESAMPLES },
    () => resampleMedian(numerator, drawnAbove, random) / resampleMedian(denominator, drawnBelow, random),
  ).sort();
  return { value, low: at(ratios, (1 - CONFIDENCE) / 2), high: at(ratios, (1 + CONFIDENCE) / 2) };
}
