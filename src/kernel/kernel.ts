/**
 * What tapwall needs of a kernel. `linux.ts` gives the real one through the addon, `fake.ts` one that lives in
 * memory, for embedders' tests. Nothing outside this folder knows which of the two it talks to.
 */
import type { NetlinkSocket } from './socket.js';

/** A network namespace that is held open. */
export interface NamespaceHandle {
  readonly fd: number;
  readonly inode: bigint;
  /** A path by which a child process of this one can enter it, as `nsenter --net=PATH`. */
  readonly path: string;
  /** Lets go of it. A namespace in which nothing is left goes with its last holder. */
  close(): void;
}

/** How a netlink socket is to be opened. */
export interface SocketOptions {
  /** NETLINK_ROUTE, NETLINK_NETFILTER, … */
  protocol: number;
  /** The namespace to open it in; absent for the caller's own. */
  namespace?: NamespaceHandle | undefined;
  /** Bytes; forced past the system's limit. Absent leaves the default. */
  receiveBuffer?: number;
  /** Multicast groups by number. */
  groups?: readonly number[];
  /** A classic BPF program. */
  filter?: Uint8Array;
}

/** Wakes a thread that is blocked in `Kernel.wait`, from any thread of the process. */
export interface Waker {
  readonly fd: number;
  /** Ends the wait that is going on, or the next one. */
  signal(): void;
  /** Nobody may wait on it any more. */
  close(): void;
}

/** Why `Kernel.wait` came back. */
export interface Readiness {
  /** For each socket that was passed, whether it has something to receive. */
  sockets: boolean[];
  woken: boolean;
}

/** What a wait for many sockets came back with. */
export interface Arrivals {
  /** The tokens of sockets that have something to receive, in no order; perhaps not all of them. */
  tokens: readonly number[];
  woken: boolean;
}

/** Waits for any number of sockets, in a time that depends on how many have something, not on how many there are. */
export interface Poller {
  /**
   * Waits for a socket too, from now on.
   * @param token comes back for the socket: a whole number of at least 0.
   */
  add(socket: NetlinkSocket, token: number): void;
  /** Nobody waits for the socket any more. One that was closed is left out already. */
  remove(socket: NetlinkSocket): void;
  /** From now on `token` comes back once for any number of changes to what is mounted, network namespaces among it. */
  addMounts(token: number): void;
  /** As `Kernel.wait`. */
  wait(timeoutMs: number): Arrivals;
  /** Nobody may wait with it any more. The sockets stay open. */
  close(): void;
}

/** The calls that tapwall makes of a kernel, the real one or one in memory. */
export interface Kernel {
  /** A new, empty network namespace that lives as long as it is held open or a socket in it is. */
  createNamespace(): NamespaceHandle;
  /**
   * @param nameOrPath a name below /run/netns (ip-netns(8)), or a path when it contains a slash.
   * @throws TapwallError NAMESPACE_NOT_FOUND
   */
  openNamespace(nameOrPath: string): NamespaceHandle;
  /** @throws KernelError EPERM without the right to it; TapwallError HOST_NAMESPACE_FORBIDDEN. */
  openSocket(options: SocketOptions): NetlinkSocket;
  /** One wakes one waiting thread, as often as needed. */
  createWaker(): Waker;
  /**
   * What many sockets are waited on with.
   * @param wakerFd the descriptor of a waker that ends a wait, and stays open as long; -1 for none.
   */
  createPoller(wakerFd: number): Poller;
  /**
   * Blocks until a socket has something to receive, the waker was signalled, or the time is over.
   * @param wakerFd the descriptor of a waker; -1 for none.
   * @param timeoutMs milliseconds, at most 1,000, so that a worker that is being terminated is not held for longer.
   */
  wait(sockets: readonly NetlinkSocket[], wakerFd: number, timeoutMs: number): Readiness;
}

/** The longest one `Kernel.wait` may block. */
export const MAXIMUM_WAIT_MS = 1000;
