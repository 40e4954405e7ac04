/** What becomes of events, of the loop's tally and of the kernel's counters; on a kernel in memory. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Registry } from 'prom-client';
import type { CensusLine } from '#src/agent/census.js';
import type { AgentEvent } from '#src/agent/event.js';
import { Tally } from '#src/agent/tally.js';
import { TapwallError } from '#src/error.js';
import { AgentMetrics, type MeteredAgent } from '#src/metrics/agent-metrics.js';
import { ALL_OTHERS, METRICS, MOST_POLICIES } from '#src/metrics/catalogue.js';
import { bind, Case, inlineSettings } from '../agent/support.js';

const attached = (more: Partial<Extract<AgentEvent, { event: 'attached' }>> = {}): AgentEvent => ({
  event: 'attached',
  device: 'macvtap0',
  index: 4,
  policy: 'web',
  tables: [],
  replaced: false,
  kept: false,
  inAdvance: true,
  microseconds: 40,
  ...more,
});

/** A stand-in for an agent, over the plan of a real loop. */
function standIn(census: () => Promise<CensusLine[]> = async () => []) {
  const [setting] = inlineSettings;
  assert.ok(setting);
  const the = new Case(setting);
  const plan = the.plan([the.policy('web')], [bind('web')]);
  const rig = the.started(plan);
  const tally = new Tally();
  const agent: MeteredAgent = {
    tally,
    census,
    plan,
    ownership: 'own',
    namespaces: [{}, { error: new Error('owned') }],
    visitNamespaces: (visit) => visit('self', undefined),
  };
  return { agent, tally, kernel: rig.kernel };
}

/** The series of a page, by name and labels. */
async function series(registry: Registry): Promise<Map<string, number>> {
  const lines = (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const blank = line.lastIndexOf(' ');
      return [line.slice(0, blank), Number(line.slice(blank + 1))];
    }),
  );
}

