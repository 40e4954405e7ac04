import type { Configuration, NamedSet, SetFlag } from '../config/configuration.js';
import { ElementList } from '../config/element-list.js';
import { readSetType } from '../config/set-element.js';
import type { Problem } from '../error.js';
import { readUserFile, Unreadable } from '../files/read.js';
import type { Judge } from '../files/trust.js';
import { countElements } from '../nftables/packed-elements.js';

/** Bytes: four million addresses, and comments. */
export const LARGEST_LIST = 128 * 1024 * 1024;

/**
 * Reads the files of sets.
 * @param judge is told of whoever else could have written one.
 * @param problems what is wrong with them is added.
 * @returns the configuration with their elements.
 */
export function readSetFiles(configuration: Configuration, judge: Judge, problems: Problem[]): Configuration {
  const sets = new Map<string, NamedSet>();
  for (const [name, set] of configuration.sets) {
    sets.set(name, set.file === undefined ? set : readSetFile(set, set.file, judge, problems));
  }
  return { ...configuration, sets };
}

function readSetFile(set: NamedSet, file: string, judge: Judge, problems: Problem[]): NamedSet {
  const { name, location, size } = set;
  const type = readSetType(set.type);
  if ('flaw' in type) return set;
  const bytes = readBytes(file, judge);
  if (typeof bytes === 'string') {
    problems.push({ message: `the set ${name}: cannot read the file ${file}: ${bytes}`, location });
    return set;
  }
  const list = new ElementList(bytes, file, type);
  problems.push(...list.problems);
  if (list.problems.length > 0) return set;
  const flags = new Set<SetFlag>(set.flags);
  if (list.reader.haveInterval) flags.add('interval');
  if (flags.has('interval') && flags.has('dynamic')) {
    const message = `the set ${name}: ${file} has prefixes or ranges, and no set can be both interval and dynamic`;
    problems.push({ message, location });
    return set;
  }
  const packed = list.reader.finish(flags.has('interval'));
  const count = countElements(packed);
  if (size !== undefined && size < count) {
    problems.push({
      message: `the set ${name}: ${file} has ${count} elements, more than its size`,
      location,
    });
  }
  return { ...set, flags: [...flags], packed };
}

/** The reason in words where it can't be read. */
function readBytes(file: string, judge: Judge): Uint8Array | string {
  try {
    return readUserFile(file, judge, LARGEST_LIST);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return error.message;
  }
}
