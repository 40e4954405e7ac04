/** A metric that tapwall serves, as its reference tells of it. */
export interface MetricDescription {
  type: 'counter' | 'gauge' | 'histogram';
  /** One sentence, without the full stop. It is the metric's `# HELP`. */
  help: string;
  labels: readonly string[];
  /** What bounds the number of its series; absent where the help says all. */
  bound?: string;
  /** Upper bounds of a histogram's buckets, in seconds. */
  buckets?: readonly number[];
}

/** From 5 µs, below which no transaction has been seen, to where something is badly wrong. */
const ATTACH_BUCKETS = [
  5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3,
  1,
];

const BY_REASON = 'two directions, and the guards and limits of the policies in force: 20 reasons at most';
const BY_DEVICE = 'the devices that `metrics.devices` lets have series of their own, and one for all others';

/**
 * Every metric, by its name. Whether a name is right is a matter of Prometheus's guide (https://prometheus.io/docs/practices/naming/);
 * a name that was served once stays.
 */
export const METRICS = {
  tapwall_build_info: {
    type: 'gauge',
    help: 'What runs here, as labels; always 1',
    labels: ['version', 'node_version'],
  },
  tapwall_kernel_info: {
    type: 'gauge',
    help: 'The kernel, and how the door’s hooks reach devices in it, as labels; always 1',
    labels: ['release', 'machine', 'placement', 'ownership'],
    bound: 'one at a time',
  },
  tapwall_start_time_seconds: {
    type: 'gauge',
    help: 'When the metrics began to count, in seconds since 1970',
    labels: [],
  },
  tapwall_devices: {
    type: 'gauge',
    help: 'Devices by state, policy and placement (how hooks reach them)',
    labels: ['state', 'policy', 'placement'],
    bound:
      'seven states, two placements, and 256 policies; the devices of all further policies are summed up',
  },
  tapwall_namespaces: {
    type: 'gauge',
    help: 'Network namespaces of those that the configuration lists: `served`, or `failed`',
    labels: ['state'],
    bound: 'two states',
  },
  tapwall_namespace_failures_total: {
    type: 'counter',
    help: 'Network namespaces that could not be served any more, or not yet',
    labels: [],
  },
  tapwall_policies: { type: 'gauge', help: 'Policies in force', labels: [] },
  tapwall_bindings: { type: 'gauge', help: 'Bindings in force', labels: [] },
  tapwall_attach_duration_seconds: {
    type: 'histogram',
    help: 'From the moment the agent woke to the kernel’s acknowledgement of a device’s policy',
    labels: [],
    buckets: ATTACH_BUCKETS,
  },
  tapwall_attaches_total: {
    type: 'counter',
    help: 'Devices that got a policy: `new`, `replaced` (in place of another) or `kept` (it was there already)',
    labels: ['result'],
    bound: 'three results',
  },
  tapwall_attaches_late_total: {
    type: 'counter',
    help: 'New devices that were open until their policy came, since no hook awaited them',
    labels: [],
  },
  tapwall_detaches_total: {
    type: 'counter',
    help: 'Devices that lost their policy, by reason',
    labels: ['reason'],
    bound: 'four reasons',
  },
  tapwall_attach_failures_total: {
    type: 'counter',
    help: 'Policies that a device could not have: `closed` (everything is dropped instead) or `open` (not even that)',
    labels: ['result'],
    bound: 'two results',
  },
  tapwall_unmatched_total: {
    type: 'counter',
    help: 'Times that a device matched no binding',
    labels: [],
  },
  tapwall_quarantines_total: {
    type: 'counter',
    help: 'Times that a device’s door was closed on request',
    labels: [],
  },
  tapwall_reconciliations_total: {
    type: 'counter',
    help: 'Comparisons of all that the kernel holds with what it should',
    labels: [],
  },
  tapwall_repairs_total: {
    type: 'counter',
    help: 'Times that filters were not what they should be and were put right',
    labels: [],
  },
  tapwall_overflows_total: {
    type: 'counter',
    help: 'Times that link events were lost and everything was read again',
    labels: [],
  },
  tapwall_transactions_total: {
    type: 'counter',
    help: 'Transactions that came into force',
    labels: [],
  },
  tapwall_transactions_refused_total: {
    type: 'counter',
    help: 'Transactions (batches) that the kernel refused; each stalls the making of links for a moment',
    labels: [],
  },
  tapwall_reloads_total: {
    type: 'counter',
    help: 'Configurations that were to be put in force: `success` or `failure`',
    labels: ['result'],
    bound: 'two results',
  },
  tapwall_last_reload_success: {
    type: 'gauge',
    help: 'Whether the configuration that was read last is in force',
    labels: [],
  },
  tapwall_warnings_total: { type: 'counter', help: 'Warnings of the agent’s', labels: [] },
  tapwall_loop_steps_total: {
    type: 'counter',
    help: 'Times that the agent’s thread woke, one a second at least: if it stays the same the thread hangs',
    labels: [],
  },
  tapwall_up: { type: 'gauge', help: 'Whether the agent is ready and has not ended', labels: [] },
  tapwall_admitted_packets_total: {
    type: 'counter',
    help: 'Frames that were let pass, of all devices',
    labels: ['direction'],
    bound: 'two directions',
  },
  tapwall_admitted_bytes_total: {
    type: 'counter',
    help: 'Bytes of the frames that were let pass, of all devices',
    labels: ['direction'],
    bound: 'two directions',
  },
  tapwall_dropped_packets_total: {
    type: 'counter',
    help: 'Frames that were dropped, of all devices, by reason',
    labels: ['direction', 'reason'],
    bound: BY_REASON,
  },
  tapwall_dropped_bytes_total: {
    type: 'counter',
    help: 'Bytes of the frames that were dropped, of all devices, by reason',
    labels: ['direction', 'reason'],
    bound: BY_REASON,
  },
  tapwall_device_admitted_packets_total: {
    type: 'counter',
    help: 'Frames that were let pass, by device',
    labels: ['namespace', 'device', 'direction'],
    bound: BY_DEVICE,
  },
  tapwall_device_admitted_bytes_total: {
    type: 'counter',
    help: 'Bytes of the frames that were let pass, by device',
    labels: ['namespace', 'device', 'direction'],
    bound: BY_DEVICE,
  },
  tapwall_device_dropped_packets_total: {
    type: 'counter',
    help: 'Frames that were dropped, by device and reason',
    labels: ['namespace', 'device', 'direction', 'reason'],
    bound: `${BY_DEVICE}; for each, the reasons for which something was dropped`,
  },
  tapwall_device_dropped_bytes_total: {
    type: 'counter',
    help: 'Bytes of the frames that were dropped, by device and reason',
    labels: ['namespace', 'device', 'direction', 'reason'],
    bound: `${BY_DEVICE}; for each, the reasons for which something was dropped`,
  },
  tapwall_metered_devices: {
    type: 'gauge',
    help: 'Devices with counters in the kernel: `own` series, or `summed` up with others',
    labels: ['series'],
    bound: 'two kinds',
  },
  tapwall_kernel_read_duration_seconds: {
    type: 'gauge',
    help: 'How long the last reading of the kernel’s counters took',
    labels: [],
  },
  tapwall_kernel_read_failures_total: {
    type: 'counter',
    help: 'Readings of the kernel’s counters that failed; what was read before is served then',
    labels: [],
  },
} as const satisfies Readonly<Record<`tapwall_${string}`, MetricDescription>>;

/** The name of one of {@link METRICS}. */
export type MetricName = keyof typeof METRICS;

/** Stands for all that has no series of its own. No device's name and no policy's has a blank in it. */
export const ALL_OTHERS = 'all others';

/** Policies with series of their own. */
export const MOST_POLICIES = 256;
