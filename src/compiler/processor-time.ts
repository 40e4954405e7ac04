import { readFileSync } from 'node:fs';
import { isSystemCallError } from '../error.js';

/**
 * Milliseconds that the first thread of a process has run, however long it had to wait for a processor: the first number of
 * /proc/PID/schedstat (Documentation/scheduler/sched-stats.rst). Undefined where the kernel does not keep it, or the process
 * is gone.
 */
export function processorTimeMs(pid: number): number | undefined {
  try {
    const nanoseconds = Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ', 1)[0]);
    return Number.isFinite(nanoseconds) ? nanoseconds / 1e6 : undefined;
  } catch (error) {
    if (isSystemCallError(error)) return undefined;
    throw error;
  }
}
