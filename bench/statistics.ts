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

/** How many samples of each side were measured in a row. */
export interface Rows {
  above: number;
  below: number;
}

/** Draws blocks of samples with replacement, as many as there are, and gives the median of what was drawn. */
class Resampler {
  readonly median: number;
  readonly #sorted: Float64Array;
  /** Where each sample, in the order of measuring, stands in the sorted ones. */
  readonly #places: Uint32Array;
  readonly #drawn: Uint32Array;
  readonly #block: number;

  constructor(samples: readonly number[], block: number) {
    const order = Uint32Array.from(samples, (_, index) => index).sort(
      (a, b) => (samples[a] ?? 0) - (samples[b] ?? 0),
    );
    this.#sorted = Float64Array.from(order, (index) => samples[index] ?? 0);
    this.#places = new Uint32Array(samples.length);
    order.forEach((index, place) => {
      this.#places[index] = place;
    });
    this.#drawn = new Uint32Array(samples.length);
    this.#block = block;
    this.median = at(this.#sorted, 0.5);
  }

  draw(random: Random): number {
    const n = this.#sorted.length;
    const blocks = Math.ceil(n / this.#block);
    this.#drawn.fill(0);
    let total = 0;
    for (let draw = 0; draw < blocks; draw++) {
      const first = Math.floor(random() * blocks) * this.#block;
      const end = Math.min(first + this.#block, n);
      for (let index = first; index < end; index++) {
        const place = this.#places[index] ?? 0;
        this.#drawn[place] = (this.#drawn[place] ?? 0) + 1;
        total++;
      }
    }
    // Counted and not sorted: the samples are in order already.
    let left = rank(total, 0.5);
    let place = 0;
    for (; place < n - 1 && left >= (this.#drawn[place] ?? 0); place++) left -= this.#drawn[place] ?? 0;
    return this.#sorted[place] ?? Number.NaN;
  }
}

/**
 * The ratio of two medians, with its 95% confidence interval by the percentile bootstrap: both samples are drawn
 * again with replacement, 2,000 times, and the middle 95% of the ratios are the interval. Samples that were measured in
 * a row share what the machine did meanwhile; they are drawn together, or the interval would be too
 * narrow. Noise that lasts for many rows still makes the true interval wider.
 * @throws RangeError without samples.
 */
export function ratioOfMedians(
  above: readonly number[],
  below: readonly number[],
  random: Random,
  rows: Rows = { above: 1, below: 1 },
): Estimate {
  const numerator = new Resampler(above, rows.above);
  const denominator = new Resampler(below, rows.below);
  const ratios = Float64Array.from(
    { length: RESAMPLES },
    () => numerator.draw(random) / denominator.draw(random),
  ).sort();
  return {
    value: numerator.median / denominator.median,
    low: at(ratios, (1 - CONFIDENCE) / 2),
    high: at(ratios, (1 + CONFIDENCE) / 2),
  };
}

const DISTRIBUTION_POINTS = 60;

/**
 * Which share of the samples took no longer, as points of a chart: microseconds, and per cent.
 * @throws RangeError without samples.
 */
export function distribution(nanoseconds: readonly number[]): [microseconds: number, share: number][] {
  const sorted = sort(nanoseconds);
  return Array.from({ length: DISTRIBUTION_POINTS }, (_, point) => {
    const fraction = (point + 1) / DISTRIBUTION_POINTS;
    return [at(sorted, fraction) / 1e3, 100 * fraction];
  });
}
