import { isDeepStrictEqual } from 'node:util';
import { Command } from 'commander';
import { Agent } from '../agent/agent.js';
import { type AgentEvent, eventError } from '../agent/event.js';
import type { Configuration } from '../config/configuration.js';
import { loadConfiguration } from '../config/load.js';
import { Control } from '../control/control.js';
import { formatProblem, TapwallError } from '../error.js';
import { type Capability, giveUpOthers } from '../kernel/privilege.js';
import { LibvirtState } from '../libvirt/state.js';
import { Metrics } from '../metrics/metrics.js';
import { Brevity } from '../observe/brevity.js';
import { agentLog, logEvent } from '../observe/log.js';
import { Service } from '../systemd/service.js';
import {
  addKernelOptions,
  capabilitiesFor,
  inNamespace,
  type KernelOptions,
  withoutOption,
} from './options.js';
import { EXIT, printJson, reportError } from './output.js';
import { AGENT_NAME, RELEASE_SIGNAL } from './release.js';

interface Options extends KernelOptions {
  config: string;
  detachOnExit?: boolean;
  without?: string;
  keepRights?: boolean;
}

export function runCommand(exit: (status: number) => void): Command {
  const command = new Command('run')
    .description('keep every device behind its policy: those that are there, then each that appears')
    .requiredOption('-c, --config <file>', 'the configuration')
    .option(
      '--detach-on-exit',
      'when stopping, take the filters and the door away: every device is open then (default: they stay)',
    )
    .option(
      '--keep-rights',
      'keep all capabilities (default: root gives up those for good that an agent does not need)',
    )
    .addOption(withoutOption())
    .addHelpText(
      'after',
      `
SIGINT and SIGTERM stop it, SIGHUP reads the configuration again, SIGUSR2 (tapwall release) gives its tables up.
A configuration with an error is not
used, and the old one stays in force. Once stopped or killed, what filters stays; under placement prefix and
names new devices stay closed until it runs again.

Events under --json: ready (with the placement), attached, detached, unmatched (closed: everything is
dropped), failed, overflow, repaired (somebody else had changed the filters), released, warning, reloaded,
reload-failed, stopped, error; where the configuration lists namespaces also namespace-ready, namespace-gone,
namespace-failed.

Examples:
  $ tapwall run --config /etc/tapwall/tapwall.yaml
  $ tapwall run --config tapwall.yaml --namespace vms --json`,
    );
  return addKernelOptions(command).action(async (options: Options) => exit(await run(options)));
}

async function run(options: Options): Promise<number> {
  const complaint = options.keepRights ? undefined : giveUpRights(options);
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

/**
 * What an agent needs: nf_tables and links; network namespaces, of others and to compile and compare in; the group of a socket.
 * Its files are root's, or everybody's to read, so none is needed to read them.
 */
const RIGHTS: readonly Capability[] = ['CAP_CHOWN', 'CAP_NET_ADMIN', 'CAP_SYS_ADMIN'];

/** @returns what went wrong: an agent with too many rights filters all the same. */
function giveUpRights(options: Options): string | undefined {
  try {
    giveUpOthers([...RIGHTS, ...furtherRights(options)]);
    return undefined;
  } catch (error) {
    return `rights that are not needed could not be given up: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/**
 * What a configuration needs beyond that: CAP_SYS_PTRACE for a network namespace that is named by a process, /proc/PID/ns/net
 * (proc(5)), CAP_NET_BIND_SERVICE for metrics on a port below 1024 (ip(7)).
 */
function furtherRights({ config, namespace = '' }: Options): Capability[] {
  const names = [namespace];
  const further: Capability[] = [];
  try {
    const { namespaces, metrics } = loadConfiguration(config);
    names.push(...namespaces);
    if (metrics && 'port' in metrics.listen && metrics.listen.port < 1024)
      further.push('CAP_NET_BIND_SERVICE');
  } catch {
    // What is wrong with the configuration is told by whoever needs it.
  }
  if (names.some((one) => one.startsWith('/proc/'))) further.push('CAP_SYS_PTRACE');
  return further;
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
