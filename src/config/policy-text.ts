import type { PolicyText } from './configuration.js';
import type { SourceText } from './source.js';
import type { LocatedScalar } from './yaml.js';

/** Remembers where the characters of a YAML text stand in the file. */
export function readPolicyText(text: string, scalar: LocatedScalar, source: SourceText): PolicyText {
  const { start, end } = scalar.span;
  if (scalar.style === 'BLOCK_LITERAL') return readLiteralBlock(text, start, source);
  const written = source.text.slice(start, end);
  const quotes = scalar.style === 'PLAIN' ? 0 : 1;
  const verbatim = written.slice(quotes, written.length - quotes) === text;
  const location = source.location(verbatim ? start + quotes : start);
  return { text, location, sourceLine: source.line(location.line), verbatim };
}

/** True if the user wrote on several lines what nft will see on fewer. */
export function joinsLines(
  { text, verbatim }: PolicyText,
  scalar: LocatedScalar,
  source: SourceText,
): boolean {
  if (verbatim) return false;
  const written = source.text.slice(scalar.span.start, scalar.span.end);
  // The line of the `>` itself is not part of the text.
  const content = scalar.style === 'BLOCK_FOLDED' ? written.slice(written.indexOf('\n')) : written;
  return countLines(content) > countLines(text);
}

function countLines(text: string): number {
  return text.split('\n').filter((line) => line.trim() !== '').length;
}

/** The text of a `|` block begins on the line after the `|`, and all of its lines are indented alike. */
function readLiteralBlock(text: string, start: number, source: SourceText): PolicyText {
  const firstLine = source.location(start).line + 1;
  const lines = text.split('\n');
  // Blank lines may be indented by less.
  const sample = Math.max(
    0,
    lines.findIndex((line) => line !== ''),
  );
  const indentation = Math.max(0, source.line(firstLine + sample).length - (lines[sample]?.length ?? 0));
  return {
    text,
    location: { file: source.file, line: firstLine, column: indentation + 1 },
    sourceLine: source.line(firstLine),
    verbatim: true,
  };
}
