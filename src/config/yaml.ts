import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  type Pair,
  Parser,
  type Scalar,
} from 'yaml';
import type { Problem } from '../error.js';
import type { SourceText, Span } from './source.js';
import { quote } from './suggest.js';

/** A YAML value that knows where it stands. */
export type Located = LocatedMap | LocatedList | LocatedScalar;

export interface LocatedMap {
  kind: 'map';
  span: Span;
  /** A key that is given twice keeps its first value: the second is a problem already. */
  entries: ReadonlyMap<string, LocatedEntry>;
}

export interface LocatedEntry {
  key: Span;
  value: Located;
}

export interface LocatedList {
  kind: 'list';
  span: Span;
  items: readonly Located[];
}

export interface LocatedScalar {
  kind: 'scalar';
  span: Span;
  value: unknown;
  style: Scalar.Type | undefined;
}

/**
 * A configuration needs six levels. The composer of the yaml package recurses, and a stack that overflows inside
 * it does not always become an exception: V8 ends the process when a regular expression meets the end of the stack.
 */
const DEEPEST = 32;

/** About 30,000 bindings. Each part costs some 500 bytes until the file is read. */
const MOST_PARTS = 1_000_000;

/**
 * Values that aliases stand for, counted each time: a dozen lines of nested aliases would make billions. Long
 * texts count for more, since each copy is read anew.
 */
const MOST_ALIASED_VALUES = 10_000;
const TEXT_OF_ONE_VALUE = 1000;

export interface YamlResult {
  /** Undefined when the text is no YAML or too much of it: then what it means would be a guess. */
  root: Located | undefined;
  problems: Problem[];
}

export function readYaml(source: SourceText): YamlResult {
  const tokens = parseTokens(source);
  if (!Array.isArray(tokens)) return { root: undefined, problems: [tokens] };
  const composer = new Composer({
    // What is left to the tags of YAML 1.1 becomes a Set, a Date or bytes, which no key here means.
    resolveKnownTags: false,
    prettyErrors: false,
    // Checked here, where the message can name the key.
    uniqueKeys: false,
  });
  const documents = [...composer.compose(tokens, false, source.text.length)];
  const [first, ...others] = documents;
  const problems = documents.flatMap((document) => problemsOfDocument(document, source));
  for (const other of others) {
    const start = other.contents?.range[0] ?? other.range[0];
    problems.push(
      source.problem({ start, end: start + 1 }, 'a second YAML document: one file holds one configuration'),
    );
  }
  if (problems.length > 0 || !first?.contents) {
    return { root: undefined, problems };
  }
  const locator = new Locator(source);
  const root = locator.locate(first.contents);
  return { root: locator.isExhausted ? undefined : root, problems: locator.problems };
}

/** The tokens of the text, or the reason why there are too many to go on. */
function parseTokens(source: SourceText): CST.Token[] | Problem {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  let parts = 0;
  for (const lexeme of new Lexer().lex(source.text)) {
    for (const token of parser.next(lexeme)) tokens.push(token);
    parts++;
    if (parser.stack.length > DEEPEST || parts > MOST_PARTS) {
      const message =
        parts > MOST_PARTS
          ? `more than ${MOST_PARTS} keys, values and marks`
          : `nested more than ${DEEPEST} levels deep`;
      const end = Math.min(parser.offset, source.text.length);
      return source.problem({ start: Math.max(0, end - 1), end }, message);
    }
  }
  for (const token of parser.end()) tokens.push(token);
  return tokens;
}

function problemsOfDocument(document: Document.Parsed, source: SourceText): Problem[] {
  const problems = [...document.errors, ...document.warnings].map(({ message, pos: [start, end] }) =>
    source.problem({ start, end }, `not valid YAML: ${message}`),
  );
  const { explicit, version } = document.directives.yaml;
  // To YAML 1.1 `no` is false and `1:20` is 80.
  if (explicit && version !== '1.2') {
    const start = Math.max(0, source.text.search(/^%YAML/m));
    problems.push(
      source.problem({ start, end: start + 9 }, `YAML ${version} is not supported: this is YAML 1.2`),
    );
  }
  return problems;
}

/** Turns the nodes of the yaml package into located values: aliases followed, keys checked. */
class Locator {
  readonly problems: Problem[] = [];
  readonly #anchors = new Map<string, Node>();
  /** Anchored nodes that are being located: an alias to one of them would never end. */
  readonly #open = new Set<Node>();
  readonly #source: SourceText;
  #aliasDepth = 0;
  #aliasedValues = 0;

