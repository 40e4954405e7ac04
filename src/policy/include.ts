import type { SourceLocation } from '../error.js';
import { tokenize } from './lexer.js';

/** An `include` in nft text. */
export interface Include {
  /**
   * What stands between the quotes. nft takes it as a pattern for glob(3), and looks for it in its include
   * folders unless it begins with `/`, `./` or `../`. Undefined if no string follows: nft refuses that.
   */
  path: string | undefined;
  /** Of the word `include`. */
  location: SourceLocation;
  /** From the word `include` to the end of its line or of the path. */
  length: number;
}

/**
 * Every `include` that nft could act on, and perhaps some that it would not: nft reads on behind a syntax error,
 * so where a statement begins cannot be relied on. None is missed: the word is a keyword wherever it stands, and
 * the path must be a quoted string, never a variable.
 */
export function findIncludes(text: string, file: string): Include[] {
  const tokens = tokenize(text).filter(({ kind }) => kind !== 'comment' && kind !== 'continuation');
  return tokens.flatMap((token, index) => {
    if (token.kind !== 'word' || token.text !== 'include') return [];
    // nft wants the path on the same line, but a comment behind a continued line takes its newline along.
    let next = index + 1;
    while (tokens[next]?.kind === 'newline') next++;
    const path = tokens[next]?.kind === 'string' ? tokens[next] : undefined;
    const end =
      path && path.line === token.line ? path.offset + path.text.length : token.offset + token.text.length;
    return [
      {
        // To nft, a string of C, a NUL is the end of it.
        path: path?.text.slice(1, -1).split('\0', 1)[0],
        location: { file, line: token.line, column: token.column },
        length: end - token.offset,
      },
    ];
  });
}
