import { type Problem, SourceError } from '../error.js';
import type { Configuration } from './configuration.js';
import { LARGEST_FILE, readTextFile } from './file.js';
import { ConfigurationReader } from './reader.js';
import { SourceText } from './source.js';
import { describe, readYaml } from './yaml.js';

/** More would bury the first, which is where a person begins. */
const MOST_PROBLEMS = 100;

/**
 * Reads and checks a configuration file.
 * @throws SourceError CONFIG with every problem in the file; TapwallError CONFIG if it cannot be read.
 */
export function loadConfiguration(path: string): Configuration {
  return parseConfiguration(readTextFile(path), path);
}

/**
 * Checks the text of a configuration; `file` is its name in messages, and policies' files are relative to its
 * folder.
 * @throws SourceError CONFIG with every problem in the text.
 */
export function parseConfiguration(text: string, file: string): Configuration {
  const source = new SourceText(text.replace(/^\ufeff/, ''), file);
  if (source.text.trim() === '') throw failure(source, 'the configuration is empty');
  if (source.text.length > LARGEST_FILE) throw failure(source, 'the configuration is larger than 16 MiB');
  const nul = source.text.indexOf('\0');
  if (nul !== -1)
    throw new SourceError('CONFIG', [
      source.problem({ start: nul, end: nul + 1 }, 'a NUL: this is not a text file'),
    ]);

  const { root, problems } = readYaml(source);
  if (!root)
    throw problems.length > 0
      ? sourceError(problems)
      : failure(source, 'the configuration has nothing but comments');
  if (root.kind !== 'map') {
    problems.push(
      source.problem(
        root.span,
        `expected a map with the keys \`policies\` and \`bindings\`, got ${describe(root)}`,
      ),
    );
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

function failure(source: SourceText, message: string): SourceError {
  return new SourceError('CONFIG', [source.problem({ start: 0, end: 0 }, message)]);
}

function sourceError(problems: readonly Problem[]): SourceError {
  const sorted = inOrder(problems);
  const shown = sorted.slice(0, MOST_PROBLEMS);
  const left = sorted.length - shown.length;
  if (left > 0)
    shown.push({
      ...sorted[MOST_PROBLEMS],
      message: `and ${left} more problems from here on`,
      hint: undefined,
    });
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
