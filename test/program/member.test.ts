/** Elements of devices: as bytes, and as the kernel and nft have them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dumpElements } from '#src/agent/shared-state.js';
import { host32 } from '#src/netlink/bytes.js';
import { encodeRequest, parseMessages } from '#src/netlink/message.js';
import { elementListSchema } from '#src/nftables/element.js';
import { nftablesRequest, parseNftablesMessage } from '#src/nftables/message.js';
import { encodeTransaction } from '#src/nftables/transaction.js';
import { encodeAssignedMac, readAssignedMac } from '#src/program/assigned-mac.js';
import { type Member, memberKey, memberSegment } from '#src/program/member.js';
import { attribute, n32 } from '../fixtures-support/bytes.js';
import { assertSameBytes } from '../fixtures-support/hex.js';
import { runIn } from '../support/host.js';
import { blueprints, onStage } from './shared.js';

const NEWSETELEM = 12;
const DELSETELEM = 14;
const DESTROYSETELEM = 30;
const CREATE = 0x400;

const members: Member[] = [
  { set: 'device.policy', key: host32(7), data: host32(2) },
  { set: 'device.policy', key: host32(8), data: host32(3), userdata: encodeAssignedMac('52:54:00:aa:bb:cc') },
  { set: 'mac.assigned', key: Buffer.concat([host32(7), Buffer.from('525400aabbcc0000', 'hex')]) },
  { set: 'limits', key: host32(7), expression: { name: 'limit', data: attribute(3, n32(5)) } },
  { set: 'limits', key: host32(9), userdata: Uint8Array.of(0xf6, 1, 7) },
];

/** The plain way: by the schema. */
function plainly(
  operation: number,
  flags: number,
  { set, key, data, expression, userdata }: Member,
): Uint8Array {
  const element = {
    key: attribute(1, key),
    ...(data && { data: attribute(1, data) }),
    ...(expression && { expression }),
    ...(userdata && { userdata }),
  };
  const attributes = elementListSchema.encode({ table: 'tapwall', set, elements: [element] });
  return encodeRequest(nftablesRequest(operation, flags, attributes), 0);
}

/** Nests flagged or not: the kernel takes either. */
function meaning(bytes: Uint8Array): unknown {
  return parseMessages(bytes).map((message) => {
    const parsed = parseNftablesMessage(message);
    return [message.type, message.flags, parsed && elementListSchema.parse(parsed.attributes)];
  });
}

test('a member is the message that its schema would make, however often and in what order', () => {
  for (let time = 0; time < 2; time++) {
    for (const member of members) {
      const { bytes, starts, labels } = memberSegment('join', [member]);
      assert.deepEqual(meaning(bytes), meaning(plainly(NEWSETELEM, CREATE, member)));
      assert.deepEqual([starts, labels], [[0], [`NEWSETELEM ${member.set}`]]);
    }
  }
  const together = memberSegment('join', members);
  assertSameBytes(
    together.bytes,
    Buffer.concat(members.map((member) => memberSegment('join', [member]).bytes)),
    'all of them',
  );
  assert.equal(parseMessages(encodeTransaction([together], 1).bytes).length, members.length + 2);
});

test('it leaves by its key alone', () => {
  for (const [kind, operation] of [
    ['leave', DELSETELEM],
    ['destroy', DESTROYSETELEM],
  ] as const) {
    for (const member of members) {
      const { set, key } = member;
      assert.deepEqual(
        meaning(memberSegment(kind, [member]).bytes),
        meaning(plainly(operation, 0, { set, key })),
      );
    }
  }
});

test('members are told apart by set and key', () => {
  const keys = members.map(memberKey);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(
    memberKey({ set: 's', key: host32(1) }),
    memberKey({ set: 's', key: new Uint8Array(host32(1)) }),
  );
});

test('the assigned MAC stands in user data that is nobody’s else', () => {
  assert.equal(readAssignedMac(encodeAssignedMac('52:54:00:aa:bb:cc')), '52:54:00:aa:bb:cc');
  assert.equal(encodeAssignedMac(''), undefined);
  for (const bytes of [[], [0, 2, 65, 0], [0xf6, 3, 65, 66, 67], [0xf6, 200, 1], [0xf6]]) {
    assert.equal(readAssignedMac(Uint8Array.from(bytes)), undefined);
  }
});

test('the kernel gives back what was sent, and nft prints it', async () => {
  const [blueprint] = await blueprints(`table netdev tapwall {
  map device.policy { type iface_index : mark; }
  set mac.assigned { type iface_index . ether_addr; }
  chain in { type filter hook ingress device $intf priority 0; policy drop;
  }
}
`);
  assert.ok(blueprint);
  onStage((stage) => {
    stage.put(blueprint);
    const real = members.slice(0, 3);
    stage.send(memberSegment('join', real));
    const dumped = ['device.policy', 'mac.assigned'].flatMap((set) =>
      dumpElements(stage.netfilter, set).map(({ key, data, userdata }) => ({ set, key, data, userdata })),
    );
    const sent = real.map(({ set, key, data, userdata }) => ({
      set,
      key: attribute(1, key),
      data: data && attribute(1, data),
      userdata,
    }));
    const words = (list: unknown[]) => list.map((one) => JSON.stringify(one)).sort();
    assert.deepEqual(words(dumped), words(sent));
    const { stdout, status } = runIn(stage.namespace, ['nft', '-n', 'list', 'table', 'netdev', 'tapwall']);
    assert.equal(status, 0);
    assert.match(stdout, /7 : 0x00000002/);
    assert.match(stdout, /8 : 0x00000003/);
    assert.match(stdout, /7 \. 52:54:00:aa:bb:cc/);
    stage.send(memberSegment('destroy', [...real, { set: 'device.policy', key: host32(99) }]));
    assert.deepEqual(dumpElements(stage.netfilter, 'device.policy'), []);
  });
});
