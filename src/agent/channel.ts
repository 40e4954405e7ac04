import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import { NETLINK_NETFILTER } from '../netlink/constants.js';
import { Committer } from './committer.js';
import { Door } from './door.js';
import { nextGeneration, readGeneration } from './generation.js';
import type { Tally } from './tally.js';
import { Watch } from './watch.js';

/**
 * The agent's way to nf_tables: a socket, what is sent through it, and who else sends something. The tables that an
 * agent owns belong to this socket: they are given up when it is closed, and in no other way (nf_tables_updtable() of
 * net/netfilter/nf_tables_api.c takes no owner away).
 */
export class Channel {
  readonly netfilter: NetlinkSocket;
  readonly committer: Committer;
  readonly door: Door;
  readonly watch: Watch;

  constructor(kernel: Kernel, namespace: NamespaceHandle | undefined, tally: Tally) {
    this.netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
    this.committer = new Committer(this.netfilter, (send) => this.#sendUntold(send), tally);
    this.door = new Door(this.netfilter, this.committer);
    this.watch = new Watch(kernel, namespace, this.netfilter.portId);
  }

  /**
   * The kernel tells of each element that is added, on a page of memory of its own, if anybody on the host listens to any
   * namespace's changes, and keeps all of it until the end: 4 GB for a million. The agent knows what it sends.
   */
  #sendUntold(send: () => void): void {
    const before = readGeneration(this.netfilter);
    this.watch.deafTo(send, (isDone) => {
      return readGeneration(this.netfilter) === (isDone ? nextGeneration(before) : before);
    });
  }

  close(): void {
    this.watch.close();
    this.netfilter.close();
  }
}
