import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, isAbsolute } from 'node:path';
import { type ErrorCode, TapwallError } from '../error.js';
import { FORBID_HOST_NAMESPACE } from '../kernel/linux.js';

/** Where the agent of a host listens, and where commands look for it. */
export const DEFAULT_FOLDER = '/run/tapwall';

/** Says where the socket is, in place of the default: a path, or `off`. */
export const CONTROL_VARIABLE = 'TAPWALL_CONTROL';

/** Bytes of sun_path, less the NUL (unix(7)). */
const LONGEST_PATH = 107;

/**
 * The path of the socket where nothing says another: one for each network namespace that an agent was given by name.
 * @returns undefined for none: it was turned off, or the default is not for the process that asks. Where the host's
 *   network namespace is forbidden its agent is, too.
 */
export function defaultControlPath(namespace?: string): string | undefined {
  const said = process.env[CONTROL_VARIABLE];
  if (said === 'off') return undefined;
  if (said) return said;
  if (process.env[FORBID_HOST_NAMESPACE]) return undefined;
  if (namespace === undefined) return `${DEFAULT_FOLDER}/tapwall.sock`;
  const name = namespace.includes('/') ? `netns-${inodeOf(namespace)}` : namespace;
  return `${DEFAULT_FOLDER}/tapwall.${name}.sock`;
}

function inodeOf(path: string): string {
  try {
    return String(statSync(path).ino);
  } catch {
    return 'unknown';
  }
}

/** What a socket is for: what its errors say. */
export interface SocketPurpose {
  /** In words, for messages. */
  word: string;
  /** The key of the configuration that says where it is, as one writes it. */
  key: string;
  /** Codes of errors: no socket can be there, and somebody listens there. */
  unusable: ErrorCode;
  inUse: ErrorCode;
}

export const METRICS_SOCKET: SocketPurpose = {
  word: 'socket for metrics',
  key: 'metrics: { listen: … }',
  unusable: 'METRICS_ADDRESS',
  inUse: 'METRICS_IN_USE',
};

export const CONTROL_SOCKET: SocketPurpose = {
  word: 'control socket',
  key: 'control: { path: … }',
  unusable: 'CONTROL_PATH',
  inUse: 'CONTROL_IN_USE',
};

/** @throws TapwallError CONTROL_PATH for a path that no socket can have. */
export function checkControlPath(path: string): void {
  checkPath(path, CONTROL_SOCKET);
}

function checkPath(path: string, { word, unusable }: SocketPurpose): void {
  const reason = !isAbsolute(path)
    ? 'it is not absolute'
    : path.includes('\0')
      ? 'it has a NUL'
      : Buffer.byteLength(path) > LONGEST_PATH
        ? `it has ${Buffer.byteLength(path)} bytes, ${LONGEST_PATH} is the most`
        : undefined;
  if (reason !== undefined) {
    throw new TapwallError(unusable, `the ${word} cannot be at ${path}: ${reason}`);
  }
}

/**
 * Makes a path free for a socket: its folder, if there is none, and nothing left of an agent that is gone.
 * @throws TapwallError `inUse` of the purpose when somebody listens there; `unusable` when anybody could put another socket
 *   there, or something else is in the way.
 */
export async function claimPath(path: string, purpose: SocketPurpose = CONTROL_SOCKET): Promise<void> {
  const { word, key, unusable, inUse } = purpose;
  checkPath(path, purpose);
  const folder = dirname(path);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const { mode, uid } = statSync(folder);
    const isSticky = (mode & 0o1000) !== 0;
    if ((mode & 0o002) !== 0 && !isSticky) {
      throw new TapwallError(unusable, `anybody may put another socket in the place of ${path}`, {
        hint: `The folder ${folder} can be written to by all. Choose another with \`${key}\`.`,
      });
    }
    if (uid !== 0 && uid !== process.geteuid?.() && !isSticky) {
      throw new TapwallError(unusable, `the folder ${folder} belongs to user ${uid}`, {
        hint: `Who owns the folder may put another socket there. Choose another with \`${key}\`.`,
      });
    }
    const there = statSync(path, { throwIfNoEntry: false });
    if (!there) return;
    if (!there.isSocket()) {
      throw new TapwallError(unusable, `${path} is there already, and is no socket`);
    }
    if (await isAnswered(path)) {
      throw new TapwallError(inUse, `another process listens on ${path}`, {
        hint: `Another agent runs, maybe in another network namespace: give one of them its own path with \`${key}\`.`,
      });
    }
    rmSync(path, { force: true });
  } catch (cause) {
    if (cause instanceof TapwallError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TapwallError(unusable, `no ${word} can be made at ${path}: ${reason}`, { cause });
  }
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // ECONNREFUSED: nobody listens any more. Whatever else it is, somebody may.
    socket.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'),
    );
  });
}

/** Gives a socket to a group. */
export function restrict(path: string, { group, mode }: { group: number | undefined; mode: number }): void {
  if (group !== undefined) chownSync(path, -1, group);
  chmodSync(path, mode);
}

/**
 * The number of a group, by name or as a number. Looked up in /etc/group: Node knows no other way.
 * @throws TapwallError GROUP_NOT_FOUND
 */
export function groupId(group: string): number {
  if (/^\d{1,10}$/.test(group) && Number(group) <= 0xfffffffe) return Number(group);
  for (const line of readFileSync('/etc/group', 'utf8').split('\n')) {
    const [name, , number] = line.split(':');
    if (name === group && number !== undefined && /^\d+$/.test(number)) return Number(number);
  }
  throw new TapwallError('GROUP_NOT_FOUND', `there is no group ${group} in /etc/group`, {
    hint: 'Make it (addgroup --system), or give its number.',
  });
}
