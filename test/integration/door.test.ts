import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { isClosedInAdvance } from '#src/agent/placement.js';
import { statusIn } from '#src/agent/status.js';
import { listTables } from '#src/compiler/table-listing.js';
import type { Placement } from '#src/config/configuration.js';
import type { Lab } from '#src/demo/lab.js';
import type { Tap } from '#src/demo/tap.js';
import { type AgentSetup, GUARD, PLACEMENTS, withAgent, withFiles } from '../support/agent.js';
import { loadNft } from '../support/door.js';
import { Flood } from '../support/flood.js';
import { kernel, runIn, withLab } from '../support/host.js';
import { MAIN } from '../support/run.js';
import { fates, packet, until } from '../support/station.js';

const A = { name: 'macvtap0', mac: '52:54:00:00:00:0a' };
const B = { name: 'macvtap1', mac: '52:54:00:00:00:0b' };

/** Inline rules, shared by all devices of the policy: nothing to or from 192.168.0.0/16 but its gateway. */
const LAN = `policies:
  lan:
    guards: []
    ingress: |
      ip saddr 192.168.2.1 accept
      ip saddr 192.168.0.0/16 drop
    egress: |
      ip daddr 192.168.2.1 accept
      ip daddr 192.168.0.0/16 drop
    default: accept
`;
const LAN_FOR_A = `${LAN}bindings: [{ mac: "${A.mac}", policy: lan }]\n`;

function device(lab: Lab, name: string) {
  const found = statusIn(kernel, lab.host.namespace).devices.find((one) => one.device === name);
  assert.ok(found, `there is no ${name}`);
  return found;
}

/** To the world and from it, the LAN and the internet. */
function everyWay(guest: Tap, world: Tap) {
  return [
    packet(guest, world, { destination: '192.168.7.7' }),
    packet(guest, world, { destination: '203.0.113.1' }),
    packet(world, guest, { source: '192.168.7.7' }),
    packet(world, guest, { source: '203.0.113.1' }),
  ];
}

