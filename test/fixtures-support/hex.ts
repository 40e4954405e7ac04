/**
 * Fixtures: netlink messages as a tool or the kernel wrote them, in hexadecimal, four bytes to a line. `#` begins a
 * comment; an empty line ends a message. Messages are split here by hand, not with src/netlink, which is under test.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { fileURLToPath } from 'node:url';

/** Seen from dist-test/fixtures-support. */
const FOLDER = new URL('../../test/fixtures/', import.meta.url);

export interface FixtureMessage {
  /** What stands above the bytes. */
  comments: string[];
  bytes: Uint8Array;
}

export interface Fixture {
  name: string;
  messages: FixtureMessage[];
  /** All messages, one behind the other. */
  bytes: Uint8Array;
}

export function fixturePath(name: string): string {
  return fileURLToPath(new URL(name, FOLDER));
}

/** Names as `dumped/set`, of one folder or of all. */
export function fixtureNames(folder = ''): string[] {
  return readdirSync(new URL(folder === '' ? '.' : `${folder}/`, FOLDER), {
    recursive: true,
    encoding: 'utf8',
  })
    .filter((path) => path.endsWith('.hex'))
    .map((path) => `${folder === '' ? '' : `${folder}/`}${path.slice(0, -'.hex'.length)}`)
    .sort();
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function parseFixture(name: string, text: string): Fixture {
  const messages: FixtureMessage[] = [];
  let comments: string[] = [];
  let digits = '';
  const finish = () => {
    if (digits !== '') messages.push({ comments, bytes: new Uint8Array(Buffer.from(digits, 'hex')) });
    if (digits !== '' || messages.length === 0) comments = [];
    digits = '';
  };
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) comments.push(line.replace(/^# ?/, ''));
    else if (line === '') finish();
    else {
      assert.match(line, /^[0-9a-f]{2,8}$/, `${name}: not four bytes: ${line}`);
      digits += line;
    }
  }
  finish();
  return { name, messages, bytes: concat(messages.map(({ bytes }) => bytes)) };
}

export function readFixture(name: string): Fixture {
  assert.equal(endianness(), 'LE', 'the fixtures are from a little-endian host and mean something else here');
  return parseFixture(name, readFileSync(new URL(`${name}.hex`, FOLDER), 'utf8'));
}

export function formatFixture(header: readonly string[], messages: readonly FixtureMessage[]): string {
  const comment = (lines: readonly string[]) => lines.map((line) => `# ${line}`.trimEnd());
  const blocks = messages.map(({ comments, bytes }) => [...comment(comments), ...inFours(bytes)].join('\n'));
  return `${[comment(header).join('\n'), ...blocks].join('\n\n')}\n`;
}

/** By nlmsg_len, padding included. */
export function splitMessages(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const length = (view.getUint32(offset, true) + 3) & ~3;
    assert.ok(length >= 16 && offset + length <= bytes.length, `a message of ${length} bytes at ${offset}`);
    parts.push(bytes.slice(offset, offset + length));
    offset += length;
  }
  return parts;
}

function inFours(bytes: Uint8Array): string[] {
  return (
    Buffer.from(bytes)
      .toString('hex')
      .match(/.{1,8}/g) ?? []
  );
}

/** Both sides, four bytes to a line, with a mark where they differ. */
export function compareInFours(actual: Uint8Array, expected: Uint8Array): string {
  const left = inFours(actual);
  const right = inFours(expected);
  const lines = ['offset  actual    expected'];
  for (let row = 0; row < Math.max(left.length, right.length); row++) {
    const [a = '', b = ''] = [left[row], right[row]];
    const offset = (row * 4).toString(16).padStart(4, '0');
    lines.push(`${offset}    ${a.padEnd(8)}  ${b.padEnd(8)}${a === b ? '' : '  <'}`.trimEnd());
  }
  return lines.join('\n');
}

export function assertSameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return;
  assert.fail(`${what}: the bytes differ\n${compareInFours(actual, expected)}`);
}
