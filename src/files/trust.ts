import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, isAbsolute, join, sep } from 'node:path';
import { TapwallError } from '../error.js';

/**
 * Who could have written a file: whoever can decides what every VM may do. A path is walked from the root down, so that
 * what has been looked at cannot be exchanged any more: each folder is changed by nobody but root and this user before the
 * next name is looked up in it.
 */

/** Why a file may say what somebody else wants it to say. */
export interface Doubt {
  /** The file that was asked for. */
  file: string;
  /** The part of its path that is not trusted. */
  part: string;
  reason: string;
  /** What to do about it. */
  remedy: string;
}

/** What is wrong with a file, in a sentence. */
export function doubtMessage({ file, part, reason }: Doubt): string {
  return file === part ? `${file} ${reason}` : `${file} cannot be trusted: ${part} ${reason}`;
}

/** What becomes of doubts: it throws, or remembers them. */
export type Judge = (doubt: Doubt) => void;

/** @throws TapwallError UNTRUSTED_FILE */
export function refuseDoubts(doubt: Doubt): never {
  const message = `not used, since others decide what it says: ${doubtMessage(doubt)}`;
  throw new TapwallError('UNTRUSTED_FILE', message, { hint: doubt.remedy });
}

/** What a path leads to. */
export interface Walk {
  /** The path without symbolic links. */
  path: string;
  /** Of what is there. */
  stats: Stats;
}

/** As many as the kernel follows (MAXSYMLINKS of linux/namei.h). */
const MOST_LINKS = 40;
const ROOT = 0;
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

function isTrusted(uid: number): boolean {
  return uid === ROOT || uid === process.geteuid?.();
}

/**
 * Follows a path to what it names.
 * @param judge is told of each part of the path that others could change.
 * @throws Error with the `code` of an errno: ENOENT, EACCES, ENOTDIR, ELOOP.
 */
export function walk(file: string, judge: Judge): Walk {
  // Not made shorter first: what `..` leads out of may be a link.
  const rest = partsOf(isAbsolute(file) ? file : join(process.cwd(), sep) + file);
  let path: string = sep;
  let stats = lstatSync(path);
  let links = 0;
  judgePart({ file, path, stats, folder: undefined, isLast: rest.length === 0 }, judge);
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '..') {
      path = dirname(path);
      stats = lstatSync(path);
      continue;
    }
    const folder = stats;
    const next = join(path, name);
    stats = lstatSync(next);
    judgePart({ file, path: next, stats, folder, isLast: rest.length === 0 }, judge);
    if (!stats.isSymbolicLink()) {
      path = next;
      continue;
    }
    if (++links > MOST_LINKS) throw Object.assign(new Error(`${file}: too many links`), { code: 'ELOOP' });
    const target = readlinkSync(next);
    rest.unshift(...partsOf(target));
    if (target.startsWith(sep)) path = sep;
    stats = lstatSync(path);
  }
  return { path, stats };
}

function partsOf(path: string): string[] {
  return path.split(sep).filter((part) => part !== '' && part !== '.');
}

interface Part {
  file: string;
  path: string;
  stats: Stats;
  /** Of the folder it is in. */
  folder: Stats | undefined;
  isLast: boolean;
}

function judgePart({ file, path, stats, folder, isLast }: Part, judge: Judge): void {
  const doubt = (reason: string, remedy: string) => judge({ file, part: path, reason, remedy });
  const { mode, uid } = stats;
  // Nobody writes a link. Who made it matters where anybody may make one.
  const isInOpenFolder = folder !== undefined && (folder.mode & WRITABLE_BY_OTHERS) !== 0;
  if (!isTrusted(uid) && (!stats.isSymbolicLink() || isInOpenFolder)) {
    const what = stats.isSymbolicLink() ? 'a symbolic link that' : 'it';
    doubt(
      what === 'it' ? `belongs to user ${uid}` : `is ${what} belongs to user ${uid}`,
      `Make it root's, or that of the user who runs tapwall: chown -h root ${path}`,
    );
    return;
  }
  if (stats.isSymbolicLink() || (mode & WRITABLE_BY_OTHERS) === 0) return;
  // In a sticky folder such as /tmp nobody but its owner takes a name away (unlink(2)): what is in it is judged by itself.
  if (stats.isDirectory() && (mode & STICKY) !== 0 && !isLast) return;
  const bits = (mode & 0o7777).toString(8).padStart(4, '0');
  doubt(`can be written by others (mode ${bits})`, `Take that away from them: chmod go-w ${path}`);
}
