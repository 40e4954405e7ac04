import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Count, readCounter } from '#src/agent/counters.js';
import { Hand } from '#src/agent/manual.js';
import { type DirectionCounts, statusIn } from '#src/agent/status.js';
import { Compiler } from '#src/compiler/compiler.js';
import type { Lab } from '#src/demo/lab.js';
import type { Tap } from '#src/demo/tap.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { NFT_MSG_GETRULE } from '#src/nftables/constants.js';
import { dumpRequest } from '#src/nftables/message.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { PLACEMENTS, withAgent } from '../support/agent.js';
import { kernel, runIn, withLab } from '../support/host.js';
import { fates, packet } from '../support/station.js';

const A = { name: 'macvtap0', mac: '52:54:00:00:00:0a' };

/**
 * Drops early, at the door's old priority, and as late as can be; by a rule and by a chain's policy. Each rule that drops counts for
 * itself, so that the kernel's own count of one file can be held against tapwall's.
 */
const FILE = `table netdev guard {
  chain early { type filter hook ingress device $intf priority -300; policy accept; ip saddr 192.168.0.0/24 counter drop; }
  chain in { type filter hook ingress device $intf priority filter; policy accept; ip saddr 192.168.0.0/16 counter drop; }
  chain last { type filter hook ingress device $intf priority 2147483647; policy accept; ip saddr 10.0.0.0/8 counter drop; }
}
table netdev other {
  chain out { type filter hook egress device $intf priority filter; policy accept; ip daddr 192.168.0.0/16 counter drop; }
  chain shut { type filter hook egress device $intf priority 2147483647; policy drop; ip daddr != 10.0.0.0/8 accept; counter; }
}
`;
const yaml = (comment = '') => `# ${comment}
policies: { own: { file: guard.nft, guards: [mac] } }
bindings: [{ mac: "${A.mac}", policy: own }]
`;
/** Of the world's four and the guest's four, by a file's own chains. */
const DROPPED = { ingress: 3, egress: 2 };
const SOURCES = ['192.168.0.7', '192.168.7.7', '10.1.2.3', '203.0.113.1'];
const FATES = [false, false, false, true, false, false, true];

function shots(guest: Tap, world: Tap) {
  return [
    ...SOURCES.map((source) => packet(world, guest, { source })),
    ...SOURCES.slice(1).map((destination) => packet(guest, world, { destination })),
  ];
}

function counts(lab: Lab): Record<'ingress' | 'egress', DirectionCounts> {
  const device = statusIn(kernel, lab.host.namespace).devices.find((one) => one.device === A.name);
  assert.ok(device);
  return device;
}

/** A lab whose host sends nothing of its own, so that every frame is one of the test's. */
function withSilentLab(action: (lab: Lab) => Promise<void>): Promise<void> {
  return withLab(async (lab) => {
    const silence = 'for of in all default; do echo 1 >/proc/sys/net/ipv6/conf/$of/disable_ipv6; done';
    const { status, stderr } = runIn(lab.host.namespace, ['sh', '-c', silence]);
    assert.equal(status, 0, stderr);
    await action(lab);
  });
}

/** What the counters in the device's own tables have counted, in one direction. */
function ownCount(lab: Lab, direction: 'ingress' | 'egress'): Count {
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: lab.host.namespace });
  try {
    const { rules } = parseRuleset(netfilter.dump(dumpRequest(NFT_MSG_GETRULE), 'the dump of the rules'));
    const name = direction === 'ingress' ? '.guard' : '.other';
    const sum = { packets: 0, bytes: 0 };
    for (const { table, expressions = [] } of rules) {
      if (!table.endsWith(name)) continue;
      for (const expression of expressions) {
        if (expression.name !== 'counter') continue;
        const { packets, bytes } = readCounter(expression.data ?? new Uint8Array());
        sum.packets += packets;
        sum.bytes += bytes;
      }
    }
    return sum;
  } finally {
    netfilter.close();
  }
}

