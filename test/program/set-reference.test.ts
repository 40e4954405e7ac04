import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Expression } from '#src/nftables/rule.js';
import { renameSet, setReference } from '#src/program/set-reference.js';
import { attribute, concat, n32, text } from '../fixtures-support/bytes.js';

const lookup: Expression = { name: 'lookup', data: concat([attribute(1, text('s')), attribute(2, n32(1))]) };
const dynset: Expression = { name: 'dynset', data: concat([attribute(1, text('s')), attribute(3, n32(0))]) };
const objref: Expression = { name: 'objref', data: concat([attribute(3, n32(8)), attribute(4, text('s'))]) };

test('the expressions that use a set say which', () => {
  assert.deepEqual([lookup, dynset, objref].map(setReference), ['s', 's', 's']);
});

test('no other expression does, nor one without data or without a set', () => {
  const others: Expression[] = [
    { name: 'cmp', data: attribute(1, text('s')) },
    { name: 'immediate', data: attribute(1, text('s')) },
    { name: 'lookup' },
    { name: 'objref', data: attribute(1, text('s')) },
  ];
  assert.deepEqual(others.map(setReference), [undefined, undefined, undefined, undefined]);
});

test('a set gets another name, and nothing else changes', () => {
  const names = new Map([['s', '__set.longer.0']]);
  for (const expression of [lookup, dynset, objref]) {
    const renamed = renameSet(expression, names);
    assert.equal(setReference(renamed), '__set.longer.0');
    assert.deepEqual(renameSet(renamed, new Map([['__set.longer.0', 's']])), expression);
    assert.equal(renameSet(expression, new Map([['t', 'u']])), expression);
  }
});
