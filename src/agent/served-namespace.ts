import { TapwallError } from '../error.js';
import type { Kernel, NamespaceHandle, Poller } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import type { AgentEvent } from './event.js';
import { AgentLoop, type Ready } from './loop.js';
import type { FoundNamespace } from './namespace-finder.js';
import type { Plan } from './plan.js';
import type { Reference } from './reference.js';
import type { Tally } from './tally.js';

/** What the namespaces that one thread serves have in common. */
export interface ServingOptions {
  kernel: Kernel;
  poller: Poller;
  /** The agent's own namespace; absent for that of the process. */
  own: NamespaceHandle | undefined;
  reference: Reference;
  now: () => number;
  /** Counts what all loops do together. */
  tally: Tally | undefined;
}

/** Each has two sockets; what is left is the thread's own. */
const TOKENS = 2;

/** Which namespace a token of the poller's belongs to, and what has come for it. */
export function readToken(token: number): { id: number; ready: Ready } {
  const isLinks = token % TOKENS === 0;
  return { id: Math.floor(token / TOKENS), ready: { links: isLinks, changes: !isLinks } };
}

/** A network namespace that is served: its loop, and what is waited for on its behalf. */
export class ServedNamespace {
  readonly found: FoundNamespace;
  readonly id: number;
  readonly loop: AgentLoop;
  readonly #poller: Poller;
  /** Held open as long as it is served, so that its inode is no other's meanwhile. */
  readonly #handle: NamespaceHandle | undefined;
  #sockets: readonly NetlinkSocket[] = [];

  /**
   * Opens it.
   * @param id tells it from the others of the poller; at least 1.
   * @throws TapwallError NAMESPACE_NOT_FOUND; KernelError EPERM without CAP_SYS_ADMIN for another than the agent's own.
   */
  constructor(
    plan: Plan,
    found: FoundNamespace,
    id: number,
    { kernel, poller, own, reference, now, tally }: ServingOptions,
    emit: (event: AgentEvent) => void,
  ) {
    this.found = found;
    this.id = id;
    this.#poller = poller;
    this.#handle = found.path === undefined ? undefined : kernel.openNamespace(found.path);
    try {
      this.loop = new AgentLoop(plan, {
        kernel,
        namespace: this.#handle ?? own,
        namespaceName: found.name,
        wakerFd: -1,
        reference,
        now,
        tally,
        emit,
      });
      this.watch();
    } catch (error) {
      this.#handle?.close();
      throw error;
    }
  }

  /** The inode of what was opened: another than the one that was found, if the path means another by now. */
  get inode(): bigint {
    return this.#handle?.inode ?? this.found.inode;
  }

  /** By which path the process can open it; undefined for the agent's own. */
  get path(): string | undefined {
    return this.#handle?.path;
  }

  /** Waits for the loop's sockets, which are others after a reload or a release. */
  watch(): void {
    const sockets = this.loop.sockets;
    for (const socket of this.#sockets) if (!sockets.includes(socket)) this.#poller.remove(socket);
    sockets.forEach((socket, which) => {
      if (!this.#sockets.includes(socket)) this.#poller.add(socket, this.id * TOKENS + which);
    });
    this.#sockets = sockets;
  }

  /** An error of its loop, with its name. */
  nameIn(error: unknown): unknown {
    if (!(error instanceof TapwallError)) return error;
    const { code, message, hint } = error;
    return new TapwallError(code, `in the network namespace ${this.found.name}: ${message}`, {
      cause: error,
      ...(hint !== undefined && { hint }),
    });
  }

  /** Ends the loop. What filters stays unless `detach` is given. */
  close(options: { detach: boolean }): void {
    for (const socket of this.#sockets) this.#poller.remove(socket);
    this.#sockets = [];
    try {
      this.loop.stop(options);
    } finally {
      // With the last socket of it a namespace in which nothing is left goes.
      this.#handle?.close();
    }
  }
}
