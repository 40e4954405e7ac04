import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clearProgress } from './progress.js';

/** What a shell gives for a process that a signal ended: 128 and the signal's number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Processes that would not end with the benchmark's; `group` for those that lead a group. */
const children = new Map<ChildProcess, { group: boolean }>();

/** Has a child killed when the run is interrupted. @returns the child. */
export function endWithRun<T extends ChildProcess>(child: T, { group = false } = {}): T {
  children.set(child, { group });
  child.once('exit', () => children.delete(child));
  return child;
}

function killChildren(): void {
  for (const [{ pid }, { group }] of children) {
    if (pid === undefined) continue;
    try {
      process.kill(group ? -pid : pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
}

/**
 * Runs a benchmark with a folder of its own for files, and takes that away when it ends, by itself, by an error or
 * by a signal, and with it the children that were told of. Namespaces are gone with the last process that holds them.
 */
export async function withScratchFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-bench-'));
  const clean = () => {
    clearProgress();
    killChildren();
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
