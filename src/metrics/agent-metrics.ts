import { machine, release } from 'node:os';
import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { CensusLine } from '../agent/census.js';
import type { AgentEvent } from '../agent/event.js';
import type { VisitNamespace } from '../agent/namespace-directory.js';
import type { Plan } from '../agent/plan.js';
import type { Tallied, Tally } from '../agent/tally.js';
import { DEFAULT_METERED_DEVICES } from '../config/metrics.js';
import { TapwallError } from '../error.js';
import type { Kernel } from '../kernel/kernel.js';
import { linuxKernel } from '../kernel/linux.js';
import type { Ownership } from '../program/slot.js';
import { VERSION } from '../version.js';
import { ALL_OTHERS, METRICS, type MetricDescription, type MetricName, MOST_POLICIES } from './catalogue.js';
import { CounterReader, type DeviceName, mayHaveOwnTables } from './counter-reader.js';

/** What {@link AgentMetrics} wants to know of an agent. An `Agent` is one. */
export interface MeteredAgent {
  /** What its loop has counted. */
  readonly tally: Pick<Tally, 'read'>;
  /** How many devices are in which state. */
  census(): Promise<CensusLine[]>;
  readonly plan: Pick<Plan, 'counters' | 'placement' | 'policies' | 'bindings'>;
  readonly ownership: Ownership;
  /** The namespaces that are there of those that it is to serve. */
  readonly namespaces: readonly { error?: unknown }[];
  /** Does something in each that is served, one after the other. */
  visitNamespaces(visit: VisitNamespace): Promise<void>;
}

/** Where metrics are registered, and how many series there may be. */
export interface AgentMetricsOptions {
  /** Of prom-client, in any copy of version 15; one of its own unless given. */
  registry?: Registry | undefined;
  /** How many devices have series of their own: 256 unless given. All others are summed up. */
  devices?: number | undefined;
  /** Where counters are read; the kernel that runs unless given. */
  kernel?: Kernel | undefined;
  /** Milliseconds for which what was read serves further scrapes: 1,000 unless given. */
  maxAgeMs?: number | undefined;
}

const MAX_AGE_MS = 1_000;
const OTHERS: DeviceName = { namespace: ALL_OTHERS, device: ALL_OTHERS };
const STATES: readonly CensusLine['state'][] = [
  'attached',
  'closed',
  'failed',
  'unmatched',
  'quarantined',
  'manual',
  'new',
];
const DETACH_REASONS = ['gone', 'unbound', 'exit', 'stale'] as const;
/** What comes of the tally: modulo 2³² there, and never back here. */
const OF_TALLY = {
  tapwall_loop_steps_total: 'steps',
  tapwall_reconciliations_total: 'reconciliations',
  tapwall_transactions_total: 'transactions',
  tapwall_transactions_refused_total: 'refusals',
} as const satisfies Partial<Record<MetricName, Tallied>>;

type Client = typeof import('prom-client');
type NamesOf<Type extends MetricDescription['type']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends Type ? Name : never;
}[MetricName];

/**
 * The metrics of one agent, for Prometheus. Give {@link AgentMetrics.note} to `Agent.start`, and the agent to
 * {@link AgentMetrics.observe}; then `registry.metrics()` is the page. docs/reference/metrics.md lists them.
 *
 * What the kernel has counted is read when the registry is asked, once for all who ask at the same time.
 */
export class AgentMetrics {
  readonly registry: Registry;
  /** To be told every event of the agent, in their order. */
  readonly note = (event: AgentEvent): void => this.#note(event);
  readonly #client: Client;
  readonly #reader: CounterReader;
  readonly #kernel: Kernel | undefined;
  readonly #maxAgeMs: number;
  readonly #counters = new Map<MetricName, Counter>();
  readonly #gauges = new Map<MetricName, Gauge>();
  readonly #attaching: Histogram;
  readonly #tallied = new Map<Tallied, number>();
  #agent: MeteredAgent | undefined;
  #isUp = false;
  #census: readonly CensusLine[] = [];
  #refreshed: { at: number; done: Promise<void> } | undefined;

