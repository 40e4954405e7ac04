import type { SourceLocation } from '../error.js';
import { type Token, tokenize } from './lexer.js';

/** A chain on the egress hook that was taken out of an nft text. */
export interface RemovedChain {
  name: string;
  /** Of the name in the text. */
  location: SourceLocation;
}

/**
 * Replaces every chain on the egress hook, and every command that names such a chain, with blanks: for a kernel
 * that has no such hook. All lines and columns of what remains stay as they are, so that nft's messages still
 * point at the user's text. A text that is not well-formed may come back unchanged: nft refuses it then.
 */
export function blankEgressChains(text: string, file: string): { text: string; removed: RemovedChain[] } {
  // A last line without a newline is completed, as it is before nft sees it.
  const commands = statements(grammarTokens(`${text}\n`));
  const chains = commands.flatMap(chainsOfCommand).filter(({ statement }) => isOnEgress(statement));
  const keys = new Set(chains.map(({ key }) => key));
  const references = commands.filter((command) => {
    const key = chainNamedBy(command);
    return key !== undefined && keys.has(key);
  });
  return {
    text: blank(text, [...chains.map(({ statement }) => statement), ...references]),
    removed: chains.map(({ name: { text: name, line, column } }) => ({
      name,
      location: { file, line, column },
    })),
  };
}

/** The tokens of one statement, braces and all, without the newline or `;` that ends it. */
type Statement = readonly Token[];

interface ChainStatement {
  /** Family, table and chain. */
  key: string;
  name: Token;
  statement: Statement;
}

/** What the grammar of nft is given: no comments, and no newline that a comment on its own line takes along. */
function grammarTokens(text: string): Token[] {
  const tokens = tokenize(text);
  return tokens.filter(({ kind }, index) => {
    if (kind === 'comment' || kind === 'continuation') return false;
    if (kind !== 'newline' || tokens[index - 1]?.kind !== 'comment') return true;
    const before = tokens[index - 2]?.kind;
    return before !== undefined && before !== 'newline' && before !== 'continuation';
  });
}

/** Splits at each newline and `;` that is outside all braces. */
function statements(tokens: readonly Token[]): Statement[] {
  const found: Token[][] = [];
  let current: Token[] = [];
  let depth = 0;
  for (const token of tokens) {
    if (token.text === '{') depth++;
    if (token.text === '}') depth--;
    if (depth === 0 && (token.kind === 'newline' || token.text === ';')) {
      found.push(current);
      current = [];
    } else {
      current.push(token);
    }
  }
  // Unbalanced braces: what they swallowed is no statement.
  if (depth === 0) found.push(current);
  return found.filter(({ length }) => length > 0);
}

const VERBS = new Set([
  'add',
  'create',
  'insert',
  'replace',
  'delete',
  'destroy',
  'flush',
  'rename',
  'list',
  'reset',
]);
const FAMILIES = new Set(['ip', 'ip6', 'inet', 'arp', 'bridge', 'netdev']);

/** `[VERB] [OBJECT] [FAMILY] TABLE …`: the object, the table with its family, and the tokens after. */
function readCommand(
  command: Statement,
  objects: ReadonlySet<string>,
): { object: string; table: string; rest: Statement } {
  let next = 0;
  const take = (words: ReadonlySet<string>): string | undefined => {
    const word = command[next]?.text;
    if (word === undefined || !words.has(word)) return undefined;
    next++;
    return word;
  };
  take(VERBS);
  const object = take(objects) ?? '';
  // nft's own default.
  const family = take(FAMILIES) ?? 'ip';
  return { object, table: `${family} ${command[next]?.text ?? ''}`, rest: command.slice(next + 1) };
}

const CONTAINERS = new Set(['table', 'chain']);

/** The chains that a command declares: `[add] chain FAMILY TABLE NAME { … }` one, `[add] table … { … }` several. */
function chainsOfCommand(command: Statement): ChainStatement[] {
  const { object, table, rest } = readCommand(command, CONTAINERS);
  const name = rest[0];
  if (object === 'chain') return name ? [{ key: `${table} ${name.text}`, name, statement: command }] : [];
  if (object !== 'table') return [];
  return statements(insideBraces(rest)).flatMap((statement) => {
    const [keyword, chain] = statement;
    if (keyword?.text !== 'chain' || !chain) return [];
    return [{ key: `${table} ${chain.text}`, name: chain, statement }];
  });
}

const RULE_OR_CHAIN = new Set(['rule', 'chain']);

/** The chain that a command works on: `[add] rule FAMILY TABLE CHAIN …`, `flush chain …`, or with no object at all. */
function chainNamedBy(command: Statement): string | undefined {
  const { table, rest } = readCommand(command, RULE_OR_CHAIN);
  return rest[0] && `${table} ${rest[0].text}`;
}

/** Looks at the chain's own words only: inner braces hold sets and anonymous chains. */
function isOnEgress(statement: Statement): boolean {
  const own = outsideBraces(insideBraces(statement));
  return own.some(({ text }, index) => text === 'hook' && own[index + 1]?.text === 'egress');
}

function outsideBraces(tokens: Statement): Statement {
  let depth = 0;
  return tokens.filter(({ text }) => {
    if (text === '{') depth++;
    if (text === '}') depth--;
    return depth === 0;
  });
}

/** From behind the first `{` to before the last `}`. */
function insideBraces(tokens: Statement): Statement {
  const start = tokens.findIndex(({ text }) => text === '{');
  const end = tokens.findLastIndex(({ text }) => text === '}');
  return start === -1 || end < start ? [] : tokens.slice(start + 1, end);
}

function blank(text: string, removals: readonly Statement[]): string {
  // Not by slicing one string: a large file may have thousands of such chains.
  const units = text.split('');
  for (const statement of removals) {
    const first = statement[0];
    const last = statement.at(-1);
    if (!first || !last) continue;
    for (let offset = first.offset; offset < last.offset + last.text.length; offset++) {
      if (units[offset] !== '\n') units[offset] = ' ';
    }
  }
  return units.join('');
}