  constructor(source: SourceText) {
    this.#source = source;
  }

  /** From here on aliases are not followed. */
  get isExhausted(): boolean {
    return this.#aliasedValues > MOST_ALIASED_VALUES;
  }

  locate(node: Node): Located {
    const span = spanOf(node);
    if (isAlias(node)) return this.#follow(node.source, span);
    if (this.#aliasDepth > 0) this.#aliasedValues += weight(node);
    // An alias means the last node before it that had the anchor, so nodes are entered as they are met.
    if (node.anchor !== undefined && this.#aliasDepth === 0) this.#anchors.set(node.anchor, node);
    this.#open.add(node);
    const located = this.#content(node, span);
    this.#open.delete(node);
    return located;
  }

  #content(node: Node, span: Span): Located {
    if (isMap<Node, Node | null>(node)) return { kind: 'map', span, entries: this.#entries(node.items) };
    if (isSeq<Node>(node)) return { kind: 'list', span, items: node.items.map((item) => this.locate(item)) };
    const { value, type } = node as Scalar;
    return { kind: 'scalar', span, value, style: type };
  }

  #follow(anchor: string, span: Span): Located {
    const target = this.#anchors.get(anchor);
    if (target === undefined || this.#open.has(target)) {
      const reason = target
        ? 'this alias contains itself'
        : `there is no anchor ${quote(`&${anchor}`)} before this alias`;
      this.#report(span, reason);
      return nothingAt(span);
    }
    if (this.isExhausted) return nothingAt(span);
    this.#aliasDepth++;
    const located = this.locate(target);
    this.#aliasDepth--;
    if (this.isExhausted && this.#aliasDepth === 0) {
      this.#report(span, `the aliases up to here stand for more than ${MOST_ALIASED_VALUES} values`);
    }
    return located;
  }

  #entries(pairs: readonly Pair<Node, Node | null>[]): Map<string, LocatedEntry> {
    const entries = new Map<string, LocatedEntry>();
    for (const { key: keyNode, value: valueNode } of pairs) {
      const key = this.locate(keyNode);
      // In a flow map `{a}` there is no node for the value.
      const value = valueNode ? this.locate(valueNode) : nothingAt(key.span);
      if (key.kind !== 'scalar' || typeof key.value !== 'string') {
        this.#report(key.span, `a key must be text, not ${describe(key)}`, 'Put quotes around it.');
      } else if (key.value === '__proto__') {
        // The schema library skips this key without a word.
        this.#report(key.span, 'no key can be named `__proto__`');
      } else if (entries.has(key.value)) {
        const { line } = this.#source.location(entries.get(key.value)?.key.start ?? 0);
        this.#report(key.span, `duplicate key ${quote(key.value)}: line ${line} has it already`);
      } else {
        entries.set(key.value, { key: key.span, value });
      }
    }
    return entries;
  }

  #report(span: Span, message: string, hint?: string): void {
    this.problems.push(this.#source.problem(span, message, hint));
  }
}

function nothingAt(span: Span): LocatedScalar {
  return { kind: 'scalar', span, value: null, style: undefined };
}

function spanOf(node: Node): Span {
  const [start, end] = node.range ?? [0, 0, 0];
  return { start, end };
}

function weight(node: Node): number {
  const text = isScalar(node) && typeof node.value === 'string' ? node.value : '';
  return 1 + Math.floor(text.length / TEXT_OF_ONE_VALUE);
}

/** What a value is, in words that fit after "expected …, got". */
export function describe(located: Located): string {
  if (located.kind === 'map') return 'a map';
  if (located.kind === 'list') return 'a list';
  const { value } = located;
  if (value === null) return 'nothing';
  if (typeof value === 'string') return `the text ${quote(value)}`;
  return typeof value === 'number' ? `the number ${value}` : `the ${typeof value} ${String(value)}`;
}

/** The value without its places, for the schema. */
export function plain(located: Located): unknown {
  if (located.kind === 'scalar') return located.value;
  if (located.kind === 'list') return located.items.map(plain);
  // fromEntries defines properties, so that a key such as `__proto__` is one like any other.
  return Object.fromEntries([...located.entries].map(([key, entry]) => [key, plain(entry.value)]));
}
