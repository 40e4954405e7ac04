/**
 * The one error family of tapwall. Code branches on `code`, never on the English of `message`.
 */

/**
 * Every stable code that tapwall itself gives, and what it means, in Markdown: the reference of error codes is made from it.
 * Kernel errors carry the errno's name (`ENOENT`, `EPERM`, …) instead.
 */
export const ERROR_CODES = {
  ACCESS_DENIED: 'this user may not ask the agent, or what listens there is not root’s',
  ADDON_LOAD: "the native addon isn't built, or a library is missing",
  ARGUMENT: 'an argument makes no sense, such as a device that is no macvtap',
  BUSY: 'the ruleset changed under every attempt to compare it; the agent tries again by itself',
  COMPILER_CRASHED: 'libnftables ended its process over a policy; the message has its last words',
  COMPILER_TIMEOUT: 'a policy took longer than ten seconds',
  CONFIG: "mistakes in the configuration, or it can't be read",
  CONTROL_IN_USE: 'another process listens where the control socket should be',
  CONTROL_LOST: 'the connection to the agent ended before the answer',
  CONTROL_PATH: 'no control socket can be there',
  DEVICE_NOT_FOUND: 'there is no such device in this network namespace',
  DOMAIN: "a guest's XML can't be read, or what it asks for can't be meant; the libvirt hook tells it",
  FOREIGN_TABLE: 'there is a table `netdev tapwall` that tapwall has not made',
  GROUP_NOT_FOUND: 'there is no such group in `/etc/group`',
  HOOK: "the libvirt hook can't be written, or something else has its name",
  HOST_NAMESPACE_FORBIDDEN: '`TAPWALL_FORBID_HOST_NAMESPACE` is set, and no `--namespace` was given',
  LINK_NOT_FOUND: "a rule names a link that isn't there",
  MALFORMED_MESSAGE: "the kernel sent what tapwall can't read: a defect of tapwall",
  METRICS_ADDRESS: 'metrics can’t be served there',
  METRICS_IN_USE: 'another process listens where metrics should be served',
  NAMESPACE_NOT_FOUND: 'there is no such network namespace',
  NO_AGENT: 'no agent listens there, or none that serves this network namespace',
  NOT_ATTACHED: 'nothing of tapwall is there to detach',
  NOT_SUPPORTED:
    "this can't be done here: the placement that is asked for, a device whose name isn't UTF-8, a listing",
  OWNED_BY_OTHER:
    'an agent runs in the network namespace, and its tables are its own: a second one ends, and `attach` and `detach` change nothing',
  POLICY: "mistakes in a policy or in the file of a set, or a file that can't be read",
  POLICY_NOT_ALLOWED: "a guest's definition asks for a policy that isn't in `domain-policies`",
  POLICY_NOT_FOUND: 'the configuration has no policy of that name',
  POLICY_NOT_PORTABLE: "the policy is right, but can't be given to each device on its own",
  PROTOCOL: "what came over the control socket isn't of its protocol",
  PROTOCOL_VERSION: 'the agent speaks another version of the protocol',
  QUARANTINED: 'the door of the device was closed on request, and stays so until `tapwall admit`',
  STOPPED: 'the agent has stopped',
  TIMEOUT:
    "the kernel's tables changed all the time while they were read, or the agent did not answer in time",
  TOO_LONG: 'a line over the control socket was longer than the protocol allows',
  TOO_MANY_CLIENTS: 'the agent has as many clients as it takes',
  TOO_SLOW: 'events came faster than the client read them',
  UNMATCHED: 'no binding matches the device, and everything to and from it is dropped',
  UNTRUSTED_FILE:
    'others can write the configuration, a policy or what it includes, or the file of a set, or change the path to it: [who may write it](../configuration.md#who-may-write-it)',
  UNKNOWN: "the agent's thread ended without a reason that it could tell",
} as const satisfies Readonly<Record<string, string>>;

/** One of {@link ERROR_CODES}, or the name of an errno. */
export type ErrorCode = keyof typeof ERROR_CODES | (string & {});

/** What an error has beside its code and message. */
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

/** True for what Node or the addon throws when a system call fails. */
export function isSystemCallError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error;
}

/** True for what may go wrong; anything else is a defect of tapwall. */
export function isExpected(error: unknown): error is Error {
  return error instanceof TapwallError || isSystemCallError(error);
}
