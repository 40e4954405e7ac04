import type { Rate } from './configuration.js';
import { quote } from './suggest.js';

export interface RateFlaw {
  flaw: string;
  hint?: string | undefined;
}

const RATE = /^(\d+)(?: +([a-z]+))? *\/ *(second|minute|hour|day|week)(?: +burst +(\d+) +([a-z]+))?$/;

const SECONDS: Readonly<Record<string, number>> = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 604_800,
};

/** As nft counts them. */
const BYTES: Readonly<Record<string, number>> = { bytes: 1, kbytes: 1024, mbytes: 1024 * 1024 };

/** What nft gives a limit that says nothing of it. */
const DEFAULT_PACKET_BURST = 5;
/** A frame that the VM has left to be cut up by the kernel counts as one; it must fit. */
const SMALLEST_DEFAULT_BYTE_BURST = 65_536;
/** The kernel keeps it in 32 bits. */
const LARGEST_BURST = 0xffff_ffff;

/** Reads a rate as nft's `limit` has it: `100/second`, `10 mbytes/second burst 2 mbytes`. */
export function readRate(text: string, unit: Rate['unit']): Rate | RateFlaw {
  const [, digits, size, period = '', burstDigits, burstSize] = RATE.exec(text.trim()) ?? [];
  const example = unit === 'packets' ? '100/second burst 20 packets' : '10 mbytes/second burst 2 mbytes';
  const hint = `Write it as \`${example}\`.`;
  const seconds = SECONDS[period];
  const factor = size === undefined ? 1 : BYTES[size];
  if (digits === undefined || seconds === undefined || factor === undefined) {
    return { flaw: `${quote(text)} is not a rate`, hint };
  }
  if ((size === undefined) !== (unit === 'packets')) {
    return { flaw: `${quote(text)}: this limit counts ${unit}`, hint };
  }
  const burstFactor = burstSize === 'packets' ? 1 : BYTES[burstSize ?? 'bytes'];
  if (
    burstFactor === undefined ||
    (burstSize !== undefined && (burstSize === 'packets') !== (unit === 'packets'))
  ) {
    return { flaw: `${quote(text)}: the burst of this limit counts ${unit}`, hint };
  }
  const amount = Number(digits) * factor;
  const burst =
    burstDigits === undefined ? defaultBurst(unit, amount / seconds) : Number(burstDigits) * burstFactor;
  const rate: Rate = { unit, amount, seconds, burst };
  return flawIn(rate, text, period) ?? rate;
}

function defaultBurst(unit: Rate['unit'], perSecond: number): number {
  if (unit === 'packets') return DEFAULT_PACKET_BURST;
  const inTenthOfSecond = Math.ceil(perSecond / 10);
  return Math.min(LARGEST_BURST, Math.max(SMALLEST_DEFAULT_BYTE_BURST, inTenthOfSecond));
}

/**
 * What nft_limit_init() refuses, and what it takes but then reckons wrongly: it counts in nanoseconds, in 64 bits.
 */
function flawIn({ unit, amount, seconds, burst }: Rate, text: string, period: string): RateFlaw | undefined {
  if (amount === 0) return { flaw: `${quote(text)} would let nothing pass: a rate is at least 1` };
  if (burst === 0) return { flaw: `${quote(text)}: a burst is at least 1` };
  if (burst > LARGEST_BURST) return { flaw: `${quote(text)}: a burst is at most ${LARGEST_BURST} ${unit}` };
  const nanoseconds = BigInt(seconds) * 1_000_000_000n;
  if (unit === 'packets') {
    // A packet then costs nothing: the limit would let everything pass.
    const costsNothing = amount > Number(nanoseconds);
    const overflows = costsNothing || (nanoseconds / BigInt(amount)) * BigInt(burst) >= 1n << 64n;
    if (!overflows) return undefined;
    return {
      flaw: `${quote(text)} is ${costsNothing ? 'a higher rate' : 'a larger burst'} than the kernel can count`,
    };
  }
  const most = ((1n << 64n) - 1n) / nanoseconds;
  // The length of a frame is multiplied likewise, where nothing checks it.
  const isCounted = amount + burst <= Number(most) && Number(most) > SMALLEST_DEFAULT_BYTE_BURST;
  if (isCounted) return undefined;
  return {
    flaw: `${quote(text)} is more than the kernel can count: rate and burst together are at most ${most} bytes in a ${period}`,
    hint: 'Write the rate in bytes per second.',
  };
}
