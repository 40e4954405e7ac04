import { isUtf8 } from 'node:buffer';
import { type Problem, SourceError, TapwallError } from '../error.js';
import { readUserFile, Unreadable } from '../files/read.js';
import type { Judge } from '../files/trust.js';

/**
 * Reads a configuration file as UTF-8; a byte order mark stays.
 * @param judge is told of whoever else could have written it.
 * @throws TapwallError CONFIG if it cannot be read or is too large, SourceError CONFIG at the first byte that is
 *   not UTF-8.
 */
export function readTextFile(path: string, judge: Judge): string {
  const bytes = readBytes(path, judge);
  if (!isUtf8(bytes)) throw new SourceError('CONFIG', [notUtf8(bytes, path)]);
  return bytes.toString('utf8');
}

function readBytes(path: string, judge: Judge): Buffer {
  try {
    return readUserFile(path, judge);
  } catch (cause) {
    if (!(cause instanceof Unreadable)) throw cause;
    throw new TapwallError('CONFIG', `cannot read the configuration ${path}: ${cause.message}`, { cause });
  }
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
