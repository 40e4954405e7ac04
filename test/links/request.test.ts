import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { findLink, listLinks } from '#src/links/query.js';
import {
  deleteLink,
  dumpLinks,
  getLink,
  newLink,
  renameLink,
  setLinkAllMulticast,
  setLinkUp,
} from '#src/links/request.js';
import { encodeRequest } from '#src/netlink/message.js';
import { attribute, concat, h32, hex, message, nested, text } from '../fixtures-support/bytes.js';
import { assertSameBytes } from '../fixtures-support/hex.js';
import { Host } from './host.js';

const REQUEST = 0x1;
const ACK = 0x4;
const DUMP = 0x300;
const EXCL = 0x200;
const CREATE = 0x400;
const BRIDGE_MODE = 4;

/** struct ifinfomsg */
const info = (index = 0, flags = 0, change = 0) => concat([h32(0), h32(index), h32(flags), h32(change)]);

test('requests, byte by byte', () => {
  const acknowledged = { flags: REQUEST | ACK, sequence: 7 };
  const expected: [string, Parameters<typeof encodeRequest>[0], Uint8Array][] = [
    ['every link', dumpLinks(), message({ type: 18, flags: REQUEST | DUMP, sequence: 7 }, info())],
    ['a link by index', getLink({ index: 42 }), message({ type: 18, flags: REQUEST, sequence: 7 }, info(42))],
    [
      'a link by name',
      getLink({ name: 'vm0' }),
      message({ type: 18, flags: REQUEST, sequence: 7 }, info(), attribute(3, text('vm0'))),
    ],
    ['up', setLinkUp(42), message({ type: 19, ...acknowledged }, info(42, 1, 1))],
    [
      'all multicast',
      setLinkAllMulticast(42),
      message({ type: 19, ...acknowledged }, info(42, 0x200, 0x200)),
    ],
    ['down', setLinkUp(42, false), message({ type: 19, ...acknowledged }, info(42, 0, 1))],
    [
      'a name',
      renameLink(42, 'web-1'),
      message({ type: 19, ...acknowledged }, info(42), attribute(3, text('web-1'))),
    ],
    ['gone', deleteLink(42), message({ type: 17, ...acknowledged }, info(42))],
    [
      'a macvtap device',
      newLink({
        name: 'macvtap0',
        kind: 'macvtap',
        index: 42,
        mac: hex('525400aabbcc'),
        parentIndex: 21,
        mode: 4,
      }),
      message(
        { type: 16, flags: REQUEST | ACK | CREATE | EXCL, sequence: 7 },
        info(42),
        attribute(3, text('macvtap0')),
        attribute(1, hex('525400aabbcc')),
        attribute(5, h32(21)),
        nested(18, attribute(1, text('macvtap')), nested(2, attribute(1, h32(BRIDGE_MODE)))),
      ),
    ],
    [
      'a veth pair, one end of it in another namespace',
      newLink({ name: 'vm0', kind: 'veth', peer: { name: 'vm1', namespace: 5 } }),
      message(
        { type: 16, flags: REQUEST | ACK | CREATE | EXCL, sequence: 7 },
        info(),
        attribute(3, text('vm0')),
        nested(
          18,
          attribute(1, text('veth')),
          nested(2, attribute(1, info(), attribute(3, text('vm1')), attribute(28, h32(5)))),
        ),
      ),
    ],
  ];
  for (const [what, request, bytes] of expected) assertSameBytes(encodeRequest(request, 7), bytes, what);
});

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => host.close());

test('a macvtap device is made as asked, found, changed and deleted', () => {
  host.add({ name: 'up0', kind: 'veth', index: 21, peer: { name: 'up1' } });
  const mac = hex('525400aabbcc');
  host.add({ name: 'macvtap0', kind: 'macvtap', index: 42, mac, parentIndex: 21, mode: BRIDGE_MODE });
  const expected = {
    index: 42,
    name: 'macvtap0',
    up: false,
    kind: 'macvtap',
    mac: '52:54:00:aa:bb:cc',
    alias: undefined,
    parentIndex: 21,
    parentElsewhere: false,
  };
  assert.deepEqual(findLink(host.route, { index: 42 }), expected);
  assert.deepEqual(findLink(host.route, { name: 'macvtap0' }), expected);
  assert.deepEqual(
    listLinks(host.route).find(({ index }) => index === 42),
    expected,
  );

  host.route.request(setLinkUp(21), 'up');
  host.route.request(setLinkUp(42), 'up');
  host.route.request(renameLink(42, 'web-1'), 'rename');
  assert.deepEqual(findLink(host.route, { index: 42 }), { ...expected, name: 'web-1', up: true });
  host.route.request(setLinkUp(42, false), 'down');
  assert.equal(findLink(host.route, { index: 42 })?.up, false);

  host.route.request(deleteLink(42), 'delete');
  assert.equal(findLink(host.route, { index: 42 }), undefined);
  assert.equal(findLink(host.route, { name: 'web-1' }), undefined);
});

test('a peer may be born in another namespace', () => {
  const other = new Host();
  try {
    host.add({ name: 'here', kind: 'veth', peer: { name: 'there', namespace: other.namespace.fd } });
    assert.equal(findLink(host.route, { name: 'there' }), undefined);
    assert.equal(findLink(other.route, { name: 'there' })?.parentElsewhere, true);
  } finally {
    other.close();
  }
});

test('a refusal names what was asked', () => {
  host.add({ name: 'vm0', kind: 'veth' });
  assert.throws(() => host.add({ name: 'vm0', kind: 'veth' }), {
    code: 'EEXIST',
    operation: 'RTM_NEWLINK vm0',
  });
  assert.throws(() => host.add({ name: 'macvtap0', kind: 'macvtap', parentIndex: 4711 }), { code: 'ENODEV' });
  assert.throws(() => host.route.request(deleteLink(4711), 'delete'), {
    code: 'ENODEV',
    operation: 'delete',
  });
});

test('every link is listed', () => {
  const names = () => listLinks(host.route).map(({ name }) => name);
  const before = names();
  assert.ok(before.includes('lo'));
  for (let number = 0; number < 100; number++) host.add({ name: `vm${number}`, kind: 'bridge' });
  const added = names().filter((name) => !before.includes(name));
  assert.deepEqual(
    added,
    Array.from({ length: 100 }, (_, number) => `vm${number}`),
  );
});
