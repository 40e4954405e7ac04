import { readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import { type Problem, SourceError } from '../error.js';
import { readUserFile, Unreadable } from '../files/read.js';
import { type Judge, refuseDoubts } from '../files/trust.js';
import { findIncludes } from '../policy/include.js';
import type { PolicySource } from './diagnostics.js';

/**
 * libnftables reads any file that an `include` names, and quotes its first bad line in the error text. So every
 * include is followed here first, and one that leads out of the policy's folder is refused.
 */
const MAXIMUM_DEPTH = 16;

type Source = Pick<PolicySource, 'file' | 'text' | 'locate' | 'judge'>;

function isInside(root: string, path: string): boolean {
  const way = relative(root, path);
  return way === '' || (!way.startsWith(`..${sep}`) && way !== '..' && !isAbsolute(way));
}

/** What glob(3) may take for more than itself, escapes and GNU's braces included. */
const WILDCARD = /[*?[\]{}\\]/;

/**
 * The files that an include may mean: for a path with wildcards every file of the folder whose name begins and ends
 * as the pattern does. Those are more than glob(3) matches, never fewer, and what is checked here is each of them.
 * @returns undefined for wildcards in the name of a folder, which could lead anywhere through a link.
 */
function candidates(path: string): string[] | undefined {
  if (!WILDCARD.test(path)) return [path];
  const folder = dirname(path);
  const pattern = basename(path);
  if (WILDCARD.test(folder) || path.startsWith('~')) return undefined;
  const [head = ''] = pattern.split(WILDCARD);
  const tail = pattern.split(WILDCARD).at(-1) ?? '';
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    // libnftables takes a pattern that matches nothing for an empty include.
    return [];
  }
  return names
    .filter((name) => name.startsWith(head) && name.endsWith(tail))
    .map((name) => join(folder, name));
}

function check(source: Source, root: string, depth: number, problems: Problem[]): void {
  const judge: Judge = source.judge ?? refuseDoubts;
  for (const { path, location, length } of findIncludes(source.text, source.file)) {
    // An include without a path: nft says what is wrong with it.
    if (path === undefined) continue;
    const sourceLine = source.text.split('\n')[location.line - 1];
    const refuse = (message: string, hint?: string) =>
      problems.push({ message, location, sourceLine, length, hint });
    if (depth >= MAXIMUM_DEPTH) {
      refuse(`includes are nested deeper than ${MAXIMUM_DEPTH}`);
      continue;
    }
    const files = candidates(isAbsolute(path) ? path : join(root, path));
    if (!files) {
      refuse(`include of ${path} has wildcards in the name of a folder`, 'Write the folder out.');
      continue;
    }
    for (const candidate of files) {
      let real: string;
      let text: string;
      try {
        real = realpathSync(candidate);
      } catch {
        refuse(`cannot find the included file ${path}`, `A relative path starts at ${root}.`);
        continue;
      }
      if (!isInside(root, real)) {
        refuse(
          `include of ${path} leads out of the policy's folder, ${root}`,
          'Put the file into that folder.',
        );
        continue;
      }
      try {
        // By the name that libnftables will use: links on the way are looked at as well.
        text = readUserFile(candidate, judge).toString('utf8');
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        refuse(`cannot read the included file ${path}: ${error.message}`);
        continue;
      }
      check({ file: real, text, judge }, root, depth + 1, problems);
    }
  }
}

/**
 * @throws SourceError POLICY for includes that are missing, unreadable or outside `directory`; what the source's judge throws
 *   for those that others can write.
 */
export function checkIncludes(source: Source, directory: string | undefined): void {
  const problems: Problem[] = [];
  if (directory === undefined) {
    for (const { location } of findIncludes(source.text, source.file)) {
      problems.push({
        message: 'an inline policy cannot include files',
        location: source.locate?.(location.line, location.column) ?? location,
        hint: 'Use a policy with file: instead.',
      });
    }
  } else {
    check(source, realpathSync(directory), 0, problems);
  }
  if (problems.length > 0) throw new SourceError('POLICY', problems);
}

/** The folder a policy file's includes are confined to. */
export function policyFolder(file: string): string {
  return realpathSync(dirname(file));
}