  private constructor(client: Client, options: AgentMetricsOptions) {
    this.#client = client;
    this.registry = options.registry ?? new client.Registry();
    this.#reader = new CounterReader(options.devices ?? DEFAULT_METERED_DEVICES);
    this.#kernel = options.kernel;
    this.#maxAgeMs = options.maxAgeMs ?? MAX_AGE_MS;
    this.#attaching = new client.Histogram({
      ...this.#described('tapwall_attach_duration_seconds'),
      buckets: [...METRICS.tapwall_attach_duration_seconds.buckets],
    });
    this.#registerEvents();
    this.#registerAgent();
    this.#registerTraffic();
  }

  /**
   * Loads prom-client, and registers every metric.
   * @throws Error of prom-client's where the registry has a metric of one of the names.
   * @throws RangeError unless `devices` is a whole number of at least 0.
   */
  static async create(options: AgentMetricsOptions = {}): Promise<AgentMetrics> {
    const { devices = 0 } = options;
    if (!Number.isInteger(devices) || devices < 0) throw new RangeError(`${devices} devices`);
    const client = await import('prom-client');
    return new AgentMetrics(client.default, options);
  }

  /** From now on the agent is asked when somebody asks the registry. */
  observe(agent: MeteredAgent): void {
    this.#agent = agent;
    this.#isUp = true;
  }

  /** Whether the agent is ready and has not ended. */
  get isUp(): boolean {
    return this.#isUp;
  }

  #note(event: AgentEvent): void {
    switch (event.event) {
      case 'attached':
        this.#count('tapwall_attaches_total', {
          result: event.kept ? 'kept' : event.replaced ? 'replaced' : 'new',
        });
        if (event.kept) break;
        this.#attaching.observe(event.microseconds / 1e6);
        if (!event.inAdvance && !event.replaced) this.#count('tapwall_attaches_late_total');
        break;
      case 'detached':
        this.#count('tapwall_detaches_total', { reason: event.reason });
        break;
      case 'failed':
        this.#count('tapwall_attach_failures_total', { result: event.closed ? 'closed' : 'open' });
        break;
      case 'reloaded':
      case 'reload-failed':
        this.#count('tapwall_reloads_total', { result: event.event === 'reloaded' ? 'success' : 'failure' });
        this.#gauge('tapwall_last_reload_success').set(event.event === 'reloaded' ? 1 : 0);
        break;
      case 'unmatched':
        this.#count('tapwall_unmatched_total');
        break;
      case 'quarantined':
        this.#count('tapwall_quarantines_total');
        break;
      case 'namespace-failed':
        this.#count('tapwall_namespace_failures_total');
        break;
      case 'repaired':
        this.#count('tapwall_repairs_total');
        break;
      case 'overflow':
        this.#count('tapwall_overflows_total');
        break;
      case 'warning':
        this.#count('tapwall_warnings_total');
        break;
      case 'stopped':
        this.#isUp = false;
        break;
    }
  }

  #registerEvents(): void {
    const initial: Partial<Record<NamesOf<'counter'>, [label: string, values: readonly string[]]>> = {
      tapwall_attaches_total: ['result', ['new', 'replaced', 'kept']],
      tapwall_detaches_total: ['reason', DETACH_REASONS],
      tapwall_attach_failures_total: ['result', ['closed', 'open']],
      tapwall_reloads_total: ['result', ['success', 'failure']],
    };
    const plain = [
      'tapwall_attaches_late_total',
      'tapwall_unmatched_total',
      'tapwall_quarantines_total',
      'tapwall_namespace_failures_total',
      'tapwall_repairs_total',
      'tapwall_overflows_total',
      'tapwall_warnings_total',
    ] as const;
    for (const name of plain) this.#addCounter(name);
    // Read when it is known whether this scrape's reading has failed.
    this.#addCounter('tapwall_kernel_read_failures_total', () => undefined);
    for (const [name, [label, values]] of Object.entries(initial)) {
      const counter = this.#addCounter(name as NamesOf<'counter'>);
      // A series that begins with its first event hides that event from rate().
      for (const value of values) counter.inc({ [label]: value }, 0);
    }
  }

  #registerAgent(): void {
    const { versions } = process;
    this.#addGauge('tapwall_build_info').set({ version: VERSION, node_version: versions.node }, 1);
    this.#addGauge('tapwall_start_time_seconds').set(Math.floor(Date.now() / 1000));
    this.#addGauge('tapwall_last_reload_success').set(1);
    this.#addGauge('tapwall_kernel_read_duration_seconds', () => undefined);
    this.#addGauge('tapwall_up', (gauge) => gauge.set(this.#isUp ? 1 : 0));
    this.#addGauge('tapwall_policies', (gauge) => gauge.set(this.#agent?.plan.policies.size ?? 0));
    this.#addGauge('tapwall_bindings', (gauge) => gauge.set(this.#agent?.plan.bindings.length ?? 0));
    this.#addGauge('tapwall_kernel_info', (gauge) => {
      gauge.reset();
      if (!this.#agent) return;
      const { plan, ownership } = this.#agent;
      gauge.set({ release: release(), machine: machine(), placement: plan.placement, ownership }, 1);
    });
    this.#addGauge('tapwall_namespaces', (gauge) => {
      const all = this.#agent?.namespaces ?? [];
      const failed = all.filter(({ error }) => error !== undefined).length;
      gauge.set({ state: 'served' }, all.length - failed);
      gauge.set({ state: 'failed' }, failed);
    });
    this.#addGauge('tapwall_devices', (gauge) => this.#fillDevices(gauge));
    for (const [name, what] of Object.entries(OF_TALLY)) {
      this.#addCounter(name as keyof typeof OF_TALLY, (counter) => {
        const now = this.#agent?.tally.read(what) ?? 0;
        counter.inc((now - (this.#tallied.get(what) ?? 0)) >>> 0);
        this.#tallied.set(what, now);
      });
    }
  }

  #fillDevices(gauge: Gauge): void {
    gauge.reset();
    if (!this.#agent) return;
    const { placement } = this.#agent.plan;
    for (const state of STATES) gauge.set({ state, policy: '', placement }, 0);
    const known = new Set<string>();
    for (const { state, policy = '', placement: reached, devices } of this.#census) {
      const isNamed = policy === '' || known.has(policy) || known.size < MOST_POLICIES;
      if (isNamed && policy !== '') known.add(policy);
      gauge.inc({ state, policy: isNamed ? policy : ALL_OTHERS, placement: reached }, devices);
    }
  }

  #registerTraffic(): void {
    const { traffic, names } = this.#reader;
    for (const unit of ['packets', 'bytes'] as const) {
      for (const verdict of ['admitted', 'dropped'] as const) {
        this.#addCounter(`tapwall_${verdict}_${unit}_total`, (counter) => {
          counter.reset();
          for (const line of traffic.totals()) {
            const { direction, isDrop, labels } = labelsOf(line.set);
            if (direction !== undefined && isDrop === (verdict === 'dropped'))
              counter.inc(labels, line[unit]);
          }
        });
        this.#addCounter(`tapwall_device_${verdict}_${unit}_total`, (counter) => {
          counter.reset();
          const add = (set: string, device: DeviceName, value: number) => {
            const { direction, isDrop, labels } = labelsOf(set);
            if (direction !== undefined && isDrop === (verdict === 'dropped'))
              counter.inc({ ...device, ...labels }, value);
          };
          for (const line of traffic.byDevice()) {
            const device = names.get(line.device);
            if (device !== undefined) add(line.set, device, line[unit]);
          }
          for (const line of traffic.others()) add(line.set, OTHERS, line[unit]);
        });
      }
    }
    this.#addGauge('tapwall_metered_devices', (gauge) => {
      const { own, summed } = traffic.devices;
      gauge.set({ series: 'own' }, own);
      gauge.set({ series: 'summed' }, summed);
    });
  }

  /** Brings in line what is not told by events: once for all who ask meanwhile, and shortly after. */
  #refresh(): Promise<void> {
    const now = performance.now();
    if (!this.#refreshed || now - this.#refreshed.at > this.#maxAgeMs) {
      const done = this.#read();
      const refreshed = { at: Number.POSITIVE_INFINITY, done };
      // Old from when it is done, so that nobody begins another meanwhile.
      void done.then(() => {
        refreshed.at = performance.now();
      });
      this.#refreshed = refreshed;
    }
    return this.#refreshed.done;
  }

  /** What cannot be read is served as it was: that is better than no page. */
  async #read(): Promise<void> {
    const agent = this.#agent;
    if (!agent || !this.#isUp) return;
    try {
      this.#census = await inTime(agent.census());
    } catch (error) {
      // A thread that hangs is told by its steps. The kernel counts on.
      if (error instanceof TapwallError && error.code === 'STOPPED') this.#isUp = false;
    }
    const begun = performance.now();
    try {
      await this.#reader.read({
        kernel: this.#kernel ?? linuxKernel(),
        visitNamespaces: (visit) => agent.visitNamespaces(visit),
        sets: agent.plan.counters,
        ownTables: mayHaveOwnTables(agent.plan, this.#census),
      });
      this.#gauge('tapwall_kernel_read_duration_seconds').set((performance.now() - begun) / 1000);
    } catch {
      this.#count('tapwall_kernel_read_failures_total');
    }
  }

  #count(name: NamesOf<'counter'>, labels: Record<string, string> = {}): void {
    this.#counters.get(name)?.inc(labels);
  }

  #gauge(name: NamesOf<'gauge'>): Gauge {
    const gauge = this.#gauges.get(name);
    if (!gauge) throw new RangeError(`${name} is not registered`);
    return gauge;
  }

  #addCounter(name: NamesOf<'counter'>, fill?: (counter: Counter) => void): Counter {
    const refresh = () => this.#refresh();
    const counter: Counter = new this.#client.Counter({
      ...this.#described(name),
      ...(fill && {
        async collect() {
          await refresh();
          fill(counter);
        },
      }),
    });
    this.#counters.set(name, counter);
    return counter;
  }

  #addGauge(name: NamesOf<'gauge'>, fill?: (gauge: Gauge) => void): Gauge {
    const refresh = () => this.#refresh();
    const gauge: Gauge = new this.#client.Gauge({
      ...this.#described(name),
      ...(fill && {
        async collect() {
          await refresh();
          fill(gauge);
        },
      }),
    });
    this.#gauges.set(name, gauge);
    return gauge;
  }

  #described(name: MetricName) {
    const { help, labels } = METRICS[name];
    return { name, help, labelNames: [...labels], registers: [this.registry] };
  }
}

/** Long for a thread that lives; whoever scrapes waits for ten seconds, unless told otherwise. */
const CENSUS_MS = 2_000;

async function inTime<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TapwallError('TIMEOUT', 'the agent did not answer')), CENSUS_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

interface SetLabels {
  /** Undefined for a name that is no counter's. */
  direction: string | undefined;
  isDrop: boolean;
  labels: Record<string, string>;
}

const known = new Map<string, SetLabels>();

/** What a counting set's name says: `ingress.admitted`, `egress.dropped.mac`. */
function labelsOf(set: string): SetLabels {
  let labels = known.get(set);
  if (!labels) {
    const [, direction, reason] = /^(ingress|egress)\.(?:admitted|dropped\.(.+))$/.exec(set) ?? [];
    labels = {
      direction,
      isDrop: reason !== undefined,
      labels: { ...(direction && { direction }), ...(reason && { reason }) },
    };
    known.set(set, labels);
  }
  return labels;
}
