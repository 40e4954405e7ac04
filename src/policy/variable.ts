import { NFT_KEYWORDS } from './keyword.js';
import { type Token, tokenize } from './lexer.js';

/** The device's name, which every policy is given. */
export const DEVICE_VARIABLE = 'intf';

/** Why nft would not take `name` in `define name = …`; undefined if it would. */
export function flawInVariableName(name: string): string | undefined {
  if (name === DEVICE_VARIABLE) return 'it is given to every policy, as the name of the device';
  if (!/^[A-Za-z_.][A-Za-z0-9/_.-]*$/.test(name) || name === '.') {
    return 'nft wants a letter or `_` first, then letters, digits, `_`, `-`, `.` or `/`';
  }
  return NFT_KEYWORDS.has(name) ? 'it is a keyword of nft' : undefined;
}

/**
 * Why `value` is not one value for `define name = value`; undefined if it is. libnftables pastes the value into
 * nft text as it is: a `;` or a newline in it would begin a statement of its own, which could open any file.
 */
export function flawInVariableValue(value: string): string | undefined {
  const tokens = tokenize(value);
  if (tokens.length === 0) return 'it is empty';
  let depth = 0;
  for (const token of tokens) {
    const flaw = flawInToken(token);
    if (flaw !== undefined) return flaw;
    if (token.text === '{') depth++;
    if (token.text === '}') depth--;
    if (depth < 0) return 'it has a `}` without a `{`';
  }
  return depth > 0 ? 'it has a `{` without its `}`' : undefined;
}

function flawInToken({ kind, text }: Token): string | undefined {
  if (kind === 'unclosed-string') return 'it has a `"` without another';
  if (text.includes('\n')) return 'it has a line break';
  if (text.includes('\0')) return 'it has a NUL';
  if (kind === 'word' && text === 'include') return 'it has an `include`';
  if (kind === 'comment') return 'it has a comment';
  if (kind === 'symbol' && (text === ';' || text === '#' || text === '\\')) return `it has a \`${text}\``;
  return undefined;
}
