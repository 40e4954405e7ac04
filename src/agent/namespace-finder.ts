import { readdirSync, statSync } from 'node:fs';
import { compileGlob, parseGlob } from '../config/glob.js';
import { NAMED_NAMESPACES, OWN_NAMESPACE, readNamespacePattern } from '../config/namespace.js';

/** A network namespace that is there and to be served. */
export interface FoundNamespace {
  /** What the configuration, events and commands know it by. */
  name: string;
  /** How it is opened; undefined for the agent's own. */
  path: string | undefined;
  /** Equal inodes are the same namespace, as long as somebody holds it open. */
  inode: bigint;
}

/** What is there of what was asked for, and what could not be looked at. */
export interface Findings {
  found: FoundNamespace[];
  /** In words. */
  problems: string[];
}

/** Finds namespaces; the one place that looks into folders. */
export type NamespaceFinder = (patterns: readonly string[]) => Findings;

/** What tells a file that stands for a namespace from one that will be mounted over (nsfs, fs/nsfs.c). */
function namespaceDevice(): bigint {
  return statSync('/proc/self/ns/net', { bigint: true }).dev;
}

/**
 * Looks for network namespaces, now.
 * @param own the inode of the agent's own; absent for that of the process.
 * @returns each namespace once, by the first name that the patterns give it.
 */
export function findNamespaces(patterns: readonly string[], own?: bigint): Findings {
  const search = new Search();
  for (const text of patterns) {
    const pattern = readNamespacePattern(text);
    // The configuration has been checked. A list built by hand finds nothing by what cannot be read.
    if ('flaw' in pattern) search.problems.push(pattern.flaw);
    else if (pattern.kind === 'self') search.addOwn(own);
    else search.addEntries(pattern);
  }
  return { found: [...search.found.values()], problems: search.problems };
}

class Search {
  readonly found = new Map<bigint, FoundNamespace>();
  readonly problems: string[] = [];
  readonly #device = namespaceDevice();

  addOwn(own: bigint | undefined): void {
    const inode = own ?? statSync('/proc/self/ns/net', { bigint: true }).ino;
    this.#add({ name: OWN_NAMESPACE, path: undefined, inode });
  }

  addEntries({ folder, glob: text }: { folder: string; glob: string }): void {
    const glob = parseGlob(text);
    if ('flaw' in glob) return;
    const nameOf = (entry: string) => (folder === NAMED_NAMESPACES ? entry : `${folder}/${entry}`);
    const isPlain = !/[*?[\]{}]/.test(text);
    const entries = isPlain ? [text] : this.#list(folder).filter(compileGlob(glob)).sort();
    for (const entry of entries) {
      const path = `${folder}/${entry}`;
      const inode = this.#inodeOf(path);
      // What `ip netns add` makes is an ordinary file at first, over which the namespace is mounted.
      if (inode !== undefined) this.#add({ name: nameOf(entry), path, inode });
    }
  }

  #add(one: FoundNamespace): void {
    if (!this.found.has(one.inode)) this.found.set(one.inode, one);
  }

  #list(folder: string): string[] {
    try {
      return readdirSync(folder);
    } catch (error) {
      this.#note(folder, error);
      return [];
    }
  }

  #inodeOf(path: string): bigint | undefined {
    try {
      const { dev, ino } = statSync(path, { bigint: true });
      return dev === this.#device ? ino : undefined;
    } catch (error) {
      this.#note(path, error);
      return undefined;
    }
  }

  /** What is not there may come: a folder with its first namespace, a process with its start. */
  #note(path: string, error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ESRCH') return;
    const hint =
      code === 'EACCES' && path.startsWith('/proc/')
        ? '; to look at the namespaces of other users’ processes takes CAP_SYS_PTRACE'
        : '';
    this.problems.push(`cannot look for network namespaces at ${path}: ${code}${hint}`);
  }
}
