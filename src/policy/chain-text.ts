import { type PolicyText, problemIn } from '../config/configuration.js';
import type { Problem } from '../error.js';
import { type Token, tokenize } from './lexer.js';

/**
 * What would let the rules of an inline policy reach beyond the chain they are put into: end it, hook it onto
 * something else, replace its policy, pull in a file nobody has looked at, or swallow the text that follows them.
 * Whether the rules themselves are right is for nft to say.
 */
export function checkChainText(policyText: PolicyText): Problem[] {
  const problems: Problem[] = [];
  const report = ({ line, column, text }: Token, message: string, hint?: string): void => {
    const length = text.includes('\n') ? text.indexOf('\n') : text.length;
    problems.push(problemIn(policyText, { line, column, length }, message, hint));
  };
  // The text is always followed by a newline, so what begins on its last line may be a comment.
  const tokens = tokenize(`${policyText.text}\n`).filter(({ kind }) => kind !== 'comment');
  const open: Token[] = [];
  let atStart = true;
  for (const token of tokens) {
    const flaw = flawIn(token, atStart && open.length === 0);
    if (flaw) report(token, ...flaw);
    if (token.text === '{') open.push(token);
    if (token.text === '}' && open.pop() === undefined) {
      report(token, 'this `}` has no `{`: it would end the chain that tapwall puts these rules into');
    }
    atStart = token.kind === 'newline' || token.text === ';' || (atStart && token.kind === 'continuation');
  }
  for (const token of open) report(token, 'this `{` has no `}`');
  const last = tokens.filter(({ kind }) => kind !== 'newline').at(-1);
  if (last?.kind === 'continuation') {
    report(last, 'a `\\` at the end of the rules: there is no next line for it to continue on');
  }
  return problems;
}

/** What begins a statement about the chain's hook; no rule begins so. */
const HOOK_KEYWORDS = new Set(['type', 'device', 'devices']);

/** What is wrong with one token: a message and perhaps a hint. */
function flawIn(
  { kind, text }: Token,
  beginsStatement: boolean,
): [message: string, hint?: string] | undefined {
  if (kind === 'unclosed-string') return ['this string is not closed'];
  if (kind === 'string' && text.includes('\n')) {
    // nft allows it, yet it is a forgotten quote far more often, and nft loses count of its lines there.
    return ['this string is not closed on its line'];
  }
  if (text.includes('\0')) return ['a NUL ends the text for nft: what follows would be ignored'];
  if (kind !== 'word') return undefined;
  if (text === 'include') {
    return [
      '`include` is not allowed in an inline policy',
      'Put the rules into a file of their own and name it with `file`.',
    ];
  }
  if (!beginsStatement) return undefined;
  if (HOOK_KEYWORDS.has(text)) {
    // A second hook is added to the first: the rules would filter another VM's device as well.
    return ['tapwall itself says what the chain is hooked to', 'Leave the line out: only rules belong here.'];
  }
  if (text === 'policy')
    return [
      'the policy of the chain comes from the key `default`',
      'Write `default: accept` or `default: drop`.',
    ];
  return undefined;
}
