import { type PolicyText, problemIn } from '../config/configuration.js';
import { nearest, quote } from '../config/suggest.js';
import type { Problem } from '../error.js';
import { type Token, tokenize } from './lexer.js';
import { DEVICE_VARIABLE } from './variable.js';

/**
 * What would let the rules of an inline policy reach beyond the chain they are put into: end it, hook it onto
 * something else, replace its policy, pull in a file nobody has looked at, swallow the text that follows them, or
 * name what isn't theirs in the table that all policies share. Whether the rules themselves are right is for nft to
 * say.
 * @param sets the names of the configuration's sets
 */
export function checkChainText(policyText: PolicyText, sets: ReadonlySet<string>): Problem[] {
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
  for (const { token, flaw } of foreignReferences(tokens, sets)) report(token, ...flaw);
  const last = tokens.filter(({ kind }) => kind !== 'newline').at(-1);
  if (last?.kind === 'continuation') {
    report(last, 'a `\\` at the end of the rules: there is no next line for it to continue on');
  }
  return problems;
}

/** What begins a statement about the chain's hook; no rule begins so. */
const HOOK_KEYWORDS = new Set(['type', 'device', 'devices']);

type Flaw = [message: string, hint?: string];

/** What is wrong with one token: a message and perhaps a hint. */
function flawIn({ kind, text }: Token, beginsStatement: boolean): Flaw | undefined {
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

/** What raw payload expressions begin with: `@th,16,16`. No set can have such a name. */
export const RAW_PAYLOAD_BASES: ReadonlySet<string> = new Set(['ll', 'nh', 'th', 'ih']);

/**
 * Why the value of a variable would let inline rules reach beyond their chain; undefined if it would not. nft puts
 * the value where the variable stands, so it may name a set or a chain as the rules may.
 */
export function flawInInlineValue(value: string, sets: ReadonlySet<string>): Flaw | undefined {
  return foreignReferences(tokenize(value), sets)[0]?.flaw;
}

/** The names of chains, sets and devices that rules which many devices share cannot use. */
function foreignReferences(
  tokens: readonly Token[],
  sets: ReadonlySet<string>,
): { token: Token; flaw: Flaw }[] {
  // nft lets blanks, and a line that goes on, stand between a mark and its name.
  const meant = tokens.filter(({ kind }) => kind !== 'continuation' && kind !== 'comment');
  return meant.flatMap((token, index) => {
    const next = meant[index + 1];
    const flaw =
      next?.kind === 'word' && token.text === '@'
        ? flawInSetName(next.text, meant[index + 2]?.text, sets)
        : flawInReference(token, next);
    const place = flaw && token.text === '@' ? next : token;
    return flaw && place ? [{ token: place, flaw }] : [];
  });
}

function flawInReference({ kind, text }: Token, next: Token | undefined): Flaw | undefined {
  if (
    (text === '$' && next?.text === DEVICE_VARIABLE) ||
    (kind === 'string' && DEVICE_IN_STRING.test(text))
  ) {
    return [
      `\`$${DEVICE_VARIABLE}\` is no single device here: an inline policy is shared by all of its devices`,
      'Write a file policy, which is compiled for one device at a time.',
    ];
  }
  if (kind !== 'word') return undefined;
  if ((text === 'jump' || text === 'goto') && next?.text !== '{') {
    return [
      `\`${text}\` to a chain with a name: an inline policy has no chains but its own two`,
      `Write the rules themselves, as \`${text} { … }\`, or put them into a file of their own and name it with \`file\`.`,
    ];
  }
  if (text === 'meter' || (text === 'flow' && next?.text === 'table')) {
    return [
      `\`${text}\` would make a set in the table that all policies share`,
      'Name a set in `sets`, with `flags: [dynamic]`, and write `add @NAME { … }`.',
    ];
  }
  return undefined;
}

/** nft replaces variables in some strings, such as the prefix of a log. */
const DEVICE_IN_STRING = new RegExp(`\\$${DEVICE_VARIABLE}(?![A-Za-z0-9/_.-])`);

function flawInSetName(name: string, next: string | undefined, sets: ReadonlySet<string>): Flaw | undefined {
  if (RAW_PAYLOAD_BASES.has(name) && next === ',') return undefined;
  if (name.includes('.')) return [`${quote(`@${name}`)}: sets with a dot in their name are tapwall’s own`];
  if (sets.has(name)) return undefined;
  const meant = nearest(name, sets);
  return [
    `there is no set ${quote(name)}`,
    meant === undefined ? 'Sets are named in `sets`, beside `policies`.' : `Did you mean ${quote(meant)}?`,
  ];
}