/** What a file's own counters say is what tapwall says that the file has dropped. */
function checkAgainstFile(lab: Lab, times: number): void {
  const now = counts(lab);
  for (const direction of ['ingress', 'egress'] as const) {
    const own = ownCount(lab, direction);
    assert.equal(own.packets, times * DROPPED[direction], direction);
    assert.deepEqual(now[direction].dropped['file'], own, direction);
  }
}

for (const placement of PLACEMENTS) {
  describe(`what the chains of a file drop, placement ${placement}`, () => {
    const start = (lab: Lab, action: Parameters<typeof withAgent<void>>[2], text = FILE) =>
      withAgent(lab, { 'tapwall.yaml': yaml(), 'guard.nft': text }, action, { placement });

    it('is counted for that reason, and what passes as admitted', async () => {
      await withSilentLab(async (lab) => {
        const world = lab.world();
        await start(lab, async ({ log, reload, agent }) => {
          const guest = lab.addGuest(A);
          await log.attached(A.name);
          for (let times = 1; times <= 3; times++) {
            const before = counts(lab);
            assert.deepEqual(await fates(shots(guest, world)), FATES);
            checkAgainstFile(lab, times);
            const after = counts(lab);
            for (const direction of ['ingress', 'egress'] as const) {
              const more = after[direction].admitted.packets - before[direction].admitted.packets;
              assert.equal(more, 1, direction);
            }
            // A guard drops before the file's earliest chain, whose count is not raised.
            const spoofed = { ...packet(guest, world), from: guest };
            spoofed.frame.set(Buffer.from('0200000000ff', 'hex'), 6);
            assert.deepEqual(await fates([spoofed]), [false]);
            assert.equal(counts(lab).egress.dropped['mac']?.packets, times);
            checkAgainstFile(lab, times);
          }
          // A configuration that leaves the policy as it is leaves what was counted.
          await reload(yaml('read again'));
          assert.equal(log.of('attached').length, 1);
          checkAgainstFile(lab, 3);
          await agent.stop();
          assert.deepEqual(await fates(shots(guest, world)), FATES);
          checkAgainstFile(lab, 4);
        });
        // Nor does the next agent begin anew.
        await start(lab, async ({ log }) => {
          assert.deepEqual(
            log.of('attached').map(({ kept }) => kept),
            [true],
          );
          checkAgainstFile(lab, 4);
        });
      });
    });

    it('is counted from 0 with a file that is another, what the door lets through too', async () => {
      await withSilentLab(async (lab) => {
        const [guest, world] = [lab.addGuest(A), lab.world()];
        await start(lab, async () => {
          await fates([...shots(guest, world), ...shots(guest, world)]);
          checkAgainstFile(lab, 2);
        });
        await start(
          lab,
          async () => {
            const before = counts(lab);
            assert.deepEqual(
              [before.ingress.dropped['file'], before.egress.dropped['file']],
              [undefined, undefined],
            );
            assert.deepEqual(await fates(shots(guest, world)), FATES);
            checkAgainstFile(lab, 1);
          },
          `${FILE}# another\ntable netdev more { chain in { type filter hook ingress device $intf priority 7;\n  }\n}\n`,
        );
      });
    });

    it('is counted where a hand has given the tables', async () => {
      await withSilentLab(async (lab) => {
        const [guest, world] = [lab.addGuest(A), lab.world()];
        await withAgent(
          lab,
          { 'tapwall.yaml': 'unmatched: accept\nowner: false\npolicies: {}\nbindings: []\n' },
          async ({ agent }) => {
            await fates(shots(guest, world));
            await agent.stop();
            const compiler = new Compiler();
            const hand = new Hand(kernel, lab.host.namespace);
            try {
              const source = {
                name: 'own',
                file: 'guard.nft',
                text: FILE,
                directory: undefined,
                variables: {},
              };
              const { program } = await compiler.compile(source);
              hand.attach(hand.findDevice(A.name), program);
              assert.deepEqual(await fates(shots(guest, world)), FATES);
              checkAgainstFile(lab, 1);
              assert.ok(counts(lab).ingress.admitted.packets < SOURCES.length);
            } finally {
              hand.close();
              compiler.close();
            }
          },
          { placement },
        );
      });
    });
  });
}
