import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { isSystemCallError } from '../error.js';
import { type Doubt, type Judge, walk } from './trust.js';

const MEBIBYTE = 1024 * 1024;
/** Bytes: more than anybody writes by hand. */
export const LARGEST_FILE = 16 * MEBIBYTE;
const CHUNK = 64 * 1024;

/** Why a file was not read. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

/**
 * Reads a file of the user's, once, from the descriptor that was looked at. Only an ordinary file is opened at all: a pipe
 * would be waited for, a device may do something.
 * @param judge is told of whoever else could have written it.
 * @param largest how many bytes it may have.
 * @throws Unreadable with the reason in words.
 */
export function readUserFile(file: string, judge: Judge, largest = LARGEST_FILE): Buffer {
  let descriptor: number | undefined;
  try {
    const doubts: Doubt[] = [];
    const { path, stats } = walk(file, (doubt) => doubts.push(doubt));
    // First: nobody should be told to take rights away from a device.
    refuseUnlessOrdinary(stats, largest);
    doubts.forEach(judge);
    // Should the file have become something else since.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const opened = fstatSync(descriptor);
    refuseUnlessOrdinary(opened, largest);
    if (opened.ino !== stats.ino || opened.dev !== stats.dev)
      throw new Unreadable('it was exchanged for another while it was opened');
    return readAll(descriptor, largest);
  } catch (error) {
    if (isSystemCallError(error)) throw unreadable(error);
    if (error instanceof Error && 'code' in error && error.code === 'ELOOP') throw unreadable(error);
    throw error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function refuseUnlessOrdinary(stats: Stats, largest: number): void {
  if (stats.isDirectory()) throw new Unreadable('it is a folder');
  if (!stats.isFile()) throw new Unreadable('it is no ordinary file');
  if (stats.size > largest) throw tooLarge(largest);
}

function tooLarge(largest: number): Unreadable {
  return new Unreadable(`it is larger than ${largest / MEBIBYTE} MiB`);
}

/** Up to the limit, whatever the file says of its size: one of /proc says nothing, and others grow. */
function readAll(descriptor: number, largest: number): Buffer {
  const chunks: Buffer[] = [];
  for (let total = 0; total <= largest; ) {
    const chunk = Buffer.allocUnsafe(CHUNK);
    const length = readSync(descriptor, chunk);
    if (length === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, length));
    total += length;
  }
  throw tooLarge(largest);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  EPERM: 'this user may not read it',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is not a folder',
  ELOOP: 'its symbolic links lead in a circle',
};

function unreadable(error: Error): Unreadable {
  const code = 'code' in error ? String(error.code) : error.message;
  return new Unreadable(REASONS[code] ?? code, { cause: error });
}