for (const placement of PLACEMENTS) {
  describe(`the door, placement ${placement}`, () => {
    const start = <T>(
      lab: Lab,
      yaml: string,
      action: Parameters<typeof withAgent<T>>[2],
      setup: AgentSetup = {},
      files: Record<string, string> = {},
    ) => withAgent(lab, { 'tapwall.yaml': yaml, ...files }, action, { ...setup, placement });

    it('admits by the policy, and shuts out a device that no binding matches', async () => {
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        await start(lab, LAN_FOR_A, async ({ log }) => {
          assert.deepEqual(await fates(everyWay(a, world)), [false, true, false, true]);
          assert.deepEqual(await fates(everyWay(b, world)), [false, false, false, false]);
          assert.deepEqual(
            log.of('unmatched').map((one) => [one.device, one.closed]),
            [['macvtap1', true]],
          );
          assert.deepEqual(
            [device(lab, 'macvtap0').state, device(lab, 'macvtap1').state],
            ['attached', 'closed'],
          );
        });
      });
    });

    it('believes no mark that a frame comes with', async () => {
      const yaml = `policies: { open: { guards: [], default: accept } }
bindings: [{ mac: "${A.mac}", policy: open }]
`;
      // Those of a device that is filtered by hand, and of the policy.
      for (const mark of [1, 2]) {
        await withLab(async (lab) => {
          const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
          const marks = `chain in { type filter hook ingress device $intf priority 0; meta mark set ${mark}; }`;
          loadNft(lab.host.namespace, `table netdev marks { ${marks}; }`, lab.parent);
          await start(lab, yaml, async () => {
            assert.deepEqual(await fates([packet(world, a), packet(world, b)]), [true, false]);
          });
        });
      }
    });

    it('counts for each device what it lets through, and why it does not', async () => {
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        await start(lab, LAN_FOR_A, async () => {
          const before = { a: device(lab, 'macvtap0'), b: device(lab, 'macvtap1') };
          const shots = () => [...everyWay(a, world), ...everyWay(b, world)];
          await fates([...shots(), ...shots(), ...shots()]);
          const after = { a: device(lab, 'macvtap0'), b: device(lab, 'macvtap1') };
          for (const direction of ['ingress', 'egress'] as const) {
            const grew = (one: 'a' | 'b', reason: string) =>
              (after[one][direction].dropped[reason]?.packets ?? 0) -
              (before[one][direction].dropped[reason]?.packets ?? 0);
            assert.equal(grew('a', 'policy'), 3);
            assert.equal(grew('a', 'unmatched'), 0);
            assert.ok(grew('b', 'unmatched') >= 6);
            const admitted = after.a[direction].admitted.packets - before.a[direction].admitted.packets;
            // The host may have sent something of its own.
            assert.ok(admitted >= 3 && admitted < 20, `${admitted} admitted`);
            assert.equal(after.b[direction].admitted.packets, 0);
          }
        });
      });
    });

    it('lets a device in that no binding matches, or gives it a policy, when it is told to', async () => {
      await withLab(async (lab) => {
        const [b, world] = [lab.addGuest(B), lab.world()];
        await start(lab, `unmatched: accept\n${LAN_FOR_A}`, async ({ reload }) => {
          assert.deepEqual(await fates(everyWay(b, world)), [true, true, true, true]);
          assert.equal(device(lab, 'macvtap1').policy, '(accept)');
          await reload(`unmatched: lan\n${LAN_FOR_A}`);
          assert.deepEqual(await fates(everyWay(b, world)), [false, true, false, true]);
          await reload(LAN_FOR_A);
          assert.deepEqual(await fates(everyWay(b, world)), [false, false, false, false]);
        });
      });
    });

    it('never touches devices outside the prefixes, nor the host’s own traffic', async () => {
      await withLab(async (lab) => {
        const [other, world] = [lab.addGuest({ ...B, name: 'vm0' }), lab.world()];
        await start(lab, LAN_FOR_A, async () => {
          assert.deepEqual(await fates(everyWay(other, world)), [true, true, true, true]);
          assert.equal(device(lab, 'vm0').state, 'unfiltered');
          const setUp =
            'ip addr add 192.168.9.1/24 dev vx0 && ip neigh add 192.168.9.2 lladdr 02:00:00:00:00:fe dev vx0';
          assert.equal(runIn(lab.host.namespace, ['sh', '-c', setUp]).status, 0);
          while (world.receive());
          const send = "exec 3<>/dev/udp/192.168.9.2/9; printf 'from-the-host' >&3";
          assert.equal(runIn(lab.host.namespace, ['bash', '-c', send]).status, 0);
          await until('the host’s datagram is there', () => {
            for (let frame = world.receive(); frame; frame = world.receive())
              if (frame.includes('from-the-host')) return true;
            return false;
          });
        });
      });
    });

    it('is shut again for the next device of a name', async () => {
      await withLab(async (lab) => {
        const [a, world] = [lab.addGuest(A), lab.world()];
        await start(lab, LAN_FOR_A, async ({ log }) => {
          assert.deepEqual(await fates(everyWay(a, world)), [false, true, false, true]);
          lab.remove(a.index);
          await until('it is detached', () => log.of('detached').length === 1);
          const next = lab.addGuest({ ...B, name: A.name });
          await until('the next is seen', () => log.of('unmatched').length === 1);
          assert.deepEqual(await fates(everyWay(next, world)), [false, false, false, false]);
          const [status, ...more] = statusIn(kernel, lab.host.namespace).devices;
          assert.deepEqual([status?.device, status?.state, more], ['macvtap0', 'closed', []]);
        });
      });
    });

    it('replaces a policy’s rules and leaves its devices’ elements and others’ counters alone', async () => {
      const yaml = (rule: string) => `policies:
  one: { guards: [], ingress: "counter accept", default: drop }
  two: { guards: [], ingress: "${rule}", default: drop }
bindings: [{ mac: "${A.mac}", policy: one }, { device: "*", policy: two }]
`;
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        const shots = () => [packet(world, a), packet(world, b)];
        await start(lab, yaml('ip saddr 198.51.100.1 accept'), async ({ log, reload }) => {
          assert.deepEqual(await fates(shots()), [true, true]);
          const before = device(lab, 'macvtap0').ingress.admitted.packets;
          await reload(yaml('ip saddr 198.51.100.1 drop'));
          assert.deepEqual(await fates(shots()), [true, false]);
          assert.ok(device(lab, 'macvtap0').ingress.admitted.packets > before);
          assert.equal(log.of('attached').length, 2);
          const { stdout } = runIn(lab.host.namespace, [
            'nft',
            'list',
            'chain',
            'netdev',
            'tapwall',
            'policy.one.ingress',
          ]);
          if (placement !== 'prefix')
            assert.ok(Number(/counter packets (\d+)/.exec(stdout)?.[1]) >= 2, stdout);
        });
      });
    });

    it('admits a device with a file of its own only together with its table', async () => {
      const yaml = `policies: { own: { file: guard.nft }, none: { file: guard.nft } }
bindings: [{ mac: "${A.mac}", policy: own }]
`;
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        await start(
          lab,
          yaml,
          async () => {
            assert.deepEqual(await fates(everyWay(a, world)), [false, true, false, true]);
            assert.deepEqual(await fates(everyWay(b, world)), [false, false, false, false]);
            assert.deepEqual(device(lab, 'macvtap0').tables, [`tapwall.${a.index}.guard`]);
          },
          {},
          { 'guard.nft': GUARD },
        );
      });
    });

    it('stays as it is when the agent stops, and goes when it is asked to', async () => {
      await withLab(async (lab) => {
        const [a, world] = [lab.addGuest(A), lab.world()];
        await start(lab, LAN_FOR_A, async () => undefined);
        assert.deepEqual(await fates(everyWay(a, world)), [false, true, false, true]);
        if (isClosedInAdvance(placement)) {
          const late = lab.addGuest(B);
          assert.deepEqual(await fates(everyWay(late, world)), [false, false, false, false]);
          lab.remove(late.index);
        }
        await start(lab, LAN_FOR_A, async ({ agent, log }) => {
          assert.deepEqual(
            log.of('attached').map(({ kept }) => kept),
            [true],
          );
          await agent.stop({ detach: true });
        });
        assert.deepEqual(await fates(everyWay(a, world)), [true, true, true, true]);
        const { stdout } = runIn(lab.host.namespace, ['nft', 'list', 'ruleset']);
        assert.equal(stdout, '');
      });
    });

    it('can be read by nft, and what nft prints loads again', async () => {
      await withLab(async (lab) => {
        // Down: what the host itself sends, such as router solicitations, would count.
        for (const one of [A, B]) lab.addMacvtap({ ...one, up: false });
        await start(lab, LAN_FOR_A, async () => {
          if (placement === 'prefix') {
            // An nft of that age never comes to an end over hooks on a prefix: doctor says so.
            await assert.rejects(listTables(kernel, lab.host.namespace, 1_000), { code: 'COMPILER_TIMEOUT' });
            return;
          }
          const list = () => runIn(lab.host.namespace, ['nft', 'list', 'ruleset']);
          // The agent makes them when it has nothing else to do.
          await until('there are counters', () => list().stdout.includes('"macvtap0" counter packets'));
          const first = list();
          assert.equal(first.status, 0);
          assert.match(first.stdout, /flags owner\n/);
          const unowned = withoutOwner(first.stdout);
          assert.equal(withoutOwner(await listTables(kernel, lab.host.namespace)), unowned);
          await withLab(async (other) => {
            // Indexes are printed as names where there are such devices.
            for (const one of [A, B]) other.addMacvtap({ ...one, up: false });
            const again = await withFiles({ 'listed.nft': unowned }, (folder) =>
              runIn(other.host.namespace, ['sh', '-c', 'nft -f listed.nft && nft list ruleset'], folder),
            );
            assert.equal(again.stderr, '');
            assert.equal(withoutCounters(again.stdout), withoutCounters(unowned));
          });
        });
      });
    });
  });
}

