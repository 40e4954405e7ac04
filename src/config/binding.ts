import type { Binding, DeviceSelection } from './configuration.js';
import { compileGlob, parseGlob } from './glob.js';

/** What a binding may ask about a device. */
export interface DeviceFacts {
  name: string;
  /** The link's kind, such as `macvtap`; undefined for a physical device. */
  kind: string | undefined;
  mac: string | undefined;
  alias?: string | undefined;
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
  return compiled(bindings).find(({ matches }) => matches(device))?.binding;
}

interface CompiledBinding {
  binding: Binding;
  matches: (device: DeviceFacts) => boolean;
}

/** Bindings are plain data, which has no place for compiled globs; this goes away together with the list. */
const compiledLists = new WeakMap<readonly Binding[], CompiledBinding[]>();

function compiled(bindings: readonly Binding[]): CompiledBinding[] {
  const known = compiledLists.get(bindings);
  if (known) return known;
  const list = bindings.map((binding) => ({ binding, matches: compileBinding(binding) }));
  compiledLists.set(bindings, list);
  return list;
}

function compileBinding({ device, parent, mac, alias }: Binding): (facts: DeviceFacts) => boolean {
  const matchesName = compileSelector(device);
  const matchesAlias = compileSelector(alias);
  // The cheap comparisons first: of a thousand bindings most name another VM's address.
  return (facts) =>
    (mac === undefined || mac === facts.mac?.toLowerCase()) &&
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
