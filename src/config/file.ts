import { isUtf8 } from 'node:buffer';
import { closeSync, openSync, readSync } from 'node:fs';
import { type Problem, SourceError, TapwallError } from '../error.js';

export const LARGEST_FILE = 16 * 1024 * 1024;
const CHUNK = 64 * 1024;

/**
 * Reads a configuration file as UTF-8; a byte order mark stays.
 * @throws TapwallError CONFIG if it cannot be read or is too large, SourceError CONFIG at the first byte that is
 *   not UTF-8.
 */
export function readTextFile(path: string): string {
  const bytes = readBytes(path);
  if (!isUtf8(bytes)) throw new SourceError('CONFIG', [notUtf8(bytes, path)]);
  return bytes.toString('utf8');
}

/** Reads up to the limit, however large the file says it is: a device or a pipe says nothing. */
function readBytes(path: string): Buffer {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    const chunks: Buffer[] = [];
    for (let total = 0; total <= LARGEST_FILE; ) {
      const chunk = Buffer.allocUnsafe(CHUNK);
      const length = readSync(descriptor, chunk);
      if (length === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, length));
      total += length;
    }
    throw new TapwallError('CONFIG', `the configuration ${path} is larger than 16 MiB`);
  } catch (error) {
    throw error instanceof TapwallError ? error : unreadable(path, error);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  EPERM: 'this user may not read it',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is not a folder',
  ELOOP: 'its symbolic links lead in a circle',
};

function unreadable(path: string, error: unknown): TapwallError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  return new TapwallError('CONFIG', `cannot read the configuration ${path}: ${REASONS[code] ?? code}`, {
    cause: error,
  });
}

/** Points at the first byte that is not UTF-8. */
function notUtf8(bytes: Buffer, file: string): Problem {
  let line = 1;
  let start = 0;
  let end = bytes.indexOf(0x0a);
  // No character of several bytes contains a newline, so each line is valid or not by itself.
  while (end !== -1 && isUtf8(bytes.subarray(start, end))) {
    line++;
    start = end + 1;
    end = bytes.indexOf(0x0a, start);
  }
  const bad = bytes.subarray(start, end === -1 ? undefined : end);
  const isUtf16 = ['fffe', 'feff'].includes(bytes.toString('hex', 0, 2));
  return {
    message: isUtf16 ? 'this is UTF-16: a configuration must be UTF-8' : 'a byte that is not UTF-8',
    location: { file, line, column: validUnits(bad) + 1 },
    sourceLine: bad.toString('utf8'),
    length: 1,
  };
}

/** How many UTF-16 units the valid beginning of `bytes` makes. */
function validUnits(bytes: Buffer): number {
  let offset = 0;
  let units = 0;
  for (const character of bytes.toString('utf8')) {
    const encoded = Buffer.from(character);
    // What cannot be decoded came out as U+FFFD, whose own bytes are others.
    if (!encoded.equals(bytes.subarray(offset, offset + encoded.length))) break;
    offset += encoded.length;
    units += character.length;
  }
  return units;
}
