import type { AgentEvent } from '../agent/event.js';

/** Events of one kind that are told one by one within a window; what is more is summed up at its end. */
const MOST = 20;
const WINDOW_MS = 10_000;

/** What can come by the thousand, when one thing is amiss for every device. */
const WORDS: Partial<Record<AgentEvent['event'], string>> = {
  failed: 'devices could not have their policies',
  unmatched: 'devices match no binding',
  'namespace-failed': 'network namespaces could not be served',
  warning: 'warnings',
  overflow: 'times link events were lost',
  repaired: 'times somebody else changed the filters and they were put right',
};

interface Window {
  endsAt: number;
  told: number;
  more: number;
}

/** Keeps a log readable in which thousands of devices have the same trouble. */
export class Brevity {
  readonly #now: () => number;
  readonly #windows = new Map<AgentEvent['event'], Window>();

  /** @param now milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether an event is to be told; what is not is counted. */
  admits({ event }: AgentEvent): boolean {
    if (WORDS[event] === undefined) return true;
    let window = this.#windows.get(event);
    if (!window) {
      window = { endsAt: this.#now() + WINDOW_MS, told: 0, more: 0 };
      this.#windows.set(event, window);
    }
    if (window.told < MOST) {
      window.told++;
      return true;
    }
    window.more++;
    return false;
  }

  /**
   * The sums of the windows that have ended, in words.
   * @param all also of those that have not: nothing will come after.
   */
  sums(all = false): string[] {
    const sums: string[] = [];
    for (const [event, { endsAt, more }] of this.#windows) {
      if (!all && this.#now() < endsAt) continue;
      this.#windows.delete(event);
      if (more > 0) sums.push(`and ${more} more ${WORDS[event]}; --json tells of each`);
    }
    return sums;
  }
}
