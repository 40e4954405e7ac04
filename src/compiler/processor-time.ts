import { readFileSync } from 'node:fs';
import { isSystemCallError } from '../error.js';

/** USER_HZ of the kernel, which is 100 on every machine that Node runs on. */
const TICK_MS = 10;
/** Where utime and stime stand in /proc/PID/stat, behind the name, which may have anything in it (proc_pid_stat(5)). */
const USER_TIME = 11;
const SYSTEM_TIME = 12;

/**
 * Milliseconds that a process has run, in steps of ten, all its threads together, however long it had to wait for a processor:
 * libnftables runs in a thread of its own. The kernel scales these numbers to what its scheduler has measured
 * (cputime_adjust()). Undefined where the process is gone.
 */
export function processorTimeMs(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[USER_TIME]) + Number(fields[SYSTEM_TIME]);
    return Number.isFinite(ticks) ? ticks * TICK_MS : undefined;
  } catch (error) {
    if (isSystemCallError(error)) return undefined;
    throw error;
  }
}
