import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the package starts Node with the flags that the command asks for itself', () => {
  const [, flags] = /^#!\/usr\/bin\/env -S node (.+)$/m.exec(read('dist/cli/main.js')) ?? [];
  assert.ok(flags);
  assert.ok(read('scripts/package-deb.sh').includes(`/bin/node ${flags} /usr/lib/tapwall/dist/cli/main.js`));
});
