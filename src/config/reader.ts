import type { Problem } from '../error.js';
import { addressGuardsOf, namesOf, readBindings, refuseUnknownPolicy } from './bindings.js';
import type { Configuration, Policy, Unmatched } from './configuration.js';
import { readControl } from './control.js';
import { DEFAULT_DEVICES, readDevices } from './devices.js';
import { Findings } from './findings.js';
import { DEFAULT_RECONCILE, readInterval } from './interval.js';
import { checkPart } from './issue.js';
import { readMetrics } from './metrics.js';
import { readNamedSets } from './named-sets.js';
import { readNamespaces } from './namespace.js';
import { RESERVED_POLICY_NAMES, readPolicies } from './policies.js';
import { DEFAULT_LIBVIRT_STATE, topSchema } from './schema.js';
import type { SourceText } from './source.js';
import { quote } from './suggest.js';
import type { LocatedEntry, LocatedMap } from './yaml.js';

/**
 * From located YAML to a configuration. Every part is read whatever is wrong with the others, so that one run
 * tells all; the result of `read` is good only if `problems` has stayed empty.
 */
export class ConfigurationReader {
  readonly #findings: Findings;

  constructor(source: SourceText) {
    this.#findings = new Findings(source);
  }

  get problems(): readonly Problem[] {
    return this.#findings.problems;
  }

  read(root: LocatedMap): Configuration {
    const findings = this.#findings;
    const { source, problems, warnings } = findings;
    const { entries } = root;
    const top = checkPart(topSchema, { name: 'the configuration', value: root }, source, problems);
    const placement = top?.placement ?? 'auto';
    const devices = readDevices(entries.get('devices'), placement, findings);
    const sets = readNamedSets(entries.get('sets'), findings);
    // A set that is wrong in itself still exists.
    const policies = readPolicies(entries.get('policies'), new Set(namesIn(entries.get('sets'))), findings);
    const policyNames = namesIn(entries.get('policies'));
    const namespaces = readNamespaces(entries.get('namespaces'), findings);
    const context = { policyNames, policies, devices, namespaces };
    const bindings = readBindings(entries.get('bindings'), context, findings);
    const unmatched = this.#unmatched(entries.get('unmatched'), policyNames, policies);
    const domainPolicies = this.#domainPolicies(entries.get('domain-policies'), policyNames);
    const used = new Set([...bindings.map(({ policy }) => policy), ...domainPolicies]);
    if (unmatched.action === 'policy') used.add(unmatched.policy);
    this.#warnOfUnused(entries.get('policies'), used);
    return {
      file: source.file,
      devices: devices ?? DEFAULT_DEVICES,
      placement,
      unmatched,
      // A kernel without the hook leaves what VMs send unfiltered: that has to be asked for.
      egress: top?.egress ?? 'required',
      namespaces,
      owner: top?.owner ?? true,
      reconcileMs: intervalOf(top?.reconcile ?? DEFAULT_RECONCILE),
      control: readControl(entries.get('control'), findings),
      libvirtState: libvirtStateOf(top?.['libvirt-state'] ?? DEFAULT_LIBVIRT_STATE),
      metrics: readMetrics(entries.get('metrics'), findings),
      sets,
      policies,
      domainPolicies,
      bindings,
      warnings,
    };
  }

  #unmatched(
    entry: LocatedEntry | undefined,
    policyNames: readonly string[] | undefined,
    policies: ReadonlyMap<string, Policy>,
  ): Unmatched {
    const value = entry?.value;
    const name = value?.kind === 'scalar' ? value.value : undefined;
    if (!value || typeof name !== 'string' || name === 'drop') return { action: 'drop' };
    if (name === 'accept') return { action: 'accept' };
    if (policyNames && !policyNames.includes(name)) {
      refuseUnknownPolicy(value, name, [...RESERVED_POLICY_NAMES, ...policyNames], this.#findings);
    }
    const policy = policies.get(name);
    const guards = policy ? addressGuardsOf(policy) : [];
    if (guards.length > 0) {
      this.#findings.refuse(
        value.span,
        `the policy ${quote(name)} compares addresses (${namesOf(guards)}), and a device that no binding matches has none: the VM could use no address at all`,
        'Name a policy without such guards.',
      );
    }
    return { action: 'policy', policy: name };
  }

  /** The policies that guests' definitions may ask for; each has to be there. */
  #domainPolicies(entry: LocatedEntry | undefined, policyNames: readonly string[] | undefined): string[] {
    if (entry?.value.kind !== 'list') return [];
    return entry.value.items.flatMap((item) => {
      if (item.kind !== 'scalar' || typeof item.value !== 'string') return [];
      if (policyNames && !policyNames.includes(item.value)) {
        refuseUnknownPolicy(item, item.value, policyNames, this.#findings);
      }
      return [item.value];
    });
  }

  #warnOfUnused(policies: LocatedEntry | undefined, used: ReadonlySet<string>): void {
    if (policies?.value.kind !== 'map') return;
    for (const [name, { key }] of policies.value.entries) {
      if (!used.has(name)) this.#findings.warn(key, `no binding uses the policy ${quote(name)}`);
    }
  }
}

function intervalOf(text: string): number {
  const read = readInterval(text);
  return 'milliseconds' in read ? read.milliseconds : 0;
}

function libvirtStateOf(value: string): string | undefined {
  return value === 'off' ? undefined : value;
}

/** The keys of a map; undefined if it is none. */
function namesIn(entry: LocatedEntry | undefined): string[] | undefined {
  return entry?.value.kind === 'map' ? [...entry.value.entries.keys()] : undefined;
}
