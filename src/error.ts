/**
 * The one error family of tapwall. Code branches on `code`, never on the English of `message`.
 */

/** Every stable code that tapwall itself gives; kernel errors carry the errno's name (`ENOENT`, `EPERM`, …) instead. */
export type ErrorCode =
  | 'ADDON_LOAD'
  | 'ARGUMENT'
  | 'CONFIG'
  | 'COMPILER_CRASHED'
  | 'COMPILER_TIMEOUT'
  | 'DEVICE_NOT_FOUND'
  | 'FOREIGN_TABLE'
  | 'HOST_NAMESPACE_FORBIDDEN'
  | 'LINK_NOT_FOUND'
  | 'MALFORMED_MESSAGE'
  | 'NAMESPACE_NOT_FOUND'
  | 'NOT_ATTACHED'
  | 'NOT_SUPPORTED'
  | 'POLICY'
  | 'POLICY_NOT_PORTABLE'
  | 'TIMEOUT'
  | (string & {});

export interface TapwallErrorOptions {
  cause?: unknown;
  /** What the user can do about it, one sentence. */
  hint?: string;
}

/** Base of every error tapwall throws on purpose. Anything else that escapes is a bug in tapwall. */
export class TapwallError extends Error {
  override readonly name: string = 'TapwallError';
  readonly code: ErrorCode;
  /** What the user can do about it; undefined when the message already says it. */
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: TapwallErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }

  /** The form in which the CLI and the agent print an error as JSON. */
  toJSON(): Record<string, unknown> {
    const json: Record<string, unknown> = { code: this.code, message: this.message };
    if (this.hint !== undefined) json['hint'] = this.hint;
    return json;
  }
}

/** A place in a text a user wrote. Lines and columns count from 1. */
export interface SourceLocation {
  file: string;
  line: number;
  column: number;
}

/** One thing wrong in a user's text. */
export interface Problem {
  message: string;
  location?: SourceLocation | undefined;
  /** The offending line, as the user wrote it. */
  sourceLine?: string | undefined;
  /** How many characters from `location.column` on are meant; at least 1. */
  length?: number | undefined;
  hint?: string | undefined;
}

/** `file:line:column: message`, then the offending line with a mark under it, then the hint. */
export function formatProblem(problem: Problem): string {
  const { location, sourceLine, message, hint } = problem;
  const lines = [location ? `${location.file}:${location.line}:${location.column}: ${message}` : message];
  if (location && sourceLine !== undefined) {
    // Tabs keep their width in the mark's indentation, so that it stands under what it means.
    const indent = sourceLine.slice(0, location.column - 1).replace(/[^\t]/g, ' ');
    lines.push(`    ${sourceLine}`, `    ${indent}${'^'.repeat(Math.max(1, problem.length ?? 1))}`);
  }
  if (hint !== undefined) lines.push(`    ${hint}`);
  return lines.join('\n');
}

/** One or more problems in a text a user wrote: a configuration (`CONFIG`) or an nft policy (`POLICY…`). */
export class SourceError extends TapwallError {
  override readonly name = 'SourceError';
  readonly problems: readonly Problem[];

  constructor(code: ErrorCode, problems: readonly Problem[], options: TapwallErrorOptions = {}) {
    super(code, problems.map(formatProblem).join('\n'), options);
    this.problems = problems;
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), problems: this.problems };
  }
}
