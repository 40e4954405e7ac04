import { readdirSync, readFileSync } from 'node:fs';
import { dumpRuleset } from '#src/compiler/scratch.js';
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { kernel } from '../support/host.js';

/** What must not grow. */
export interface Sample {
  /** How many devices have been attached and detached until then. */
  pairs: number;
  /** Resident memory of the process, its threads and the addon included, in bytes. */
  resident: number;
  descriptors: number;
  /** In the namespace's nf_tables. */
  tables: number;
  chains: number;
  rules: number;
  sets: number;
  elements: number;
}

/** Of a process, by what /proc says of it (proc_pid_status(5)), in bytes. */
export function memoryOf(pid: number | 'self', line: 'VmRSS' | 'VmHWM'): number {
  const found = new RegExp(`^${line}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? 0) * 1024;
}

/** @param pairs done so far. */
export function takeSample(pairs: number, namespace: NamespaceHandle): Sample {
  // What nobody refers to any more is not what grows.
  globalThis.gc?.();
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  try {
    const { tables, chains, rules, sets, elements } = parseRuleset(dumpRuleset(netfilter));
    return {
      pairs,
      resident: memoryOf('self', 'VmRSS'),
      descriptors: readdirSync('/proc/self/fd').length,
      tables: tables.length,
      chains: chains.length,
      rules: rules.length,
      sets: sets.length,
      elements: elements.reduce((sum, list) => sum + list.elements.length, 0),
    };
  } finally {
    netfilter.close();
  }
}

export function sampleWords(sample: Sample): string {
  const { pairs, resident, descriptors, tables, chains, rules, sets, elements } = sample;
  return (
    `${pairs} pairs: ${(resident / 2 ** 20).toFixed(1)} MiB resident, ${descriptors} descriptors, ` +
    `${tables} tables, ${chains} chains, ${rules} rules, ${sets} sets, ${elements} elements`
  );
}

/** Bytes by which resident memory has grown: between the medians of the second and the last quarter. */
export function growth(samples: readonly Sample[]): number {
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  const median = (list: readonly Sample[]) =>
    list.map(({ resident }) => resident).sort((a, b) => a - b)[list.length >> 1] ?? 0;
  return median(samples.slice(-quarter)) - median(samples.slice(quarter, 2 * quarter));
}
