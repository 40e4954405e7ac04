import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { test } from 'node:test';
import {
  addon,
  createVeth,
  drain,
  nextMessage,
  openSocket,
  RTNLGRP_LINK,
  scratchNamespace,
  startWorker,
} from './support.js';

const WAKER = -1;

test('files that are ready are told of by their tokens, until what they have is taken', (t) => {
  const namespace = scratchNamespace(t);
  const poller = new addon.Poller(-1);
  t.after(() => poller.close());
  const quiet = openSocket(t, namespace, { groups: [RTNLGRP_LINK] });
  const actor = openSocket(t, namespace);
  const listeners = Array.from({ length: 40 }, () => openSocket(t, namespace, { groups: [RTNLGRP_LINK] }));
  listeners.forEach((socket, token) => void poller.add(socket.fd, token, false));
  assert.deepEqual(poller.wait(0), []);
  createVeth(actor, 'noticed');
  assert.deepEqual(
    poller.wait(1000).sort((a, b) => a - b),
    listeners.map((_, token) => token),
  );
  listeners.forEach((socket, token) => {
    if (token !== 7) drain(socket);
  });
  assert.deepEqual(poller.wait(1000), [7]);
  assert.deepEqual(poller.wait(1000), [7]);
  poller.add(quiet.fd, 2147483647, false);
  poller.remove((listeners[7] as (typeof listeners)[number]).fd);
  assert.deepEqual(poller.wait(1000), [2147483647]);
});

test('more files than are told of at once have their turn at the next wait', (t) => {
  const namespace = scratchNamespace(t);
  const poller = new addon.Poller(-1);
  t.after(() => poller.close());
  const listeners = Array.from({ length: 100 }, () => openSocket(t, namespace, { groups: [RTNLGRP_LINK] }));
  listeners.forEach((socket, token) => void poller.add(socket.fd, token, false));
  createVeth(openSocket(t, namespace), 'noticed');
  const first = poller.wait(1000);
  assert.equal(first.length, 64);
  // All are still ready, and those that were not told of come first.
  const second = poller.wait(1000);
  assert.equal(new Set([...first, ...second]).size, 100);
});

test('a waker is told of once for however many signals, along with files', (t) => {
  const waker = new addon.Waker();
  t.after(() => waker.close());
  const poller = new addon.Poller(waker.fd);
  t.after(() => poller.close());
  waker.signal();
  waker.signal();
  assert.deepEqual(poller.wait(1000), [WAKER]);
  assert.deepEqual(poller.wait(0), []);
  const namespace = scratchNamespace(t);
  const listener = openSocket(t, namespace, { groups: [RTNLGRP_LINK] });
  poller.add(listener.fd, 3, false);
  createVeth(openSocket(t, namespace), 'noticed');
  waker.signal();
  assert.deepEqual(
    poller.wait(1000).sort((a, b) => a - b),
    [WAKER, 3],
  );
});

test('a file that is closed is no longer waited for', (t) => {
  const namespace = scratchNamespace(t);
  const poller = new addon.Poller(-1);
  t.after(() => poller.close());
  const listener = openSocket(t, namespace, { groups: [RTNLGRP_LINK] });
  poller.add(listener.fd, 0, false);
  createVeth(openSocket(t, namespace), 'noticed');
  assert.deepEqual(poller.wait(1000), [0]);
  listener.close();
  assert.deepEqual(poller.wait(0), []);
});

test('lost events are told of, so that receive() reports them', (t) => {
  const namespace = scratchNamespace(t);
  const poller = new addon.Poller(-1);
  t.after(() => poller.close());
  const small = openSocket(t, namespace, { groups: [RTNLGRP_LINK], receiveBuffer: 1 });
  poller.add(small.fd, 5, false);
  const actor = openSocket(t, namespace);
  for (let i = 0; i < 20; i += 1) createVeth(actor, `burst${i}`);
  assert.deepEqual(poller.wait(1000), [5]);
  assert.throws(() => small.receive(), { code: 'ENOBUFS' });
});

test('what is mounted and taken away is told of, once for several changes', () => {
  // In a mount namespace of its own: the machine's mounts are none of the test's business.
  const program = `
    import { openSync } from 'node:fs';
    import { spawnSync } from 'node:child_process';
    import { loadAddon } from ${JSON.stringify(new URL('../../dist/kernel/addon.js', import.meta.url).href)};
    const addon = loadAddon();
    const poller = new addon.Poller(-1);
    poller.add(openSync('/proc/self/mountinfo', 'r'), 9, true);
    const mount = (...words) => { if (spawnSync(words[0], words.slice(1)).status !== 0) process.exit(3); };
    const seen = [poller.wait(0)];
    mount('mount', '-t', 'tmpfs', 'none', '/mnt');
    mount('mount', '-t', 'tmpfs', 'none', '/mnt');
    seen.push(poller.wait(1000), poller.wait(0));
    mount('umount', '/mnt');
    seen.push(poller.wait(1000), poller.wait(0));
    console.log(JSON.stringify(seen));`;
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['--mount', '--propagation', 'private', process.execPath, '--input-type=module', '--eval', program],
    { encoding: 'utf8' },
  );
  assert.deepEqual([status, stderr], [0, '']);
  assert.deepEqual(JSON.parse(stdout), [[], [9], [], [9], []]);
});

test('a thread that waits is woken from another', async (t) => {
  const waker = new addon.Waker();
  t.after(() => waker.close());
  const worker = startWorker('poll-for-waker', { waker: waker.fd });
  assert.equal(await nextMessage(worker), 'waiting');
  const woken = nextMessage(worker);
  waker.signal();
  assert.deepEqual(await woken, [WAKER]);
  await worker.terminate();
});

test('a worker can be terminated while it waits', async () => {
  const worker = startWorker('poll-forever');
  assert.equal(await nextMessage(worker), 'waiting');
  assert.equal(await worker.terminate(), 1);
});

test('what cannot be waited for is refused, and so is a closed poller', (t) => {
  const waker = new addon.Waker();
  t.after(() => waker.close());
  const poller = new addon.Poller(waker.fd);
  assert.throws(() => poller.add(waker.fd, 0, false), { code: 'EEXIST', syscall: 'epoll_ctl' });
  const other = new addon.Waker();
  assert.throws(() => poller.remove(other.fd), { code: 'ENOENT', syscall: 'epoll_ctl' });
  other.close();
  // An ordinary file is always ready; epoll(7) refuses it.
  const ordinary = openSync(process.execPath, 'r');
  assert.throws(() => poller.add(ordinary, 0, false), { code: 'EPERM', syscall: 'epoll_ctl' });
  closeSync(ordinary);
  for (const token of [-1, 2 ** 31, 0.5, '1']) {
    assert.throws(() => poller.add(0, token as number, false), { name: 'TypeError', message: /^token/ });
  }
  assert.throws(() => poller.add(0, 0, 1 as never), { name: 'TypeError', message: /^exceptional/ });
  assert.throws(() => poller.wait(-1), { name: 'TypeError', message: /^timeoutMs/ });
  assert.throws(() => new addon.Poller(-2), { name: 'TypeError', message: /^waker/ });
  assert.throws(() => new addon.Poller(999_999), { code: 'EBADF', syscall: 'epoll_ctl' });
  poller.close();
  poller.close();
  assert.throws(() => poller.wait(0), { code: 'EBADF', syscall: 'epoll_wait' });
  assert.throws(() => poller.add(0, 0, false), { code: 'EBADF', syscall: 'epoll_ctl' });
  assert.throws(() => poller.remove(0), { code: 'EBADF', syscall: 'epoll_ctl' });
});
