/** The alert rules and the dashboard: right in themselves, and about metrics that there are. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { METRICS } from '#src/metrics/catalogue.js';
import { withFiles } from '../support/agent.js';
import { promtool } from './support.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MONITORING = join(ROOT, 'packaging/monitoring');
const RULES = join(MONITORING, 'tapwall.rules.yml');
const read = (name: string) => readFileSync(join(MONITORING, name), 'utf8');

interface Rules {
  groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[];
}
interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string; refId: string; legendFormat: string }[];
}
interface Dashboard {
  panels: Panel[];
  templating: { list: { name: string; definition?: string }[] };
}

const alerts = (parse(read('tapwall.rules.yml')) as Rules).groups.flatMap(({ rules }) => rules);
const dashboard = JSON.parse(read('tapwall-dashboard.json')) as Dashboard;
const targets = dashboard.panels.flatMap(({ targets: all = [] }) => all);

/** The metrics that an expression names, and the labels that it names beside each. */
function namedIn(expression: string): { metric: string; labels: string[] }[] {
  return [...expression.matchAll(/(tapwall_\w+)(?:\{([^}]*)\})?/g)].map(([, metric = '', selector = '']) => ({
    metric: metric.replace(/_(?:bucket|sum|count)$/, ''),
    labels: [...selector.matchAll(/(\w+)\s*[=!]/g)].map(([, label = '']) => label),
  }));
}

/** What Prometheus adds to every series that it scrapes. */
const OF_PROMETHEUS = ['job', 'instance'];

function assertExists(expression: string): void {
  for (const { metric, labels } of namedIn(expression)) {
    const description = Object.entries(METRICS).find(([name]) => name === metric)?.[1];
    assert.ok(description, `there is no metric ${metric}: ${expression}`);
    const known: readonly string[] = [...description.labels, ...OF_PROMETHEUS];
    for (const label of labels)
      assert.ok(known.includes(label), `${metric} has no label ${label}: ${expression}`);
  }
}

describe('the alert rules', () => {
  it('are taken by promtool, and alert when they should and not otherwise', () => {
    assert.match(promtool(['check', 'rules', RULES]), new RegExp(`SUCCESS: ${alerts.length} rules found`));
    assert.match(promtool(['test', 'rules', join(MONITORING, 'tapwall.rules.test.yml')]), /SUCCESS/);
  });

  it('are each tried both ways, and explained in the manual', () => {
    const cases = parse(read('tapwall.rules.test.yml')) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts?: unknown[] }[] }[];
    };
    const tried = cases.tests.flatMap(({ alert_rule_test: all }) => all);
    const manual = readFileSync(join(ROOT, 'docs/monitoring.md'), 'utf8');
    for (const { alert } of alerts) {
      const own = tried.filter(({ alertname }) => alertname === alert);
      assert.ok(
        own.some((one) => (one.exp_alerts?.length ?? 0) > 0),
        `${alert} is never seen to alert`,
      );
      assert.ok(
        own.some((one) => (one.exp_alerts?.length ?? 0) === 0),
        `${alert} is never seen to be quiet`,
      );
      assert.match(manual, new RegExp(`^\\| \`${alert}\` \\|`, 'm'));
    }
  });

  it('are about metrics and labels that there are', () => {
    for (const { expr } of alerts) assertExists(expr);
  });
});

describe('the dashboard', () => {
  it('asks what promtool can parse: each expression as a rule', async () => {
    assert.ok(targets.length > 20);
    const rules = targets.map(({ expr }, number) => ({
      record: `panel:number${number}`,
      // What Grafana puts in its place.
      expr: expr.replaceAll('$__rate_interval', '5m').replace(/\$(?:job|instance)/g, '.*'),
    }));
    await withFiles({}, (folder) => {
      const file = join(folder, 'panels.yml');
      // JSON is YAML.
      writeFileSync(file, JSON.stringify({ groups: [{ name: 'panels', rules }] }));
      assert.match(promtool(['check', 'rules', file]), new RegExp(`SUCCESS: ${targets.length} rules found`));
    });
  });

  it('is about metrics and labels that there are, and leaves none of the counters out', () => {
    const asked = new Set<string>();
    const variables = dashboard.templating.list.flatMap(({ definition }) => definition ?? []);
    for (const expression of [...targets.map(({ expr }) => expr), ...variables]) {
      assertExists(expression);
      for (const { metric } of namedIn(expression)) asked.add(metric);
    }
    for (const name of [
      'tapwall_dropped_packets_total',
      'tapwall_devices',
      'tapwall_attach_duration_seconds',
    ]) {
      assert.ok(asked.has(name), name);
    }
  });

  it('shows only labels in its legends that its expressions keep', () => {
    for (const { expr, legendFormat } of targets) {
      const kept = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/));
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
        assert.ok(
          kept.includes(label) || (kept.length === 0 && OF_PROMETHEUS.includes(label)),
          `${label}: ${expr}`,
        );
      }
    }
  });

  it('has panels with an id each, on a grid where none lies over another', () => {
    const { panels } = dashboard;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    for (const [number, { gridPos: a, title }] of panels.entries()) {
      assert.ok(a.x + a.w <= 24, title);
      for (const { gridPos: b, title: other } of panels.slice(number + 1)) {
        const isApart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
        assert.ok(isApart, `${title} lies over ${other}`);
      }
    }
  });
});
