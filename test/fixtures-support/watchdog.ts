/** Ends the process when a decoder hangs: a loop that never ends cannot be interrupted from its own thread. */
import { writeSync } from 'node:fs';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

const STANDARD_ERROR = 2;
const ROOM_FOR_WORDS = 256;

interface Shared {
  /** [0] counts beats, [1] is the length of `words`. */
  counters: Int32Array;
  words: Uint8Array;
  limitMs: number;
}

export interface Watchdog {
  /** Says what is about to be tried. */
  beat(what: string): void;
  close(): Promise<unknown>;
}

export function startWatchdog(limitMs: number): Watchdog {
  const counters = new Int32Array(new SharedArrayBuffer(8));
  const words = new Uint8Array(new SharedArrayBuffer(ROOM_FOR_WORDS));
  const watchdog: Shared = { counters, words, limitMs };
  const worker = new Worker(new URL(import.meta.url), { workerData: { watchdog }, execArgv: [] });
  worker.unref();
  const encoder = new TextEncoder();
  return {
    beat(what) {
      Atomics.store(counters, 1, encoder.encodeInto(what, words).written);
      Atomics.add(counters, 0, 1);
      Atomics.notify(counters, 0);
    },
    close: () => worker.terminate(),
  };
}

function watch({ counters, words, limitMs }: Shared): never {
  for (;;) {
    const beats = Atomics.load(counters, 0);
    if (Atomics.wait(counters, 0, beats, limitMs) !== 'timed-out') continue;
    const what = Buffer.from(words.slice(0, Atomics.load(counters, 1))).toString();
    writeSync(STANDARD_ERROR, `a decoder hangs: ${what}\n`);
    process.kill(process.pid, 'SIGKILL');
  }
}

if (!isMainThread && (workerData as { watchdog?: Shared } | undefined)?.watchdog) {
  watch((workerData as { watchdog: Shared }).watchdog);
}
