/**
 * Comparing everything takes the agent away from its devices: it takes no more than one part in so many of the time,
 * however many devices there are.
 */
const SHARE = 1_000;
/**
 * The first pause after a round that failed, in milliseconds. It doubles with each that follows, up to the longest. Most
 * of what fails is over in no time (a signal, no memory at the moment), and meanwhile new devices are closed or open.
 */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 60_000;

/** When everything is compared that no event has asked for. */
export class Schedule {
  readonly #now: () => number;
  #intervalMs: number;
  #begun: number;
  #dueAt: number;
  #failures = 0;
  /** How many schedules share the time. */
  companions = 1;

  /** @param intervalMs from one round to the next; 0 for none but those that have to be tried again. */
  constructor(now: () => number, intervalMs: number) {
    this.#now = now;
    this.#intervalMs = intervalMs;
    this.#begun = now();
    this.#dueAt = this.#next(0);
  }

  set interval(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** On the clock that it was given; infinite when nothing is planned. */
  get dueAt(): number {
    return this.#dueAt;
  }

  get isDue(): boolean {
    return this.#now() >= this.#dueAt;
  }

  /** Milliseconds until it is; infinite when nothing is planned. */
  get untilDue(): number {
    return Math.max(0, this.#dueAt - this.#now());
  }

  /** Whether the last round has come to nothing. */
  get isFailing(): boolean {
    return this.#failures > 0;
  }

  /** A round is due, whatever was planned. */
  hasten(): void {
    this.#dueAt = this.#now();
  }

  /** A round begins, whatever it is for. */
  begin(): void {
    this.#begun = this.#now();
  }

  /** It has come to its end. */
  end(): void {
    this.#failures = 0;
    this.#dueAt = this.#next(this.#now() - this.#begun);
  }

  /**
   * It has not. One that an event has asked for, before the next attempt was due, changes nothing of when that is: events
   * come by the thousand, and each would double the pause.
   */
  fail(): void {
    if (this.isFailing && !this.isDue) return;
    this.#dueAt = this.#now() + Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
  }

  #next(tookMs: number): number {
    if (this.#intervalMs === 0) return Number.POSITIVE_INFINITY;
    return this.#now() + Math.max(this.#intervalMs, SHARE * this.companions * tookMs);
  }
}
