import type { AgentEvent } from '../agent/event.js';
import { OWN_NAMESPACE } from '../config/namespace.js';
import { ServiceManager } from './service-manager.js';
import { Watchdog } from './watchdog.js';

/**
 * What the service manager hears of an agent: that it is ready once every device that is there has been dealt with, that
 * its loop lives, and how many devices it filters. Does nothing where no service manager wants to know.
 */
export class Service {
  readonly #manager: ServiceManager | undefined;
  /** Interface indexes, by network namespace: each has its own 1, 2, 3. */
  readonly #filtered = new Map<string, Set<number>>();
  #placement = '';
  #watchdog: Watchdog | undefined;

  constructor(manager: ServiceManager | undefined = takeServiceManager()) {
    this.#manager = manager;
  }

  /** To be told every event, in their order. */
  note(event: AgentEvent): void {
    switch (event.event) {
      case 'attached':
        this.#of(event).add(event.index);
        break;
      case 'detached':
      case 'failed':
      case 'unmatched':
      case 'quarantined':
        this.#of(event).delete(event.index);
        break;
      case 'namespace-gone':
      case 'namespace-failed':
        this.#filtered.delete(event.namespace);
        break;
      case 'ready':
        this.#placement = event.placement;
        this.#manager?.ready(this.status);
        return;
      case 'reloaded':
      case 'reload-failed':
        // A reload that failed leaves a service that does what it did before.
        this.#manager?.ready(this.status);
        return;
      case 'stopped':
        return;
    }
    if (this.#placement !== '') this.#manager?.status(this.status);
  }

  get status(): string {
    const size = [...this.#filtered.values()].reduce((sum, indexes) => sum + indexes.size, 0);
    return `filtering ${size} device${size === 1 ? '' : 's'}, placement ${this.#placement}`;
  }

  #of({ namespace = OWN_NAMESPACE }: AgentEvent): Set<number> {
    const known = this.#filtered.get(namespace) ?? new Set();
    this.#filtered.set(namespace, known);
    return known;
  }

  /** @param steps how many steps the agent's loop has taken until now. */
  watch(steps: () => number): void {
    if (this.#manager) this.#watchdog = new Watchdog(this.#manager, steps);
  }

  reloading(): void {
    this.#manager?.reloading();
  }

  stopping(): void {
    this.#manager?.stopping();
  }

  close(): void {
    this.#watchdog?.close();
  }
}

/** As sd_notify(3) does with `unset_environment`: no child process is to speak for the service. */
function takeServiceManager(): ServiceManager | undefined {
  const manager = ServiceManager.from(process.env);
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete process.env[name];
  return manager;
}
