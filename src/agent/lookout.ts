import { type EventError, eventError } from './event.js';
import type { FoundNamespace, NamespaceFinder } from './namespace-finder.js';

/** Namespaces that are no mounts, those of processes, are found by looking. */
const PAUSE_MS = 1_000;
/** Looking takes at most one part in so many of the time, however often something is mounted. */
const SHARE = 10;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

/** A namespace that could not be served, and is tried again. */
export interface Failing {
  found: FoundNamespace;
  error: EventError;
  attempts: number;
  retryAt: number;
}

/** What a look has brought. */
export interface Look {
  /** Keys of namespaces that are served and not there any more. */
  gone: string[];
  /** Those that could not be served and are not there any more. */
  gaveUp: FoundNamespace[];
  /** What could not be looked at, as far as it was not told before. */
  problems: string[];
}

/** A name that means another namespace, and a namespace that has another name, is another one. */
export function keyOf({ name, inode }: FoundNamespace): string {
  return `${inode} ${name}`;
}

/** Looks out for namespaces that come and go, and remembers which could not be served. */
export class Lookout {
  readonly failing = new Map<string, Failing>();
  readonly #find: NamespaceFinder;
  readonly #now: () => number;
  #arriving: FoundNamespace[] = [];
  #problems: readonly string[] = [];
  #dueAt = Number.POSITIVE_INFINITY;
  #notBefore = 0;

  constructor(find: NamespaceFinder, now: () => number) {
    this.#find = find;
    this.#now = now;
  }

  /** When to look next, or to enter what was found; on the clock that it was given. */
  get dueAt(): number {
    return this.#arriving.length > 0 ? Number.NEGATIVE_INFINITY : this.#dueAt;
  }

  get isDue(): boolean {
    return this.#now() >= this.#dueAt;
  }

  /** Something was mounted, which may be a namespace. */
  hasten(): void {
    this.#dueAt = Math.min(this.#dueAt, this.#notBefore);
  }

  /** The next namespace that was found and is to be entered. */
  next(): FoundNamespace | undefined {
    return this.#arriving.shift();
  }

  /**
   * Looks what is there.
   * @param isFixed whether nothing can come or go: it is not looked again then.
   */
  look(patterns: readonly string[], served: ReadonlyMap<string, unknown>, isFixed: boolean): Look {
    const begun = this.#now();
    const { found, problems } = this.#find(patterns);
    const news = problems.filter((problem) => !this.#problems.includes(problem));
    this.#problems = problems;
    const present = new Set(found.map(keyOf));
    const gaveUp: FoundNamespace[] = [];
    for (const [key, { found: one }] of this.failing) {
      if (present.has(key)) continue;
      this.failing.delete(key);
      gaveUp.push(one);
    }
    this.#arriving = found.filter((one) => {
      const retryAt = this.failing.get(keyOf(one))?.retryAt;
      return !served.has(keyOf(one)) && (retryAt === undefined || retryAt <= begun);
    });
    const end = this.#now();
    this.#notBefore = end + SHARE * (end - begun);
    this.#dueAt = isFixed ? Number.POSITIVE_INFINITY : Math.max(this.#notBefore, end + PAUSE_MS);
    return { gone: [...served.keys()].filter((key) => !present.has(key)), gaveUp, problems: news };
  }

  /**
   * Notes that a namespace cannot be served for now.
   * @returns why, unless that was known.
   */
  fail(found: FoundNamespace, cause: unknown): EventError | undefined {
    const key = keyOf(found);
    const before = this.failing.get(key);
    const error = namespaceError(cause);
    const attempts = (before?.attempts ?? 0) + 1;
    const pause = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempts - 1, 16));
    this.failing.set(key, { found, error, attempts, retryAt: this.#now() + pause });
    return before?.error.message === error.message ? undefined : error;
  }
}

function namespaceError(cause: unknown): EventError {
  const error = eventError(cause);
  if (error.code !== 'EPERM' || error['hint'] !== undefined) return error;
  return {
    ...error,
    hint: 'To serve other network namespaces than its own takes CAP_SYS_ADMIN beside CAP_NET_ADMIN: tapwall doctor says what there is.',
  };
}
