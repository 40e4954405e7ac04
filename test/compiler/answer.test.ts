/** What the compiler's child says, and what a child says whose memory libnftables has written into. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAnswer } from '#src/compiler/answer.js';

const CAPABILITIES = {
  ingress: true,
  egress: true,
  addDevice: true,
  namesInAdvance: false,
  prefix: false,
  ownerPersist: true,
  destroy: true,
  macvtap: false,
};

test('what a child says is taken as it is', () => {
  for (const answer of [
    { ready: true },
    { id: 1, status: 'compiled', passes: [{ dump: 'AAAA', elapsedMs: 1.5 }], listing: 'table' },
    { id: 2, status: 'refused', file: 'f', error: 'f:1:1-2: Error: no' },
    { id: 3, status: 'failed', error: { code: 'EPERM', message: 'no' } },
    { id: 4, status: 'printed', text: '' },
    { id: 5, status: 'not-listed' },
    { id: 6, status: 'probed', capabilities: CAPABILITIES },
  ]) {
    assert.deepEqual(parseAnswer(JSON.stringify(answer)), answer);
  }
});

test('nonsense is the crash of a child, not of its parent', () => {
  for (const line of [
    '',
    '{',
    'null',
    '[]',
    '{"id":1}',
    JSON.stringify({ id: 6, status: 'probed', capabilities: { ...CAPABILITIES, prefix: undefined } }),
    '{"id":"1","status":"printed","text":""}',
    '\0\ufffd',
  ]) {
    assert.throws(() => parseAnswer(line), { code: 'COMPILER_CRASHED' }, line);
  }
});
