import { flawInInterfaceName } from './interface-name.js';
import { quote } from './suggest.js';

/** All names together: each is a hook in the kernel, and libvirt gives at most 8,192. */
export const MOST_NAMES = 16_384;

export interface PatternFlaw {
  flaw: string;
  hint?: string | undefined;
}

/** What is wrong with a pattern. Never leaves this module. */
class Refusal extends Error {
  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}

/**
 * The names that a pattern stands for, in its order. `{a,b}` stands for either, `{0..9}` for each number, every
 * other character for itself. Not a glob: the names are bound before there are devices to compare with.
 */
export function expandNames(pattern: string): readonly string[] | PatternFlaw {
  try {
    const names = expand(pattern);
    for (const name of names) {
      const reason = flawInInterfaceName(name);
      if (reason !== undefined) {
        throw new Refusal(`${quote(name)} cannot be the name of an interface: ${reason}`);
      }
    }
    return names;
  } catch (error) {
    if (error instanceof Refusal) return { flaw: error.message, hint: error.hint };
    throw error;
  }
}

/** Text without braces, or braces without braces inside. */
const PART = /([^{}]+)|\{([^{}]*)\}/y;
/** More digits than this and the name is too long, whatever else it has. */
const RANGE = /^(\d{1,15})\.\.(\d{1,15})$/;

function expand(pattern: string): string[] {
  const glob = /[*?[\]]/.exec(pattern)?.[0];
  if (glob !== undefined) {
    throw new Refusal(
      `${quote(pattern)} has a ${quote(glob)}: a hook that stands before its device needs the whole name`,
      'Write the names, or a range of numbers such as `macvtap{0..8191}`.',
    );
  }
  let names = [''];
  for (PART.lastIndex = 0; PART.lastIndex < pattern.length; ) {
    const rest = pattern.slice(PART.lastIndex);
    const [, text, members] = PART.exec(pattern) ?? [];
    if (text !== undefined) names = multiply(names, [text]);
    else if (members !== undefined) names = multiply(names, alternatives(members));
    else if (rest.startsWith('}')) throw new Refusal('a `}` without its `{`');
    else throw new Refusal(rest.includes('}') ? 'braces inside braces' : 'a `{` without its `}`');
  }
  return names;
}

function multiply(heads: readonly string[], tails: readonly string[]): string[] {
  refuseTooMany(heads.length * tails.length);
  return heads.flatMap((head) => tails.map((tail) => head + tail));
}

function alternatives(text: string): string[] {
  const members = text.split(',');
  if (members.length === 1 && !text.includes('..')) {
    throw new Refusal('braces with neither a comma nor a range', 'Write `{a,b}` or `{0..9}`.');
  }
  return members.flatMap(numbersOrText);
}

function numbersOrText(member: string): string[] {
  if (!member.includes('..')) return [member];
  const [, first, last] = RANGE.exec(member) ?? [];
  if (first === undefined || last === undefined) {
    throw new Refusal(`${quote(member)} is not a range of numbers`, 'Write it as `{0..8191}`.');
  }
  // A shell would pad every number of such a range, and who writes it may or may not mean that.
  if (/^0\d/.test(first) || /^0\d/.test(last)) throw new Refusal(`${quote(member)} has leading zeros`);
  const count = Number(last) - Number(first) + 1;
  if (count < 1) throw new Refusal(`the range ${quote(member)} runs backwards`);
  refuseTooMany(count);
  return Array.from({ length: count }, (_, index) => String(Number(first) + index));
}

function refuseTooMany(count: number): void {
  if (count > MOST_NAMES) throw new Refusal(`more than ${MOST_NAMES} names`);
}
