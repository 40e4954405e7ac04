import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  addon,
  createVeth,
  dumpLinks,
  linkName,
  openSocket,
  pathOf,
  plainEnvironment,
  runChild,
  scratchNamespace,
  socketDefaults,
} from './support.js';

const own = () => statSync('/proc/thread-self/ns/net', { bigint: true }).ino;

test('a new namespace is another one, and the calling thread stays where it is', (t) => {
  const before = own();
  const first = scratchNamespace(t);
  const second = scratchNamespace(t);
  assert.notEqual(first.inode, before);
  assert.notEqual(first.inode, second.inode);
  assert.equal(own(), before);
  assert.equal(statSync(`/proc/self/fd/${first.fd}`, { bigint: true }).ino, first.inode);
});

test('a new namespace has nothing but its loopback device', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  // Drivers may add devices that every namespace has (tunl0, sit0); none of this machine's own are among
  // them.
  const names = dumpLinks(socket).map(linkName);
  assert.ok(names.includes('lo'));
  createVeth(socket, 'only-here');
  const elsewhere = openSocket(t, scratchNamespace(t));
  assert.ok(dumpLinks(socket).map(linkName).includes('only-here'));
  assert.ok(!dumpLinks(elsewhere).map(linkName).includes('only-here'));
});

test('a path opens the namespace it names', (t) => {
  const namespace = scratchNamespace(t);
  const again = addon.Namespace.open(pathOf(namespace));
  t.after(() => again.close());
  assert.equal(again.inode, namespace.inode);
  assert.notEqual(again.fd, namespace.fd);
});

test('what is not a network namespace is refused', (t) => {
  assert.throws(() => addon.Namespace.open('/proc/self/ns/mnt'), {
    code: 'EINVAL',
    errno: 22,
    syscall: 'ioctl',
  });
  assert.throws(() => addon.Namespace.open('/proc/self/status'), {
    code: 'ENOTTY',
    errno: 25,
    syscall: 'ioctl',
  });
  assert.throws(() => addon.Namespace.open('/run/netns/no such one'), {
    code: 'ENOENT',
    errno: 2,
    syscall: 'open',
    message: "ENOENT: No such file or directory, open '/run/netns/no such one'",
  });
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-'));
  t.after(() => rmSync(folder, { recursive: true }));
  execFileSync('mkfifo', [join(folder, 'fifo')], { env: plainEnvironment() });
  // That this returns at all is the point: opening a FIFO waits for its writer.
  assert.throws(() => addon.Namespace.open(join(folder, 'fifo')), { code: 'ENOTTY' });
});

test('a socket is opened where it is told, and keeps the namespace alive', (t) => {
  const namespace = addon.Namespace.create();
  const socket = openSocket(t, namespace);
  createVeth(socket, 'kept');
  namespace.close();
  assert.ok(dumpLinks(socket).map(linkName).includes('kept'));
});

test("-1 is the caller's own namespace", async (t) => {
  const namespace = scratchNamespace(t);
  createVeth(openSocket(t, namespace), 'inside');
  const { stdout } = await runChild('list-own-links', { under: ['nsenter', `--net=${pathOf(namespace)}`] });
  assert.ok(JSON.parse(stdout).includes('inside'), stdout);
});

test('a descriptor of anything else does not open a socket', (t) => {
  const waker = new addon.Waker();
  t.after(() => waker.close());
  assert.throws(() => new addon.Socket({ ...socketDefaults, namespace: waker.fd }), {
    code: 'EINVAL',
    syscall: 'setns',
  });
});

test('the descriptor is not inherited by other programs', (t) => {
  const { fd } = scratchNamespace(t);
  const flags = /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
  const O_CLOEXEC = 0o2000000;
  assert.equal(Number.parseInt(flags, 8) & O_CLOEXEC, O_CLOEXEC);
});

test('a closed namespace has no descriptor that could be taken for the own namespace', () => {
  const namespace = addon.Namespace.create();
  const { inode } = namespace;
  namespace.close();
  namespace.close();
  assert.throws(() => namespace.fd, { code: 'EBADF', errno: 9 });
  assert.equal(namespace.inode, inode);
});
