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
  close(): void;
}

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
  signal(): void;
  close(): void;
}

/** Why `Kernel.wait` came back. */
export interface Readiness {
  /** For each socket that was passed, whether it has something to receive. */
  sockets: boolean[];
  woken: boolean;
}

export interface Kernel {
  /** A new, empty network namespace that lives as long as it is held open or a socket in it is. */
  createNamespace(): NamespaceHandle;
  /**
   * @param nameOrPath a name below /run/netns (ip-netns(8)), or a path when it contains a slash.
   * @throws TapwallError NAMESPACE_NOT_FOUND
   */
  openNamespace(nameOrPath: string): NamespaceHandle;
  openSocket(options: SocketOptions): NetlinkSocket;
  createWaker(): Waker;
  /** @param timeoutMs at most 1,000, so that a worker that is being terminated is not held for longer. */
  wait(sockets: readonly NetlinkSocket[], wakerFd: number, timeoutMs: number): Readiness;
}

/** The longest one `Kernel.wait` may block. */
export const MAXIMUM_WAIT_MS = 1000;
