import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { NativeNamespace, NativeNftablesOptions, NativeNftablesResult } from '#src/kernel/native.js';
import {
  addon,
  createVeth,
  nextMessage,
  nftablesDefaults,
  openSocket,
  runChild,
  scratchNamespace,
  startWorker,
} from './support.js';

type Run = (input: string | null, options?: Partial<NativeNftablesOptions>) => NativeNftablesResult;

function runnerIn(namespace: NativeNamespace): Run {
  return (input, options = {}) =>
    addon.runNftables({ ...nftablesDefaults, namespace: namespace.fd, input, ...options });
}

function scratchFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

const ok = { status: 0, output: '', error: '' };

test('a table is in the namespace it was loaded into, and in no other', (t) => {
  const here = runnerIn(scratchNamespace(t));
  const elsewhere = runnerIn(scratchNamespace(t));
  assert.deepEqual(here('add table netdev isolated'), ok);
  assert.deepEqual(here('list tables'), { ...ok, output: 'table netdev isolated\n' });
  assert.deepEqual(elsewhere('list tables'), ok);
});

test("interface names are the namespace's own", (t) => {
  const with_ = scratchNamespace(t);
  const without = scratchNamespace(t);
  createVeth(openSocket(t, with_), 'only-here');
  const rules = 'table netdev t { chain c { type filter hook ingress device "only-here" priority 0; }\n}';
  const iif = 'table netdev t { chain d { iif "only-here" drop\n}\n}';
  assert.deepEqual(runnerIn(with_)(`${rules}\n${iif}`), ok);
  const refused = runnerIn(without)(iif);
  assert.notEqual(refused.status, 0);
  assert.match(refused.error, /Interface does not exist/);
});

test('a file is given variables, for that call only', (t) => {
  const run = runnerIn(scratchNamespace(t));
  const file = join(scratchFolder(t), 'rules.nft');
  writeFileSync(file, 'table netdev t { set s { type ipv4_addr; elements = { $first, $second }\n}\n}\n');
  assert.deepEqual(run(null, { file, variables: ['first=192.0.2.1', 'second=192.0.2.2'] }), ok);
  assert.match(run('list sets').output, /elements = \{ 192\.0\.2\.1, 192\.0\.2\.2 \}/);
  assert.match(run(null, { file, variables: ['first=192.0.2.1'] }).error, /unknown identifier 'second'/);
});

test('a variable without a value is an error', (t) => {
  const run = runnerIn(scratchNamespace(t));
  assert.throws(() => run(null, { file: '/dev/null', variables: ['novalue'] }), {
    code: 'EINVAL',
    syscall: 'nft_ctx_add_var',
    message: /novalue/,
  });
});

test('JSON goes in and comes out', (t) => {
  const run = runnerIn(scratchNamespace(t));
  const add = { nftables: [{ add: { table: { family: 'netdev', name: 'from-json' } } }] };
  assert.deepEqual(run(JSON.stringify(add), { json: true }), ok);
  const { status, output } = run('list tables', { json: true });
  assert.equal(status, 0);
  const objects = JSON.parse(output).nftables as { table?: { name: string } }[];
  assert.deepEqual(
    objects.flatMap(({ table }) => (table ? [table.name] : [])),
    ['from-json'],
  );
  assert.equal(run('list tables', { json: false }).output, 'table netdev from-json\n');
});

test('JSON is chosen by its own option alone', (t) => {
  const run = runnerIn(scratchNamespace(t));
  const NFT_CTX_OUTPUT_JSON = 1 << 4;
  run('add table netdev plain');
  assert.equal(run('list tables', { outputFlags: NFT_CTX_OUTPUT_JSON }).output, 'table netdev plain\n');
});

