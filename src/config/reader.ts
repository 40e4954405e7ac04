import { dirname, resolve } from 'node:path';
import type { Problem } from '../error.js';
import { checkChainText } from '../policy/chain-text.js';
import {
  type Binding,
  type Configuration,
  type DeviceSelection,
  POLICY_NAME,
  type Policy,
  type PolicyText,
  type Variables,
} from './configuration.js';
import { checkPart, type Part } from './issue.js';
import { normaliseMac } from './mac-address.js';
import { joinsLines, readPolicyText } from './policy-text.js';
import { findUnreachable, type PlacedBinding } from './reachability.js';
import { bindingSchema, devicesSchema, policySchema, topSchema } from './schema.js';
import type { SourceText } from './source.js';
import { nearest, quote } from './suggest.js';
import { describe, type Located, type LocatedEntry, type LocatedMap } from './yaml.js';

const DEFAULT_PREFIXES = ['macvtap'];
const SELECTORS = ['device', 'parent', 'mac', 'alias'] as const;

/**
 * From located YAML to a configuration. Every part is read whatever is wrong with the others, so that one run
 * tells all; the result of `read` is good only if `problems` has stayed empty.
 */
export class ConfigurationReader {
  readonly problems: Problem[] = [];
  readonly #warnings: Problem[] = [];
  readonly #source: SourceText;

  constructor(source: SourceText) {
    this.#source = source;
  }

  read(root: LocatedMap): Configuration {
    const top = checkPart(topSchema, { name: 'the configuration', value: root }, this.#source, this.problems);
    const devices = this.#devices(root.entries.get('devices'));
    const policies = this.#policies(root.entries.get('policies'));
    const bindings = this.#bindings(root.entries.get('bindings'), root.entries.get('policies'), devices);
    this.#warnOfUnused(root.entries.get('policies'), bindings);
    return {
      file: this.#source.file,
      devices: devices ?? { prefixes: DEFAULT_PREFIXES },
      // A kernel without the hook leaves what VMs send unfiltered: that has to be asked for.
      egress: top?.egress ?? 'required',
      policies,
      bindings,
      warnings: this.#warnings,
    };
  }

  /** Undefined if there is a problem, so that nothing is concluded from a wrong list. */
  #devices(entry: LocatedEntry | undefined): DeviceSelection | undefined {
    if (!entry) return { prefixes: DEFAULT_PREFIXES };
    const part = { name: quote('devices'), value: entry.value, key: entry.key };
    const prefixes = checkPart(devicesSchema, part, this.#source, this.problems)?.prefixes;
    const list = entry.value.kind === 'map' ? entry.value.entries.get('prefixes')?.value : undefined;
    if (list?.kind === 'list') this.#refuseDuplicates(list.items);
    return entry.value.kind === 'map' && (prefixes || !list)
      ? { prefixes: prefixes ?? DEFAULT_PREFIXES }
      : undefined;
  }

  #refuseDuplicates(items: readonly Located[]): void {
    const seen = new Set<unknown>();
    for (const item of items) {
      if (item.kind !== 'scalar') continue;
      if (seen.has(item.value)) this.#report(item, `${describe(item)} is in this list already`);
      seen.add(item.value);
    }
  }

