import { ADDRESS_GUARDS } from '../policy/guard-name.js';
import { addressText, readAddress } from './address.js';
import type { AssignedAddress, Binding, DeviceSelection, GuardName, Policy } from './configuration.js';
import type { Findings } from './findings.js';
import { compileGlob, parseGlob } from './glob.js';
import { checkPart } from './issue.js';
import { normaliseMac } from './mac-address.js';
import { isOwnAlone, OWN_NAMESPACE } from './namespace.js';
import { findUnreachable, type PlacedBinding } from './reachability.js';
import { bindingSchema } from './schema.js';
import { nearest, quote } from './suggest.js';
import { normaliseUuid } from './uuid.js';
import type { Located, LocatedEntry, LocatedMap } from './yaml.js';

const SELECTORS = ['device', 'parent', 'mac', 'alias', 'guest', 'uuid', 'namespace'] as const;

/** What bindings are compared with. */
export interface BindingContext {
  /** The names of all policies, also of those that are wrong in themselves; undefined without a list. */
  policyNames: readonly string[] | undefined;
  /** Those that are right. */
  policies: ReadonlyMap<string, Policy>;
  /** Undefined if there is a problem with it. */
  devices: DeviceSelection | undefined;
  /** The network namespaces that are served. */
  namespaces: readonly string[];
}

/** Reads `bindings`; those that are wrong in themselves are told of, and not in the result. */
export function readBindings(
  entry: LocatedEntry | undefined,
  context: BindingContext,
  findings: Findings,
): Binding[] {
  if (entry?.value.kind !== 'list') return [];
  const placed = entry.value.items.flatMap((item) => readBinding(item, context, findings) ?? []);
  const { devices } = context;
  if (devices) findings.problems.push(...findUnreachable(placed, devices.prefixes, findings.source));
  return placed.map(({ binding }) => binding);
}

/** Undefined also for a key too many: that key may have been meant to narrow the binding. */
function readBinding(
  item: Located,
  { policyNames, policies, namespaces }: BindingContext,
  findings: Findings,
): PlacedBinding | undefined {
  const fields = checkPart(
    bindingSchema,
    { name: 'a binding', value: item },
    findings.source,
    findings.problems,
  );
  if (item.kind !== 'map') return undefined;
  checkPolicyName(item.entries.get('policy')?.value, policyNames, findings);
  if (!SELECTORS.some((selector) => item.entries.has(selector))) {
    findings.refuse(
      item.span,
      'this binding selects nothing',
      'Name what it is for; `device: "*"` is every device.',
    );
    return undefined;
  }
  warnOfGlobInParent(item.entries.get('parent')?.value, findings);
  refuseOtherNamespace(item.entries.get('namespace')?.value, namespaces, findings);
  if (!fields) return undefined;
  const { device, parent, mac, alias, guest, uuid, namespace, policy } = fields;
  const addresses = fields.addresses && readAddresses(fields.addresses, item, findings);
  const binding: Binding = {
    ...(device !== undefined && { device }),
    ...(parent !== undefined && { parent }),
    ...(mac !== undefined && { mac: normaliseMac(mac) }),
    ...(alias !== undefined && { alias }),
    ...(guest !== undefined && { guest }),
    ...(uuid !== undefined && { uuid: normaliseUuid(uuid) }),
    ...(namespace !== undefined && { namespace }),
    ...(addresses && { addresses }),
    policy,
    location: findings.source.location(item.span.start),
  };
  checkAddresses(binding, policies.get(policy), item, findings);
  return { binding, span: item.span, device: item.entries.get('device')?.value.span };
}

function checkPolicyName(
  value: Located | undefined,
  policyNames: readonly string[] | undefined,
  findings: Findings,
): void {
  // Without a list of policies every name would be unknown; that list is a problem already.
  if (value?.kind !== 'scalar' || typeof value.value !== 'string' || !policyNames) return;
  if (!policyNames.includes(value.value)) refuseUnknownPolicy(value, value.value, policyNames, findings);
}

/** Tells that there is no policy `name`, and which of `names` may have been meant. */
export function refuseUnknownPolicy(
  value: Located,
  name: string,
  names: readonly string[],
  findings: Findings,
): void {
  const meant = nearest(name, names);
  findings.refuse(
    value.span,
    `there is no policy ${quote(name)}`,
    meant === undefined ? undefined : `Did you mean ${quote(meant)}?`,
  );
}

function warnOfGlobInParent(value: Located | undefined, findings: Findings): void {
  if (value?.kind !== 'scalar' || typeof value.value !== 'string' || !/[*?[{]/.test(value.value)) return;
  findings.warn(
    value.span,
    `\`parent\` is a name, not a glob: it means a link that is called ${quote(value.value)}`,
  );
}

/** Where only the agent's own namespace is served, a binding for another is one that was forgotten in `namespaces`. */
function refuseOtherNamespace(
  value: Located | undefined,
  namespaces: readonly string[],
  findings: Findings,
): void {
  if (value?.kind !== 'scalar' || typeof value.value !== 'string' || !isOwnAlone(namespaces)) return;
  const glob = parseGlob(value.value);
  if ('flaw' in glob || compileGlob(glob)(OWN_NAMESPACE)) return;
  findings.refuse(
    value.span,
    `this binding can never match: no network namespace but the agent’s own, ${quote(OWN_NAMESPACE)}, is served`,
    'List those that are to be served in `namespaces`.',
  );
}

function readAddresses(texts: readonly string[], item: LocatedMap, findings: Findings): AssignedAddress[] {
  const list = item.entries.get('addresses')?.value;
  const seen = new Set<string>();
  return texts.flatMap((text, index) => {
    const address = readAddress(text);
    if ('flaw' in address) return [];
    const written = addressText(address);
    if (seen.has(written)) {
      const span = list?.kind === 'list' ? list.items[index]?.span : undefined;
      findings.refuse(span ?? item.span, `${quote(written)} is in this list already`);
    }
    seen.add(written);
    return [address];
  });
}

function checkAddresses(
  { addresses = [] }: Binding,
  policy: Policy | undefined,
  item: LocatedMap,
  findings: Findings,
): void {
  if (!policy) return;
  const guards = addressGuardsOf(policy);
  if (addresses.length === 0 && guards.length > 0) {
    findings.refuse(
      item.entries.get('policy')?.value.span ?? item.span,
      `the policy ${quote(policy.name)} compares addresses (${namesOf(guards)}), and this binding gives none: the VM could use no address at all`,
      'Give the VM’s `addresses`, or take the guard out of the policy.',
    );
  }
  const key = item.entries.get('addresses')?.key;
  if (key && addresses.length > 0 && guards.length === 0) {
    findings.warn(
      key,
      `these addresses have no effect: no guard of the policy ${quote(policy.name)} compares addresses`,
      'Add `ip`, `arp` or `nd` to its `guards`.',
    );
  }
}

/** The guards of a policy for which the binding has to give addresses. */
export function addressGuardsOf({ guards }: Policy): GuardName[] {
  return guards.filter((guard) => ADDRESS_GUARDS.includes(guard));
}

/** In words that fit into a parenthesis. */
export function namesOf(guards: readonly GuardName[]): string {
  return `${guards.length === 1 ? 'guard' : 'guards'} ${guards.map(quote).join(', ')}`;
}
