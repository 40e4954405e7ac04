import type { Configuration, DeviceSelection } from './configuration.js';
import type { Findings } from './findings.js';
import { LONGEST_INTERFACE_NAME } from './interface-name.js';
import { checkPart } from './issue.js';
import { expandNames, MOST_NAMES } from './name-pattern.js';
import { devicesSchema } from './schema.js';
import { quote } from './suggest.js';
import { describe, type Located, type LocatedEntry } from './yaml.js';

const DEFAULT_PREFIXES = ['macvtap'];

/** From 0 to MACVLAN_MAX_ID of libvirt's virnetdevmacvlan.c. */
const LIBVIRT_NAMES = 8192;

export const DEFAULT_DEVICES: DeviceSelection = {
  prefixes: DEFAULT_PREFIXES,
  names: defaultNames(DEFAULT_PREFIXES),
};

/** Reads `devices`. Undefined if there is a problem, so that nothing is concluded from a wrong list. */
export function readDevices(
  entry: LocatedEntry | undefined,
  placement: Configuration['placement'],
  findings: Findings,
): DeviceSelection | undefined {
  if (!entry) return DEFAULT_DEVICES;
  const part = { name: quote('devices'), value: entry.value, key: entry.key };
  const fields = checkPart(devicesSchema, part, findings.source, findings.problems);
  if (entry.value.kind !== 'map') return undefined;
  const { entries } = entry.value;
  const list = entries.get('prefixes')?.value;
  if (list?.kind === 'list') refuseDuplicates(list.items, findings);
  if (list && !fields) return undefined;
  const prefixes = fields?.prefixes ?? DEFAULT_PREFIXES;
  const patterns = entries.get('names')?.value;
  if (patterns?.kind === 'list') {
    const names = readNames(patterns.items, prefixes, findings);
    return names && { prefixes, names };
  }
  if (list && placement !== 'prefix' && prefixes.length * LIBVIRT_NAMES > MOST_NAMES) {
    findings.warn(
      list.span,
      `of each prefix only the first ${numbersOfEach(prefixes)} names can be hooked in advance where the kernel has no hooks on prefixes`,
      'Give `devices.names` the names that your devices have.',
    );
  }
  return { prefixes, names: defaultNames(prefixes) };
}

function refuseDuplicates(items: readonly Located[], findings: Findings): void {
  const seen = new Set<unknown>();
  for (const item of items) {
    if (item.kind !== 'scalar') continue;
    if (seen.has(item.value)) findings.refuse(item.span, `${describe(item)} is in this list already`);
    seen.add(item.value);
  }
}

/** What libvirt may name a device, for each prefix, as far as all together stay within the bound. */
function defaultNames(prefixes: readonly string[]): string[] {
  const numbers = numbersOfEach(prefixes);
  const names = prefixes.flatMap((prefix) => {
    const all = Array.from({ length: numbers }, (_, number) => `${prefix}${number}`);
    return all.filter((name) => Buffer.byteLength(name) <= LONGEST_INTERFACE_NAME);
  });
  // Of `vm` and `vm1` the second makes names that the first has made.
  return [...new Set(names)];
}

function numbersOfEach(prefixes: readonly string[]): number {
  return Math.min(LIBVIRT_NAMES, Math.floor(MOST_NAMES / prefixes.length));
}

/** Undefined if one of the patterns is wrong. */
function readNames(
  items: readonly Located[],
  prefixes: readonly string[],
  findings: Findings,
): string[] | undefined {
  /** The name, and the pattern that made it. */
  const patternOf = new Map<string, Located>();
  let areRight = true;
  for (const item of items) {
    const flaw = addNames(item, prefixes, patternOf, findings);
    areRight &&= flaw === undefined;
    if (flaw) findings.refuse(item.span, ...flaw);
    // What follows would be too much as well.
    if (patternOf.size > MOST_NAMES) break;
  }
  return areRight ? [...patternOf.keys()] : undefined;
}

function addNames(
  item: Located,
  prefixes: readonly string[],
  patternOf: Map<string, Located>,
  { source }: Findings,
): [message: string, hint?: string | undefined] | undefined {
  // Something else than text is told of by the schema.
  if (item.kind !== 'scalar' || typeof item.value !== 'string') return undefined;
  const names = expandNames(item.value);
  if ('flaw' in names) return [names.flaw, names.hint];
  for (const name of names) {
    const other = patternOf.get(name);
    if (other) {
      const line = source.location(other.span.start).line;
      const where = other === item ? 'twice' : `and the pattern in line ${line} as well`;
      return [`this pattern makes the name ${quote(name)} ${where}`];
    }
    if (!prefixes.some((prefix) => name.startsWith(prefix))) {
      return [
        `${quote(name)} begins with none of the prefixes ${prefixes.map(quote).join(', ')}`,
        'Only devices that begin so are looked at: the list is `devices.prefixes`.',
      ];
    }
    patternOf.set(name, item);
  }
  return patternOf.size > MOST_NAMES ? [`more than ${MOST_NAMES} names together`] : undefined;
}
