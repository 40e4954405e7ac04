import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import picomatch from 'picomatch';
import { type Problem, SourceError } from '../error.js';
import { findIncludes } from '../policy/include.js';
import type { PolicySource } from './diagnostics.js';

/**
 * libnftables reads any file that an `include` names, and quotes its first bad line in the error text. So every
 * include is followed here first, and one that leads out of the policy's folder is refused.
 */
const MAXIMUM_DEPTH = 16;

type Source = Pick<PolicySource, 'file' | 'text' | 'locate'>;

function isInside(root: string, path: string): boolean {
  const way = relative(root, path);
  return way === '' || (!way.startsWith(`..${sep}`) && way !== '..' && !isAbsolute(way));
}

/** Expands a path with wildcards as glob(3) does: `*` and `?` do not cross a slash. */
function expand(path: string): string[] {
  if (!/[*?[\]{}]/.test(path)) return [path];
  const parts = path.split('/');
  const fixed = parts.slice(
    0,
    parts.findIndex((part) => /[*?[\]{}]/.test(part)),
  );
  const base = fixed.join('/') || '/';
  const matches = picomatch(path, { nobrace: true, noext: true, nonegate: true });
  const depth = parts.length - fixed.length;
  const found: string[] = [];
  const walk = (folder: string, level: number): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const inner = join(folder, entry.name);
      if (level === depth && matches(inner)) found.push(inner);
      else if (level < depth && entry.isDirectory()) walk(inner, level + 1);
    }
  };
  try {
    walk(base, 1);
  } catch {
    // libnftables takes a pattern that matches nothing for an empty include.
  }
  return found;
}

function check(source: Source, root: string, depth: number, problems: Problem[]): void {
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
    for (const candidate of expand(isAbsolute(path) ? path : join(root, path))) {
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
        text = readFileSync(real, 'utf8');
      } catch (error) {
        refuse(
          `cannot read the included file ${path}: ${error instanceof Error ? error.message : String(error)}`,
        );
        continue;
      }
      check({ file: real, text }, root, depth + 1, problems);
    }
  }
}

/** @throws SourceError POLICY for includes that are missing, unreadable or outside `directory`. */
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
