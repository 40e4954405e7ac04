import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES } from '#src/error.js';

const SOURCE = fileURLToPath(new URL('../src/', import.meta.url));
/** The first argument, where it is written out. */
const THROWN = /\bnew (?:Tapwall|Source)Error\(\s*'([^']+)'/g;

describe('the codes of errors', () => {
  it('are all in the list that the reference is made from', () => {
    const thrown = new Set<string>();
    for (const file of readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue;
      for (const [, code = ''] of readFileSync(join(SOURCE, file), 'utf8').matchAll(THROWN)) thrown.add(code);
    }
    assert.ok(thrown.size > 10, [...thrown].join(' '));
    const missing = [...thrown].filter((code) => !(code in ERROR_CODES));
    assert.deepEqual(missing, [], 'add them to ERROR_CODES in src/error.ts, and run npm run docs');
  });
});
