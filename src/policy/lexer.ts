/**
 * Splits nft text the way nft's own scanner does, as far as needed to know what is code and what is comment or
 * string. The rules were tried against nft 1.0.6; nothing here is looser than a later version.
 */

export type TokenKind =
  /** A keyword or a name. */
  | 'word'
  | 'number'
  /** `"…"`: there are no escapes, and it may span lines. */
  | 'string'
  /** A `"` with no other after it: nft takes it for junk and reads on behind it. */
  | 'unclosed-string'
  /** A single character that is none of the others: `{`, `;`, `$`, … */
  | 'symbol'
  | 'newline'
  /** A backslash and the newline it hides. */
  | 'continuation'
  | 'comment';

export interface Token {
  kind: TokenKind;
  text: string;
  /** In UTF-16 units, from 0. */
  offset: number;
  /** From 1. */
  line: number;
  /** In UTF-16 units, from 1. */
  column: number;
}

/** By their first character no two rules compete, but for the last, which takes what the others leave. */
const RULES: readonly (readonly [kind: TokenKind | 'blank', pattern: RegExp])[] = [
  // nft 1.0.6 calls a carriage return junk, later versions take it as part of the newline.
  ['blank', /[ \t\r]+/y],
  ['word', /[A-Za-z_.][A-Za-z0-9/_.-]*/y],
  ['number', /0[xX][0-9a-fA-F]+|[0-9]+/y],
  ['newline', /\n/y],
  ['continuation', /\\\r?\n/y],
  // Neither a carriage return nor a backslash before the newline changes where a comment ends.
  ['comment', /#[^\n]*/y],
  ['string', /"[^"]*"/y],
  ['unclosed-string', /"/y],
  ['symbol', /[\s\S]/y],
];

/** Every token of the text in order, blanks left out. Never throws, whatever the text. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  // On a last line without a newline nft knows no comments: it reports the `#` as junk, reads on, and opens the
  // file that an `include` behind it names.
  const endOfComments = text.lastIndexOf('\n');
  let offset = 0;
  let line = 1;
  let lineStart = 0;
  while (offset < text.length) {
    const [kind, matched] = matchAt(text, offset, offset < endOfComments);
    if (kind !== 'blank') tokens.push({ kind, text: matched, offset, line, column: offset - lineStart + 1 });
    for (let end = matched.indexOf('\n'); end !== -1; end = matched.indexOf('\n', end + 1)) {
      line++;
      lineStart = offset + end + 1;
    }
    offset += matched.length;
  }
  return tokens;
}

function matchAt(
  text: string,
  offset: number,
  comments: boolean,
): [kind: TokenKind | 'blank', matched: string] {
  for (const [kind, pattern] of RULES) {
    if (kind === 'comment' && !comments) continue;
    pattern.lastIndex = offset;
    const matched = pattern.exec(text)?.[0];
    if (matched !== undefined) return [kind, matched];
  }
  // Not reached: the last rule takes any character.
  return ['symbol', text.charAt(offset)];
}
