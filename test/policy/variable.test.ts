import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flawInVariableName, flawInVariableValue } from '#src/policy/variable.js';

test('a name is one that nft takes', () => {
  for (const name of ['gateway', '_x', '.x', 'a-b', 'a/b', 'a.b', 'x1', 'saddr', 'last']) {
    assert.equal(flawInVariableName(name), undefined, name);
  }
  for (const name of ['', '.', '1a', 'a b', 'é', '-a', '$a', 'a\n']) {
    assert.match(flawInVariableName(name) ?? '', /^nft wants a letter/, name);
  }
  for (const name of ['tcp', 'ip', 'limit', 'drop', 'include', 'auto-merge']) {
    assert.equal(flawInVariableName(name), 'it is a keyword of nft', name);
  }
  assert.equal(flawInVariableName('intf'), 'it is given to every policy, as the name of the device');
});

test('a value is one expression', () => {
  for (const value of [
    '1',
    '-5',
    'a',
    '10.0.0.0/8',
    '"a; # { b"',
    '{ 1, 2 }',
    '{ 10.0.0.1 . 22, { 1 } }',
    '$other',
    '2001:db8::/32',
  ]) {
    assert.equal(flawInVariableValue(value), undefined, value);
  }
});

test('a value cannot begin a statement of its own', () => {
  const flaws: [value: string, flaw: string][] = [
    ['', 'it is empty'],
    [' ', 'it is empty'],
    ['1; include "/etc/shadow"', 'it has a `;`'],
    ['{ 1; }', 'it has a `;`'],
    ['1\ninclude "/etc/shadow"', 'it has a line break'],
    ['"a\nb"', 'it has a line break'],
    ['1 \\\n2', 'it has a line break'],
    ['1 \\', 'it has a `\\`'],
    ['1 # x', 'it has a `#`'],
    ['1 # x\n', 'it has a comment'],
    ['1 "x', 'it has a `"` without another'],
    ['include "x"', 'it has an `include`'],
    ['a\0b', 'it has a NUL'],
    ['"a\0b"', 'it has a NUL'],
    ['{ 1', 'it has a `{` without its `}`'],
    ['1 }', 'it has a `}` without a `{`'],
    ['} {', 'it has a `}` without a `{`'],
  ];
  for (const [value, flaw] of flaws) assert.equal(flawInVariableValue(value), flaw, JSON.stringify(value));
});
