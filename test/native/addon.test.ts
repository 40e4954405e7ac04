import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadAddon } from '#src/kernel/addon.js';
import { plainEnvironment } from './support.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A package with the loader in it, and whatever the test puts into build/. */
function packageWithoutAddon(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  for (const file of ['dist/error.js', 'dist/kernel/addon.js']) cpSync(join(root, file), join(folder, file));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  mkdirSync(join(folder, 'build/Release'), { recursive: true });
  return folder;
}

function load(folder: string): { code: string; message: string; hint: string; cause: string } {
  const program = `
    import { loadAddon } from './dist/kernel/addon.js';
    try {
      loadAddon();
    } catch (error) {
      console.log(JSON.stringify({ ...error.toJSON(), cause: String(error.cause) }));
    }`;
  const args = ['--input-type=module', '--eval', program];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
    env: plainEnvironment(),
  });
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

test('the addon is loaded once', () => {
  assert.equal(loadAddon(), loadAddon());
});

test('an addon that was not built: every path, and how to build it', (t) => {
  const folder = packageWithoutAddon(t);
  const { code, message, hint, cause } = load(folder);
  assert.equal(code, 'ADDON_LOAD');
  assert.deepEqual(message.split('\n').slice(1), [
    `  ${folder}/build/Debug/tapwall.node: no such file`,
    `  ${folder}/build/Release/tapwall.node: no such file`,
  ]);
  assert.match(hint, /npm rebuild/);
  assert.match(hint, /apt-get install libnftables-dev libmnl-dev pkg-config/);
  assert.equal(cause, 'undefined');
});

test('an addon that is none: what dlopen says', (t) => {
  const folder = packageWithoutAddon(t);
  const file = join(folder, 'build/Release/tapwall.node');
  writeFileSync(file, 'not an ELF file, but long enough to have the header of one. '.repeat(4));
  const { code, message, hint, cause } = load(folder);
  assert.equal(code, 'ADDON_LOAD');
  assert.match(message, /build\/Debug\/tapwall\.node: no such file/);
  assert.ok(message.includes(`  ${file}: ${file}: invalid ELF header`), message);
  assert.match(hint, /npm rebuild/);
  assert.match(cause, /invalid ELF header/);
});

test('an addon whose library is missing: its name, and what to install', (t) => {
  const folder = packageWithoutAddon(t);
  const compile = (...args: string[]) =>
    execFileSync('c++', ['-shared', '-x', 'c++', '/dev/null', '-x', 'none', ...args], {
      cwd: folder,
      env: plainEnvironment(),
    });
  compile('-Wl,-soname,libmnl.so.777', '-o', 'libmnl.so');
  compile('-Wl,--no-as-needed', './libmnl.so', '-o', 'build/Release/tapwall.node');
  rmSync(join(folder, 'libmnl.so'));
  const { message, hint } = load(folder);
  assert.match(message, /libmnl\.so\.777: cannot open shared object file/);
  assert.match(hint, /apt-get install libnftables1 libmnl0/);
});
