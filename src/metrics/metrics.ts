import type { Agent } from '../agent/agent.js';
import type { AgentEvent } from '../agent/event.js';
import type { MetricsSettings } from '../config/configuration.js';
import { groupId } from '../control/path.js';
import type { AgentMetrics } from './agent-metrics.js';
import type { MetricsServer } from './server.js';

/** What `tapwall run` serves to Prometheus; nothing unless the configuration says where, and nothing of it is loaded then. */
export class Metrics {
  readonly #metrics: AgentMetrics | undefined;
  readonly #server: MetricsServer | undefined;

  private constructor(metrics?: AgentMetrics, server?: MetricsServer) {
    this.#metrics = metrics;
    this.#server = server;
  }

  /**
   * Listens where the configuration says.
   * @param notice hears of what went wrong with a scrape.
   * @throws TapwallError METRICS_ADDRESS, METRICS_IN_USE or GROUP_NOT_FOUND; nothing was changed then.
   */
  static async open(
    settings: MetricsSettings | undefined,
    notice: (message: string) => void,
  ): Promise<Metrics> {
    if (!settings) return new Metrics();
    const { listen, mode, devices } = settings;
    const group = settings.group === undefined ? undefined : groupId(settings.group);
    const { AgentMetrics } = await import('./agent-metrics.js');
    const { MetricsServer } = await import('./server.js');
    const metrics = await AgentMetrics.create({ devices });
    const { registry } = metrics;
    const server = await MetricsServer.open({
      listen,
      group,
      mode,
      notice,
      page: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
      isHealthy: () => metrics.isUp,
    });
    return new Metrics(metrics, server);
  }

  /** To be told every event, from the first on. */
  note(event: AgentEvent): void {
    this.#metrics?.note(event);
  }

  /** From now on the agent's own figures are served, too. */
  serve(agent: Agent): void {
    if (!this.#metrics) return;
    this.#metrics.observe(agent);
    // The first page takes several times as long as the others: names of devices are asked for, and code is compiled.
    void this.#metrics.registry.metrics();
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}
