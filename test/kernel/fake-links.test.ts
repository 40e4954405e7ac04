/** Links of the fake kernel. What a link says of itself, and when, was captured on Linux 6.18. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeKernel } from '#src/kernel/fake.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { RTNLGRP_LINK } from '#src/links/constants.js';
import { macvtapFilter } from '#src/links/filter.js';
import { type LinkEvent, parseLinkEvent } from '#src/links/link.js';
import { findLink, listLinks } from '#src/links/query.js';
import { getLink, setLinkUp } from '#src/links/request.js';
import { HOST_LITTLE_ENDIAN, viewOf } from '#src/netlink/bytes.js';
import { NETLINK_ROUTE, NLM_F_ACK } from '#src/netlink/constants.js';
import { encodeRequest, parseMessages } from '#src/netlink/message.js';

function listen(kernel: FakeKernel, options: { filter?: Uint8Array } = {}): NetlinkSocket {
  return kernel.openSocket({ protocol: NETLINK_ROUTE, groups: [RTNLGRP_LINK], ...options });
}

function received(socket: NetlinkSocket): LinkEvent[] {
  const events: LinkEvent[] = [];
  for (let messages = socket.receive(); messages; messages = socket.receive()) {
    events.push(...messages.flatMap((message) => parseLinkEvent(message) ?? []));
  }
  return events;
}

/** `new macvtap0`, for each event. */
function told(socket: NetlinkSocket): string[] {
  return received(socket).map(({ type, link }) => `${type} ${link.name}`);
}

test('a namespace begins with lo; indexes count up and do not come again', () => {
  const kernel = new FakeKernel();
  assert.deepEqual(
    kernel.links().map(({ index, name, kind }) => [index, name, kind]),
    [[1, 'lo', undefined]],
  );
  assert.equal(kernel.addLink({ name: 'a' }).index, 2);
  kernel.removeLink('a');
  assert.equal(kernel.addLink({ name: 'a' }).index, 3);
  // Whoever asks for an index gets it, and the kernel counts on as before.
  assert.equal(kernel.addLink({ name: 'b', index: 4 }).index, 4);
  assert.equal(kernel.addLink({ name: 'c', index: 100 }).index, 100);
  assert.equal(kernel.addLink({ name: 'd' }).index, 5);
  kernel.removeLink('b');
  assert.equal(kernel.addLink({ name: 'b', index: 4 }).index, 4);
  assert.deepEqual(
    kernel.links().map(({ index }) => index),
    [1, 3, 4, 5, 100],
  );
});

test('a link comes through the codec as it was made, listed or by itself', () => {
  const kernel = new FakeKernel();
  const parent = kernel.addLink({ name: 'enp88s0', up: true });
  const link = kernel.addLink({
    name: 'macvtap0',
    kind: 'macvtap',
    mac: '52:54:00:aa:bb:cc',
    alias: 'a VM, übermäßig',
    parent: 'enp88s0',
  });
  assert.deepEqual(link, {
    index: 3,
    name: 'macvtap0',
    up: false,
    kind: 'macvtap',
    mac: '52:54:00:aa:bb:cc',
    alias: 'a VM, übermäßig',
    parentIndex: parent.index,
    parentElsewhere: false,
  });
  const elsewhere = kernel.addLink({ name: 'macvtap1', kind: 'macvtap', parentElsewhere: 7 });
  assert.deepEqual([elsewhere.parentIndex, elsewhere.parentElsewhere], [7, true]);
  assert.equal(elsewhere.mac, '02:00:00:00:00:04');
  const route = kernel.openSocket({ protocol: NETLINK_ROUTE });
  assert.deepEqual(listLinks(route), kernel.links());
  for (const one of kernel.links()) {
    assert.deepEqual(findLink(route, { name: one.name }), one);
    assert.deepEqual(findLink(route, { index: one.index }), one);
  }
});

test('what is not there is ENODEV', () => {
  const kernel = new FakeKernel();
  const route = kernel.openSocket({ protocol: NETLINK_ROUTE });
  assert.equal(findLink(route, { name: 'nope' }), undefined);
  assert.equal(findLink(route, { index: 9 }), undefined);
  assert.throws(() => route.request(getLink({ name: 'nope' }), 'GETLINK'), { code: 'ENODEV', errno: 19 });
});

