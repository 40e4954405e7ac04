import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clearProgress } from './progress.js';

/** What a shell gives for a process that a signal ended: 128 and the signal's number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Runs a benchmark with a folder of its own for files, and takes that away when it ends: by itself, by an error or
 * by a signal. Namespaces need no care; they are gone with the last process that holds them.
 */
export async function withScratchFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-bench-'));
  const clean = () => {
    clearProgress();
    rmSync(folder, { recursive: true, force: true });
  };
  const handlers = Object.entries(SIGNALS).map(([signal, status]) => ({
    signal: signal as keyof typeof SIGNALS,
    handle: () => {
      clean();
      process.exit(status);
    },
  }));
  for (const { signal, handle } of handlers) process.on(signal, handle);
  try {
    return await run(folder);
  } finally {
    for (const { signal, handle } of handlers) process.off(signal, handle);
    clean();
  }
}