  #policies(entry: LocatedEntry | undefined): Map<string, Policy> {
    const policies = new Map<string, Policy>();
    if (entry?.value.kind !== 'map') return policies;
    for (const [name, policyEntry] of entry.value.entries) {
      if (!POLICY_NAME.test(name)) {
        this.problems.push(
          this.#source.problem(
            policyEntry.key,
            `${quote(name)} cannot be the name of a policy`,
            'Up to 63 letters, digits, `.`, `_` and `-`, the first a letter or digit.',
          ),
        );
      }
      const policy = this.#policy(name, policyEntry);
      if (policy) policies.set(name, policy);
    }
    return policies;
  }

  #policy(name: string, { key, value }: LocatedEntry): Policy | undefined {
    const part: Part = { name: `the policy ${quote(name)}`, value, key };
    const fields = checkPart(policySchema, part, this.#source, this.problems);
    if (value.kind !== 'map') return undefined;
    this.#checkKindOfPolicy(part.name, key, value);
    const ingress = this.#policyText(value.entries.get('ingress'));
    const egress = this.#policyText(value.entries.get('egress'));
    if (!fields) return undefined;
    const location = this.#source.location(key.start);
    const variables = textOf(fields.variables ?? {});
    if (fields.file !== undefined) {
      const file = resolve(dirname(this.#source.file), fields.file);
      return { kind: 'file', name, location, file, variables };
    }
    return {
      kind: 'inline',
      name,
      location,
      ...(ingress && { ingress }),
      ...(egress && { egress }),
      // Fail closed: a forgotten key shows at once as a VM without a network, never as one without a filter.
      default: fields.default ?? 'drop',
      variables,
    };
  }

  #checkKindOfPolicy(name: string, key: LocatedEntry['key'], { entries }: LocatedMap): void {
    const inlineKeys = ['ingress', 'egress', 'default'].filter((inlineKey) => entries.has(inlineKey));
    if (!entries.has('file')) {
      if (inlineKeys.length > 0) return;
      this.problems.push(
        this.#source.problem(
          key,
          `${name} says nothing: it needs \`file\`, or one of \`ingress\`, \`egress\` and \`default\``,
        ),
      );
      return;
    }
    for (const inlineKey of inlineKeys) {
      this.problems.push(
        this.#source.problem(
          entries.get(inlineKey)?.key ?? key,
          `${quote(inlineKey)} and \`file\` exclude each other`,
          'A file is used as it is: put the rules and the policies of its chains there.',
        ),
      );
    }
  }

  #policyText(entry: LocatedEntry | undefined): PolicyText | undefined {
    const value = entry?.value;
    if (value?.kind !== 'scalar' || typeof value.value !== 'string') return undefined;
    const policyText = readPolicyText(value.value, value, this.#source);
    this.problems.push(...checkChainText(policyText));
    if (joinsLines(policyText, value, this.#source)) {
      this.#warnings.push(
        this.#source.problem(
          value.span,
          'YAML joins these lines into one',
          'To keep one rule per line write the text after a `|`.',
        ),
      );
    }
    return policyText;
  }

  #bindings(
    entry: LocatedEntry | undefined,
    policies: LocatedEntry | undefined,
    devices: DeviceSelection | undefined,
  ): Binding[] {
    if (entry?.value.kind !== 'list') return [];
    const known = policies?.value.kind === 'map' ? [...policies.value.entries.keys()] : undefined;
    const placed = entry.value.items.flatMap((item) => this.#binding(item, known) ?? []);
    if (devices) this.problems.push(...findUnreachable(placed, devices.prefixes, this.#source));
    return placed.map(({ binding }) => binding);
  }

  /** Undefined also for a key too many: that key may have been meant to narrow the binding. */
  #binding(item: Located, policies: readonly string[] | undefined): PlacedBinding | undefined {
    const fields = checkPart(bindingSchema, { name: 'a binding', value: item }, this.#source, this.problems);
    if (item.kind !== 'map') return undefined;
    this.#checkPolicyName(item.entries.get('policy')?.value, policies);
    if (!SELECTORS.some((selector) => item.entries.has(selector))) {
      this.#report(
        item,
        'this binding selects nothing',
        'Name what it is for; `device: "*"` is every device.',
      );
      return undefined;
    }
    this.#warnOfGlobInParent(item.entries.get('parent')?.value);
    if (!fields) return undefined;
    const { device, parent, mac, alias, policy } = fields;
    const binding: Binding = {
      ...(device !== undefined && { device }),
      ...(parent !== undefined && { parent }),
      ...(mac !== undefined && { mac: normaliseMac(mac) }),
      ...(alias !== undefined && { alias }),
      policy,
      location: this.#source.location(item.span.start),
    };
    return { binding, span: item.span, device: item.entries.get('device')?.value.span };
  }

  #checkPolicyName(value: Located | undefined, policies: readonly string[] | undefined): void {
    // Without a list of policies every name would be unknown; that list is a problem already.
    if (value?.kind !== 'scalar' || typeof value.value !== 'string' || !policies) return;
    if (policies.includes(value.value)) return;
    const meant = nearest(value.value, policies);
    this.#report(
      value,
      `there is no policy ${quote(value.value)}`,
      meant === undefined ? undefined : `Did you mean ${quote(meant)}?`,
    );
  }

  #warnOfGlobInParent(value: Located | undefined): void {
    if (value?.kind !== 'scalar' || typeof value.value !== 'string' || !/[*?[{]/.test(value.value)) return;
    this.#warnings.push(
      this.#source.problem(
        value.span,
        `\`parent\` is a name, not a glob: it means a link that is called ${quote(value.value)}`,
      ),
    );
  }

  #warnOfUnused(policies: LocatedEntry | undefined, bindings: readonly Binding[]): void {
    if (policies?.value.kind !== 'map') return;
    const used = new Set(bindings.map(({ policy }) => policy));
    for (const [name, { key }] of policies.value.entries) {
      if (!used.has(name))
        this.#warnings.push(this.#source.problem(key, `no binding uses the policy ${quote(name)}`));
    }
  }

  #report(value: Located, message: string, hint?: string): void {
    this.problems.push(this.#source.problem(value.span, message, hint));
  }
}

/** Numbers as nft writes them. */
function textOf(variables: Readonly<Record<string, string | number>>): Variables {
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)]));
}
