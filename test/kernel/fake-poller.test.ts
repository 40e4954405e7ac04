/** Waiting for many sockets, on the fake kernel as on the real one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeKernel } from '#src/kernel/fake.js';
import type { Kernel } from '#src/kernel/kernel.js';
import { RTNLGRP_LINK } from '#src/links/constants.js';
import { newLink } from '#src/links/request.js';
import { NETLINK_ROUTE } from '#src/netlink/constants.js';
import { kernel as linux } from '../support/host.js';

const fake = new FakeKernel();
const KERNELS: [string, Kernel, (namespace: ReturnType<Kernel['createNamespace']>, name: string) => void][] =
  [
    ['fake', fake, (namespace, name) => void fake.addLink({ name, kind: 'macvtap' }, namespace)],
    [
      'real',
      linux,
      (namespace, name) => {
        const route = linux.openSocket({ protocol: NETLINK_ROUTE, namespace });
        route.request(
          newLink({ name, kind: 'veth', peer: { name: `${name}p`, namespace: namespace.fd } }),
          'RTM_NEWLINK',
        );
        route.close();
      },
    ],
  ];

for (const [words, kernel, addLink] of KERNELS) {
  test(`a poller tells sockets apart, and forgets what is removed or closed [${words}]`, () => {
    const waker = kernel.createWaker();
    const poller = kernel.createPoller(waker.fd);
    const [a, b] = [kernel.createNamespace(), kernel.createNamespace()];
    const [listensToA, listensToB] = [a, b].map((namespace) =>
      kernel.openSocket({ protocol: NETLINK_ROUTE, namespace, groups: [RTNLGRP_LINK] }),
    );
    assert.ok(listensToA && listensToB);
    poller.add(listensToA, 10);
    poller.add(listensToB, 20);
    assert.deepEqual(poller.wait(0), { tokens: [], woken: false });
    addLink(b, 'x0');
    assert.deepEqual(poller.wait(0), { tokens: [20], woken: false });
    waker.signal();
    assert.deepEqual(poller.wait(0), { tokens: [20], woken: true });
    assert.deepEqual(poller.wait(0), { tokens: [20], woken: false });
    while (listensToB.receive());
    assert.deepEqual(poller.wait(0), { tokens: [], woken: false });
    addLink(a, 'x1');
    addLink(b, 'x2');
    poller.remove(listensToA);
    listensToB.close();
    poller.remove(listensToB);
    assert.deepEqual(poller.wait(0), { tokens: [], woken: false });
    poller.add(listensToA, 11);
    assert.deepEqual(poller.wait(0), { tokens: [11], woken: false });
    listensToA.close();
    poller.close();
    assert.throws(() => poller.wait(0), { code: 'EBADF' });
    for (const one of [a, b, waker]) one.close();
  });
}

test('the fake kernel tells of names that come and go, once for several', () => {
  const kernel = new FakeKernel();
  const poller = kernel.createPoller(-1);
  kernel.addNamespace('before').close();
  poller.addMounts(5);
  assert.deepEqual(poller.wait(0).tokens, []);
  kernel.addNamespace('one').close();
  kernel.removeNamespace('before');
  assert.deepEqual(poller.wait(0).tokens, [5]);
  assert.deepEqual(poller.wait(0).tokens, []);
  kernel.removeNamespace('never');
  assert.deepEqual(poller.wait(0).tokens, []);
  assert.throws(() => kernel.openNamespace('before'), { code: 'NAMESPACE_NOT_FOUND' });
  poller.close();
});
