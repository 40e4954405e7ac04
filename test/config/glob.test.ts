import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compileGlob, fewestBytes, type GlobAlternative, parseGlob, prefixText } from '#src/config/glob.js';

function matcher(text: string): (name: string) => boolean {
  const glob = parseGlob(text);
  assert.ok(!('flaw' in glob), 'flaw' in glob ? glob.flaw : '');
  return compileGlob(glob);
}

function flaw(text: string): string | undefined {
  const glob = parseGlob(text);
  return 'flaw' in glob ? glob.flaw : undefined;
}

describe('a glob', () => {
  const cases: [glob: string, matching: string[], other: string[]][] = [
    ['macvtap*', ['macvtap', 'macvtap0', 'macvtap/x'], ['macvta', 'xmacvtap0', '']],
    ['*', ['a', '.', '..', '.a', 'a/b', '!a'], []],
    ['**', ['a', 'a/b'], []],
    ['?', ['a', '/', '.'], ['', 'ab']],
    ['a?c', ['abc', 'a/c'], ['ac', 'abbc']],
    ['*.*', ['a.b', '.', 'a/b.c'], ['ab']],
    ['[abc]1', ['a1', 'c1'], ['d1', '1']],
    ['[!abc]1', ['d1', '/1', '!1'], ['a1', '1']],
    ['[^a-c]1', ['d1', '-1'], ['b1']],
    ['[]a]', [']', 'a'], ['b', '[]a]']],
    ['[a-]', ['a', '-'], ['b']],
    ['[.-0]', ['.', '/', '0'], ['1']],
    ['[*?{]', ['*', '?', '{'], ['a', '[*?{]']],
    ['?[a\u{1f600}-\u{1f603}]', ['\u{1f601}\u{1f602}', 'ba'], ['a\u{1f604}', '\u{1f601}']],
    ['[\\]x', ['\\x'], ['x']],
    ['{a,b}c', ['ac', 'bc'], ['c', 'abc', '{a,b}c']],
    ['{,x}a{1,2*}', ['a1', 'xa1', 'a2', 'xa23'], ['a', 'a11']],
    ['{a{b,c},d}', ['ab', 'ac', 'd'], ['a', 'b']],
    ['a,b}', ['a,b}'], ['a']],
  ];
  for (const [text, matching, other] of cases) {
    test(text, () => {
      const matches = matcher(text);
      for (const name of matching) assert.ok(matches(name), `should match ${name}`);
      for (const name of other) assert.ok(!matches(name), `should not match ${name}`);
    });
  }

  test('gives no meaning to anything else', () => {
    for (const text of [
      '!a',
      '+(a)',
      '@(a|b)',
      'a(b|c)',
      'a|b',
      '^a$',
      'a+',
      './a',
      '"a"',
      "'a'",
      'a\\b',
      '#a',
      '~',
      '$x',
      '..',
      '-a',
    ]) {
      assert.ok(matcher(text)(text), text);
      assert.ok(matcher(`*${text}?`)(`x${text}y`), `*${text}?`);
      for (const other of ['a', 'b', 'aa', 'ab', 'ac', 'x', ''])
        assert.ok(!matcher(text)(other), `${text} for ${other}`);
    }
  });

  test('that cannot be read says why', () => {
    assert.equal(flaw(''), 'an empty glob matches nothing');
    assert.equal(flaw('[a'), 'a `[` without its `]`');
    assert.equal(flaw('[]'), 'a `[` without its `]`');
    assert.equal(flaw('{a,b'), 'a `{` without its `}`');
    assert.equal(flaw('{a}'), 'braces without a comma: `{a,b}` is the only form');
    assert.equal(flaw('{1..9}'), 'braces without a comma: `{a,b}` is the only form');
    assert.equal(flaw('[z-a]'), 'the range `z-a` runs backwards');
    assert.equal(flaw('[[:digit:]]'), 'classes such as `[:digit:]` are not known');
    assert.equal(flaw('a\nb'), 'a glob with a control character');
    assert.equal(flaw('{a,b}'.repeat(9)), 'braces that multiply to more than 256 alternatives');
    assert.equal(flaw('a'.repeat(1025)), 'a glob of more than 1024 characters');
  });
});

/** The meaning of a glob, written down without regard to speed. */
function naive(parts: GlobAlternative, text: string): boolean {
  const [part, ...rest] = parts;
  if (part === undefined) return text === '';
  switch (part.kind) {
    case 'literal':
      return text.startsWith(part.text) && naive(rest, text.slice(part.text.length));
    case 'any':
      return Array.from({ length: text.length + 1 }, (_, skip) => text.slice(skip)).some((tail) =>
        naive(rest, tail),
      );
    case 'one':
      return text !== '' && naive(rest, text.slice(1));
    case 'class': {
      const first = text.codePointAt(0) ?? -1;
      const isMember = part.ranges.some(([low, high]) => low <= first && first <= high);
      return first !== -1 && isMember !== part.negated && naive(rest, text.slice(1));
    }
  }
}

const ALPHABET = 'ab.-/!^*?[]{},()|+\\"#$';
const name = fc.string({ unit: fc.constantFrom(...ALPHABET), maxLength: 6 });
const glob = fc.string({
  unit: fc.constantFrom(...ALPHABET, '*', '?', '[a-b]', '[!a]', '{a,b*}'),
  maxLength: 6,
});

test('the matcher agrees with the meaning of a glob', () => {
  fc.assert(
    fc.property(glob, name, (text, candidate) => {
      const parsed = parseGlob(text);
      if ('flaw' in parsed) return;
      const expected = parsed.alternatives.some((parts) => naive(parts, candidate));
      assert.equal(compileGlob(parsed)(candidate), expected, `${text} for ${candidate}`);
    }),
    { numRuns: 5000 },
  );
});

test('a glob of many stars takes no longer for it', () => {
  const started = performance.now();
  assert.ok(!matcher(`${'*a'.repeat(500)}b`)('a'.repeat(255)));
  assert.ok(performance.now() - started < 1000);
});

test('a match has the fewest bytes or more, and begins with the prefix', () => {
  fc.assert(
    fc.property(glob, name, (text, candidate) => {
      const parsed = parseGlob(text);
      if ('flaw' in parsed) return;
      for (const parts of parsed.alternatives) {
        const prefix = prefixText(parts);
        if (prefix !== undefined) assert.equal(naive(parts, candidate), candidate.startsWith(prefix));
        if (naive(parts, candidate)) assert.ok(Buffer.byteLength(candidate) >= fewestBytes(parts));
      }
    }),
    { numRuns: 2000 },
  );
});
