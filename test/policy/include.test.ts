import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findIncludes } from '#src/policy/include.js';

/** `line:column+length path` of each include. */
function found(text: string): string[] {
  return findIncludes(text, 'f.nft').map(({ path, location, length }) => {
    assert.equal(location.file, 'f.nft');
    return `${location.line}:${location.column}+${length} ${path}`;
  });
}

describe('what nft 1.0.6 opens is found', () => {
  const cases: [name: string, text: string, ...expected: string[]][] = [
    ['on a line of its own', 'include "./a.nft"\n', '1:1+17 ./a.nft'],
    ['without a blank', 'include"a"\n', '1:1+10 a'],
    ['after a tab', 'include\t"a"\n', '1:1+11 a'],
    ['on a continued line', 'include \\\n "a"\n', '1:1+7 a'],
    ['after comments on a continued line', 'include \\\n # x\n\t# "y"\n "a"\n', '1:1+7 a'],
    ['before a semicolon', 'include "a";\n', '1:1+11 a'],
    [
      'inside a table, a chain and a set',
      'table t {include "a"\nchain c { include "b"; } set s { include "c"; } }\n',
      '1:10+11 a',
      '2:11+11 b',
      '2:34+11 c',
    ],
    ['after a syntax error', 'blah blah\n include "a"\n', '2:2+11 a'],
    ['after a string of several lines', 'define x = "\n"; include "a"\n', '2:4+11 a'],
    ['after a comment that ends in a backslash', '# \\\ninclude "a"\n', '2:1+11 a'],
    ['behind a `#` in a last line without a newline', '# ; include "a" ;', '1:5+11 a'],
    ['with a pattern', 'include "*.nft"\n', '1:1+15 *.nft'],
    ['up to a NUL', 'include "a\0/../b"\n', '1:1+17 a'],
  ];
  for (const [name, text, ...expected] of cases) test(name, () => assert.deepEqual(found(text), expected));
});

describe('what nft does not open', () => {
  test('is not found in comments, strings and longer words', () => {
    assert.deepEqual(found('# include "a"\n'), []);
    assert.deepEqual(found('add table x # include "a"\n'), []);
    assert.deepEqual(found('# x\rinclude "a"\n'), []);
    assert.deepEqual(found('define x = "include "\n'), []);
    assert.deepEqual(found('includes "a"\nmy-include "a"\nINCLUDE "a"\n'), []);
  });

  test('is found without a path if there is no string behind it', () => {
    assert.deepEqual(found("include 'a'\ninclude a\ninclude $x\ninclude"), [
      '1:1+7 undefined',
      '2:1+7 undefined',
      '3:1+7 undefined',
      '4:1+7 undefined',
    ]);
  });
});
