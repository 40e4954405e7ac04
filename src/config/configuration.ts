import type { Problem, SourceLocation } from '../error.js';

/**
 * What a configuration file says, checked and with its defaults filled in. Plain data throughout, so that it
 * can be posted to the agent's worker thread.
 */
export interface Configuration {
  /** The file as the caller named it, for messages. */
  file: string;
  devices: DeviceSelection;
  /** `optional`: on a kernel without an egress hook (before 5.16) install the ingress half alone. */
  egress: EgressRequirement;
  /** By name, in the order of the file. */
  policies: Map<string, Policy>;
  /** In the order of the file: the first that matches wins. */
  bindings: readonly Binding[];
  /** What is suspicious but harmless, by place in the file. */
  warnings: readonly Problem[];
}

/** What a policy may be called: it becomes part of names and comments in the kernel. */
export const POLICY_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

export interface DeviceSelection {
  /** Only macvtap devices whose name starts with one of these are looked at. */
  prefixes: readonly string[];
}

export type EgressRequirement = 'required' | 'optional';
export type Verdict = 'accept' | 'drop';
export type Policy = InlinePolicy | FilePolicy;

/** The values of nft variables, as the nft text that replaces `$name`. */
export type Variables = Readonly<Record<string, string>>;

/** Rules that stand in the configuration itself. */
export interface InlinePolicy {
  kind: 'inline';
  name: string;
  /** Of the policy's name in the file. */
  location: SourceLocation;
  /** Rules for what goes to the VM; a direction without rules gets `default` for every frame. */
  ingress?: PolicyText | undefined;
  /** Rules for what comes from the VM. */
  egress?: PolicyText | undefined;
  /** For a frame that no rule decides, in both directions. */
  default: Verdict;
  variables: Variables;
}

/** A complete nft file of the user's, used as it is. */
export interface FilePolicy {
  kind: 'file';
  name: string;
  /** Of the policy's name in the file. */
  location: SourceLocation;
  /** Absolute path. */
  file: string;
  variables: Variables;
}

/** Which devices get which policy: every selector that is given must match. */
export interface Binding {
  /** Glob over the device's name. */
  device?: string | undefined;
  /** The exact name of the link that the device hangs on. */
  parent?: string | undefined;
  /** Lower case, with colons. */
  mac?: string | undefined;
  /** Glob over the device's alias; a device without an alias never matches. */
  alias?: string | undefined;
  /** A name in `Configuration.policies`. */
  policy: string;
  location: SourceLocation;
}

/** nft text as it stands inside the configuration file. */
export interface PolicyText {
  text: string;
  /** Of the first character of `text`. */
  location: SourceLocation;
  /** The line of the file at `location`. */
  sourceLine: string;
  /**
   * True when the file holds the text unchanged but for indentation (a `|` block, a scalar on one line without
   * escapes): line n of the text is line `location.line + n - 1` of the file, `location.column - 1` to the
   * right. False when YAML folded lines or resolved escapes: then only `location` is known.
   */
  verbatim: boolean;
}

/** Where `line` and `column` (from 1, in UTF-16 units) of a policy's text stand in the configuration file. */
export function locate(policyText: PolicyText, line: number, column: number): SourceLocation {
  const { location, verbatim } = policyText;
  if (!verbatim) return location;
  return {
    file: location.file,
    line: location.line + Math.max(1, line) - 1,
    column: location.column + Math.max(1, column) - 1,
  };
}

/** A problem inside a policy's text, told in terms of the configuration file. */
export function problemIn(
  policyText: PolicyText,
  place: { line: number; column: number; length: number },
  message: string,
  hint?: string,
): Problem {
  const location = locate(policyText, place.line, place.column);
  const sourceLine =
    location.line === policyText.location.line
      ? policyText.sourceLine
      : // Only a block scalar has further lines, and YAML lets nothing but spaces indent it.
        ' '.repeat(policyText.location.column - 1) + (policyText.text.split('\n')[place.line - 1] ?? '');
  return {
    message,
    location,
    sourceLine,
    length: policyText.verbatim ? Math.max(1, place.length) : 1,
    ...(hint === undefined ? {} : { hint }),
  };
}
