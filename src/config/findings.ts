import type { Problem } from '../error.js';
import type { SourceText, Span } from './source.js';

/** What is found wrong with a configuration, or suspicious, while its parts are read. */
export class Findings {
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];
  readonly source: SourceText;

  constructor(source: SourceText) {
    this.source = source;
  }

  refuse(span: Span, message: string, hint?: string | undefined): void {
    this.problems.push(this.source.problem(span, message, hint));
  }

  warn(span: Span, message: string, hint?: string | undefined): void {
    this.warnings.push(this.source.problem(span, message, hint));
  }
}
