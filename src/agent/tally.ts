/** What a loop counts of its own work. */
export const TALLIED = [
  /** Times that it woke. */
  'steps',
  /** Comparisons of all that the kernel holds with what it should. */
  'reconciliations',
  /** Transactions that are in force. */
  'transactions',
  /** Transactions that the kernel refused, and nothing of which is in force. */
  'refusals',
] as const;

/** One of {@link TALLIED}. */
export type Tallied = (typeof TALLIED)[number];

/** Numbers that the loop raises in its thread, and that others read without asking it. Each is modulo 2³². */
export class Tally {
  /** To be handed to the other thread. */
  readonly buffer: SharedArrayBuffer;
  readonly #counts: Int32Array;

  constructor(
    buffer: SharedArrayBuffer = new SharedArrayBuffer(TALLIED.length * Int32Array.BYTES_PER_ELEMENT),
  ) {
    this.buffer = buffer;
    this.#counts = new Int32Array(buffer);
  }

  /** Raises one of the numbers by one. */
  add(what: Tallied): void {
    Atomics.add(this.#counts, TALLIED.indexOf(what), 1);
  }

  /** What one of the numbers is now, from 0 to 2³² − 1. */
  read(what: Tallied): number {
    return Atomics.load(this.#counts, TALLIED.indexOf(what)) >>> 0;
  }
}
