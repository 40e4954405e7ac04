/**
 * Inputs that nobody would send, for everything that reads what others write. One that brings out an answer that was
 * not seen before is kept, and others are made of it: so they get past the first check.
 */
import { TapwallError } from '#src/error.js';
import { Chance } from '../campaign/chance.js';
import { startWatchdog } from '../fixtures-support/watchdog.js';
import { mutate } from './mutate.js';
import type { Target } from './targets.js';

/** What takes microseconds has come to an end by then, also where others use the processors. */
const HANG_MS = 30_000;
/** Inputs that are kept of one target, beside its seeds. */
const MOST_KEPT = 4_000;
const LONGEST_KEPT = 20_000;
/** How deep answers are looked into. */
const DEPTH = 4;
const SHOWN_BYTES = 2_000;
const SEEDS_OF_TEN = 2;

export interface FuzzOptions {
  seed: number;
  /** All targets together; each gets as many as the others. */
  inputs: number;
  targets: readonly Target[];
  say?: (line: string) => void;
}

export interface FuzzTally {
  inputs: number;
  /** By target: how many inputs were answered, were refused, and brought out something new. */
  targets: Map<string, { answered: number; refused: number; kept: number }>;
}

/** What no input has put there itself. */
function ownWords(text: string): string {
  return text
    .slice(0, 400)
    .replace(/[`"'].*?[`"']/gs, '')
    .replace(/\d+|[^ -~]/g, '');
}

/** What is alike in two answers of one kind, so that another kind is noticed. */
function shapeOf(value: unknown, depth = DEPTH): string {
  // An answer that is nothing but words is a reason.
  if (typeof value === 'string' && depth === DEPTH) return ownWords(value);
  if (Array.isArray(value)) {
    const shapes = depth === 0 ? [] : value.slice(0, 8).map((one) => shapeOf(one, depth - 1));
    return `[${Math.min(value.length, 8)}${[...new Set(shapes)].join()}]`;
  }
  if (value instanceof Uint8Array) return `b${Math.min(value.length, 20)}`;
  if (value instanceof Map) return `m${shapeOf([...value.values()], depth)}`;
  if (typeof value === 'string') return `s${Math.min(value.length, 8)}`;
  if (typeof value !== 'object' || value === null)
    return typeof value === 'number' ? 'n' : String(value).slice(0, 20);
  if (depth === 0) return 'o';
  return `{${Object.entries(value)
    .map(([key, one]) => (key === 'flaw' ? ownWords(String(one)) : `${key}:${shapeOf(one, depth - 1)}`))
    .join()}}`;
}

function shapeOfError({ code, message }: TapwallError): string {
  return `${code} ${ownWords(message)}`;
}

class Fuzz {
  readonly #target: Target;
  readonly #chance: Chance;
  readonly #corpus: Buffer[];
  readonly #seen = new Set<string>();
  readonly counts = { answered: 0, refused: 0, kept: 0 };

  constructor(target: Target, chance: Chance) {
    this.#target = target;
    this.#chance = chance;
    this.#corpus = [...target.seeds];
    for (const seed of target.seeds) this.#seen.add(this.try(seed));
  }

  next(): Buffer {
    const { seeds } = this.#target;
    const from = this.#chance.below(10) < SEEDS_OF_TEN ? seeds : this.#corpus;
    return mutate(this.#chance.of(from), this.#chance.of(this.#corpus), this.#chance);
  }

  /** Keeps an input that brings out something new. */
  feed(input: Buffer): void {
    const shape = this.try(input);
    if (this.#seen.has(shape) || this.counts.kept >= MOST_KEPT || input.length > LONGEST_KEPT) return;
    this.#seen.add(shape);
    this.#corpus.push(Buffer.from(input));
    this.counts.kept++;
  }

  /** @throws Error for anything but an answer or a refusal. */
  try(input: Buffer): string {
    const { name, run, neverThrows = false } = this.#target;
    try {
      const shape = shapeOf(run(input));
      this.counts.answered++;
      return shape;
    } catch (error) {
      const isRefusal = error instanceof TapwallError && error.code !== 'UNKNOWN' && !neverThrows;
      if (!isRefusal) throw new Error(`${name}, on ${shown(input)}`, { cause: error });
      this.counts.refused++;
      return shapeOfError(error);
    }
  }
}

function shown(input: Buffer): string {
  const more = input.length > SHOWN_BYTES ? ` and ${input.length - SHOWN_BYTES} more bytes` : '';
  const start = input.subarray(0, SHOWN_BYTES);
  return `${JSON.stringify(start.toString())}${more}; in hexadecimal ${start.toString('hex')}`;
}

/** @throws Error with the input that brought out anything but an answer or a refusal. */
export async function fuzz({ seed, inputs, targets, say }: FuzzOptions): Promise<FuzzTally> {
  const { stackTraceLimit } = Error;
  // Most errors would be made for nothing but their stack.
  Error.stackTraceLimit = 0;
  const watchdog = startWatchdog(HANG_MS);
  const tally: FuzzTally = { inputs: 0, targets: new Map() };
  try {
    const each = Math.ceil(inputs / targets.length);
    targets.forEach((target, at) => {
      const one = new Fuzz(target, new Chance(seed + at));
      for (let count = 0; count < each; count++) {
        const input = one.next();
        watchdog.beat(`${target.name}, seed ${seed}, input ${count}`);
        one.feed(input);
      }
      tally.inputs += each;
      tally.targets.set(target.name, one.counts);
      const { answered, refused, kept } = one.counts;
      say?.(`${target.name}: ${each} inputs, ${answered} answered, ${refused} refused, ${kept} kept`);
    });
    return tally;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    await watchdog.close();
  }
}
