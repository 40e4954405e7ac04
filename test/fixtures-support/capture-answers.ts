/** Acknowledgements with errors: of tools, which quote the whole request, and of tapwall's sockets, which cap it. */
import assert from 'node:assert/strict';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { attribute, concat, message, n32, nested, text } from './bytes.js';
import { type CaptureHost, kernel, messagesOf, onHost, writeFixture } from './capture-host.js';
import type { FixtureMessage } from './hex.js';

const NLMSG_ERROR = 2;
const REQUEST = 0x1;
const ACK = 0x4;
const DUMP = 0x300;
const EXCL_CREATE = 0x600;
const NETLINK_GENERIC = 16;

/** The errors a tool received. */
function refusals(host: CaptureHost, command: string): FixtureMessage[] {
  const answers = host
    .trace(command)
    .filter(({ call, bytes }) => call === 'recvmsg' && bytes[4] === NLMSG_ERROR)
    .filter(({ bytes }) => new DataView(bytes.buffer).getInt32(16, true) !== 0);
  assert.ok(answers.length > 0, `${command} was not refused`);
  return answers.flatMap(({ bytes }) => messagesOf(bytes, command));
}

function captureUncapped(): void {
  onHost((host) => {
    host.tool('nft add table netdev guard');
    writeFixture('answers/uncapped', 'refusals as nft and ip receive them, without NETLINK_CAP_ACK', [
      ...refusals(host, 'nft delete table netdev absent'),
      ...refusals(host, 'nft create table netdev guard'),
      ...refusals(host, 'nft delete chain netdev guard absent'),
      ...refusals(host, 'ip link add link lo name macvtap0 type macvtap mode bridge'),
      ...refusals(host, 'ip link set nosuch up'),
    ]);
  });
}

const SEQUENCE = 1000;

/** A message of nf_tables, netdev family, between BATCH_BEGIN and BATCH_END. */
function transaction(type: number, flags: number, ...attributes: Uint8Array[]): Uint8Array {
  const header = Uint8Array.of(0, 0, 0, 10);
  return concat([
    message({ type: 16, flags: REQUEST, sequence: SEQUENCE }, header),
    message(
      { type: 0x0a00 | type, flags: REQUEST | ACK | flags, sequence: SEQUENCE + 1 },
      Uint8Array.of(5, 0, 0, 0),
      ...attributes,
    ),
    message({ type: 17, flags: REQUEST, sequence: SEQUENCE + 2 }, header),
  ]);
}

const NEWTABLE = 0;
const DELTABLE = 2;
const NEWCHAIN = 3;
const NEWRULE = 6;

function captureCapped(): void {
  onHost((host) => {
    const ask = (comment: string, bytes: Uint8Array, socket: NetlinkSocket = host.netfilter) =>
      messagesOf(socket.transport.transact(bytes), comment);
    const stale = transaction(NEWTABLE, 0, attribute(1, text('guard')));
    const header = Uint8Array.of(0, 0, 0, 10);
    const begin = message({ type: 16, flags: REQUEST, sequence: SEQUENCE }, header, attribute(1, n32(99)));
    const link = { type: 18, flags: REQUEST, sequence: SEQUENCE };
    const generic = kernel.openSocket({ protocol: NETLINK_GENERIC, namespace: host.namespace });
    host.tool('ip link add br0 index 31 type bridge');
    // struct br_port_msg: AF_BRIDGE, and the index of br0.
    const bridgePort = Uint8Array.of(7, 0, 0, 0, 31, 0, 0, 0);
    writeFixture('answers/capped', "answers to tapwall's own sockets, with NETLINK_CAP_ACK", [
      ...ask('NEWTABLE guard', transaction(NEWTABLE, 0x400, attribute(1, text('guard')))),
      ...ask(
        'NEWTABLE guard with NLM_F_EXCL',
        transaction(NEWTABLE, EXCL_CREATE, attribute(1, text('guard'))),
      ),
      ...ask('DELTABLE missing', transaction(DELTABLE, 0, attribute(1, text('missing')))),
      ...ask(
        'NEWTABLE with two bytes of flags',
        transaction(NEWTABLE, 0x400, attribute(1, text('short')), attribute(2, Uint8Array.of(0, 0))),
      ),
      ...ask('NEWTABLE without a name', transaction(NEWTABLE, 0x400)),
      ...ask(
        'NEWCHAIN in',
        transaction(NEWCHAIN, 0x400, attribute(1, text('guard')), attribute(3, text('in'))),
      ),
      ...ask(
        'NEWRULE with a comparison of nothing',
        transaction(
          NEWRULE,
          0xc00,
          attribute(1, text('guard')),
          attribute(2, text('in')),
          nested(4, nested(1, attribute(1, text('cmp')))),
        ),
      ),
      ...ask('a batch for generation 99', concat([begin, stale.subarray(20)])),
      ...ask(
        'RTM_GETLINK with an unknown attribute',
        message(link, new Uint8Array(16), attribute(3, text('lo')), attribute(6, n32(1))),
        host.route,
      ),
      ...ask(
        'RTM_NEWMDB without MDBA_SET_ENTRY',
        message({ ...link, type: 84, flags: REQUEST | ACK | EXCL_CREATE }, bridgePort),
        host.route,
      ),
      ...ask('ETHTOOL_MSG_STRSET_GET without a set id', stringSet(generic), generic),
    ]);
    generic.close();
    const invalid = new Uint8Array(16);
    invalid[12] = 1;
    const dump = message({ ...link, flags: REQUEST | DUMP }, invalid);
    const sets = message(
      { type: 0x0a0d, flags: REQUEST | DUMP, sequence: SEQUENCE },
      Uint8Array.of(5, 0, 0, 0),
      attribute(1, text('guard')),
      attribute(2, text('missing')),
    );
    writeFixture('answers/dump', 'dumps that fail', [
      ...messagesOf(
        host.route.transport.dump(dump, 1000),
        'RTM_GETLINK with a change mask, under NETLINK_GET_STRICT_CHK',
      ),
      ...messagesOf(host.netfilter.transport.dump(sets, 1000), 'GETSETELEM of a set that is not there'),
    ]);
  });
}

/** Generic netlink: the family's number has to be asked for first (CTRL_CMD_GETFAMILY). */
function stringSet(socket: NetlinkSocket): Uint8Array {
  const header = { flags: REQUEST, sequence: SEQUENCE };
  const request = message({ ...header, type: 16 }, Uint8Array.of(3, 1, 0, 0), attribute(2, text('ethtool')));
  const answer = Buffer.from(socket.transport.transact(request));
  const at = answer.indexOf(Uint8Array.of(6, 0, 1, 0));
  const family = answer.readUInt16LE(at + 4);
  const device = nested(1, attribute(2, text('br0')));
  return message(
    { ...header, type: family, flags: REQUEST | ACK },
    Uint8Array.of(1, 1, 0, 0),
    device,
    nested(2, nested(1)),
  );
}

export function captureAnswers(): void {
  captureUncapped();
  captureCapped();
}
