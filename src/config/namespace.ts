import type { Findings } from './findings.js';
import { parseGlob } from './glob.js';
import { quote } from './suggest.js';
import type { LocatedEntry } from './yaml.js';

/** What the configuration calls the agent's own network namespace. */
export const OWN_NAMESPACE = 'self';

/** Where ip-netns(8) keeps named namespaces. */
export const NAMED_NAMESPACES = '/run/netns';

/** Without the key an agent serves the namespace that it is in, or was given. */
export const DEFAULT_NAMESPACES: readonly string[] = [OWN_NAMESPACE];

/** One entry of `namespaces`, as it is looked for. */
export type NamespacePattern =
  | { kind: 'self' }
  /** All entries of a folder that match a glob. */
  | { kind: 'entries'; folder: string; glob: string };

/**
 * Reads one entry: `self`, a name of ip-netns(8), or an absolute path. The name, and the last part of the path, may be
 * a glob.
 */
export function readNamespacePattern(
  text: string,
): NamespacePattern | { flaw: string; hint?: string | undefined } {
  if (text === OWN_NAMESPACE) return { kind: 'self' };
  const slash = text.lastIndexOf('/');
  const folder = slash < 0 ? NAMED_NAMESPACES : text.slice(0, slash);
  const glob = text.slice(slash + 1);
  if (slash >= 0 && !text.startsWith('/')) {
    return {
      flaw: `${quote(text)} is neither a name nor an absolute path`,
      hint: 'Names are those of `ip netns list`; a path is that of a namespace, such as `/proc/PID/ns/net`.',
    };
  }
  if (/[*?[\]{}]/.test(folder)) {
    return {
      flaw: `only the last part of a path may be a glob: ${quote(text)}`,
      hint: 'List the folders one by one.',
    };
  }
  const read = parseGlob(glob);
  if ('flaw' in read) return { flaw: `${quote(text)} names no network namespace: ${read.flaw}` };
  if (glob === '.' || glob === '..') return { flaw: `${quote(text)} names no network namespace` };
  return { kind: 'entries', folder: folder === '' ? '/' : folder, glob };
}

/** Whether only the agent's own namespace is served: then nothing has to say which one is meant. */
export function isOwnAlone(namespaces: readonly string[]): boolean {
  return namespaces.every((text) => text === OWN_NAMESPACE);
}

/** Reads `namespaces`; what is wrong with a single entry is the schema's to tell. */
export function readNamespaces(entry: LocatedEntry | undefined, findings: Findings): readonly string[] {
  if (entry?.value.kind !== 'list') return DEFAULT_NAMESPACES;
  const texts: string[] = [];
  for (const item of entry.value.items) {
    if (item.kind !== 'scalar' || typeof item.value !== 'string') continue;
    if (texts.includes(item.value))
      findings.refuse(item.span, `${quote(item.value)} is in this list already`);
    texts.push(item.value);
  }
  return texts;
}
