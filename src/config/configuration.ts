import type { Problem, SourceLocation } from '../error.js';
import type { PackedElements } from '../nftables/packed-elements.js';
import type { ListenAddress } from './listen.js';

/**
 * What a configuration file says, checked and with its defaults filled in. Plain data throughout, so that it
 * can be posted to the agent's worker thread.
 */
export interface Configuration {
  /** The file as the caller named it, for messages. */
  file: string;
  devices: DeviceSelection;
  /** How the door's hooks reach a device; `auto` takes the best that this kernel and this host's nft can do. */
  placement: Placement | 'auto';
  /** What happens to a device that no binding matches. */
  unmatched: Unmatched;
  /** `optional`: on a kernel without an egress hook (before 5.16) install the ingress half alone. */
  egress: EgressRequirement;
  /**
   * The network namespaces that are served: names, absolute paths, globs of either, and `self` for the agent's own.
   * `['self']` unless given.
   */
  namespaces: readonly string[];
  /** Whether tables are owned, so that no other program can change them, where the kernel can do that (6.9). */
  owner: boolean;
  /** How often what the kernel holds is compared with what it should, in milliseconds; 0 for never. */
  reconcileMs: number;
  /** The control socket of `tapwall run`; undefined for none. */
  control: ControlSettings | undefined;
  /** The folder in which libvirt keeps the state of guests that run; undefined for not reading it. */
  libvirtState: string | undefined;
  /** Where `tapwall run` serves metrics; undefined for nowhere. */
  metrics: MetricsSettings | undefined;
  /** Sets that inline rules may name as `@NAME`. By name, in the order of the file. */
  sets: Map<string, NamedSet>;
  /** By name, in the order of the file. */
  policies: Map<string, Policy>;
  /** The policies that a guest's own definition (libvirt's domain XML) may ask for. */
  domainPolicies: readonly string[];
  /** In the order of the file: the first that matches wins. */
  bindings: readonly Binding[];
  /** What is suspicious but harmless, by place in the file. */
  warnings: readonly Problem[];
}

/** Where an agent can be asked something, and by whom. */
export interface ControlSettings {
  /** Absolute; undefined for the default. */
  path: string | undefined;
  /** A group's name or number, whose members may ask beside root; undefined for root alone. */
  group: string | undefined;
  /** Of the socket; undefined for 0600, or 0660 with a group. */
  mode: number | undefined;
}

/** Where an agent serves its metrics, and to whom. */
export interface MetricsSettings {
  /** The path of a Unix socket, absolute, or a loopback address. */
  listen: ListenAddress;
  /** Of a Unix socket: a group's name or number, whose members may read beside root; undefined for root alone. */
  group: string | undefined;
  /** Of a Unix socket; undefined for 0600, or 0660 with a group. */
  mode: number | undefined;
  /** How many devices have series of their own; the others are summed up. */
  devices: number;
}

/** What a policy may be called: it becomes part of names and comments in the kernel. */
export const POLICY_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Which devices are looked at. */
export interface DeviceSelection {
  /** Only macvtap devices whose name starts with one of these are looked at. */
  prefixes: readonly string[];
  /**
   * The names that placement `names` hooks in advance, patterns written out; each begins with one of `prefixes`.
   * Unless given, what libvirt names its devices: PREFIX0 to PREFIX8191.
   */
  names: readonly string[];
}

/**
 * `prefix`: hooks stand on every name that begins so (Linux 6.17). `names`: on names bound in advance (6.16).
 * `device`: the device is added to a base chain when it appears (6.4). `chain`: each device has base chains of its own.
 */
export type Placement = 'prefix' | 'names' | 'device' | 'chain';

/** `accept` and `policy` admit a device once the agent has seen that no binding matches; before that it is closed. */
export type Unmatched = { action: 'drop' } | { action: 'accept' } | { action: 'policy'; policy: string };

/** A set of the configuration, for the rules of inline policies. */
export interface NamedSet {
  /** Without a dot: those with one are tapwall's own. */
  name: string;
  /** As nft writes it: `ipv4_addr`, `ipv4_addr . inet_service`. */
  type: string;
  /** Absolute: it has the elements, and is read when the configuration is compiled. */
  file?: string | undefined;
  /** The elements as bytes; undefined where one of them says something to nft alone: then it reads them all. */
  packed: PackedElements | undefined;
  /** What nft reads, as it writes them: `ssh`, `10.0.0.0/8 . 53`. Empty where there are `packed` ones. */
  elements: readonly string[];
  flags: readonly SetFlag[];
  /** As nft writes it: `10m`. */
  timeout?: string | undefined;
  /** Most elements it can hold. */
  size?: number | undefined;
  /** Of the set's name in the file. */
  location: SourceLocation;
  /** Of each element. */
  elementLocations: readonly SourceLocation[];
}

/** As nft's. */
export type SetFlag = 'interval' | 'timeout' | 'dynamic' | 'constant';

/** Whether a policy that loses its egress half, on a kernel without the hook, is worth a warning. */
export type EgressRequirement = 'required' | 'optional';
/** What becomes of a frame. */
export type Verdict = 'accept' | 'drop';
/** What devices are given. */
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
  guards: readonly GuardName[];
  limits: Limits;
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
  /** They stand before the file's own chains, in the door. */
  guards: readonly GuardName[];
  limits: Limits;
}

/**
 * What no rule of the user's can undo. `policy/guard.ts` has the meaning of each; the names that libvirt gives to
 * sets of them are resolved when the configuration is read.
 */
export type GuardName =
  | 'mac'
  | 'ip4'
  | 'ip6'
  | 'arp-mac'
  | 'arp-ip'
  | 'nd'
  | 'dhcp-server'
  | 'ra'
  | 'ethertype'
  | 'ethertype-rarp'
  | 'fragment'
  | 'no-ipv6'
  | 'no-broadcast'
  | 'no-ip-multicast'
  | 'no-ipv6-multicast';

/** Of each VM on its own; what is over the rate is dropped. */
export interface Limits {
  /** Frames from the VM to broadcast and multicast addresses. */
  broadcast?: Rate | undefined;
  ingressPackets?: Rate | undefined;
  ingressBytes?: Rate | undefined;
  egressPackets?: Rate | undefined;
  egressBytes?: Rate | undefined;
}

/** As nft's `limit rate over`: `unit` packets or bytes are counted, `amount` of them in `seconds`. */
export interface Rate {
  unit: 'packets' | 'bytes';
  amount: number;
  /** 1, 60, 3600, 86400 or 604800. */
  seconds: number;
  /** How much may come at once beyond the rate. */
  burst: number;
}

/** An address or a prefix that a VM may use. */
export interface AssignedAddress {
  family: 4 | 6;
  /** 4 or 16 bytes, what lies behind the prefix all zero. */
  bytes: Uint8Array;
  /** 32 or 128 for a single address. */
  prefixLength: number;
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
  /** Glob over the name of the guest, as the libvirt hook told it; a device of which nothing was told never matches. */
  guest?: string | undefined;
  /** The guest's UUID, in small letters; as `guest`. */
  uuid?: string | undefined;
  /** Glob over what `namespaces` knows the device's network namespace by. */
  namespace?: string | undefined;
  /** What the VM may call its own; absent where the binding says nothing of it. */
  addresses?: readonly AssignedAddress[] | undefined;
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