/** A table that nft owns goes with nft; and only a process that sees the owner prints its name. */
function withoutOwner(text: string): string {
  return text.replace(/ # progname .*$/gm, '').replace(/^\tflags owner\n/gm, '');
}

function withoutCounters(text: string): string {
  // A line that is left out leaves an empty one.
  return text.replace(/packets \d+ bytes \d+/g, 'packets N bytes N').replace(/\n\n+/g, '\n');
}

describe('placements', () => {
  it('can be changed while devices are attached', async () => {
    await withLab(async (lab) => {
      const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
      const sequence: Placement[] = [
        'chain',
        'names',
        'prefix',
        'device',
        'prefix',
        'chain',
        'device',
        'names',
      ];
      const yaml = (placement: Placement) => `placement: ${placement}\n${LAN_FOR_A}`;
      await withAgent(lab, { 'tapwall.yaml': yaml('names') }, async ({ reload }) => {
        for (const placement of sequence) {
          await reload(yaml(placement));
          assert.equal(statusIn(kernel, lab.host.namespace).placement, placement);
          assert.deepEqual(await fates(everyWay(a, world)), [false, true, false, true], placement);
          assert.deepEqual(await fates(everyWay(b, world)), [false, false, false, false], placement);
        }
      });
    });
  });

  it('let nothing through while the hooks are placed anew', async () => {
    await withLab(async (lab) => {
      const [a, world] = [lab.addGuest(A), lab.world()];
      const yaml = (words: string) => `${words}\n${LAN_FOR_A}`;
      const few = 'placement: names\ndevices: { names: ["macvtap{0..9}"] }';
      const more = 'placement: names\ndevices: { names: ["macvtap{0..19}"] }';
      const sequence = [more, few, 'placement: prefix', 'placement: chain', few, 'placement: device', more];
      await withAgent(lab, { 'tapwall.yaml': yaml(few) }, async ({ reload }) => {
        const leaks = new Flood(
          [a, world],
          [packet(a, world, { destination: '192.168.7.7' }), packet(world, a, { source: '192.168.7.7' })],
        );
        for (const words of sequence) {
          await reload(yaml(words));
        }
        await leaks.stop();
        assert.ok(leaks.sent > 1_000, `only ${leaks.sent} frames were sent`);
        assert.equal(leaks.passed, 0);
      });
    });
  });

  it('hook a device by itself whose name is not in the list', async () => {
    const yaml = `devices: { names: ["macvtap{0..9}"] }\nplacement: names\n${LAN_FOR_A}`;
    await withLab(async (lab) => {
      const [a, b, world] = [lab.addGuest({ ...A, name: 'macvtap-x' }), lab.addGuest(B), lab.world()];
      await withAgent(lab, { 'tapwall.yaml': yaml }, async ({ log }) => {
        assert.deepEqual(await fates(everyWay(a, world)), [false, true, false, true]);
        const waited = () => [device(lab, 'macvtap-x').inAdvance, device(lab, 'macvtap1').inAdvance];
        assert.deepEqual(waited(), [false, true]);
        assert.deepEqual(
          log.of('attached').map((one) => [one.device, one.inAdvance]),
          [['macvtap-x', false]],
        );
        const args = [MAIN, 'list', '--namespace', lab.namespacePath];
        const listed = spawnSync(process.execPath, args, { encoding: 'utf8' });
        assert.match(listed.stdout, /^no hook waits for the name of macvtap-x: /m);
        // Into the list, and out of it.
        for (const name of ['macvtap5', 'macvtap-y', 'macvtap55', 'macvtap6']) {
          lab.rename(a.index, name);
          await until(`${name} is seen`, () => device(lab, name).state === 'attached');
          assert.deepEqual(await fates(everyWay(a, world)), [false, true, false, true], name);
        }
        assert.deepEqual(await fates(everyWay(b, world)), [false, false, false, false]);
        assert.deepEqual(log.of('failed'), []);
      });
    });
  });
});
