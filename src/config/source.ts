import type { Problem, SourceLocation } from '../error.js';

/** A stretch of a text: offsets in UTF-16 units, `end` not included. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A longer line says nothing to a reader, and repeating it in every problem would cost gigabytes. */
const LONGEST_SHOWN_LINE = 1000;

/** A text a user wrote, with its name, so that an offset becomes a place a person can go to. */
export class SourceText {
  readonly file: string;
  readonly text: string;
  readonly #lineStarts: readonly number[];

  constructor(text: string, file: string) {
    this.text = text;
    this.file = file;
    const lineStarts = [0];
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', end + 1))
      lineStarts.push(end + 1);
    this.#lineStarts = lineStarts;
  }

  location(offset: number): SourceLocation {
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#startOf(middle) <= offset) low = middle;
      else high = middle - 1;
    }
    return { file: this.file, line: low + 1, column: offset - this.#startOf(low) + 1 };
  }

  /** The line, counted from 1, without its line break. */
  line(number: number): string {
    const last = number >= this.#lineStarts.length;
    const end = last ? this.text.length : this.#startOf(number) - 1;
    const line = this.text.slice(this.#startOf(number - 1), end);
    return line.endsWith('\r') ? line.slice(0, -1) : line;
  }

  problem(span: Span, message: string, hint?: string): Problem {
    const location = this.location(span.start);
    const sourceLine = this.line(location.line);
    // A problem is shown on one line: what goes on after it is not marked.
    const onThisLine = Math.min(span.end - span.start, sourceLine.length - location.column + 1);
    return {
      message,
      location,
      length: Math.max(1, onThisLine),
      ...(sourceLine.length <= LONGEST_SHOWN_LINE ? { sourceLine } : {}),
      ...(hint === undefined ? {} : { hint }),
    };
  }

  #startOf(index: number): number {
    return this.#lineStarts[index] ?? this.text.length;
  }
}
