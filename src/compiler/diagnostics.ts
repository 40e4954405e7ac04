import type { Problem, SourceLocation } from '../error.js';
import type { Judge } from '../files/trust.js';

/** A policy's text and how its places are shown to the user. */
export interface PolicySource {
  /** The policy's name. */
  name: string;
  /** What problems call the text: the user's file. */
  file: string;
  text: string;
  /** Where relative includes start and what they are confined to; undefined when includes are not allowed. */
  directory: string | undefined;
  variables: Readonly<Record<string, string>>;
  /** Is told of whoever else could write a file that the text includes; unless given, that is refused. */
  judge?: Judge;
  /** Where the user wrote a place of `text`, when that is not the same place of `file`. */
  locate?(line: number, column: number): SourceLocation | undefined;
}

/** `file:line:column-column: Error: message`, as libnftables writes it (erec_print in its src/erec.c). */
const LOCATED = /^(.+?):(\d+):(\d+)(?:-(\d+))?: (?:Error|Warning): (.*)$/;
const UNLOCATED = /^(?:internal:0:0-0: )?Error: (.*)$/;

export interface Diagnostic extends Problem {
  /** The words of the text that are meant, when they could be found. */
  meant?: string | undefined;
}

/**
 * Reads what libnftables wrote about a text that it ran from `file`. The library has no other form of error.
 * @param readLine gives a line of an included file, or undefined.
 */
export function parseDiagnostics(
  error: string,
  file: string,
  source: PolicySource,
  readLine: (file: string, line: number) => string | undefined,
): Diagnostic[] {
  const lines = source.text.split('\n');
  const diagnostics: Diagnostic[] = [];
  for (const line of error.split('\n')) {
    const located = LOCATED.exec(line);
    if (located) {
      const [, where = '', row = '1', first = '1', last = first, message = ''] = located;
      diagnostics.push(locateIn(where, Number(row), Number(first), Number(last), message));
      continue;
    }
    const unlocated = UNLOCATED.exec(line);
    if (unlocated?.[1]) diagnostics.push({ message: `${source.file}: ${unlocated[1]}` });
  }
  if (diagnostics.length === 0) {
    const words = error.trim();
    diagnostics.push({ message: `${source.file}: ${words || 'libnftables refused it and gave no reason'}` });
  }
  return diagnostics;

  function locateIn(where: string, row: number, first: number, last: number, message: string): Diagnostic {
    const own = where === file;
    const text = (own ? lines[row - 1] : readLine(where, row)) ?? '';
    // libnftables counts bytes; everybody else's columns are characters.
    const start = charactersIn(text, first - 1);
    const end = Math.max(start + 1, charactersIn(text, last));
    const mapped = own ? source.locate?.(row, first) : undefined;
    const location = mapped ?? { file: own ? source.file : where, line: row, column: start + 1 };
    return {
      message,
      location,
      // What was generated around the user's words is indented differently; the user's own line is shown.
      sourceLine: (mapped && readLine(mapped.file, mapped.line)) ?? text,
      length: end - start,
      meant: text.slice(start, end),
    };
  }
}

/** How many characters the first `bytes` bytes of a text are. */
function charactersIn(text: string, bytes: number): number {
  return Buffer.from(text).subarray(0, bytes).toString().length;
}

/**
 * The name of a link that a rule uses and the scratch namespace does not have, from libnftables' words for it.
 * It needs the link's index, which tapwall fills in per host later.
 */
export function missingLink(diagnostics: readonly Diagnostic[]): string | undefined {
  for (const { message, meant } of diagnostics) {
    if (!message.includes('Interface does not exist') || meant === undefined) continue;
    const name = meant.replace(/^"|"$/g, '');
    if (/^[^\s/]{1,15}$/.test(name)) return name;
  }
  return undefined;
}
