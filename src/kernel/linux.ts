import { closeSync, openSync, statSync } from 'node:fs';
import { TapwallError } from '../error.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/constants.js';
import { loadAddon } from './addon.js';
import {
  type Arrivals,
  type Kernel,
  MAXIMUM_WAIT_MS,
  type NamespaceHandle,
  type Poller,
  type Readiness,
  type SocketOptions,
  type Waker,
} from './kernel.js';
import type { NativeAddon, NativeNamespace, NativePoller, NativeSocket } from './native.js';
import { NetlinkSocket, systemCallError } from './socket.js';

/** Where ip-netns(8) keeps named namespaces. */
const NAMED_NAMESPACES = '/run/netns';

/** Bit 31 of what the addon's `wait` returns; see native.ts. */
const WAKER_BIT = 0x80000000;
const MAXIMUM_SOCKETS = 31;

/**
 * When this variable is set, no socket is opened in the network namespace the process runs in. The tests and the
 * benchmarks set it, so that a forgotten `--namespace` cannot reach the machine's own network.
 */
export const FORBID_HOST_NAMESPACE = 'TAPWALL_FORBID_HOST_NAMESPACE';

function hold(namespace: NativeNamespace): NamespaceHandle {
  return {
    // Asked each time: the number of one that was closed is another descriptor's before long.
    get fd() {
      return namespace.fd;
    },
    inode: namespace.inode,
    path: `/proc/${process.pid}/fd/${namespace.fd}`,
    close: () => namespace.close(),
  };
}

/** What `NativePoller.wait` says for the waker; see native.ts. */
const WAKER_TOKEN = -1;

class LinuxPoller implements Poller {
  readonly #poller: NativePoller;
  #mounts: number | undefined;

  constructor(poller: NativePoller) {
    this.#poller = poller;
  }

  add(socket: NetlinkSocket, token: number): void {
    this.#poller.add((socket.transport as NativeSocket).fd, token, false);
  }

  remove(socket: NetlinkSocket): void {
    const fd = openDescriptor(socket.transport as NativeSocket);
    if (fd !== undefined) this.#poller.remove(fd);
  }

  addMounts(token: number): void {
    // Those of the process: a thread of Node's never changes its mount namespace.
    this.#mounts ??= openSync('/proc/self/mountinfo', 'r');
    this.#poller.add(this.#mounts, token, true);
  }

  wait(timeoutMs: number): Arrivals {
    const ready = this.#poller.wait(Math.min(timeoutMs, MAXIMUM_WAIT_MS));
    const woken = ready.includes(WAKER_TOKEN);
    return { tokens: woken ? ready.filter((token) => token !== WAKER_TOKEN) : ready, woken };
  }

  close(): void {
    this.#poller.close();
    if (this.#mounts !== undefined) closeSync(this.#mounts);
    this.#mounts = undefined;
  }
}

/** Undefined for a socket that was closed: the number it had may be another file's. */
function openDescriptor(socket: NativeSocket): number | undefined {
  try {
    return socket.fd;
  } catch {
    return undefined;
  }
}

class LinuxKernel implements Kernel {
  readonly #addon: NativeAddon;

  constructor(addon: NativeAddon) {
    this.#addon = addon;
  }

  createNamespace(): NamespaceHandle {
    try {
      return hold(this.#addon.Namespace.create());
    } catch (error) {
      throw systemCallError('a network namespace of its own', error);
    }
  }

  openNamespace(nameOrPath: string): NamespaceHandle {
    const path = nameOrPath.includes('/') ? nameOrPath : `${NAMED_NAMESPACES}/${nameOrPath}`;
    try {
      return hold(this.#addon.Namespace.open(path));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TapwallError(
        'NAMESPACE_NOT_FOUND',
        `cannot open the network namespace ${nameOrPath}: ${reason}`,
        {
          cause,
          hint: `Names are those of 'ip netns list'; a path must be that of a network namespace, such as /proc/PID/ns/net.`,
        },
      );
    }
  }

  openSocket(options: SocketOptions): NetlinkSocket {
    this.#guard(options);
    try {
      return new NetlinkSocket(
        new this.#addon.Socket({
          protocol: options.protocol,
          namespace: options.namespace?.fd ?? -1,
          receiveBuffer: options.receiveBuffer ?? 0,
          groups: options.groups ?? [],
          filter: options.filter ?? null,
          strict: options.protocol === NETLINK_ROUTE,
        }),
      );
    } catch (error) {
      throw systemCallError('a netlink socket', error);
    }
  }

  createWaker(): Waker {
    return new this.#addon.Waker();
  }

  createPoller(wakerFd: number): Poller {
    return new LinuxPoller(new this.#addon.Poller(wakerFd));
  }

  wait(sockets: readonly NetlinkSocket[], wakerFd: number, timeoutMs: number): Readiness {
    if (sockets.length > MAXIMUM_SOCKETS) {
      throw new TapwallError(
        'ARGUMENT',
        `cannot wait on ${sockets.length} sockets; at most ${MAXIMUM_SOCKETS}`,
      );
    }
    const transports = sockets.map((socket) => socket.transport as NativeSocket);
    const mask = this.#addon.wait(transports, wakerFd, Math.min(timeoutMs, MAXIMUM_WAIT_MS));
    return {
      sockets: transports.map((_, index) => (mask & (1 << index)) !== 0),
      woken: (mask & WAKER_BIT) !== 0,
    };
  }

  #guard(options: SocketOptions): void {
    if (!process.env[FORBID_HOST_NAMESPACE]) return;
    if (options.protocol !== NETLINK_NETFILTER && options.protocol !== NETLINK_ROUTE) return;
    const own = statSync('/proc/self/ns/net', { bigint: true }).ino;
    if (options.namespace && options.namespace.inode !== own) return;
    throw new TapwallError(
      'HOST_NAMESPACE_FORBIDDEN',
      `${FORBID_HOST_NAMESPACE} is set, and this would act on the network namespace the process runs in`,
      { hint: 'Name another one with --namespace, or unset the variable.' },
    );
  }
}

/**
 * The kernel this process runs on.
 * @throws TapwallError ADDON_LOAD when the addon is not built or a library is missing.
 */
export function linuxKernel(): Kernel {
  return new LinuxKernel(loadAddon());
}
