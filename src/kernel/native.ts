/**
 * The shape of the compiled addon, `tapwall.node`. Only `kernel/addon.ts` loads it; everything else goes
 * through the `Kernel` interface. The native side checks types and lengths and nothing else: meaning is
 * checked here in TypeScript, before the call.
 *
 * Every function throws an `Error` whose `code` is the errno's name (`ENOBUFS`), whose `errno` is its
 * positive number and whose `syscall` names the call that failed (`sendto`, `setns`, …).
 */

export interface NativeSocketOptions {
  /** Netlink protocol number: NETLINK_ROUTE 0, NETLINK_NETFILTER 12, NETLINK_KOBJECT_UEVENT 15 (linux/netlink.h). */
  protocol: number;
  /** An open descriptor of the network namespace (from `NativeNamespace.fd`); -1 for the caller's own. */
  namespace: number;
  /** Receive buffer in bytes, set with SO_RCVBUFFORCE (socket(7)); 0 leaves the system's default. */
  receiveBuffer: number;
  /** Multicast groups to join, by number (NETLINK_ADD_MEMBERSHIP), not by mask. */
  groups: readonly number[];
  /** A classic BPF program: struct sock_filter, 8 bytes each, host byte order (linux/filter.h); null for none. */
  filter: Uint8Array | null;
  /** NETLINK_GET_STRICT_CHK: the kernel refuses dump requests with fields it would ignore. */
  strict: boolean;
}

export interface NativeSocket {
  /** The netlink port id that the kernel gave the socket. */
  readonly portId: number;
  readonly fd: number;
  /**
   * Sends one buffer and returns everything the kernel had queued in answer, datagram after datagram, when the
   * call came back: route and netfilter requests are handled inside sendto(2), so nothing is waited for.
   */
  transact(request: Uint8Array): Uint8Array;
  /**
   * The same; undefined if the answer is nothing but a success of the last message that asks for an acknowledgement
   * (NLM_F_ACK). It costs one system call less, and no memory.
   */
  confirm(request: Uint8Array): Uint8Array | undefined;
  /** Sends a dump request and reads until NLMSG_DONE or NLMSG_ERROR for that sequence number; at most `timeoutMs`. */
  dump(request: Uint8Array, timeoutMs: number): Uint8Array;
  /** One datagram that is queued, or undefined if there is none. ENOBUFS is thrown: events were lost. */
  receive(): Uint8Array | undefined;
  /** Joins the groups that the socket was opened for (NETLINK_ADD_MEMBERSHIP), or leaves them. It begins in them. */
  listen(on: boolean): void;
  /**
   * The name of a link of the socket's namespace, by its index (SIOCGIFNAME, netdevice(7)); undefined if there is none.
   * It waits for no lock; RTM_GETLINK waits for whoever makes a link.
   */
  linkName(index: number): string | undefined;
  /** Closes the descriptor; a second call does nothing. Any other call afterwards throws EBADF. */
  close(): void;
}

export interface NativeNamespace {
  /** An open descriptor on the namespace (O_CLOEXEC). It keeps the namespace alive until `close()`. */
  readonly fd: number;
  /** The namespace's inode number: equal inodes (and devices) are the same namespace. */
  readonly inode: bigint;
  close(): void;
}

export interface NativeWaker {
  /** An eventfd(2), semaphore off, non-blocking. */
  readonly fd: number;
  /** Wakes whoever waits on `fd`, in whichever thread. */
  signal(): void;
  close(): void;
}

export interface NativePoller {
  /**
   * Begins to wait for a file (EPOLLIN); one that is closed leaves by itself. What is added twice is refused (EEXIST).
   * @param token tells the file from others; 0 to 2³¹-1.
   * @param exceptional waits for EPOLLPRI instead, with which files of /proc tell of changes.
   */
  add(fd: number, token: number, exceptional: boolean): void;
  /** Must come before the file is closed: its number may be another's by then. */
  remove(fd: number): void;
  /**
   * Blocks the calling thread until a file is ready, the waker was signalled, or `timeoutMs` have passed.
   * @returns the tokens of at most 64 files that are ready, errors included; -1 for the waker, whose count it resets.
   */
  wait(timeoutMs: number): number[];
  close(): void;
}

export interface NativeNftablesOptions {
  namespace: number;
  /** Ruleset text or JSON; null when `file` is given. */
  input: string | null;
  /** A file to run, as `nft -f FILE`; null when `input` is given. */
  file: string | null;
  /** `name=value`, as `nft -D`. */
  variables: readonly string[];
  /** Directories that `include` searches; they replace the library's default. */
  includePaths: readonly string[];
  json: boolean;
  dryRun: boolean;
  /** Output flags: NFT_CTX_OUTPUT_* of nftables/libnftables.h, or-ed; JSON is set by `json`. */
  outputFlags: number;
}

export interface NativeNftablesResult {
  /** What libnftables returned: 0 for success. Its errno means nothing and is not given. */
  status: number;
  output: string;
  error: string;
}

/** Who is at the other end of a Unix socket, as of when it connected. */
export interface NativePeer {
  /** 0 for a process that this process's PID namespace does not have. */
  pid: number;
  uid: number;
  gid: number;
  /** The supplementary groups. */
  groups: number[];
}

export interface NativeAddon {
  Socket: new (options: NativeSocketOptions) => NativeSocket;
  Namespace: {
    /** A new, empty network namespace, made in a thread of its own; the caller stays where it is. */
    create(): NativeNamespace;
    /** The namespace that a path names (`/run/netns/NAME`, `/proc/PID/ns/net`, `/proc/PID/fd/N`). */
    open(path: string): NativeNamespace;
  };
  Waker: new () => NativeWaker;
  /** An epoll(7). `waker` is the descriptor of a waker, which must stay open as long; -1 for none. */
  Poller: new (
    waker: number,
  ) => NativePoller;
  /**
   * Blocks the calling thread until a socket has data, the waker was signalled, or `timeoutMs` have passed.
   * @returns a bit mask: bit i for `sockets[i]`, bit 31 for the waker (whose count it resets); 0 for the time-out.
   *   An error condition on a socket sets its bit as well, so that `receive()` reports it.
   */
  wait(sockets: readonly NativeSocket[], waker: number, timeoutMs: number): number;
  runNftables(options: NativeNftablesOptions): NativeNftablesResult;
  /**
   * Sends one datagram to a Unix socket, by its path or as `@NAME` for one in the abstract name space. Nothing is waited
   * for: EAGAIN is thrown where the receiver's queue is full.
   */
  sendDatagram(path: string, text: string): void;
  /**
   * From now on this process is killed when the thread that started it ends (PR_SET_PDEATHSIG, prctl(2)): one that loops
   * inside a library hears of no end of its input.
   */
  endWithParent(): void;
  /**
   * Puts another program in the place of this process (execve(2)), which never has other capabilities than those, whatever it
   * starts: they are taken from the bounding and the inheritable set, and PR_SET_NO_NEW_PRIVS is set. Only so do all threads
   * of a process lose them, since each has its own. The process must have CAP_SETPCAP, and be root's for the program to have
   * those that are left. It comes back with an error alone.
   * @param options.capabilities by number (linux/capability.h).
   * @param options.command the program's path, which is also the first of its arguments, and the others.
   */
  restartWithRights(options: { capabilities: readonly number[]; command: readonly string[] }): void;
  /** SO_PEERCRED and SO_PEERGROUPS of a connected Unix socket (unix(7)). */
  peerCredentials(fd: number): NativePeer;
  /** Versions of the libraries in use, as far as they can be told at run time. */
  versions(): { libmnl: string; libnftables: string };
}
