import { isDeepStrictEqual } from 'node:util';
import { Agent } from '../agent/agent.js';
import { type AgentEvent, eventError } from '../agent/event.js';
import type { Configuration } from '../config/configuration.js';
import { loadConfiguration } from '../config/load.js';
import { Control } from '../control/control.js';
import { formatProblem, TapwallError } from '../error.js';
import { LibvirtState } from '../libvirt/state.js';
import { Metrics } from '../metrics/metrics.js';
import { Brevity } from '../observe/brevity.js';
import { agentLog, logEvent } from '../observe/log.js';
import { Service } from '../systemd/service.js';
import { capabilitiesFor, inNamespace, type KernelOptions } from './options.js';
import { EXIT, printJson, reportError } from './output.js';
import { AGENT_NAME, RELEASE_SIGNAL } from './release.js';

/** The options of `tapwall run`. */
export interface RunOptions extends KernelOptions {
  config: string;
  detachOnExit?: boolean;
  without?: string;
  keepRights?: boolean;
}

/**
 * Runs an agent until a signal ends it.
 * @param complaint something that went wrong before, for the log.
 * @returns the exit status.
 */
export async function runAgent(options: RunOptions, complaint: string | undefined): Promise<number> {
  const log = await agentLog();
  const brevity = new Brevity(() => performance.now());
  const sumUp = (all = false) => {
    for (const words of brevity.sums(all)) log.warn(words);
  };
  const service = new Service();
  let control: Control | undefined;
  let metrics: Metrics | undefined;
  const tell = (event: AgentEvent) => {
    service.note(event);
    metrics?.note(event);
    if (options.json) printJson(event);
    else {
      sumUp();
      if (brevity.admits(event)) logEvent(log, event);
    }
  };
  /** What the agent does not tell itself, also to those who follow events. */
  const announce = (event: AgentEvent) => {
    tell(event);
    control?.tell(event);
  };
  const warn = (message: string) => announce({ event: 'warning', message });
  const summing = setInterval(() => sumUp(), SUMMING_MS).unref();
  const load = () => {
    const configuration = loadConfiguration(options.config);
    for (const problem of configuration.warnings)
      announce({ event: 'warning', message: formatProblem(problem) });
    return configuration;
  };
  if (complaint !== undefined) warn(complaint);
  return await inNamespace(options.namespace, async (kernel, namespace) => {
    const configuration = load();
    const capabilities = await capabilitiesFor(kernel, options.without);
    // Signals that come while the agent starts are kept for when it has.
    const signals = new SignalQueue(['SIGINT', 'SIGTERM', 'SIGHUP', RELEASE_SIGNAL]);
    // By this name the release command knows an agent, and others see who it was that changed something.
    process.title = AGENT_NAME;
    let agent: Agent | undefined;
    const reload = async () => {
      service.reloading();
      try {
        const next = load();
        await agent?.reload(next);
        for (const key of changedForRestart(configuration, next)) {
          warn(`\`${key}\` has changed: it holds from the next start on`);
        }
      } catch (error) {
        announce({ event: 'reload-failed', file: options.config, error: eventError(error) });
        throw error;
      }
    };
    const desk = await Control.open(configuration.control, {
      namespace,
      namespaceName: options.namespace,
      reload,
      notice: warn,
    });
    control = desk;
    try {
      metrics = await Metrics.open(configuration.metrics, (message) =>
        announce({ event: 'warning', message }),
      );
      agent = await Agent.start(
        configuration,
        { capabilities, ...(namespace ? { namespace } : {}) },
        // From `serve` on the socket hears of them from the agent.
        (event) => (agent ? tell(event) : announce(event)),
      );
    } catch (error) {
      signals.close();
      await metrics?.close();
      await desk.close();
      throw error;
    }
    desk.serve(agent);
    const { libvirtState } = configuration;
    const state = libvirtState === undefined ? undefined : new LibvirtState(libvirtState, agent, warn);
    metrics.serve(agent);
    const running = agent;
    service.watch(() => running.steps);
    const died = new Promise<TapwallError>((resolve) => running.once('error', resolve));
    try {
      for (;;) {
        const next = await Promise.race([signals.next(), died]);
        if (next instanceof TapwallError) return reportError(next, options.json === true);
        if (next === RELEASE_SIGNAL) {
          await running.release();
          continue;
        }
        if (next !== 'SIGHUP') break;
        await reload().catch((error: unknown) => {
          if (!(error instanceof TapwallError)) throw error;
        });
      }
      service.stopping();
      await running.stop({ detach: options.detachOnExit === true });
      return EXIT.success;
    } finally {
      state?.close();
      service.close();
      signals.close();
      await running.stop();
      await metrics.close();
      await desk.close();
      clearInterval(summing);
      sumUp(true);
    }
  });
}

/** Keys that a reload does not put in force: who asks for the reload may hang on the socket. */
function changedForRestart(started: Configuration, next: Configuration): string[] {
  const changed: string[] = [];
  if (!isDeepStrictEqual(started.control, next.control)) changed.push('control');
  if (!isDeepStrictEqual(started.metrics, next.metrics)) changed.push('metrics');
  if (started.libvirtState !== next.libvirtState) changed.push('libvirt-state');
  return changed;
}

/** How often a log that nothing else happens in is looked at for what was left out. */
const SUMMING_MS = 1_000;

/** Signals in the order in which they came, none lost between two waits. */
class SignalQueue {
  readonly #signals: NodeJS.Signals[];
  readonly #waiting: NodeJS.Signals[] = [];
  readonly #listener = (signal: NodeJS.Signals) => {
    this.#waiting.push(signal);
    this.#wake?.();
  };
  #wake: (() => void) | undefined;

  constructor(signals: NodeJS.Signals[]) {
    this.#signals = signals;
    for (const signal of signals) process.on(signal, this.#listener);
  }

  async next(): Promise<NodeJS.Signals> {
    for (;;) {
      const signal = this.#waiting.shift();
      if (signal) return signal;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    for (const signal of this.#signals) process.off(signal, this.#listener);
  }
}
