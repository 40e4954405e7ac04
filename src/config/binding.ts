import type { Binding, DeviceSelection } from './configuration.js';
import { compileGlob, parseGlob } from './glob.js';
import { OWN_NAMESPACE } from './namespace.js';

/** What a binding may ask about a device. */
export interface DeviceFacts {
  name: string;
  /** The link's kind, such as `macvtap`; undefined for a physical device. */
  kind: string | undefined;
  mac: string | undefined;
  alias?: string | undefined;
  /** The name and the UUID of the VM; undefined unless somebody told them. */
  guest?: string | undefined;
  uuid?: string | undefined;
  /** What the configuration knows the network namespace by; undefined for the agent's own. */
  namespace?: string | undefined;
  /** Undefined where it is not known, as for a parent in another network namespace. */
  parentName?: string | undefined;
}

/** True for the devices that tapwall looks at; every other is left alone, whatever the bindings say. */
export function isSelected({ prefixes }: DeviceSelection, { name, kind }: DeviceFacts): boolean {
  return kind === 'macvtap' && prefixes.some((prefix) => name.startsWith(prefix));
}

/** The first binding that matches the device, all of its selectors; undefined if none does. */
export function matchBinding(bindings: readonly Binding[], device: DeviceFacts): Binding | undefined {
  if (device.kind !== 'macvtap') return undefined;
  const { byMac, others } = indexOf(bindings);
  const first = ownBinding(byMac, device);
  for (const other of others) {
    if (first && other.position > first.position) break;
    if (other.matches(device)) return other.binding;
  }
  return first?.binding;
}

/** The first that names the device's MAC and matches. */
function ownBinding(byMac: BindingIndex['byMac'], device: DeviceFacts): CompiledBinding | undefined {
  const { mac } = device;
  if (mac === undefined) return undefined;
  // The kernel's are in small letters, and to make sure of that takes as long as to look one up.
  const own = byMac.get(mac) ?? byMac.get(mac.toLowerCase());
  if (!own) return undefined;
  for (const one of own) if (one.matches(device)) return one;
  return undefined;
}

interface CompiledBinding {
  binding: Binding;
  /** In the list of all. */
  position: number;
  matches: (device: DeviceFacts) => boolean;
}

/**
 * Most bindings of a dense host name one VM by its MAC. They are found by it, so that a device does not wait longer
 * the more VMs there are.
 */
interface BindingIndex {
  byMac: ReadonlyMap<string, readonly CompiledBinding[]>;
  /** Those without a MAC. */
  others: readonly CompiledBinding[];
}

/** Bindings are plain data, which has no place for compiled globs; this goes away together with the list. */
const indexes = new WeakMap<readonly Binding[], BindingIndex>();

function indexOf(bindings: readonly Binding[]): BindingIndex {
  const known = indexes.get(bindings);
  if (known) return known;
  const byMac = new Map<string, CompiledBinding[]>();
  const others: CompiledBinding[] = [];
  bindings.forEach((binding, position) => {
    const compiled = { binding, position, matches: compileBinding(binding) };
    if (binding.mac === undefined) {
      others.push(compiled);
      return;
    }
    const list = byMac.get(binding.mac);
    if (list) list.push(compiled);
    else byMac.set(binding.mac, [compiled]);
  });
  const index = { byMac, others };
  indexes.set(bindings, index);
  return index;
}

/** All but the MAC, by which a binding is found. */
function compileBinding({
  device,
  parent,
  alias,
  guest,
  uuid,
  namespace,
}: Binding): (facts: DeviceFacts) => boolean {
  const matchesName = compileSelector(device);
  const matchesAlias = compileSelector(alias);
  const matchesGuest = compileSelector(guest);
  const matchesNamespace = compileSelector(namespace);
  // The cheap comparisons first.
  return (facts) =>
    (uuid === undefined || uuid === facts.uuid) &&
    (matchesNamespace === undefined || matchesNamespace(facts.namespace ?? OWN_NAMESPACE)) &&
    (matchesGuest === undefined || (facts.guest === undefined ? false : matchesGuest(facts.guest))) &&
    (parent === undefined || parent === facts.parentName) &&
    (matchesName === undefined || matchesName(facts.name)) &&
    (matchesAlias === undefined || (facts.alias ? matchesAlias(facts.alias) : false));
}

function compileSelector(text: string | undefined): ((text: string) => boolean) | undefined {
  if (text === undefined) return undefined;
  const glob = parseGlob(text);
  // The configuration has been checked. A list built by hand must not fail open: what cannot be read matches nothing.
  return 'flaw' in glob ? () => false : compileGlob(glob);
}
