import type { z } from 'zod';
import type { Problem } from '../error.js';
import type { SourceText, Span } from './source.js';
import { nearest, quote } from './suggest.js';
import { describe, type Located, plain } from './yaml.js';

type Issue = z.core.$ZodIssue;

/** One part of the configuration, as the schema and the messages need it. */
export interface Part {
  /** In words that fit after "unknown key … in". */
  name: string;
  value: Located;
  /** Where the part's key stands: an empty value has no place of its own that a reader could see. */
  key?: Span | undefined;
}

/** Checks one part; the result is undefined, and `problems` has grown, unless the part fits the schema exactly. */
export function checkPart<Schema extends z.ZodObject>(
  schema: Schema,
  part: Part,
  source: SourceText,
  problems: Problem[],
): z.output<Schema> | undefined {
  const result = schema.safeParse(plain(part.value));
  if (result.success) return result.data;
  // A key for editors is of no help to a person.
  const keys = Object.keys(schema.shape).filter((key) => !key.startsWith('$'));
  problems.push(...result.error.issues.flatMap((issue) => problemsOf(issue, part, keys, source)));
  return undefined;
}

function problemsOf(issue: Issue, part: Part, keys: readonly string[], source: SourceText): Problem[] {
  const place = placeOf(part, issue.path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const span = keySpan(part.value, [...issue.path, key]) ?? part.value.span;
      return unknownKey(key, span, part.name, keys, source);
    });
  }
  if (issue.code === 'invalid_key') {
    const [inner] = issue.issues;
    return [source.problem(keySpan(part.value, issue.path) ?? place.span, inner?.message ?? issue.message)];
  }
  if (place.value === undefined) {
    return [source.problem(place.span, `missing key ${quote(String(issue.path.at(-1)))} in ${part.name}`)];
  }
  const hint = issue.code === 'custom' ? issue.params?.['hint'] : undefined;
  const message = messageOf(issue, describe(place.value));
  return [source.problem(place.span, message, typeof hint === 'string' ? hint : undefined)];
}

function unknownKey(
  key: string,
  span: Span,
  where: string,
  keys: readonly string[],
  source: SourceText,
): Problem {
  const meant = nearest(key, keys);
  const hint =
    meant === undefined
      ? `The keys here are ${keys.map(quote).join(', ')}.`
      : `Did you mean ${quote(meant)}?`;
  return source.problem(span, `unknown key ${quote(key)} in ${where}`, hint);
}

function messageOf(issue: Issue, got: string): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${typeName(issue.expected)}, got ${got}`;
    case 'invalid_value':
      return `expected ${issue.values.map((text) => quote(String(text))).join(' or ')}, got ${got}`;
    case 'invalid_union': {
      const members = issue.errors.flat();
      // A member of the right type says more than the list of types.
      const reason = members.find(({ code }) => code === 'custom');
      if (reason) return reason.message;
      const types = members.flatMap((member) =>
        member.code === 'invalid_type' ? typeName(member.expected) : [],
      );
      return `expected ${[...new Set(types)].join(' or ')}, got ${got}`;
    }
    default:
      return issue.message;
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  array: 'a list',
  object: 'a map',
  record: 'a map',
  int: 'a whole number',
  number: 'a whole number',
};

function typeName(expected: string): string {
  return TYPE_NAMES[expected] ?? expected;
}

/** The value that `path` leads to, and what to mark; for a missing value, the map that should have it. */
function placeOf(part: Part, path: readonly PropertyKey[]): { value: Located | undefined; span: Span } {
  let value: Located | undefined = part.value;
  let span = isVisible(value.span) ? value.span : (part.key ?? value.span);
  for (const step of path) {
    const entry: Step | undefined = stepInto(value, step);
    value = entry?.value;
    if (!entry) break;
    span = isVisible(entry.value.span) ? entry.value.span : (entry.key ?? entry.value.span);
  }
  return { value, span };
}

interface Step {
  key?: Span | undefined;
  value: Located;
}

function stepInto(value: Located | undefined, step: PropertyKey): Step | undefined {
  if (value?.kind === 'map') return value.entries.get(String(step));
  const item = value?.kind === 'list' ? value.items[Number(step)] : undefined;
  return item && { value: item };
}

function keySpan(value: Located, path: readonly PropertyKey[]): Span | undefined {
  let current: Located | undefined = value;
  for (const step of path.slice(0, -1)) current = stepInto(current, step)?.value;
  return stepInto(current, path.at(-1) ?? '')?.key;
}

function isVisible(span: Span): boolean {
  return span.end > span.start;
}
