import assert from 'node:assert/strict';
import type { Configuration } from '#src/config/configuration.js';
import { parseConfiguration } from '#src/config/load.js';
import { type Problem, SourceError } from '#src/error.js';

export const FILE = '/etc/tapwall/tapwall.yaml';

export function parse(text: string): Configuration {
  return parseConfiguration(text, FILE);
}

/** A problem on one line: `line:column+length message`, and ` | hint` if there is one. */
export function brief({ location, length, message, hint }: Problem): string {
  const place = location ? `${location.line}:${location.column}+${length ?? 1}` : 'nowhere';
  return hint === undefined ? `${place} ${message}` : `${place} ${message} | ${hint}`;
}

export function problemsOf(action: () => unknown): readonly Problem[] {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof SourceError, String(error));
    assert.equal(error.code, 'CONFIG');
    return error.problems;
  }
  assert.fail('no problem was found');
}

/** Asserts that these are all the problems of the text, in this order. */
export function refuses(text: string, ...expected: string[]): void {
  const problems = problemsOf(() => parse(text));
  assert.deepEqual(problems.map(brief), expected);
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  for (const { location, sourceLine } of problems) {
    assert.equal(location?.file, FILE);
    assert.equal(sourceLine, lines[location.line - 1]);
  }
}

/** Asserts that the text is accepted, with exactly these warnings. */
export function warns(text: string, ...expected: string[]): void {
  assert.deepEqual(parse(text).warnings.map(brief), expected);
}

/** A whole configuration around some bindings; the first stands in line 4, from column 3. */
export function withBindings(...bindings: string[]): string {
  return [
    'policies: { p: { default: drop } }',
    '',
    'bindings:',
    ...bindings.map((one) => `- ${one}`),
    '',
  ].join('\n');
}

/** A whole configuration around a policy; its keys stand in lines 3 and on, from column 5. */
export function withPolicy(...lines: string[]): string {
  const policy = lines.map((line) => `    ${line}`);
  return ['policies:', '  p:', ...policy, 'bindings: [{ device: "*", policy: p }]', ''].join('\n');
}
