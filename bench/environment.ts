import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { loadAddon } from '#src/kernel/addon.js';

/** What a figure depends on besides the code. */
export interface Environment {
  /** When the run began, ISO 8601. */
  date: string;
  /** The commit, with `+changes` when what is measured differs from it; undefined outside a checkout. */
  commit: string | undefined;
  processor: string;
  cores: number;
  memoryGiB: number;
  /** Whether the processor says that it is a virtual one. */
  virtualMachine: boolean;
  /** The frequency governor of the first core; undefined where the kernel shows none, as in most virtual machines. */
  governor: string | undefined;
  clocksource: string | undefined;
  kernel: string;
  node: string;
  /** Undefined when nft is not installed. */
  nft: string | undefined;
  libnftables: string;
  libmnl: string;
  compiler: string | undefined;
  /** How many processes wanted a core in the last minute, before the run and after it. On a quiet machine, about 0 before. */
  load: { before: number; after: number | undefined };
}

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** What a figure is made of; other changes in the checkout do not matter. */
const MEASURED = ['src', 'native', 'bench', 'package.json', 'package-lock.json'];

function firstLine(command: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8' });
  return status === 0 ? stdout.split('\n', 1)[0]?.trim() : undefined;
}

function readSystemFile(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined;
}

function readCommit(): string | undefined {
  const commit = firstLine('git', ['rev-parse', '--short=12', 'HEAD']);
  if (commit === undefined) return undefined;
  return firstLine('git', ['status', '--porcelain', '--', ...MEASURED]) ? `${commit}+changes` : commit;
}

function currentLoad(): number {
  return Number((loadavg()[0] ?? Number.NaN).toFixed(2));
}

export function readEnvironment(): Environment {
  const { libmnl, libnftables } = loadAddon().versions();
  return {
    date: new Date().toISOString(),
    commit: readCommit(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    virtualMachine: /^flags\s*:.*\bhypervisor\b/m.test(readSystemFile('/proc/cpuinfo') ?? ''),
    governor: readSystemFile('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'),
    clocksource: readSystemFile('/sys/devices/system/clocksource/clocksource0/current_clocksource'),
    kernel: release(),
    node: process.version,
    nft: firstLine('nft', ['--version']),
    libnftables,
    libmnl,
    compiler: firstLine('cc', ['--version']),
    load: { before: currentLoad(), after: undefined },
  };
}

/** The same environment at the end of the run. */
export function afterRun(environment: Environment): Environment {
  return { ...environment, load: { ...environment.load, after: currentLoad() } };
}

/** As lines of a report: what, and which. */
export function describeEnvironment(environment: Environment): [what: string, which: string][] {
  const { processor, cores, memoryGiB, virtualMachine, governor, clocksource, load } = environment;
  const where = virtualMachine ? ', in a virtual machine' : '';
  return [
    ['date', environment.date],
    ['commit', environment.commit ?? 'not a checkout'],
    ['machine', `${processor}, ${cores} cores, ${memoryGiB} GiB${where}`],
    ['governor', governor ?? 'the kernel shows none'],
    ['clock source', clocksource ?? 'the kernel shows none'],
    ['load before and after', `${load.before}, ${load.after ?? 'not known'}`],
    ['kernel', environment.kernel],
    ['Node', environment.node],
    ['nft', environment.nft ?? 'not installed'],
    ['libnftables', environment.libnftables],
    ['libmnl', environment.libmnl],
    ['C compiler', environment.compiler ?? 'not known'],
  ];
}
