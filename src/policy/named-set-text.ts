import type { NamedSet } from '../config/configuration.js';
import { countElements } from '../nftables/packed-elements.js';
import type { MappedText } from './source-map.js';

/**
 * From how many elements on a set gets a size. Without one the kernel's hash table grows while it is filled, in the
 * background: on a busy machine it doesn't keep up, and a million addresses took 4 to 17 s instead of 1.
 */
const MANY_ELEMENTS = 1 << 16;

/** The size for a set that has none; undefined where the kernel needs none, or the elements come and go. */
export function capacityOf({
  packed,
  flags,
  size,
}: Pick<NamedSet, 'packed' | 'flags' | 'size'>): number | undefined {
  if (size !== undefined) return size;
  if (!packed || packed.isInterval || flags.includes('dynamic') || flags.includes('timeout'))
    return undefined;
  const count = countElements(packed);
  // A power of two, so that the set needn't be made anew for a few elements more.
  return count < MANY_ELEMENTS ? undefined : 2 ** Math.ceil(Math.log2(count));
}

/** Elements that are packed are the blueprint's: libnftables would take seconds for what it need not know. */
export function addNamedSet(into: MappedText, set: NamedSet): void {
  const { name, type, elements, elementLocations, flags, timeout, location } = set;
  into.addFrom(location, `\tset ${name} {`);
  into.addFrom(location, `\t\ttype ${type}`);
  if (flags.length > 0) into.addFrom(location, `\t\tflags ${flags.join(', ')}`);
  // Prefixes that lie in each other would be refused, and their order in a file means nothing.
  if (flags.includes('interval')) into.add('\t\tauto-merge');
  if (timeout !== undefined) into.addFrom(location, `\t\ttimeout ${timeout}`);
  const capacity = capacityOf(set);
  if (capacity !== undefined) into.addFrom(location, `\t\tsize ${capacity}`);
  into.add(`\t\tcomment "set ${name} of the configuration"`);
  if (elements.length > 0) {
    into.add('\t\telements = {');
    for (const [at, element] of elements.entries()) {
      into.addFrom(elementLocations[at] ?? location, `\t\t\t${element},`);
    }
    into.add('\t\t}');
  }
  into.add('\t}');
}
