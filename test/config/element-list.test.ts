import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ElementList } from '#src/config/element-list.js';
import { textOfElements } from '#src/config/element-text.js';
import { readSetType } from '#src/config/set-element.js';
import { formatProblem } from '#src/error.js';

function listOf(text: string | Uint8Array, type = 'ipv4_addr'): ElementList {
  const read = readSetType(type);
  if ('flaw' in read) return assert.fail(read.flaw);
  return new ElementList(Buffer.from(text as string), 'blocked.txt', read);
}

function elements(text: string | Uint8Array, type = 'ipv4_addr'): string[] {
  const list = listOf(text, type);
  assert.deepEqual(list.problems, []);
  return textOfElements(list.reader.finish(list.reader.haveInterval), type);
}

/** `2:5+3 message | hint`, one for each problem. */
function problems(text: string | Uint8Array, type?: string): string[] {
  return listOf(text, type).problems.map(({ location, length, message, hint }) => {
    assert.equal(location?.file, 'blocked.txt');
    return `${location.line}:${location.column}+${length} ${message}${hint === undefined ? '' : ` | ${hint}`}`;
  });
}

test('a list has one element to a line, blanks and comments beside it', () => {
  assert.deepEqual(elements('10.0.0.2\n10.0.0.1'), ['10.0.0.1', '10.0.0.2']);
  assert.deepEqual(elements('\ufeff# who\r\n\r\n \t10.0.0.1 # why # how\r\n#10.0.0.9\n\n10.0.0.2\t\n'), [
    '10.0.0.1',
    '10.0.0.2',
  ]);
  assert.deepEqual(elements(''), []);
  assert.deepEqual(elements('# nothing'), []);
  assert.deepEqual(elements('\n\n\n'), []);
  assert.deepEqual(elements('10.0.0.0/30\n10.0.0.9-10.0.0.12\n10.0.0.4\n'), [
    '10.0.0.0-10.0.0.4',
    '10.0.0.9-10.0.0.12',
  ]);
  assert.deepEqual(elements('2001:db8::/32\n::1\n', 'ipv6_addr'), [
    '::1',
    '2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff',
  ]);
  assert.deepEqual(elements('192.0.2.1 . 53\n192.0.2.1  .\t80 # web\n', 'ipv4_addr . inet_service'), [
    '192.0.2.1 . 53',
    '192.0.2.1 . 80',
  ]);
});

test('a mistake is told at its line and column', () => {
  assert.deepEqual(
    problems('10.0.0.1\n  10.0.0.256 # no\n10.0.0.9-10.0.0.1\n10.0.0.1 10.0.0.2\n10.0.0.0/33\n'),
    [
      '2:3+10 `10.0.0.256` is not an IPv4 address',
      '3:1+17 the range `10.0.0.9-10.0.0.1` ends before it begins',
      '4:1+17 `10.0.0.1 10.0.0.2` is more than one element: each is an item of its own',
      '5:1+11 `10.0.0.0/33` is not an IPv4 address',
    ],
  );
  assert.deepEqual(problems('ssh\n010\n22', 'inet_service'), [
    '1:1+3 `ssh` is for nft alone to read | In a file write it as a number, without zeros before it.',
    '2:1+3 `010` is for nft alone to read | In a file write it as a number, without zeros before it.',
  ]);
  assert.deepEqual(problems('10.0.0.0/8 . 53', 'ipv4_addr . inet_service'), [
    '1:1+15 `10.0.0.0/8 . 53`: in a file an element of several parts has a value for each | List prefixes and ranges of several parts under `elements`, in the configuration.',
  ]);
  assert.deepEqual(problems('é 10.0.0.1\n'), ['1:1+10 `é 10.0.0.1` is not one element: it has a `é`']);
  assert.match(formatProblem(listOf('# one\n x # two').problems[0] ?? assert.fail()), /blocked\.txt:2:2/);
});

test('of thousands of mistakes a hundred are told, and how many there are', () => {
  const told = problems('x\n'.repeat(5_000));
  assert.equal(told.length, 101);
  assert.equal(told.at(-1), '100:1+1 and 4900 more problems in this file');
});

test('whatever the bytes, there are elements or problems that can be shown', () => {
  const letters = [...'0123456789.:/-# \t\n\rabfxé\0'];
  const soup = fc
    .array(fc.constantFrom(...letters), { maxLength: 60 })
    .map((list) => Buffer.from(list.join('')));
  const types = fc.constantFrom('ipv4_addr', 'ipv6_addr', 'ether_addr', 'mark', 'ipv4_addr . inet_service');
  fc.assert(
    fc.property(
      fc.oneof(
        soup,
        fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      ),
      types,
      (bytes, type) => {
        const list = listOf(bytes, type);
        for (const problem of list.problems) formatProblem(problem);
        const lines = bytes
          .toString('latin1')
          .split('\n')
          .map((line) => line.replace(/#.*/, '').trim());
        const written = lines.filter((line) => line !== '' && line !== '\u00ef\u00bb\u00bf').length;
        assert.ok(list.reader.count + list.problems.length <= written + 1);
        if (list.problems.length === 0) list.reader.finish(list.reader.haveInterval);
      },
    ),
    { numRuns: 2000 },
  );
});

test('a list of 300,000 addresses is read without a string for each', () => {
  const text = Buffer.from(
    Array.from({ length: 300_000 }, (_, n) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}\n`).join(''),
  );
  const { reader, problems: none } = listOf(text);
  assert.deepEqual([reader.count, none.length], [300_000, 0]);
  assert.equal(reader.finish(false).bytes.length, 1_200_000);
});
