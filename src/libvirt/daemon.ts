import { readdirSync, readFileSync } from 'node:fs';

/** A libvirt daemon that starts guests of qemu. */
export interface LibvirtDaemon {
  name: string;
  pid: number;
  /** Milliseconds since the epoch, to some hundredths of a second. */
  startedAt: number;
}

const NAMES: ReadonlySet<string> = new Set(['libvirtd', 'virtqemud']);

/** USER_HZ of the kernel's interfaces, on every architecture that Node runs on (include/asm-generic/param.h). */
const TICKS_PER_SECOND = 100;

/** The daemons that run here, as far as the process can see. */
export function libvirtDaemons(): LibvirtDaemon[] {
  // Not btime of /proc/stat, which is in seconds.
  const bootedAt = Date.now() - Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1000;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const end = stat.lastIndexOf(')');
        const name = stat.slice(stat.indexOf('(') + 1, end);
        if (!NAMES.has(name)) return [];
        // Field 22 of proc_pid_stat(5); the first behind the name is the third.
        const ticks = Number(stat.slice(end + 2).split(' ')[19]);
        return [{ name, pid: Number(pid), startedAt: bootedAt + (ticks / TICKS_PER_SECOND) * 1000 }];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
}
