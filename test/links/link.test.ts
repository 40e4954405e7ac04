import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatMac, type Link, type LinkEvent, parseLinkEvent } from '#src/links/link.js';
import { parseMessages } from '#src/netlink/message.js';
import { attribute, concat, h32, hex, message, nested, text } from '../fixtures-support/bytes.js';
import { readFixture } from '../fixtures-support/hex.js';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const IFF_UP = 1;
const AF_BRIDGE = 7;

/** Each event of a fixture under the command that caused it. */
function eventsOf(name: string): [string, LinkEvent | undefined][] {
  return readFixture(name).messages.map(({ comments, bytes }) => {
    const [parsed] = parseMessages(bytes);
    assert.ok(parsed);
    return [comments[0] ?? '', parseLinkEvent(parsed)];
  });
}

const common = { alias: undefined, parentElsewhere: false };
const up0: Link = {
  ...common,
  index: 21,
  name: 'up0',
  up: false,
  kind: 'veth',
  mac: '02:00:00:00:00:21',
  parentIndex: 22,
};
const macvtap0: Link = {
  ...common,
  index: 42,
  name: 'macvtap0',
  up: false,
  kind: 'macvtap',
  mac: '52:54:00:aa:bb:cc',
  parentIndex: 21,
};

test('the life of a macvtap device', () => {
  const add =
    'ip link add link up0 name macvtap0 index 42 address 52:54:00:aa:bb:cc type macvtap mode bridge';
  const named = { ...macvtap0, up: true, alias: 'myvm', name: 'web-1' };
  const remove = 'ip link delete web-1';
  assert.deepEqual(eventsOf('links/macvtap'), [
    // The parent is told of first: it has come to have somebody on it.
    [add, { type: 'new', link: up0 }],
    [add, { type: 'new', link: macvtap0 }],
    ['ip link set up0 up', { type: 'new', link: { ...up0, up: true } }],
    ['ip link set macvtap0 up', { type: 'new', link: { ...macvtap0, up: true } }],
    ['ip link set macvtap0 alias myvm', { type: 'new', link: { ...macvtap0, up: true, alias: 'myvm' } }],
    ['ip link set macvtap0 name web-1', { type: 'new', link: named }],
    [remove, { type: 'new', link: { ...up0, up: true } }],
    [remove, { type: 'new', link: { ...named, up: false } }],
    [remove, { type: 'gone', link: { ...named, up: false } }],
  ]);
});

test('a veth pair comes and goes, and neither stands on the other before both are there', () => {
  const vm0 = { ...common, index: 11, name: 'vm0', up: false, kind: 'veth', mac: '02:00:00:00:00:11' };
  const vm1 = { ...common, index: 12, name: 'vm1', up: false, kind: 'veth', mac: '02:00:00:00:00:12' };
  assert.deepEqual(
    eventsOf('links/veth').map(([, event]) => event),
    [
      { type: 'new', link: { ...vm1, parentIndex: undefined } },
      { type: 'new', link: { ...vm0, parentIndex: 12 } },
      { type: 'gone', link: { ...vm0, parentIndex: undefined } },
      { type: 'gone', link: { ...vm1, parentIndex: undefined } },
    ],
  );
});

test('a move is a departure in one namespace and an arrival in the other', () => {
  assert.deepEqual(
    eventsOf('links/move').map(([, event]) => event),
    [
      { type: 'gone', link: macvtap0 },
      // The index of the parent is one of the other namespace's.
      { type: 'new', link: { ...macvtap0, parentElsewhere: true } },
    ],
  );
});

test('a link that leaves its bridge is not gone', () => {
  const events = readFixture('links/bridge-port').messages.map(({ bytes }) => {
    const [parsed] = parseMessages(bytes);
    assert.ok(parsed);
    return { type: parsed.type, family: parsed.payload[0], event: parseLinkEvent(parsed) };
  });
  const departures = events.filter(({ type }) => type === RTM_DELLINK);
  assert.deepEqual(departures, [{ type: RTM_DELLINK, family: AF_BRIDGE, event: undefined }]);
  assert.deepEqual(
    events.flatMap(({ event }) => event?.type ?? []),
    ['new', 'new', 'new'],
  );
});

/** struct ifinfomsg and attributes. */
function linkMessage(type: number, header: { index?: number; flags?: number }, ...attributes: Uint8Array[]) {
  const info = concat([h32(0), h32(header.index ?? 7), h32(header.flags ?? 0), h32(0)]);
  const [parsed] = parseMessages(message({ type }, info, ...attributes));
  return parsed ?? assert.fail();
}

const name = attribute(3, text('lo'));

test('a link of which nothing is told but its name', () => {
  assert.deepEqual(parseLinkEvent(linkMessage(RTM_NEWLINK, { flags: IFF_UP }, name))?.link, {
    index: 7,
    name: 'lo',
    up: true,
    kind: undefined,
    mac: undefined,
    alias: undefined,
    parentIndex: undefined,
    parentElsewhere: false,
  });
});

test('of the flags only IFF_UP means up', () => {
  for (const flags of [0, 0x2, 0x40, 0x10042, 0xfffffffe]) {
    assert.equal(parseLinkEvent(linkMessage(RTM_NEWLINK, { flags }, name))?.link.up, false);
  }
  assert.equal(parseLinkEvent(linkMessage(RTM_NEWLINK, { flags: 0x11043 }, name))?.link.up, true);
});

test('the kind is inside IFLA_LINKINFO, with or without the flag of a nest', () => {
  const kind = attribute(1, text('macvtap'));
  for (const info of [attribute(18, attribute(2, hex('01')), kind), nested(18, kind)]) {
    assert.equal(parseLinkEvent(linkMessage(RTM_NEWLINK, {}, name, info))?.link.kind, 'macvtap');
  }
  assert.equal(parseLinkEvent(linkMessage(RTM_NEWLINK, {}, name, attribute(18)))?.link.kind, undefined);
});

test('addresses of other lengths, and none', () => {
  const macOf = (value: Uint8Array) =>
    parseLinkEvent(linkMessage(RTM_NEWLINK, {}, name, attribute(1, value)))?.link.mac;
  assert.equal(macOf(hex('0a000001')), '0a:00:00:01');
  assert.equal(macOf(hex('')), undefined);
  assert.equal(formatMac(hex('00 01 0f f0 ff 52')), '00:01:0f:f0:ff:52');
});

test('other messages are not about links', () => {
  for (const type of [2, 3, 15, 18, 19, 20]) {
    assert.equal(parseLinkEvent(linkMessage(type, {}, name)), undefined);
  }
});

test('a message that is cut off, or names no link, is refused', () => {
  const short = { type: RTM_NEWLINK, flags: 0, sequence: 0, portId: 0, payload: new Uint8Array(15) };
  assert.throws(() => parseLinkEvent(short), {
    code: 'MALFORMED_MESSAGE',
    message: 'malformed link message: 15 bytes',
  });
  for (const attributes of [[], [attribute(3, text(''))], [attribute(3)]]) {
    assert.throws(() => parseLinkEvent(linkMessage(RTM_DELLINK, {}, ...attributes)), {
      code: 'MALFORMED_MESSAGE',
      message: 'link 7 has no name',
    });
  }
  assert.throws(() => parseLinkEvent(linkMessage(RTM_NEWLINK, {}, name, attribute(5, hex('0100')))), {
    code: 'MALFORMED_MESSAGE',
  });
});
