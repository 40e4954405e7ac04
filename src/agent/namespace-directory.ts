import { isOwnAlone, OWN_NAMESPACE } from '../config/namespace.js';
import { TapwallError } from '../error.js';
import type { Kernel, NamespaceHandle } from '../kernel/kernel.js';
import type { EventError } from './event.js';
import type { NamespaceState } from './fleet.js';
import { type Status, statusIn } from './status.js';

/** How it stands with a network namespace that is there and that the configuration lists. */
export interface NamespaceStatus {
  /** What the configuration knows it by: a name of ip-netns(8), a path, or `self` for the agent's own. */
  name: string;
  inode: bigint;
  /** Why it is not served; absent where it is. */
  error?: EventError | undefined;
}

/**
 * What is done in each namespace.
 * @param namespace undefined for that of the process.
 */
export type VisitNamespace = (name: string, namespace: NamespaceHandle | undefined) => Promise<void>;

/** What the main thread knows of the namespaces that the agent's thread serves. */
export class NamespaceDirectory {
  readonly #kernel: Kernel;
  readonly #own: NamespaceHandle | undefined;
  readonly #known = new Map<string, NamespaceState>();

  /** @param own the agent's own; undefined for that of the process. */
  constructor(kernel: Kernel, own: NamespaceHandle | undefined) {
    this.#kernel = kernel;
    this.#own = own;
  }

  note(state: NamespaceState, isGone: boolean): void {
    const key = `${state.inode} ${state.name}`;
    if (isGone) this.#known.delete(key);
    else this.#known.set(key, state);
  }

  get all(): NamespaceStatus[] {
    return [...this.#known.values()].map(({ name, inode, error }) => ({
      name,
      inode,
      ...(error && { error }),
    }));
  }

  /**
   * What the kernel holds in one of them, or in all.
   * @param patterns those that the configuration lists.
   * @throws TapwallError NAMESPACE_NOT_FOUND
   */
  status(patterns: readonly string[], name?: string): Status {
    if (name === undefined && isOwnAlone(patterns)) return statusIn(this.#kernel, this.#own);
    const chosen = [...this.#known.values()].filter(
      (one) => !one.error && (name === undefined || one.name === name),
    );
    const statuses = chosen.flatMap((one) => this.#statusOf(one) ?? []);
    if (name !== undefined && statuses.length === 0) {
      const message = `this agent does not serve the network namespace ${name}`;
      throw new TapwallError('NAMESPACE_NOT_FOUND', message);
    }
    const placement = statuses.find((one) => one.placement)?.placement;
    return { placement, devices: statuses.flatMap(({ devices }) => devices) };
  }

  /**
   * Does something in each that is served.
   * @param patterns those that the configuration lists.
   */
  async visit(patterns: readonly string[], visit: VisitNamespace): Promise<void> {
    if (isOwnAlone(patterns)) return await visit(OWN_NAMESPACE, this.#own);
    for (const { name, inode, path, error } of [...this.#known.values()]) {
      if (error) continue;
      if (path === undefined) {
        await visit(name, this.#own);
        continue;
      }
      const handle = this.#open(path, inode);
      try {
        if (handle) await visit(name, handle);
      } finally {
        handle?.close();
      }
    }
  }

  /** Undefined for one that has gone meanwhile. */
  #statusOf({ name, inode, path }: NamespaceState): Status | undefined {
    const { placement, devices } = this.#within(path, inode) ?? {};
    return devices && { placement, devices: devices.map((device) => ({ namespace: name, ...device })) };
  }

  #within(path: string | undefined, inode: bigint): Status | undefined {
    if (path === undefined) return statusIn(this.#kernel, this.#own);
    const handle = this.#open(path, inode);
    try {
      return handle && statusIn(this.#kernel, handle);
    } finally {
      handle?.close();
    }
  }

  /** Undefined for one that has gone meanwhile. */
  #open(path: string, inode: bigint): NamespaceHandle | undefined {
    try {
      const handle = this.#kernel.openNamespace(path);
      if (handle.inode === inode) return handle;
      // The descriptor is another file's by now.
      handle.close();
      return undefined;
    } catch (error) {
      if (error instanceof TapwallError && error.code === 'NAMESPACE_NOT_FOUND') return undefined;
      throw error;
    }
  }
}
