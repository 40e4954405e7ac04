import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { plainEnvironment } from './support.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const require = createRequire(import.meta.url);
const help = readFileSync(join(root, 'native/missing-requirements.txt'), 'utf8');

/** What a build needs, away from the addon that this checkout runs with. */
function copyOfTheTree(t: TestContext): string {
  const copy = mkdtempSync(join(tmpdir(), 'tapwall-'));
  t.after(() => rmSync(copy, { recursive: true }));
  for (const path of ['binding.gyp', 'package.json', 'native', 'scripts']) {
    cpSync(join(root, path), join(copy, path), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  mkdirSync(join(copy, 'empty'));
  return copy;
}

/** Runs in a copy where pkg-config finds nothing. */
function runWithoutLibraries(copy: string, args: string[], environment: Record<string, string> = {}) {
  const nothing = join(copy, 'empty');
  return spawnSync(process.execPath, args, {
    cwd: copy,
    encoding: 'utf8',
    env: { ...plainEnvironment(), PKG_CONFIG_LIBDIR: nothing, PKG_CONFIG_PATH: nothing, ...environment },
  });
}

test('the message names the packages', () => {
  for (const name of [
    'libnftables-dev',
    'libmnl-dev',
    'pkg-config',
    'nftables-devel',
    'libmnl-devel',
    'nftables-dev',
  ]) {
    assert.ok(help.includes(` ${name} `), name);
  }
});

test('npm install without the libraries says what is missing, and nothing else', (t) => {
  const copy = copyOfTheTree(t);
  const { status, stdout, stderr } = runWithoutLibraries(copy, ['scripts/build-addon.mjs']);
  assert.deepEqual({ status, stdout, stderr }, { status: 1, stdout: '', stderr: help });
  assert.ok(!existsSync(join(copy, 'build')));
});

test('without pkg-config and cmake the message is the same', (t) => {
  const copy = copyOfTheTree(t);
  const { status, stdout, stderr } = runWithoutLibraries(copy, ['scripts/build-addon.mjs'], {
    PATH: join(copy, 'empty'),
  });
  assert.deepEqual({ status, stdout, stderr }, { status: 1, stdout: '', stderr: help });
});

test('node-gyp without the libraries says what is missing, once', (t) => {
  const copy = copyOfTheTree(t);
  // As good as the headers of Node that node-gyp would download: it does not get as far as to use them.
  mkdirSync(join(copy, 'headers/include/node'), { recursive: true });
  writeFileSync(join(copy, 'headers/include/node/common.gypi'), '{}');
  writeFileSync(join(copy, 'headers/include/node/config.gypi'), '{ "variables": {} }');
  const nodeGyp = require.resolve('node-gyp/bin/node-gyp.js');
  const { status, stderr } = runWithoutLibraries(copy, [
    nodeGyp,
    'rebuild',
    '--nodedir',
    join(copy, 'headers'),
  ]);
  assert.equal(status, 1);
  const [before, after, ...more] = stderr.split(help);
  assert.equal(more.length, 0);
  assert.match(after ?? '', /while trying to load binding\.gyp/);
  // What node-gyp tells of itself, and no compiler's output or stack trace.
  const noise = (before ?? '').split('\n').filter((line) => !/^(gyp info .*|npm warn .*|)$/.test(line));
  assert.deepEqual(noise, []);
});

test('cmake-js without the libraries says what is missing', (t) => {
  const copy = copyOfTheTree(t);
  const cmakeJs = require.resolve('cmake-js/bin/cmake-js');
  const args = [cmakeJs, 'configure', '--directory', 'native', '--out', 'build'];
  const { status, stdout, stderr } = runWithoutLibraries(copy, args);
  assert.notEqual(status, 0);
  assert.ok(stderr.includes('apt-get install libnftables-dev libmnl-dev pkg-config'), stderr);
  assert.doesNotMatch(stdout, /The CXX compiler identification/);
});

test('a sanitizer that cannot be one is refused', (t) => {
  const copy = copyOfTheTree(t);
  const { status, stderr } = spawnSync(process.execPath, ['scripts/build-addon.mjs'], {
    cwd: copy,
    encoding: 'utf8',
    env: { ...plainEnvironment(), TAPWALL_SANITIZE: 'address; rm' },
  });
  assert.equal(status, 1);
  assert.match(stderr, /^TAPWALL_SANITIZE must be/);
});
