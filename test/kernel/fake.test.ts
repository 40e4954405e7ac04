/** The fake kernel as a kernel: namespaces, sockets, wakers, waiting, and that tapwall's own code runs on it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Hand } from '#src/agent/manual.js';
import { readStatus } from '#src/agent/status.js';
import { FakeKernel } from '#src/kernel/fake.js';
import { RTNLGRP_LINK } from '#src/links/constants.js';
import { listLinks } from '#src/links/query.js';
import { NETLINK_KOBJECT_UEVENT, NETLINK_NETFILTER, NETLINK_ROUTE } from '#src/netlink/constants.js';
import { program } from '../agent/program.js';

test('namespaces are apart from each other and from the process’s own', () => {
  const kernel = new FakeKernel();
  const [a, b] = [kernel.createNamespace(), kernel.createNamespace()];
  assert.notEqual(a.inode, b.inode);
  kernel.addLink({ name: 'one' }, a);
  kernel.addLink({ name: 'two' }, b);
  const names = [undefined, a, b].map((namespace) => kernel.links(namespace).map(({ name }) => name));
  assert.deepEqual(names, [['lo'], ['lo', 'one'], ['lo', 'two']]);
  assert.deepEqual(kernel.tables(a), []);
  assert.equal(kernel.generation(b), 1);
});

test('a namespace is opened by its name, its path under /run/netns, or the path of a handle', () => {
  const kernel = new FakeKernel();
  const named = kernel.addNamespace('vms');
  const unnamed = kernel.createNamespace();
  assert.equal(kernel.openNamespace('vms').inode, named.inode);
  assert.equal(kernel.openNamespace('/run/netns/vms').inode, named.inode);
  assert.equal(kernel.openNamespace(unnamed.path).inode, unnamed.inode);
  named.close();
  assert.equal(kernel.openNamespace('vms').inode, named.inode);
  for (const name of ['vms', '', 'a/b']) {
    assert.throws(() => kernel.addNamespace(name), { code: 'ARGUMENT' });
  }
});

test('a namespace that is not there is NAMESPACE_NOT_FOUND', () => {
  const kernel = new FakeKernel();
  const closed = kernel.createNamespace();
  closed.close();
  closed.close();
  for (const name of ['nope', '', '/run/netns/nope', '/proc/self/ns/net', '/fake/fd/', closed.path]) {
    assert.throws(
      () => kernel.openNamespace(name),
      { name: 'TapwallError', code: 'NAMESPACE_NOT_FOUND' },
      name,
    );
  }
});

test('a namespace lives on in its sockets, and a handle that was closed opens nothing', () => {
  const kernel = new FakeKernel();
  const namespace = kernel.createNamespace();
  kernel.addLink({ name: 'one' }, namespace);
  const socket = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace });
  namespace.close();
  assert.deepEqual(
    listLinks(socket).map(({ name }) => name),
    ['lo', 'one'],
  );
  assert.throws(() => kernel.openSocket({ protocol: NETLINK_ROUTE, namespace }), { code: 'EBADF' });
  assert.throws(() => kernel.links(namespace), { code: 'EBADF' });
  // Nor does one of another kernel, though the descriptor is the same number.
  const [a, b] = [new FakeKernel(), new FakeKernel()];
  assert.equal(a.createNamespace().fd, b.createNamespace().fd);
  assert.throws(() => a.links(b.createNamespace()), { code: 'EBADF' });
});

test('each socket has a port of its own; what it does not speak it says', () => {
  const kernel = new FakeKernel();
  const ports = [NETLINK_ROUTE, NETLINK_NETFILTER, NETLINK_ROUTE].map(
    (protocol) => kernel.openSocket({ protocol }).portId,
  );
  assert.equal(new Set(ports).size, 3);
  assert.throws(() => kernel.openSocket({ protocol: NETLINK_KOBJECT_UEVENT }), { code: 'NOT_SUPPORTED' });
});

test('a closed socket is EBADF, whatever is asked of it', () => {
  const kernel = new FakeKernel();
  const socket = kernel.openSocket({ protocol: NETLINK_ROUTE, groups: [RTNLGRP_LINK] });
  socket.close();
  socket.close();
  kernel.addLink({ name: 'a' });
  kernel.loseEvents();
  assert.throws(() => socket.receive(), { code: 'EBADF', errno: 9 });
  assert.throws(() => listLinks(socket), { code: 'EBADF' });
  assert.throws(() => kernel.wait([socket], -1, 0), { code: 'EBADF', syscall: 'poll' });
});

test('bytes that no kernel could read are thrown, not dropped', () => {
  const { transport } = new FakeKernel().openSocket({ protocol: NETLINK_ROUTE });
  assert.throws(() => transport.transact(new Uint8Array(3)), { code: 'MALFORMED_MESSAGE' });
});

test('wait says which sockets have something, until it is taken', () => {
  const kernel = new FakeKernel();
  const open = (groups: number[]) => kernel.openSocket({ protocol: NETLINK_ROUTE, groups });
  const [quiet, listener] = [open([]), open([RTNLGRP_LINK])];
  const ready = () => kernel.wait([quiet, listener], -1, 1000);
  assert.deepEqual(ready(), { sockets: [false, false], woken: false });
  kernel.addLink({ name: 'a' });
  assert.deepEqual(ready(), { sockets: [false, true], woken: false });
  assert.deepEqual(ready(), { sockets: [false, true], woken: false });
  listener.receive();
  assert.deepEqual(ready(), { sockets: [false, false], woken: false });
  kernel.loseEvents();
  assert.deepEqual(ready(), { sockets: [false, true], woken: false });
  assert.throws(() => listener.receive(), { code: 'ENOBUFS' });
  assert.deepEqual(ready(), { sockets: [false, false], woken: false });
});

test('wait does not block, however long it may', () => {
  const kernel = new FakeKernel();
  const waker = kernel.createWaker();
  const start = performance.now();
  for (let count = 0; count < 100; count++) kernel.wait([], waker.fd, 1000);
  assert.ok(performance.now() - start < 1000);
});

test('a waker wakes once for however many signals', () => {
  const kernel = new FakeKernel();
  const [waker, other] = [kernel.createWaker(), kernel.createWaker()];
  waker.signal();
  waker.signal();
  assert.equal(kernel.wait([], other.fd, 0).woken, false);
  assert.equal(kernel.wait([], waker.fd, 0).woken, true);
  assert.equal(kernel.wait([], waker.fd, 0).woken, false);
  waker.close();
  waker.close();
  assert.throws(() => waker.signal(), { code: 'EBADF', syscall: 'write' });
  assert.throws(() => kernel.wait([], waker.fd, 0), { code: 'EBADF', syscall: 'poll' });
});

test('a socket of another kernel cannot be waited for', () => {
  const other = new FakeKernel().openSocket({ protocol: NETLINK_ROUTE });
  assert.throws(() => new FakeKernel().wait([other], -1, 0), { code: 'ARGUMENT' });
});

test('attach, list and detach by hand run on it unchanged', () => {
  const kernel = new FakeKernel();
  kernel.addLink({ name: 'macvtap0', kind: 'macvtap', mac: '52:54:00:aa:bb:cc' });
  kernel.addLink({ name: 'enp88s0' });
  const hand = new Hand(kernel, undefined);
  const sockets = {
    route: kernel.openSocket({ protocol: NETLINK_ROUTE }),
    netfilter: kernel.openSocket({ protocol: NETLINK_NETFILTER }),
  };
  const guard = program('guard', { tables: ['in', 'out'] });
  const { tables } = hand.attach(hand.findDevice('macvtap0'), guard);
  assert.deepEqual(tables, ['tapwall.2.in', 'tapwall.2.out']);
  const status = () => readStatus(sockets.route, sockets.netfilter);
  const nothing = { admitted: { packets: 0, bytes: 0 }, dropped: {} };
  assert.deepEqual(status(), {
    placement: undefined,
    devices: [
      {
        device: 'macvtap0',
        index: 2,
        inAdvance: false,
        state: 'attached',
        mac: '52:54:00:aa:bb:cc',
        policy: 'guard',
        digest: guard.digest,
        origin: 'manual',
        tables,
        ingress: nothing,
        egress: nothing,
      },
    ],
  });
  assert.throws(() => hand.findDevice('macvtap1'), { code: 'DEVICE_NOT_FOUND' });
  assert.throws(() => hand.findDevice('enp88s0'), { code: 'ARGUMENT' });
  hand.detach('macvtap0');
  assert.deepEqual(kernel.tables(), []);
  assert.equal(status().devices[0]?.state, 'unfiltered');
  assert.throws(() => hand.detach('macvtap0'), { code: 'NOT_ATTACHED' });
});