test('other requests are refused as the kernel refuses them', () => {
  const route = new FakeKernel().openSocket({ protocol: NETLINK_ROUTE });
  assert.throws(() => route.request(getLink({ index: 0 }), 'GETLINK'), { code: 'EINVAL' });
  assert.throws(() => route.request(getLink({ name: 'sixteen-letters-' }), 'GETLINK'), {
    code: 'ERANGE',
    extendedAck: { message: 'Attribute failed policy validation', offset: 32 },
  });
  // The fake has methods for it.
  assert.throws(() => route.request(setLinkUp(1), 'SETLINK'), { code: 'EOPNOTSUPP' });
});

test('an acknowledgement comes behind an answer, and only when asked for', () => {
  const { transport } = new FakeKernel().openSocket({ protocol: NETLINK_ROUTE });
  const request = getLink({ index: 1 });
  const types = (flags: number) =>
    parseMessages(transport.transact(encodeRequest({ ...request, flags }, 7))).map(
      ({ type, sequence, portId }) => [type, sequence, portId],
    );
  assert.deepEqual(types(request.flags), [[16, 7, transport.portId]]);
  assert.deepEqual(types(request.flags | NLM_F_ACK), [
    [16, 7, transport.portId],
    [2, 7, transport.portId],
  ]);
});

test('each change is an event, with what the link is by then', () => {
  const kernel = new FakeKernel();
  kernel.addLink({ name: 'vx0' });
  const socket = listen(kernel);
  const changes = (): [string, string, boolean, string | undefined, string | undefined][] =>
    received(socket).map(({ type, link }) => [type, link.name, link.up, link.mac, link.alias]);
  const mac = '02:00:00:00:00:03';
  kernel.addLink({ name: 'macvtap0', kind: 'macvtap', parent: 'vx0' });
  assert.deepEqual(changes(), [['new', 'macvtap0', false, mac, undefined]]);
  kernel.updateLink('macvtap0', { up: true });
  assert.deepEqual(changes(), [['new', 'macvtap0', true, mac, undefined]]);
  kernel.updateLink('macvtap0', { up: true, name: 'macvtap0' });
  assert.deepEqual(changes(), []);
  kernel.updateLink('macvtap0', { name: 'm2', mac: '02:00:00:00:00:08', alias: 'al' });
  assert.deepEqual(changes(), [
    ['new', 'macvtap0', true, '02:00:00:00:00:08', undefined],
    ['new', 'm2', true, '02:00:00:00:00:08', undefined],
    ['new', 'm2', true, '02:00:00:00:00:08', 'al'],
  ]);
  kernel.updateLink('m2', { alias: 'al' });
  kernel.updateLink('m2', { alias: '' });
  assert.deepEqual(changes(), [
    ['new', 'm2', true, '02:00:00:00:00:08', 'al'],
    ['new', 'm2', true, '02:00:00:00:00:08', undefined],
  ]);
  kernel.removeLink('m2');
  assert.deepEqual(changes(), [
    ['new', 'm2', false, '02:00:00:00:00:08', undefined],
    ['gone', 'm2', false, '02:00:00:00:00:08', undefined],
  ]);
});

test('of a link that is down no new alias is told, until something else is', () => {
  const kernel = new FakeKernel();
  kernel.addLink({ name: 'macvtap0', kind: 'macvtap' });
  const socket = listen(kernel);
  kernel.updateLink('macvtap0', { alias: 'web' });
  assert.deepEqual(received(socket), []);
  assert.equal(kernel.links()[1]?.alias, 'web');
  kernel.updateLink('macvtap0', { mac: '02:00:00:00:00:09' });
  assert.deepEqual(
    received(socket).map(({ link }) => link.alias),
    ['web'],
  );
});

test('ifi_change is all ones for what comes and goes, flags for what goes up and down, else 0', () => {
  const kernel = new FakeKernel();
  const socket = listen(kernel);
  kernel.addLink({ name: 'a' });
  kernel.updateLink('a', { up: true });
  kernel.updateLink('a', { name: 'b' });
  kernel.removeLink('b');
  const changes: number[] = [];
  for (let datagram = socket.transport.receive(); datagram; datagram = socket.transport.receive()) {
    for (const { payload } of parseMessages(datagram)) {
      changes.push(viewOf(payload).getUint32(12, HOST_LITTLE_ENDIAN));
    }
  }
  assert.deepEqual(changes, [0xffffffff, 1, 0, 0x41, 0xffffffff]);
});

