import { type Problem, SourceError } from '../error.js';
import { LARGEST_FILE } from '../files/read.js';
import { type Judge, refuseDoubts } from '../files/trust.js';
import type { Configuration } from './configuration.js';
import { readTextFile } from './file.js';
import { ConfigurationReader } from './reader.js';
import { SourceText, type Span } from './source.js';
import { describe, readYaml } from './yaml.js';

/** More would bury the first, which is where a person begins. */
const MOST_PROBLEMS = 100;

/**
 * Reads and checks a configuration file.
 * @param judge is told if others than root and this user could have written it; unless given, that is refused.
 * @throws SourceError CONFIG with every problem in the file; TapwallError CONFIG if it cannot be read, UNTRUSTED_FILE if
 *   others can write it.
 */
export function loadConfiguration(path: string, judge: Judge = refuseDoubts): Configuration {
  return parseConfiguration(readTextFile(path, judge), path);
}

/**
 * Checks the text of a configuration; `file` is its name in messages, and policies' files are relative to its
 * folder.
 * @throws SourceError CONFIG with every problem in the text.
 */
export function parseConfiguration(text: string, file: string): Configuration {
  const source = new SourceText(text.replace(/^\ufeff/, ''), file);
  const unreadable = reasonNotToRead(source);
  if (unreadable) throw sourceError([unreadable]);

  const { root, problems } = readYaml(source);
  if (root?.kind !== 'map') {
    if (root) problems.push(source.problem(root.span, `${EXPECTED_MAP}, got ${describe(root)}`));
    else if (problems.length === 0)
      problems.push(source.problem(TOP, 'the configuration has nothing but comments'));
    throw sourceError(problems);
  }
  const reader = new ConfigurationReader(source);
  const configuration = reader.read(root);
  // What YAML could not give a value for, the schema finds missing in the same place.
  const toldOf = new Set(problems.map(placeOf));
  problems.push(...reader.problems.filter((problem) => !toldOf.has(placeOf(problem))));
  if (problems.length > 0) throw sourceError(problems);
  return { ...configuration, warnings: inOrder(configuration.warnings) };
}

const TOP: Span = { start: 0, end: 0 };
const EXPECTED_MAP = 'expected a map with the keys `policies` and `bindings`';

/** What makes it pointless to look for YAML in the text. */
function reasonNotToRead(source: SourceText): Problem | undefined {
  if (source.text.trim() === '') return source.problem(TOP, 'the configuration is empty');
  if (source.text.length > LARGEST_FILE)
    return source.problem(TOP, 'the configuration is larger than 16 MiB');
  const nul = source.text.indexOf('\0');
  return nul === -1
    ? undefined
    : source.problem({ start: nul, end: nul + 1 }, 'a NUL: this is not a text file');
}

function sourceError(problems: readonly Problem[]): SourceError {
  const sorted = inOrder(problems);
  const shown = sorted.slice(0, MOST_PROBLEMS);
  const left = sorted.length - shown.length;
  if (left > 0) {
    const message = `and ${left} more problems from here on`;
    shown.push({ ...sorted[MOST_PROBLEMS], message, hint: undefined });
  }
  return new SourceError('CONFIG', shown);
}

/** By place in the file, each once: a text that is used through an alias is found wanting at each use. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const sorted = [...problems].sort((left, right) => compare(left.location, right.location));
  const seen = new Set<string>();
  return sorted.filter((problem) => {
    const identity = `${placeOf(problem)}:${problem.message}`;
    return !seen.has(identity) && seen.add(identity);
  });
}

function placeOf({ location }: Problem): string {
  return `${location?.line}:${location?.column}`;
}

function compare(left: Problem['location'], right: Problem['location']): number {
  return (left?.line ?? 0) - (right?.line ?? 0) || (left?.column ?? 0) - (right?.column ?? 0);
}
