import type { ServiceManager } from './service-manager.js';

/**
 * Tells the service manager that the agent lives, for as long as its loop takes steps. The main thread's timer alone
 * would prove nothing of the thread that gives VMs their filters; the loop takes a step a second at least.
 */
export class Watchdog {
  readonly #timer: NodeJS.Timeout | undefined;

  /** @param steps how many steps the loop has taken until now. */
  constructor(manager: ServiceManager, steps: () => number) {
    if (manager.watchdogMs === undefined) return;
    let before = steps();
    this.#timer = setInterval(() => {
      const now = steps();
      if (now === before) return;
      before = now;
      manager.alive();
    }, manager.watchdogMs);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
