import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import {
  addon,
  createVeth,
  drain,
  nextMessage,
  openSocket,
  RTNLGRP_LINK,
  runChild,
  scratchNamespace,
  startChild,
  startWorker,
} from './support.js';

const WAKER_BIT = 0x80000000;

test('nothing to report: the time-out gives 0', (t) => {
  const socket = openSocket(t, scratchNamespace(t), { groups: [RTNLGRP_LINK] });
  const waker = new addon.Waker();
  t.after(() => waker.close());
  assert.equal(addon.wait([socket], waker.fd, 0), 0);
  assert.equal(addon.wait([socket], waker.fd, 1), 0);
  assert.equal(addon.wait([], -1, 0), 0);
});

test('a socket with data sets its bit until the data is taken', (t) => {
  const namespace = scratchNamespace(t);
  const quiet = openSocket(t, namespace);
  const listener = openSocket(t, namespace, { groups: [RTNLGRP_LINK] });
  createVeth(openSocket(t, namespace), 'noticed');
  assert.equal(addon.wait([quiet, listener], -1, 1000), 0b10);
  assert.equal(addon.wait([listener, quiet], -1, 1000), 0b01);
  drain(listener);
  assert.equal(addon.wait([quiet, listener], -1, 0), 0);
});

test('the waker sets bit 31, once for however many signals', (t) => {
  const waker = new addon.Waker();
  t.after(() => waker.close());
  waker.signal();
  waker.signal();
  waker.signal();
  assert.equal(addon.wait([], waker.fd, 1000), WAKER_BIT);
  assert.equal(addon.wait([], waker.fd, 0), 0);
  waker.signal();
  assert.equal(addon.wait([], waker.fd, 1000), WAKER_BIT);
});

test('sockets and the waker are reported together', (t) => {
  const namespace = scratchNamespace(t);
  const listener = openSocket(t, namespace, { groups: [RTNLGRP_LINK] });
  const quiet = openSocket(t, namespace);
  const waker = new addon.Waker();
  t.after(() => waker.close());
  createVeth(quiet, 'noticed');
  waker.signal();
  // All 31 places: bit 30 is the last socket's, bit 31 the waker's.
  const sockets = [...Array.from({ length: 30 }, () => quiet), listener];
  assert.equal(addon.wait(sockets, waker.fd, 1000), WAKER_BIT + 2 ** 30);
});

test('lost events set the bit, so that receive() reports them', (t) => {
  const namespace = scratchNamespace(t);
  const small = openSocket(t, namespace, { groups: [RTNLGRP_LINK], receiveBuffer: 1 });
  const actor = openSocket(t, namespace);
  for (let i = 0; i < 20; i += 1) createVeth(actor, `burst${i}`);
  assert.equal(addon.wait([small], -1, 1000), 1);
  assert.throws(() => small.receive(), { code: 'ENOBUFS' });
});

test('a thread that waits is woken from another', async (t) => {
  const waker = new addon.Waker();
  t.after(() => waker.close());
  const worker = startWorker('wait-for-waker', { waker: waker.fd });
  assert.equal(await nextMessage(worker), 'waiting');
  const woken = nextMessage(worker);
  waker.signal();
  assert.equal(await woken, WAKER_BIT);
  await worker.terminate();
});

test('a signal that arrives meanwhile does not end the wait', async () => {
  const { child, result } = startChild('wait-through-signals');
  assert.ok(child.stdout);
  await once(child.stdout, 'data');
  const stream = setInterval(() => child.kill('SIGUSR2'), 20);
  await Promise.race([once(child.stdout, 'data'), result]);
  clearInterval(stream);
  child.kill('SIGKILL');
  const { stdout, stderr } = await result;
  assert.deepEqual(
    { last: stdout.trimEnd().split('\n').at(-1), stderr },
    { last: '{"ready":0}', stderr: '' },
  );
});

test('a worker can be terminated while it waits, and does not wait again', async () => {
  const returned = new SharedArrayBuffer(4);
  const count = new Int32Array(returned);
  const worker = startWorker('wait-forever', { returned });
  assert.equal(await nextMessage(worker), 'waiting');
  const before = Atomics.load(count, 0);
  assert.equal(await worker.terminate(), 1);
  // The call it was in, and one more if it was between two. V8 lets such a loop run for some twenty more.
  const after = Atomics.load(count, 0) - before;
  assert.ok(after <= 2, `${after} calls`);
});

test('a worker can be terminated wherever it is in the addon', async () => {
  for (let i = 0; i < 40; i += 1) {
    const worker = startWorker('call-without-end');
    assert.equal(await nextMessage(worker), 'calling');
    assert.equal(await worker.terminate(), 1);
  }
});

test('a worker can be terminated while it loads the addon', async () => {
  for (let i = 0; i < 20; i += 1) {
    const worker = startWorker('call-without-end');
    // Later with every round, so that some are hit before, some while and some after.
    await setTimeout(i * 5);
    // 0 for one that had not begun. Whatever is thrown in a worker would be an 'error' event here, and end
    // this process.
    assert.ok([0, 1].includes(await worker.terminate()));
  }
});

test('the process can exit while a worker waits', async () => {
  const { code, signal, stderr } = await runChild('exit-while-a-worker-waits');
  assert.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: '' });
});

test('a descriptor that is not open is an error, not a wait', () => {
  const waker = new addon.Waker();
  const { fd } = waker;
  waker.close();
  assert.throws(() => addon.wait([], fd, 1000), { code: 'EBADF', errno: 9, syscall: 'poll' });
});

test('a closed waker refuses everything but another close', () => {
  const waker = new addon.Waker();
  waker.close();
  waker.close();
  assert.throws(() => waker.signal(), { code: 'EBADF', syscall: 'write' });
  assert.throws(() => waker.fd, { code: 'EBADF' });
});
