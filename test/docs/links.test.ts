import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGES = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'docs',
  'test',
  'packaging',
];

/** remark-validate-links: every file and every heading that a link leads to, nothing over the network. */
function validate(...paths: string[]) {
  const remark = join(ROOT, 'node_modules/remark-cli/cli.js');
  const args = ['--frail', '--quiet', '--no-stdout', '--no-color', '--rc-path', join(ROOT, '.remarkrc.json')];
  return spawnSync(process.execPath, [remark, ...args, ...paths], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 120_000,
  });
}

describe('the links of the documentation', () => {
  it('lead to files and headings that are there', () => {
    const { status, stderr } = validate(...PAGES);
    assert.equal(stderr, '');
    assert.equal(status, 0);
  });

  it('would be found wanting otherwise', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tapwall-links-'));
    try {
      const page = join(folder, 'page.md');
      writeFileSync(page, '# A\n\n[a](#a) [b](#b) [c](other.md)\n');
      const { status, stderr } = validate(page);
      assert.equal(status, 1);
      assert.match(stderr, /Cannot find heading for `#b`/);
      assert.match(stderr, /Cannot find file `other\.md`/);
      assert.doesNotMatch(stderr, /`#a`/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
