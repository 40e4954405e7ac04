import { statSync } from 'node:fs';
import type { Agent } from '../agent/agent.js';
import { isOwnAlone } from '../config/namespace.js';
import { TapwallError } from '../error.js';
import type { NamespaceHandle } from '../kernel/kernel.js';
import type { HelloResult } from './protocol.js';

/** Of an agent's own network namespace. */
export interface OwnNamespace {
  /** Absent for the namespace of the process. */
  namespace?: NamespaceHandle | undefined;
  /** What it was called where the agent was started. */
  namespaceName?: string | undefined;
}

/** Finds the network namespace that a request means, by what clients call it. */
export class NamespaceGuide {
  readonly #own: OwnNamespace;

  constructor(own: OwnNamespace) {
    this.#own = own;
  }

  /** The inode number of the agent's own, served or not. */
  get home(): string {
    const { namespace } = this.#own;
    return String(namespace?.inode ?? statSync('/proc/self/ns/net', { bigint: true }).ino);
  }

  /** Those that are served; before the agent has started, its own. */
  served(agent: Agent | undefined): HelloResult['namespaces'] {
    if (!agent || isOwnAlone(agent.configuration.namespaces)) {
      return [{ name: this.#own.namespaceName ?? null, inode: this.home }];
    }
    return agent.namespaces
      .filter(({ error }) => !error)
      .map(({ name, inode }) => ({ name, inode: String(inode) }));
  }

  /**
   * What the agent calls the namespace that is asked for; undefined for none in particular.
   * @param asked a name, or an inode number.
   * @throws TapwallError NAMESPACE_NOT_FOUND
   */
  resolve(asked: string | undefined, agent: Agent): string | undefined {
    if (asked === undefined) return undefined;
    const isOwn = asked === this.#own.namespaceName || asked === this.home;
    const known = agent.namespaces.find(
      ({ name, inode }) => name === asked || String(inode) === (isOwn ? this.home : asked),
    );
    if (known && !known.error) return known.name;
    const reason = known?.error ? `: ${known.error.message}` : '';
    const message = `this agent does not serve the network namespace ${asked}${reason}`;
    throw new TapwallError('NAMESPACE_NOT_FOUND', message);
  }
}
