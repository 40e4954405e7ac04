import { quote } from './suggest.js';

/** One element of a glob without braces. */
export type GlobPart =
  | { kind: 'literal'; text: string }
  /** `*`: any number of characters, none included. */
  | { kind: 'any' }
  /** `?` */
  | { kind: 'one' }
  /** `[a-z]`, `[!a-z]` */
  | { kind: 'class'; negated: boolean; ranges: readonly CodePointRange[] };

export type CodePointRange = readonly [first: number, last: number];

export type GlobAlternative = readonly GlobPart[];

/** A glob, its braces multiplied out: it matches what any of its alternatives matches. */
export interface Glob {
  text: string;
  alternatives: readonly GlobAlternative[];
}

const LONGEST_GLOB = 1024;
/** Braces multiply: twenty pairs make a million. */
const MOST_ALTERNATIVES = 256;

/** What is wrong with a glob. Never leaves this module. */
class GlobFlaw extends Error {}

/** Reads `*`, `?`, `[…]` and `{a,b}`; every other character means itself. Gives the reason when it cannot. */
export function parseGlob(text: string): Glob | { flaw: string } {
  if (text === '') return { flaw: 'an empty glob matches nothing' };
  if (text.length > LONGEST_GLOB) return { flaw: `a glob of more than ${LONGEST_GLOB} characters` };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  if (/[\u0000-\u001f\u007f]/.test(text)) return { flaw: 'a glob with a control character' };
  try {
    return { text, alternatives: new GlobParser(text).parse() };
  } catch (error) {
    if (error instanceof GlobFlaw) return { flaw: error.message };
    throw error;
  }
}

class GlobParser {
  readonly #characters: readonly string[];
  #next = 0;

  constructor(text: string) {
    this.#characters = [...text];
  }

  parse(): GlobAlternative[] {
    return this.#sequence(false);
  }