describe('the metrics of an agent', () => {
  it('are registered with a registry of the service’s own, each once', async () => {
    const registry = new Registry();
    await AgentMetrics.create({ registry });
    const names = registry.getMetricsAsArray().map(({ name }) => name);
    assert.deepEqual(names.sort(), Object.keys(METRICS).sort());
    await assert.rejects(AgentMetrics.create({ registry }), /already been registered/);
    await assert.rejects(AgentMetrics.create({ devices: -1 }), RangeError);
  });

  it('count each attach in the histogram and by what it was', async () => {
    const { registry, note } = await AgentMetrics.create();
    note(attached({ microseconds: 4 }));
    note(attached({ microseconds: 40, replaced: true }));
    note(attached({ microseconds: 2_000_000, inAdvance: false }));
    note(attached({ microseconds: 1, kept: true, inAdvance: false }));
    const now = await series(registry);
    const bucket = (le: string) => now.get(`tapwall_attach_duration_seconds_bucket{le="${le}"}`);
    assert.deepEqual(
      ['0.000005', '0.000025', '0.00005', '1', '+Inf'].map(bucket),
      [1, 1, 2, 2, 3],
      'what was kept cost nothing',
    );
    assert.equal(now.get('tapwall_attach_duration_seconds_count'), 3);
    assert.equal(now.get('tapwall_attach_duration_seconds_sum'), 2.000044);
    assert.equal(now.get('tapwall_attaches_total{result="new"}'), 2);
    assert.equal(now.get('tapwall_attaches_total{result="replaced"}'), 1);
    assert.equal(now.get('tapwall_attaches_total{result="kept"}'), 1);
    assert.equal(now.get('tapwall_attaches_late_total'), 1);
  });

  it('count every other event', async () => {
    const { registry, note } = await AgentMetrics.create();
    const error = { code: 'EINVAL', message: 'no' };
    const events: [event: AgentEvent, series: string][] = [
      [
        { event: 'detached', device: 'a', index: 4, reason: 'unbound', tables: [], microseconds: 1 },
        'tapwall_detaches_total{reason="unbound"}',
      ],
      [
        { event: 'failed', device: 'a', index: 4, policy: 'p', error, closed: true },
        'tapwall_attach_failures_total{result="closed"}',
      ],
      [
        { event: 'failed', device: 'a', index: 4, policy: 'p', error, closed: false },
        'tapwall_attach_failures_total{result="open"}',
      ],
      [{ event: 'unmatched', device: 'a', index: 4, closed: true }, 'tapwall_unmatched_total'],
      [{ event: 'quarantined', device: 'a', index: 4 }, 'tapwall_quarantines_total'],
      [{ event: 'namespace-failed', namespace: 'vm', error }, 'tapwall_namespace_failures_total'],
      [{ event: 'overflow', message: 'x' }, 'tapwall_overflows_total'],
      [{ event: 'repaired', by: [], tables: [], transactions: 1, microseconds: 1 }, 'tapwall_repairs_total'],
      [{ event: 'warning', message: 'x' }, 'tapwall_warnings_total'],
      [
        { event: 'reloaded', file: 'f', policies: 1, bindings: 1, microseconds: 1 },
        'tapwall_reloads_total{result="success"}',
      ],
      [{ event: 'reload-failed', file: 'f', error }, 'tapwall_reloads_total{result="failure"}'],
    ];
    for (const [event, name] of events) {
      assert.equal((await series(registry)).get(name), 0, `${name} is there from the start`);
      note(event);
      assert.equal((await series(registry)).get(name), 1, name);
    }
    assert.equal((await series(registry)).get('tapwall_last_reload_success'), 0);
  });

  it('tell whether the agent is there, and go on counting over the end of 32 bits', async () => {
    const { agent, tally, kernel } = standIn();
    const metrics = await AgentMetrics.create({ kernel, maxAgeMs: -1 });
    assert.equal((await series(metrics.registry)).get('tapwall_up'), 0);
    new Int32Array(tally.buffer)[0] = -1;
    metrics.observe(agent);
    let now = await series(metrics.registry);
    assert.equal(now.get('tapwall_up'), 1);
    assert.equal(now.get('tapwall_loop_steps_total'), 2 ** 32 - 1);
    assert.equal(now.get('tapwall_namespaces{state="served"}'), 1);
    assert.equal(now.get('tapwall_namespaces{state="failed"}'), 1);
    tally.add('steps');
    tally.add('steps');
    tally.add('refusals');
    now = await series(metrics.registry);
    assert.equal(now.get('tapwall_loop_steps_total'), 2 ** 32 + 1);
    assert.equal(now.get('tapwall_transactions_refused_total'), 1);
    metrics.note({ event: 'stopped', detached: 0 });
    assert.equal((await series(metrics.registry)).get('tapwall_up'), 0);
  });

  it('tell devices by state, policy and placement, with an end to the policies', async () => {
    const lines: CensusLine[] = Array.from({ length: MOST_POLICIES + 3 }, (_, number) => ({
      state: 'attached',
      policy: `p${number}`,
      placement: 'prefix',
      devices: 2,
    }));
    lines.push({ state: 'unmatched', policy: undefined, placement: 'prefix', devices: 5 });
    const { agent, kernel } = standIn(async () => lines);
    const metrics = await AgentMetrics.create({ kernel });
    metrics.observe(agent);
    const now = await series(metrics.registry);
    const devices = (state: string, policy: string) =>
      now.get(`tapwall_devices{state="${state}",policy="${policy}",placement="prefix"}`);
    assert.deepEqual(
      [devices('attached', 'p0'), devices('attached', `p${MOST_POLICIES}`), devices('attached', ALL_OTHERS)],
      [2, undefined, 6],
    );
    assert.deepEqual([devices('unmatched', ''), devices('quarantined', '')], [5, 0]);
  });

  it('ask the agent once for all who ask at the same time, and shortly after', async () => {
    let asked = 0;
    const { agent, kernel } = standIn(async () => {
      asked++;
      return [];
    });
    const metrics = await AgentMetrics.create({ kernel, maxAgeMs: 600_000 });
    metrics.observe(agent);
    await Promise.all(Array.from({ length: 10 }, () => metrics.registry.metrics()));
    await metrics.registry.metrics();
    assert.equal(asked, 1);
  });

  it('are served without what an agent does not say any more', async () => {
    const { agent, kernel } = standIn(() =>
      Promise.reject(new TapwallError('STOPPED', 'the agent has stopped')),
    );
    const metrics = await AgentMetrics.create({ kernel });
    metrics.observe(agent);
    assert.equal((await series(metrics.registry)).get('tapwall_up'), 0);
  });

  it('count a kernel that cannot be read, and serve what they knew', async () => {
    const { agent, kernel } = standIn();
    const metrics = await AgentMetrics.create({ kernel, maxAgeMs: -1 });
    metrics.observe({ ...agent, plan: { ...agent.plan, counters: ['ingress.dropped.nothing'] } });
    const now = await series(metrics.registry);
    assert.equal(now.get('tapwall_kernel_read_failures_total'), 1);
    assert.equal(now.get('tapwall_up'), 1);
  });
});
