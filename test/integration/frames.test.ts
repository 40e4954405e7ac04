import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { statusIn } from '#src/agent/status.js';
import { BROADCAST } from '#src/demo/frame.js';
import { LEGACY_FILE } from '#src/demo/scenario.js';
import { GUARD, ONE_POLICY, withAgent, withFiles } from '../support/agent.js';
import { kernel, runIn, withLab } from '../support/host.js';
import { fates, packet } from '../support/station.js';

const A = { name: 'macvtap0', mac: '52:54:00:00:00:0a' };
const B = { name: 'macvtap1', mac: '52:54:00:00:00:0b' };
const GUARDED = { 'tapwall.yaml': ONE_POLICY, 'guard.nft': GUARD };

describe('real frames through real taps', () => {
  it('are dropped and passed in both directions, and dropped by nobody without the agent', async () => {
    await withLab(async (lab) => {
      const guest = lab.addGuest(A);
      const world = lab.world();
      const shots = () => [
        packet(guest, world, { destination: '192.168.7.7' }),
        packet(guest, world, { destination: '203.0.113.1' }),
        packet(world, guest, { source: '192.168.7.7' }),
        packet(world, guest, { source: '203.0.113.1' }),
      ];
      assert.deepEqual(await fates(shots()), [true, true, true, true]);
      await withAgent(lab, GUARDED, async () => {
        assert.deepEqual(await fates(shots()), [false, true, false, true]);
      });
    });
  });

  it('are filtered between two guests of one parent, by each of the two', async () => {
    await withLab(async (lab) => {
      const [a, b] = [lab.addGuest(A), lab.addGuest(B)];
      await withAgent(lab, GUARDED, async () => {
        const shots = [
          packet(a, b, { source: '203.0.113.1', destination: '203.0.113.2' }),
          // Stopped by the sender's egress.
          packet(a, b, { source: '203.0.113.1', destination: '192.168.1.2' }),
          // Stopped by the receiver's ingress.
          packet(a, b, { source: '192.168.1.1', destination: '203.0.113.2' }),
        ];
        assert.deepEqual(await fates(shots), [true, false, false]);
      });
    });
  });

  it('are filtered when they are broadcast, to the world and to the other guest', async () => {
    await withLab(async (lab) => {
      const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
      await withAgent(lab, GUARDED, async () => {
        const to = BROADCAST;
        const shots = [
          packet(a, world, { to, source: '203.0.113.1' }),
          packet(a, b, { to, source: '203.0.113.1' }),
          packet(a, world, { to, source: '203.0.113.1', destination: '192.168.255.255' }),
          packet(a, b, { to, source: '203.0.113.1', destination: '192.168.255.255' }),
          // Passes the sender and the wire, and is stopped at the other guest alone.
          packet(a, world, { to, source: '192.168.1.1' }),
          packet(a, b, { to, source: '192.168.1.1' }),
        ];
        assert.deepEqual(await fates(shots), [true, true, false, false, true, false]);
      });
    });
  });

  it('meet the first VM’s filter also after the second VM got its own, where the usual recipe loses it', async () => {
    await withFiles({ 'filtermacvtap.nft': LEGACY_FILE }, async (folder) => {
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        for (const { name } of [A, B]) {
          const recipe = ['nft', '-D', `intf=${name}`, '-f', 'filtermacvtap.nft'];
          assert.equal(runIn(lab.host.namespace, recipe, folder).status, 0);
        }
        const lan = { destination: '192.168.7.7' };
        const seen = await fates([packet(a, world, lan), packet(b, world, lan)]);
        assert.deepEqual(seen, [true, false], 'the recipe: the first VM is open, the second filtered');
      });
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        const yaml =
          'policies: { old: { file: filtermacvtap.nft } }\nbindings: [{ device: "*", policy: old }]\n';
        await withAgent(lab, { 'tapwall.yaml': yaml, 'filtermacvtap.nft': LEGACY_FILE }, async () => {
          const lan = { destination: '192.168.7.7' };
          const gateway = { destination: '192.168.2.1' };
          const shots = [
            packet(a, world, lan),
            packet(b, world, lan),
            packet(a, world, gateway),
            packet(b, world, gateway),
          ];
          assert.deepEqual(await fates(shots), [false, false, true, true]);
          const tables = statusIn(kernel, lab.host.namespace).devices.flatMap((status) => status.tables);
          assert.deepEqual(tables, [`tapwall.${a.index}.filtermacvtap`, `tapwall.${b.index}.filtermacvtap`]);
        });
      });
    });
  });

  it('never touch the host’s own traffic through the parent', async () => {
    await withLab(async (lab) => {
      lab.addGuest(A);
      await withAgent(lab, GUARDED, async () => {
        const host = [
          'sh',
          '-c',
          'ip addr add 192.168.9.1/24 dev vx0 && ip neigh add 192.168.9.2 lladdr 02:00:00:00:00:fe dev vx0',
        ];
        assert.equal(runIn(lab.host.namespace, host).status, 0);
        const world = lab.world();
        while (world.receive());
        // To an address that no guest may send to; bash writes datagrams by itself.
        const send = 'for i in 1 2; do echo -n host-traffic > /dev/udp/192.168.9.2/9; done';
        assert.equal(runIn(lab.host.namespace, ['bash', '-c', send]).status, 0);
        let arrived = 0;
        for (let frame = world.receive(); frame; frame = world.receive()) {
          if (frame.includes('host-traffic')) arrived++;
        }
        assert.equal(arrived, 2);
      });
    });
  });
});