  #sequence(insideBraces: boolean): GlobAlternative[] {
    let alternatives: GlobAlternative[] = [[]];
    for (let character = this.#peek(); character !== undefined; character = this.#peek()) {
      if (insideBraces && (character === ',' || character === '}')) break;
      this.#next++;
      if (character === '{') alternatives = multiply(alternatives, this.#braces());
      else alternatives = alternatives.map((parts) => append(parts, this.#part(character)));
    }
    return alternatives;
  }

  #part(character: string): GlobPart {
    if (character === '*') return { kind: 'any' };
    if (character === '?') return { kind: 'one' };
    if (character === '[') return this.#class();
    return { kind: 'literal', text: character };
  }

  #braces(): GlobAlternative[] {
    const members = [this.#sequence(true)];
    while (this.#peek() === ',') {
      this.#next++;
      members.push(this.#sequence(true));
    }
    if (this.#peek() !== '}') throw new GlobFlaw('a `{` without its `}`');
    this.#next++;
    // Shells take `{1..9}` as a range and `{a}` as itself: whoever writes either expects one of the two.
    if (members.length === 1) throw new GlobFlaw('braces without a comma: `{a,b}` is the only form');
    return members.flat();
  }

  #class(): GlobPart {
    const negated = this.#peek() === '!' || this.#peek() === '^';
    if (negated) this.#next++;
    const ranges: CodePointRange[] = [];
    // A `]` that comes first is a member: `[]a]`.
    while (ranges.length === 0 || this.#peek() !== ']') {
      const first = this.#member();
      if (first === '[' && this.#peek() === ':')
        throw new GlobFlaw('classes such as `[:digit:]` are not known');
      const isRange = this.#peek() === '-' && this.#peek(1) !== ']' && this.#peek(1) !== undefined;
      if (isRange) this.#next++;
      const last = isRange ? this.#member() : first;
      const range = [first.codePointAt(0) ?? 0, last.codePointAt(0) ?? 0] as const;
      if (range[1] < range[0]) throw new GlobFlaw(`the range ${quote(`${first}-${last}`)} runs backwards`);
      ranges.push(range);
    }
    this.#next++;
    return { kind: 'class', negated, ranges };
  }

  #member(): string {
    const character = this.#peek();
    if (character === undefined) throw new GlobFlaw('a `[` without its `]`');
    this.#next++;
    return character;
  }

  #peek(ahead = 0): string | undefined {
    return this.#characters[this.#next + ahead];
  }
}

function append(parts: GlobAlternative, part: GlobPart): GlobAlternative {
  const last = parts.at(-1);
  if (last?.kind === 'literal' && part.kind === 'literal') {
    return [...parts.slice(0, -1), { kind: 'literal', text: last.text + part.text }];
  }
  // Neighbouring stars mean one, and would cost the matcher time.
  if (last?.kind === 'any' && part.kind === 'any') return parts;
  return [...parts, part];
}

function multiply(left: readonly GlobAlternative[], right: readonly GlobAlternative[]): GlobAlternative[] {
  if (left.length * right.length > MOST_ALTERNATIVES) {
    throw new GlobFlaw(`braces that multiply to more than ${MOST_ALTERNATIVES} alternatives`);
  }
  return left.flatMap((head) => right.map((tail) => tail.reduce(append, head)));
}

/** A test for whether a name or an alias matches. Compile once, test often. */
export function compileGlob({ alternatives }: Glob): (text: string) => boolean {
  const texts = alternatives.map(literalText);
  const literals = new Set(texts);
  const patterns = alternatives.filter((_, index) => texts[index] === undefined);
  return (text) => literals.has(text) || patterns.some((parts) => matchesParts(parts, text));
}

/**
 * Not a regular expression, which can take exponential time, and not a matcher of paths, to which `/`, a leading
 * dot or `!` mean something: if a part does not match, only the last `*` has to take one character more.
 */
function matchesParts(parts: GlobAlternative, text: string): boolean {
  let index = 0;
  let at = 0;
  let afterStar: { index: number; at: number } | undefined;
  for (;;) {
    const part = parts[index];
    if (part?.kind === 'any') {
      index++;
      afterStar = { index, at };
      continue;
    }
    const length = part ? matchedLength(part, text, at) : undefined;
    if (length !== undefined) {
      index++;
      at += length;
      continue;
    }
    if (part === undefined && at === text.length) return true;
    if (afterStar === undefined || afterStar.at >= text.length) return false;
    afterStar.at++;
    ({ index, at } = afterStar);
  }
}

/** How much of `text` the part takes from `at` on; undefined if it does not match there. */
function matchedLength(
  part: Exclude<GlobPart, { kind: 'any' }>,
  text: string,
  at: number,
): number | undefined {
  if (part.kind === 'literal') return text.startsWith(part.text, at) ? part.text.length : undefined;
  const codePoint = text.codePointAt(at);
  if (codePoint === undefined) return undefined;
  if (part.kind === 'class') {
    const isMember = part.ranges.some(([first, last]) => first <= codePoint && codePoint <= last);
    if (isMember === part.negated) return undefined;
  }
  return codePoint > 0xffff ? 2 : 1;
}

/** The one text that the alternative matches; undefined if it matches more than one. */
export function literalText(parts: GlobAlternative): string | undefined {
  const [only, ...others] = parts;
  if (only === undefined) return '';
  return only.kind === 'literal' && others.length === 0 ? only.text : undefined;
}

/** What every match begins with. */
export function literalHead(parts: GlobAlternative): string {
  const first = parts[0];
  return first?.kind === 'literal' ? first.text : '';
}

/** If the alternative is `TEXT*`, TEXT; undefined otherwise. */
export function prefixText(parts: GlobAlternative): string | undefined {
  const isPrefix =
    parts.at(-1)?.kind === 'any' &&
    (parts.length === 1 || (parts.length === 2 && parts[0]?.kind === 'literal'));
  return isPrefix ? literalHead(parts) : undefined;
}

/** The fewest bytes of UTF-8 that a match can have. */
export function fewestBytes(parts: GlobAlternative): number {
  const bytes = parts.map((part) => {
    if (part.kind === 'literal') return Buffer.byteLength(part.text);
    return part.kind === 'any' ? 0 : 1;
  });
  return bytes.reduce((sum, count) => sum + count, 0);
}