test('a link goes down, then goes what stands on it, then itself', () => {
  const kernel = new FakeKernel();
  kernel.addLink({ name: 'enp88s0', up: true });
  for (const name of ['macvtap0', 'macvtap1']) kernel.addLink({ name, kind: 'macvtap', parent: 'enp88s0' });
  kernel.addLink({ name: 'macvtap2', kind: 'macvtap', parentElsewhere: 2 });
  const socket = listen(kernel);
  kernel.removeLink('enp88s0');
  assert.deepEqual(told(socket), ['new enp88s0', 'gone macvtap0', 'gone macvtap1', 'gone enp88s0']);
  assert.deepEqual(
    kernel.links().map(({ name }) => name),
    ['lo', 'macvtap2'],
  );
});

test('events go to those who joined the group, in that namespace, and with a filter macvtap alone', () => {
  const kernel = new FakeKernel();
  const all = listen(kernel);
  const filtered = listen(kernel, { filter: macvtapFilter() });
  const quiet = kernel.openSocket({ protocol: NETLINK_ROUTE });
  const namespace = kernel.createNamespace();
  const elsewhere = kernel.openSocket({ protocol: NETLINK_ROUTE, groups: [RTNLGRP_LINK], namespace });
  kernel.addLink({ name: 'vx0', kind: 'veth' });
  kernel.addLink({ name: 'macvtap0', kind: 'macvtap' });
  kernel.addLink({ name: 'macvtap9', kind: 'macvtap' }, namespace);
  assert.deepEqual(told(all), ['new vx0', 'new macvtap0']);
  assert.deepEqual(told(filtered), ['new macvtap0']);
  assert.deepEqual(told(quiet), []);
  assert.deepEqual(told(elsewhere), ['new macvtap9']);
  all.close();
  kernel.removeLink('macvtap0');
  assert.deepEqual(told(filtered), ['gone macvtap0']);
});

/** On 6.18, with a buffer that was too small: ENOBUFS, vx1, q1, nothing; q0 was never told of. */
test('lost events: ENOBUFS once and first, then what was queued, and until that is read nothing more', () => {
  const kernel = new FakeKernel();
  const socket = listen(kernel);
  kernel.addLink({ name: 'queued1' });
  kernel.addLink({ name: 'queued2' });
  kernel.loseEvents();
  kernel.loseEvents();
  kernel.addLink({ name: 'lost1' });
  assert.throws(() => socket.receive(), { code: 'ENOBUFS', errno: 105, operation: 'receive' });
  kernel.loseEvents();
  kernel.addLink({ name: 'lost2' });
  assert.equal(parseLinkEvent(socket.receive()?.[0] ?? assert.fail())?.link.name, 'queued1');
  kernel.addLink({ name: 'lost3' });
  assert.equal(parseLinkEvent(socket.receive()?.[0] ?? assert.fail())?.link.name, 'queued2');
  kernel.addLink({ name: 'told' });
  assert.deepEqual(told(socket), ['new told']);
  // With nothing queued the error alone is the end of it.
  kernel.loseEvents();
  assert.throws(() => socket.receive(), { code: 'ENOBUFS' });
  kernel.removeLink('told');
  assert.deepEqual(told(socket), ['gone told']);
});

test('what no kernel would do is thrown, and changes nothing', () => {
  const kernel = new FakeKernel();
  kernel.addLink({ name: 'a' });
  const socket = listen(kernel);
  const before = kernel.links();
  for (const name of ['', '.', '..', 'a/b', 'a b', 'a:1', 'sixteen-letters-', 'ääääääää', 'a']) {
    assert.throws(() => kernel.addLink({ name }), { code: 'ARGUMENT' }, name);
  }
  for (const index of [0, -1, 1.5, 2 ** 31, 2]) {
    assert.throws(() => kernel.addLink({ name: 'b', index }), { code: 'ARGUMENT' }, String(index));
  }
  assert.throws(() => kernel.addLink({ name: 'b', mac: '52:54' + ':xx' }), { code: 'ARGUMENT' });
  assert.throws(() => kernel.addLink({ name: 'b', parent: 'nope' }), { code: 'LINK_NOT_FOUND' });
  assert.throws(() => kernel.updateLink('nope', { up: true }), { code: 'LINK_NOT_FOUND' });
  assert.throws(() => kernel.updateLink('a', { name: 'lo', up: true }), { code: 'ARGUMENT' });
  assert.throws(() => kernel.updateLink('a', { mac: '', up: true }), { code: 'ARGUMENT' });
  assert.throws(() => kernel.removeLink('nope'), { code: 'LINK_NOT_FOUND' });
  assert.deepEqual(kernel.links(), before);
  assert.deepEqual(received(socket), []);
});
