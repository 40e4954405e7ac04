import { setImmediate as turn } from 'node:timers/promises';
import { admittedSets } from '../agent/admitted-sets.js';
import type { CensusLine } from '../agent/census.js';
import { type Count, readCounters } from '../agent/counters.js';
import type { VisitNamespace } from '../agent/namespace-directory.js';
import { type Passed, readPassed } from '../agent/passed.js';
import type { Plan } from '../agent/plan.js';
import { countsAdmitted } from '../agent/shared-state.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import { findLink } from '../links/query.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/constants.js';
import { FileDrops } from './file-drops.js';
import { Traffic } from './traffic.js';

/** Whose counters are read. */
export interface CounterSource {
  kernel: Kernel;
  visitNamespaces(visit: VisitNamespace): Promise<void>;
  /** The names of the sets that count. */
  sets: readonly string[];
  /** Whether devices may have tables of their own, which count what passes them. */
  ownTables: boolean;
}

/** What a device is called. */
export interface DeviceName {
  namespace: string;
  device: string;
}

/** Interface indexes are below it. */
const INDEXES = 2 ** 32;

/**
 * Reads what the kernel has counted, over sockets of its own: the agent's thread has no part in it. Between two sets the
 * process does what else there is to do.
 */
export class CounterReader {
  readonly traffic: Traffic;
  /** The devices that have series of their own, by their number in the traffic. */
  readonly names = new Map<number, DeviceName>();
  /** Numbers of namespaces, by name and inode: an index means another device in each. */
  #namespaces = new Map<string, number>();
  #lastNamespace = -1;
  readonly #fileDrops = new FileDrops();

  constructor(limit: number) {
    this.traffic = new Traffic(limit);
  }

  /** @throws KernelError, or TapwallError TIMEOUT if the tables change all the time. */
  async read({ kernel, visitNamespaces, sets, ownTables }: CounterSource): Promise<void> {
    const present = new Map<string, number>();
    this.traffic.begin();
    await visitNamespaces(async (name, namespace) => {
      const key = `${name} ${namespace?.inode ?? ''}`;
      const number = this.#namespaces.get(key) ?? ++this.#lastNamespace;
      present.set(key, number);
      const first = number * INDEXES;
      await this.#readSets(kernel, namespace, first, { sets, ownTables });
      this.#nameDevices(kernel, name, namespace, first);
    });
    this.traffic.end(ownTables ? [...sets, ...admittedSets({ counters: sets }).made.map(ofFiles)] : sets);
    this.#fileDrops.end();
    this.#namespaces = present;
    const own = new Set(this.traffic.own);
    for (const device of this.names.keys()) if (!own.has(device)) this.names.delete(device);
  }

  async #readSets(
    kernel: Kernel,
    namespace: NamespaceHandle | undefined,
    first: number,
    { sets, ownTables }: Pick<CounterSource, 'sets' | 'ownTables'>,
  ): Promise<void> {
    const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
    try {
      const handed = new Map<string, Map<number, Count>>();
      for (const set of sets) {
        if (countsAdmitted(set)) {
          // What was counted before the agent had made an element is counted for one with what is counted there.
          const main = set.replace(/\.early$/, '');
          handed.set(main, readAll(netfilter, set, handed.get(main)));
        } else {
          readCounters(netfilter, set, (index, packets, bytes) => {
            this.traffic.count(set, first + index, packets, bytes);
          });
        }
        await turn();
      }
      this.#countPassed(ownTables ? readPassed(netfilter) : NONE_PASSED, first, handed);
    } finally {
      netfilter.close();
    }
  }

  /** Of what the door let through to devices' own tables it is admitted what has passed those, and the rest dropped. */
  #countPassed(all: Passed, first: number, handed: ReadonlyMap<string, ReadonlyMap<number, Count>>): void {
    for (const [set, counts] of handed) {
      const direction = set.startsWith('ingress') ? 'ingress' : 'egress';
      for (const [index, count] of counts) {
        const device = first + index;
        const passed = all.get(index)?.[direction];
        const { packets, bytes } = passed ?? count;
        this.traffic.count(set, device, packets, bytes);
        if (!passed) continue;
        const dropped = this.#fileDrops.settle(`${direction} ${device}`, count, passed);
        this.traffic.count(ofFiles(set), device, dropped.packets, dropped.bytes);
      }
    }
  }

  #nameDevices(kernel: Kernel, name: string, namespace: NamespaceHandle | undefined, first: number): void {
    const isHere = (device: number) => device >= first && device < first + INDEXES;
    const unnamed = [...this.traffic.own].filter((device) => isHere(device) && !this.names.has(device));
    if (unnamed.length === 0) return;
    const route = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace });
    try {
      for (const device of unnamed) {
        const link = findLink(route, { index: device - first });
        if (link) this.names.set(device, { namespace: name, device: link.name });
      }
    } finally {
      route.close();
    }
  }
}

const NONE_PASSED: Passed = new Map();

/** Whether a policy is a file, or somebody has attached one by hand. */
export function mayHaveOwnTables(
  { policies }: Pick<Plan, 'policies'>,
  census: readonly CensusLine[],
): boolean {
  if (census.some(({ state }) => state === 'manual')) return true;
  return [...policies.values()].some(({ program }) => program !== undefined);
}

/** @param counts what has been counted elsewhere, to which it's added. */
function readAll(
  netfilter: NetlinkSocket,
  set: string,
  counts = new Map<number, Count>(),
): Map<number, Count> {
  readCounters(netfilter, set, (index, packets, bytes) => {
    const known = counts.get(index);
    if (!known) {
      counts.set(index, { packets, bytes });
      return;
    }
    known.packets += packets;
    known.bytes += bytes;
  });
  return counts;
}

/** What a set would be called that counts what files drop of what is counted in another. */
function ofFiles(admitted: string): string {
  return admitted.replace(/admitted$/, 'dropped.file');
}
