/** What the campaign and the thread that sends its frames both see: numbers in shared memory. */

/** Guests at a time, each in a slot of its own. */
export const SLOTS = 8;

/** A frame's class: one that never may pass, one that only some policies let pass, one that all do. */
export const CLASSES = ['forbidden', 'disputed', 'allowed'] as const;
export type Class = (typeof CLASSES)[number];
export const WAYS = ['ingress', 'egress'] as const;
export type Way = (typeof WAYS)[number];

/** Why frames may pass a guest for the moment that otherwise must not; 0 for no reason at all. */
export const WINDOWS = [
  'none',
  'no hook in advance',
  'outside the prefixes',
  'in another namespace',
  'file policy of another name',
  'changed by others',
] as const;
export type Window = (typeof WINDOWS)[number];

const EPOCH = 0;
const ROUNDS = 1;
const SENT = 2;
const REFUSED = 3;
const LEAKS = 4;
const PASSED_IN_WINDOW = 8;
const SLOT_START = 32;
const SLOT_LENGTH = 16;

export class Board {
  readonly memory: SharedArrayBuffer;
  readonly #cells: Int32Array;

  constructor(memory = new SharedArrayBuffer((SLOT_START + SLOTS * SLOT_LENGTH) * 4)) {
    this.memory = memory;
    this.#cells = new Int32Array(memory);
  }

  get epoch(): number {
    return Atomics.load(this.#cells, EPOCH);
  }

  /** Frames that are sent from now on are told apart from those before. */
  nextEpoch(): number {
    return Atomics.add(this.#cells, EPOCH, 1) + 1;
  }

  /** How often the sender has served every guest. */
  get rounds(): number {
    return Atomics.load(this.#cells, ROUNDS);
  }

  countRound(): void {
    Atomics.add(this.#cells, ROUNDS, 1);
  }

  /** Rests without giving the thread up. */
  rest(milliseconds: number): void {
    Atomics.wait(this.#cells, ROUNDS, Atomics.load(this.#cells, ROUNDS), milliseconds);
  }

  get sent(): number {
    return Atomics.load(this.#cells, SENT);
  }

  get refused(): number {
    return Atomics.load(this.#cells, REFUSED);
  }

  countSent(wasTaken: boolean): void {
    Atomics.add(this.#cells, wasTaken ? SENT : REFUSED, 1);
  }

  get leaks(): number {
    return Atomics.load(this.#cells, LEAKS);
  }

  countLeak(): void {
    Atomics.add(this.#cells, LEAKS, 1);
  }

  passedIn(window: number): number {
    return Atomics.load(this.#cells, PASSED_IN_WINDOW + window);
  }

  countPassedIn(window: number): void {
    Atomics.add(this.#cells, PASSED_IN_WINDOW + window, 1);
  }

  /** The window that is open for a guest, for frames that never may pass, or for all others. */
  windowOf(slot: number, what: 'forbidden' | 'others'): number {
    return Atomics.load(this.#cells, cellOf(slot, what === 'forbidden' ? 0 : 1));
  }

  setWindow(slot: number, what: 'forbidden' | 'others', window: number): void {
    Atomics.store(this.#cells, cellOf(slot, what === 'forbidden' ? 0 : 1), window);
  }

  /** The latest epoch of which a frame has passed. */
  lastPassed(slot: number, kind: number, way: number): number {
    return Atomics.load(this.#cells, cellOf(slot, 2 + 2 * kind + way));
  }

  notePassed(slot: number, kind: number, way: number, epoch: number): void {
    Atomics.store(this.#cells, cellOf(slot, 2 + 2 * kind + way), epoch);
  }
}

function cellOf(slot: number, at: number): number {
  return SLOT_START + slot * SLOT_LENGTH + at;
}

/** What the sender is told. */
export type SenderCommand =
  | { command: 'serve'; slot: number; descriptor: number; frames: Uint8Array[] }
  | { command: 'leave'; slot: number }
  | { command: 'end' };

/** A frame that passed and had no window to. */
export interface Leak {
  slot: number;
  class: Class;
  way: Way;
  epoch: number;
}

/** Bytes that the campaign's frames end with: what they are known by. */
export const STAMP_LENGTH = 16;
export const STAMP_MAGIC = 0x74617077;
