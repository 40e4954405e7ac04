import { quote } from './suggest.js';

/** How often everything is compared unless the configuration says otherwise. */
export const DEFAULT_RECONCILE = '60s';

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };
/** Shorter, and a host with thousands of devices would do nothing else. */
const SHORTEST_MS = 1_000;
const LONGEST_MS = 24 * 3_600_000;

/**
 * Reads how often something is done: `90s`, `10m`, `1h`, or `never`.
 * @returns milliseconds from a second to a day; 0 for never.
 */
export function readInterval(text: string): { milliseconds: number } | { flaw: string; hint: string } {
  if (text === 'never') return { milliseconds: 0 };
  const [, number, unit] = /^(\d{1,6})([smh])$/.exec(text) ?? [];
  const milliseconds = Number(number) * (UNITS[unit ?? ''] ?? Number.NaN);
  if (milliseconds >= SHORTEST_MS && milliseconds <= LONGEST_MS) return { milliseconds };
  const hint = 'Write it as `60s`, `10m` or `1h`, from a second to a day, or `never`.';
  return { flaw: `${quote(text)} is no interval`, hint };
}
