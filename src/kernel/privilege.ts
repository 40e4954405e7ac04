import { readFileSync } from 'node:fs';
import { loadAddon } from './addon.js';

/** In the order of their numbers (linux/capability.h). */
const CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const;

/** The name of a capability that tapwall knows. */
export type Capability = (typeof CAPABILITIES)[number];

/** What this process may do (capabilities(7)). */
export interface Privileges {
  /** Names of the effective capabilities; one that is newer than this list is `CAP_NUMBER`. */
  capabilities: readonly string[];
  /** Whether no program that it starts can get more (PR_SET_NO_NEW_PRIVS). */
  noNewPrivileges: boolean;
}

/** @param status the text of /proc/PID/status (proc(5)); absent for this process's. */
export function readPrivileges(status = readFileSync('/proc/self/status', 'utf8')): Privileges {
  const field = (name: string) => new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0';
  const effective = BigInt(`0x${field('CapEff')}`);
  const capabilities: string[] = [];
  for (let number = 0; effective >> BigInt(number) > 0n; number++) {
    if ((effective >> BigInt(number)) & 1n) capabilities.push(CAPABILITIES[number] ?? `CAP_${number}`);
  }
  return { capabilities, noNewPrivileges: field('NoNewPrivs') === '1' };
}

/**
 * Whether this process can make a network namespace and fill it: unshare(2) and setns(2) ask for CAP_SYS_ADMIN, nf_tables for
 * CAP_NET_ADMIN. Who cannot does it in a user namespace, in a process of its own.
 */
export function canMakeNamespaces({ capabilities }: Privileges = readPrivileges()): boolean {
  return capabilities.includes('CAP_SYS_ADMIN') && capabilities.includes('CAP_NET_ADMIN');
}

/**
 * Starts this very program anew, in the same process, with those capabilities and no others, for good. Does nothing where this
 * process may not give any up (CAP_SETPCAP), as under a service manager that has taken them, or where it has given them up.
 * @throws Error with the errno's name as `code`, when that fails; the process then goes on with what it has.
 */
export function giveUpOthers(kept: readonly Capability[]): void {
  const { capabilities } = readPrivileges();
  if (process.geteuid?.() !== 0 || kept.includes('CAP_SETPCAP') || !capabilities.includes('CAP_SETPCAP'))
    return;
  loadAddon().restartWithRights({
    capabilities: kept.map((name) => CAPABILITIES.indexOf(name)),
    command: [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
  });
}
