import { setImmediate as turn } from 'node:timers/promises';
import { readCounters } from '../agent/counters.js';
import type { VisitNamespace } from '../agent/namespace-directory.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import { findLink } from '../links/query.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/constants.js';
import { Traffic } from './traffic.js';

/** Whose counters are read. */
export interface CounterSource {
  kernel: Kernel;
  visitNamespaces(visit: VisitNamespace): Promise<void>;
  /** The names of the sets that count. */
  sets: readonly string[];
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

  constructor(limit: number) {
    this.traffic = new Traffic(limit);
  }

  /** @throws KernelError, or TapwallError TIMEOUT if the tables change all the time. */
  async read({ kernel, visitNamespaces, sets }: CounterSource): Promise<void> {
    const present = new Map<string, number>();
    this.traffic.begin();
    await visitNamespaces(async (name, namespace) => {
      const key = `${name} ${namespace?.inode ?? ''}`;
      const number = this.#namespaces.get(key) ?? ++this.#lastNamespace;
      present.set(key, number);
      const first = number * INDEXES;
      await this.#readSets(kernel, namespace, first, sets);
      this.#nameDevices(kernel, name, namespace, first);
    });
    this.traffic.end(sets);
    this.#namespaces = present;
    const own = new Set(this.traffic.own);
    for (const device of this.names.keys()) if (!own.has(device)) this.names.delete(device);
  }

  async #readSets(
    kernel: Kernel,
    namespace: NamespaceHandle | undefined,
    first: number,
    sets: readonly string[],
  ): Promise<void> {
    const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
    try {
      for (const set of sets) {
        readCounters(netfilter, set, (index, packets, bytes) => {
          this.traffic.count(set, first + index, packets, bytes);
        });
        await turn();
      }
    } finally {
      netfilter.close();
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
