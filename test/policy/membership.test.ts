import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AssignedAddress, Rate } from '#src/config/configuration.js';
import { HOST_LITTLE_ENDIAN } from '#src/netlink/bytes.js';
import type { Expression } from '#src/nftables/rule.js';
import { GUARD_NAMES } from '#src/policy/guard-name.js';
import { limitExpression } from '#src/policy/limit.js';
import { DEVICE_POLICY, membersOf, policyMember } from '#src/policy/membership.js';
import { renderShared } from '#src/policy/shared.js';
import { TestDoor, valueIn } from '../support/door.js';
import { runIn, withLab } from '../support/host.js';
import { ip4, ip6 } from '../support/packet.js';
import { policyWith } from './support.js';

const MAC = '52:54:00:aa:bb:01';
const LINK_LOCAL = 'fe80::5054:ff:feaa:bb01';

const assigned: AssignedAddress[] = [
  { family: 4, bytes: ip4('192.0.2.7'), prefixLength: 32 },
  { family: 4, bytes: ip4('198.51.100.16'), prefixLength: 28 },
  { family: 6, bytes: ip6('2001:db8::7'), prefixLength: 128 },
  { family: 6, bytes: ip6('2001:db8:1::'), prefixLength: 52 },
];

const rates = {
  broadcast: { unit: 'packets', amount: 50, seconds: 1, burst: 5 },
  ingressPackets: { unit: 'packets', amount: 1000, seconds: 60, burst: 300 },
  ingressBytes: { unit: 'bytes', amount: 20 * 1024 * 1024, seconds: 1, burst: 5 * 1024 * 1024 },
  egressPackets: { unit: 'packets', amount: 3, seconds: 86_400, burst: 7 },
  egressBytes: { unit: 'bytes', amount: 30_000, seconds: 3600, burst: 65_536 },
} satisfies Record<string, Rate>;

const source = renderShared({
  policies: [{ policy: policyWith({ guards: GUARD_NAMES, limits: rates }), mark: 0x01020304 }],
  sets: [],
  prefixLengths: { ip4: [28], ip6: [52] },
  mostDevices: 1024,
  hooks: { egress: true },
});
const policy = source.policies.get('lan-guard') ?? source.byHand;

/** The same elements in nft's own words. */
function inNft(index: number): string {
  const raw = (address: string) => `0x${ip6(address).toString('hex')}`;
  const elements: Record<string, string[]> = {
    'mac.assigned': [`${index} . ${MAC}`],
    'ip4.assigned': [`${index} . 192.0.2.7`],
    'ip4.assigned.28': [`${index} . 198.51.100.16`],
    'ip6.assigned': [`${index} . ${LINK_LOCAL}`, `${index} . 2001:db8::7`],
    'ip6.assigned.52': [`${index} . 2001:db8:1::`],
    'nd.target': [`${index} . ${raw(LINK_LOCAL)}`, `${index} . ${raw('2001:db8::7')}`],
    'nd.target.52': [`${index} . ${raw('2001:db8:1::')}`],
    'nd.mac': [`${index} . 0x${MAC.replaceAll(':', '')}`],
    'limit.broadcast.egress': [`${index} limit rate over 50/second burst 5 packets`],
    'limit.packets.ingress': [`${index} limit rate over 1000/minute burst 300 packets`],
    'limit.bytes.ingress': [`${index} limit rate over 20 mbytes/second burst 5 mbytes`],
    'limit.packets.egress': [`${index} limit rate over 3/day burst 7 packets`],
    'limit.bytes.egress': [`${index} limit rate over 30000 bytes/hour burst 65536 bytes`],
    'policy.lan-guard.devices': [`${index}`],
    'policy.lan-guard.macs': [`${index} . ${MAC}`],
    'device.policy': [`${index} : 0x01020304`],
  };
  return Object.entries(elements)
    .map(([set, list]) => `add element netdev tapwall ${set} { ${list.join(', ')} }\n`)
    .join('');
}

/** A limit as it was sent; a counter is the set's doing. */
function limitIn(expression: Expression | undefined) {
  if (!expression || expression.name === 'counter') return undefined;
  return { name: expression.name, data: Buffer.from(expression.data ?? []).toString('hex') };
}

describe('the elements of a device', () => {
  test('are byte for byte what nft puts into the kernel', async () => {
    await withLab((lab) => {
      const { index } = lab.addMacvtap({ name: 'macvtap0', mac: MAC });
      const door = new TestDoor(lab.host.namespace, source, 'macvtap0');
      try {
        const members = membersOf({ index, mac: MAC, addresses: assigned, policy });
        const sets = [...new Set(members.map(({ set }) => set))];
        const held = () =>
          sets.map((set) => [
            set,
            door
              .elements(set)
              .map(({ key, data, expression }) => [
                valueIn(key).toString('hex'),
                valueIn(data).toString('hex'),
                limitIn(expression),
              ])
              .sort(),
          ]);
        door.admit(members);
        const ours = held();
        door.admit([]);
        assert.deepEqual(
          held(),
          sets.map((set) => [set, []]),
        );
        const { status, stderr } = runIn(lab.host.namespace, ['bash', '-c', `nft -f - <<<'${inNft(index)}'`]);
        assert.equal(status, 0, stderr);
        assert.deepEqual(ours, held());
        const sent = sets.map((set) => [
          set,
          members
            .filter((member) => member.set === set)
            .map(({ key, data, expression }) => [
              Buffer.from(key).toString('hex'),
              Buffer.from(data ?? []).toString('hex'),
              limitIn(expression),
            ])
            .sort(),
        ]);
        assert.deepEqual(sent, held());
      } finally {
        door.close();
      }
    });
  });

  test('are each there once, in whatever form an address was written', () => {
    const linkLocal: AssignedAddress = { family: 6, bytes: ip6(LINK_LOCAL), prefixLength: 128 };
    const members = membersOf({
      index: 7,
      mac: MAC,
      addresses: [linkLocal, ...assigned, ...assigned],
      policy,
    });
    const ids = members.map(({ set, key }) => `${set} ${Buffer.from(key).toString('hex')}`);
    assert.equal(new Set(ids).size, ids.length);
    assert.equal(ids.length, 18);
  });

  test('end with the policy, and are nothing else without facts and limits', () => {
    assert.equal(membersOf({ index: 7, mac: MAC, addresses: assigned, policy }).at(-1)?.set, DEVICE_POLICY);
    const byHand = membersOf({ index: 7, mac: MAC, addresses: assigned, policy: source.byHand });
    assert.deepEqual(
      byHand.map(({ set }) => set),
      [DEVICE_POLICY],
    );
    assert.deepEqual(byHand.at(-1), policyMember(7, 1));
  });

  test('say nothing of a MAC that is none of Ethernet', () => {
    for (const mac of ['', '00:00:00:00:fe:80:00:00']) {
      const sets = membersOf({ index: 7, mac, addresses: [], policy }).map(({ set }) => set);
      assert.deepEqual(
        sets.filter((set) => !set.startsWith('limit.')),
        ['policy.lan-guard.devices', DEVICE_POLICY],
      );
    }
  });

  test('begin with the index as this host stores it', () => {
    const key = Buffer.from(policyMember(0x01020304, 2).key);
    assert.equal(HOST_LITTLE_ENDIAN ? key.readUInt32LE() : key.readUInt32BE(), 0x01020304);
  });
});

test('a limit is what is over its rate', () => {
  const { name, data } = limitExpression(rates.broadcast);
  assert.equal(name, 'limit');
  assert.equal(
    Buffer.from(data ?? [])
      .subarray(-4)
      .toString('hex'),
    '00000001',
  );
});
