import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { tokenize } from '#src/policy/lexer.js';

/** `kind text` of each token; single characters and newlines as themselves. */
function brief(text: string): string[] {
  return tokenize(text).map((token) =>
    token.kind === 'symbol' ? token.text : `${token.kind} ${token.text}`,
  );
}

describe('nft text is split as nft splits it', () => {
  const cases: [name: string, text: string, tokens: string[]][] = [
    ['words and numbers', 'ip saddr 10.0.0.0/8', ['word ip', 'word saddr', 'number 10', 'word .0.0.0/8']],
    ['names with a dash, a dot or a slash', 'a-b_c.d/e', ['word a-b_c.d/e']],
    ['symbols', 'a{}; $b', ['word a', '{', '}', ';', '$', 'word b']],
    ['a string has no escapes', '"a\\" b', ['string "a\\"', 'word b']],
    ['a string may span lines', '"a\nb"c', ['string "a\nb"', 'word c']],
    ['a string hides what looks like a comment', '"# {" a', ['string "# {"', 'word a']],
    ['a comment hides what looks like a string', '# "\na', ['comment # "', 'newline \n', 'word a']],
    ['a comment begins within a word', 'a#b\n', ['word a', 'comment #b', 'newline \n']],
    ['a carriage return does not end a comment', '# a\rb\nc', ['comment # a\rb', 'newline \n', 'word c']],
    ['nor does a line separator', '# a\u2028b\nc', ['comment # a\u2028b', 'newline \n', 'word c']],
    ['a backslash does not prolong it', '# a\\\nb', ['comment # a\\', 'newline \n', 'word b']],
    ['a backslash hides a newline', 'a \\\nb', ['word a', 'continuation \\\n', 'word b']],
    ['also one of Windows', 'a \\\r\nb', ['word a', 'continuation \\\r\n', 'word b']],
    ['but not with a blank between', 'a \\ \nb', ['word a', '\\', 'newline \n', 'word b']],
    [
      'a quote without another is junk, and what follows is read',
      'a " b',
      ['word a', 'unclosed-string "', 'word b'],
    ],
    ['a last line without a newline has no comments', 'a\n# b', ['word a', 'newline \n', '#', 'word b']],
    ['a carriage return alone is a blank', 'a\rb', ['word a', 'word b']],
    ['hexadecimal numbers', '0x1F 0x', ['number 0x1F', 'number 0', 'word x']],
    ['single quotes mean nothing', "'a'", ["'", 'word a', "'"]],
    ['nothing', ' \t', []],
  ];
  for (const [name, text, tokens] of cases) test(name, () => assert.deepEqual(brief(text), tokens));
});

test('a token knows its place', () => {
  assert.deepEqual(tokenize('a\n  "x\ny" é b'), [
    { kind: 'word', text: 'a', offset: 0, line: 1, column: 1 },
    { kind: 'newline', text: '\n', offset: 1, line: 1, column: 2 },
    { kind: 'string', text: '"x\ny"', offset: 4, line: 2, column: 3 },
    { kind: 'symbol', text: 'é', offset: 10, line: 3, column: 4 },
    { kind: 'word', text: 'b', offset: 12, line: 3, column: 6 },
  ]);
});

const UNITS = [...'ab0.{}();"\'#\\ \t\r\n$@é', '\\\n', 'hook', 'egress', 'include', '\u2028', '\ud800'];
const text = fc.string({ unit: fc.constantFrom(...UNITS), maxLength: 60 });

test('every character that is not blank is in one token, at its place', () => {
  fc.assert(
    fc.property(fc.oneof(text, fc.string({ unit: 'binary' })), (source) => {
      let end = 0;
      for (const token of tokenize(source)) {
        assert.match(source.slice(end, token.offset), /^[ \t\r]*$/);
        end = token.offset + token.text.length;
        assert.equal(source.slice(token.offset, end), token.text);
        const before = source.slice(0, token.offset).split('\n');
        assert.deepEqual([token.line, token.column], [before.length, (before.at(-1)?.length ?? 0) + 1]);
      }
      assert.match(source.slice(end), /^[ \t\r]*$/);
    }),
    { numRuns: 2000 },
  );
});

test('a long line takes no longer than its length', () => {
  const started = performance.now();
  for (const unit of ['#', '"', '\\', ' ', 'a', '0x', '"" ']) tokenize(unit.repeat(200_000));
  assert.ok(performance.now() - started < 20_000);
});
