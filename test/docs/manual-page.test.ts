import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { manualPages } from '#src/docs/pages.js';
import { RoffPage } from '#src/docs/roff.js';

/** Before each backspace: what is bold is printed over itself. */
const OVERPRINTED = new RegExp(`.${String.fromCharCode(8)}`, 'g');

function mandoc(name: string, text: string, ...options: string[]): { status: number | null; stdout: string } {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-man-'));
  try {
    const file = join(folder, name);
    writeFileSync(file, text);
    return spawnSync('mandoc', [...options, file], { encoding: 'utf8', timeout: 60_000 });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the manual pages', () => {
  it('are clean to mandoc', async () => {
    const pages = Object.entries(await manualPages('2026-11-26'));
    assert.deepEqual(
      pages.map(([path]) => path),
      ['dist/man/tapwall.8', 'dist/man/tapwall.yaml.5'],
    );
    for (const [path, text] of pages) {
      const { status, stdout } = mandoc(basename(path), text, '-Tlint', '-Wstyle');
      assert.equal(stdout, '', path);
      assert.equal(status, 0);
    }
  });

  it('show text as it is, also where roff would take it for something else', () => {
    const page = new RoffPage('test', 8, { source: 'tapwall', date: '2026-11-26' })
      .heading('Name')
      .paragraph('test - .TH at a start, \\n inside, a `word` that is literal')
      .paragraph(`.so /etc/passwd`)
      .literal(["'quoted", '.sh echo', '--json | jq -r "x\\y"']);
    const { stdout } = mandoc('test.8', page.toString(), '-Tascii');
    const shown = stdout.replaceAll(OVERPRINTED, '');
    for (const text of [
      '.TH at a start, \\n inside, a word that',
      '.so /etc/passwd',
      "'quoted",
      '.sh echo',
      '--json | jq -r "x\\y"',
    ])
      assert.ok(shown.includes(text), `${text}\n${shown}`);
  });
});