test('output flags are passed on', (t) => {
  const run = runnerIn(scratchNamespace(t));
  const NFT_CTX_OUTPUT_HANDLE = 1 << 3;
  run('add table netdev handled');
  assert.match(
    run('list table netdev handled', { outputFlags: NFT_CTX_OUTPUT_HANDLE }).output,
    /# handle \d+/,
  );
  assert.doesNotMatch(run('list table netdev handled').output, /# handle/);
});

test('a dry run finds errors and changes nothing', (t) => {
  const run = runnerIn(scratchNamespace(t));
  assert.deepEqual(run('add table netdev tried', { dryRun: true }), ok);
  assert.equal(run('list tables').output, '');
  assert.notEqual(run('add table nonsense tried', { dryRun: true }).status, 0);
});

test('an error has its text, and nothing is printed', (t) => {
  const run = runnerIn(scratchNamespace(t));
  const { status, output, error } = run('add table netdev fine\nadd rule netdev fine absent accept');
  assert.notEqual(status, 0);
  assert.equal(output, '');
  assert.match(error, /^Error: Could not process rule: No such file or directory$/m);
  // The whole text is one transaction.
  assert.equal(run('list tables').output, '');
});

test('a failed call leaves nothing behind for the next', (t) => {
  const run = runnerIn(scratchNamespace(t));
  run('add nonsense');
  assert.deepEqual(run('add table netdev next'), ok);
});

test('a file is run, and errors have their place in it', (t) => {
  const folder = scratchFolder(t);
  const run = runnerIn(scratchNamespace(t));
  const file = join(folder, 'rules.nft');
  writeFileSync(file, 'add table netdev from-file\nlist tables\n');
  assert.deepEqual(run(null, { file }), { ...ok, output: 'table netdev from-file\n' });
  writeFileSync(file, 'add table netdev fine\nadd table netdev 5\n');
  assert.ok(run(null, { file }).error.startsWith(`${file}:2:18-18: Error: syntax error`));
  const absent = run(null, { file: join(folder, 'absent.nft') });
  assert.notEqual(absent.status, 0);
  assert.match(absent.error, /No such file or directory/);
});

test('include finds files in the given folders only', (t) => {
  const folder = scratchFolder(t);
  const run = runnerIn(scratchNamespace(t));
  mkdirSync(join(folder, 'first'));
  mkdirSync(join(folder, 'second'));
  writeFileSync(join(folder, 'second', 'part.nft'), 'add table netdev included\n');
  const includePaths = [join(folder, 'first'), join(folder, 'second')];
  assert.deepEqual(run('include "part.nft"', { includePaths }), ok);
  assert.equal(run('list tables').output, 'table netdev included\n');
  for (const paths of [[], [join(folder, 'first')]]) {
    const elsewhere = runnerIn(scratchNamespace(t));
    assert.notEqual(elsewhere('include "part.nft"', { includePaths: paths }).status, 0);
    assert.equal(elsewhere('list tables').output, '');
  }
  // Nor in the library's own default, which is /etc.
  assert.match(run('include "passwd"', { includePaths }).error, /^Error: File not found: passwd$/m);
});

test('calls from two threads at once keep apart', async () => {
  const names = ['left', 'right'];
  const barrier = new SharedArrayBuffer(4);
  const results = await Promise.all(
    names.map((name) => nextMessage(startWorker('load-rules', { name, barrier }))),
  );
  for (const [index, name] of names.entries()) {
    const { failures, output } = results[index] as { failures: string[]; output: string };
    assert.deepEqual(failures, []);
    assert.ok(output.includes(`iif "${name}" drop`), output);
  }
});

test('a process without a free descriptor gets an error, and lives', async () => {
  const { code, stdout, stderr } = await runChild('run-rules-without-descriptors', {
    under: ['prlimit', '--nofile=128'],
  });
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { code: 'EMFILE', status: 0 });
});

test('a descriptor that is no namespace is an error', (t) => {
  const waker = new addon.Waker();
  t.after(() => waker.close());
  assert.throws(() => addon.runNftables({ ...nftablesDefaults, namespace: waker.fd, input: 'list tables' }), {
    code: 'EINVAL',
    syscall: 'setns',
  });
});

test('the libraries have versions', () => {
  const { libmnl, libnftables } = addon.versions();
  assert.match(libmnl, /^\d+\.\d+\.\d+ \(at build time\)$/);
  // Said by the library itself, so without that remark.
  assert.match(libnftables, /^\d+\.\d+(\.\d+)?$/);
});
