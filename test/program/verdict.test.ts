import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Expression } from '#src/nftables/rule.js';
import { countElementVerdict, countVerdict, jumpTarget } from '#src/program/verdict.js';
import { attribute, concat, n32, text } from '../fixtures-support/bytes.js';

const DROP = 0;
const ACCEPT = 1;
const RETURN = -5;
const GOTO = -4;
const JUMP = -3;
const CONTINUE = -1;
const QUEUE = 3;
const NESTED = 0x8000;
const chains = { accept: 'admit', drop: 'dropped', counter: 'admitted' };

const verdict = (code: number, chain?: string) =>
  attribute(2, concat([attribute(1, n32(code >>> 0)), ...(chain ? [attribute(2, text(chain))] : [])]));
const immediate = (data: Uint8Array): Expression => ({
  name: 'immediate',
  data: concat([attribute(1, n32(0)), attribute(2, data)]),
});
/** The same with the flag that goes with what is sent. */
const goto = (chain: string) =>
  attribute(2 | NESTED, concat([attribute(1, n32(GOTO >>> 0)), attribute(2, text(chain))]));

test('accept and drop go to their chains', () => {
  assert.deepEqual(countVerdict(immediate(verdict(ACCEPT)), chains), immediate(goto('admit')));
  assert.deepEqual(countVerdict(immediate(verdict(DROP)), chains), immediate(goto('dropped')));
});

test('every other verdict stays, and so does data that is none', () => {
  const others = [
    immediate(verdict(RETURN)),
    immediate(verdict(CONTINUE)),
    immediate(verdict(QUEUE)),
    immediate(verdict(JUMP, 'c')),
    immediate(verdict(GOTO, 'c')),
    // meta mark set 1: a value that has a verdict's number.
    immediate(attribute(1, n32(ACCEPT))),
    { name: 'cmp', data: concat([attribute(2, verdict(DROP))]) },
    { name: 'notrack' },
  ];
  for (const expression of others) assert.equal(countVerdict(expression, chains), expression);
});

test('the same for elements of a verdict map', () => {
  const element = (data: Uint8Array) => ({ key: attribute(1, n32(22)), data });
  assert.deepEqual(countElementVerdict(element(verdict(DROP)), chains), element(goto('dropped')));
  for (const data of [verdict(JUMP, 'c'), verdict(RETURN), attribute(1, n32(0))]) {
    const one = element(data);
    assert.equal(countElementVerdict(one, chains), one);
  }
  const bare = { key: attribute(1, n32(22)) };
  assert.equal(countElementVerdict(bare, chains), bare);
});

test('jump and goto say where they lead', () => {
  assert.equal(jumpTarget(immediate(verdict(JUMP, 'c'))), 'c');
  assert.equal(jumpTarget(immediate(verdict(GOTO, 'd'))), 'd');
  assert.equal(jumpTarget(immediate(verdict(DROP))), undefined);
  assert.equal(jumpTarget({ name: 'lookup', data: attribute(2, verdict(JUMP, 'c')) }), undefined);
  assert.equal(jumpTarget({ name: 'immediate' }), undefined);
});
