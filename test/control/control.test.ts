/** What can be asked of an agent, on the real kernel. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Hand } from '#src/agent/manual.js';
import { statusIn } from '#src/agent/status.js';
import { ControlClient } from '#src/control/client.js';
import { kernel, withLab } from '../support/host.js';
import { fates, packet, passes } from '../support/station.js';
import { withControl } from './support.js';

const MAC = '52:54:00:00:00:01';
const OTHER_MAC = '52:54:00:00:00:02';
const UUID = '0d6e7c0a-3a4b-4a52-9d6c-0f4f5d8a1b2c';

/** Web servers may reach everything, others nothing; one policy compares addresses. */
const YAML = `policies:
  web: { default: accept }
  addressed: { default: accept, guards: [ip4] }
  shut: { default: drop }
domain-policies: [addressed]
bindings:
  - { guest: "web-*", policy: web }
  - { device: "macvtap*", policy: shut }
`;
const FILES = { 'tapwall.yaml': YAML };

describe('admit', () => {
  it('gives a device the policy that its guest’s name has, and says when it is in force', async () => {
    await withLab(async (lab) => {
      const guest = lab.addGuest({ name: 'macvtap0', mac: MAC });
      const world = lab.world();
      await withControl(lab, FILES, async ({ client }) => {
        assert.equal(await passes(packet(guest, world)), false);
        const { filtered, devices } = await client.admit({
          guest: { name: 'web-1', uuid: UUID },
          devices: [{ name: 'macvtap0' }],
        });
        assert.equal(filtered, true);
        assert.deepEqual(devices, [
          {
            device: 'macvtap0',
            index: guest.index,
            state: 'attached',
            filtered: true,
            closed: false,
            policy: 'web',
            mac: MAC,
            guest: 'web-1',
            uuid: UUID,
          },
        ]);
        assert.equal(await passes(packet(guest, world)), true);
      });
      // The next agent knows it from the kernel.
      const [left] = statusIn(kernel, lab.host.namespace).devices;
      assert.deepEqual([left?.policy, left?.guest, left?.uuid], ['web', 'web-1', UUID]);
      await withControl(lab, FILES, async ({ log, client }) => {
        assert.deepEqual(
          log.attachments('macvtap0').map(({ policy, kept }) => [policy, kept]),
          [['web', true]],
        );
        assert.equal(await passes(packet(guest, world)), true);
        const [device] = await client.devices();
        assert.deepEqual([device?.guest, device?.uuid], ['web-1', UUID]);
      });
    });
  });

  it('waits for a device that is still to come, by its MAC, and it never has another policy', async () => {
    await withLab(async (lab) => {
      await withControl(lab, FILES, async ({ client, log }) => {
        const told = client.admit({ guest: { name: 'web-1' }, devices: [{ mac: MAC }], waitMs: 20_000 });
        // One request comes after the other, so the agent has been told by the time that it answers.
        await client.status();
        // Another device does not stand for it.
        lab.addMacvtap({ name: 'macvtap7', mac: OTHER_MAC });
        await log.attached('macvtap7');
        const { index } = lab.addMacvtap({ name: 'macvtap0', mac: MAC });
        const { filtered, devices } = await told;
        assert.equal(filtered, true);
        assert.deepEqual([devices[0]?.index, devices[0]?.policy], [index, 'web']);
        assert.deepEqual(
          log.attachments('macvtap0').map(({ policy }) => policy),
          ['web'],
        );
      });
    });
  });

  it('says which device is not there when the time is over', async () => {
    await withLab(async (lab) => {
      await withControl(lab, FILES, async ({ client }) => {
        const { filtered, devices } = await client.admit({ devices: [{ name: 'macvtap9' }], waitMs: 20 });
        assert.equal(filtered, false);
        assert.deepEqual(devices, [{ device: 'macvtap9', state: 'absent', filtered: false, closed: false }]);
      });
    });
  });

  it('takes addresses and a policy of their own, and refuses what would leave the guest without an address', async () => {
    await withLab(async (lab) => {
      const guest = lab.addGuest({ name: 'macvtap0', mac: MAC });
      const world = lab.world();
      await withControl(lab, FILES, async ({ client }) => {
        const told = await client.admit({
          devices: [{ name: 'macvtap0', policy: 'addressed', addresses: ['198.51.100.1'] }],
        });
        assert.equal(told.devices[0]?.policy, 'addressed');
        const shots = [packet(guest, world), packet(guest, world, { source: '198.51.100.77' })];
        assert.deepEqual(await fates(shots), [true, false]);
        const bare = await client.admit({ devices: [{ name: 'macvtap0', policy: 'addressed' }] });
        assert.equal(bare.filtered, false);
        assert.deepEqual([bare.devices[0]?.state, bare.devices[0]?.reason?.code], ['closed', 'ARGUMENT']);
        assert.equal(await passes(packet(guest, world)), false);
        const unknown = await client.admit({ devices: [{ name: 'macvtap0', policy: 'nobody' }] });
        assert.deepEqual(
          [unknown.devices[0]?.state, unknown.devices[0]?.reason?.code],
          ['closed', 'POLICY_NOT_FOUND'],
        );
        assert.equal(await passes(packet(guest, world)), false);
        const again = await client.admit({ guest: { name: 'web-2' }, devices: [{ index: guest.index }] });
        assert.equal(again.filtered, true);
        assert.equal(await passes(packet(guest, world, { source: '198.51.100.77' })), true);
      });
    });
  });

  it('lets a guest’s definition ask for what the configuration says and nothing else', async () => {
    await withLab(async (lab) => {
      lab.addMacvtap({ name: 'macvtap0', mac: MAC });
      await withControl(lab, FILES, async ({ client }) => {
        await assert.rejects(
          client.admit({ fromDefinition: true, devices: [{ name: 'macvtap0', policy: 'web' }] }),
          { code: 'POLICY_NOT_ALLOWED' },
        );
        const [device] = await client.devices();
        assert.equal(device?.policy, 'shut');
        const { devices } = await client.admit({
          fromDefinition: true,
          devices: [{ name: 'macvtap0', policy: 'addressed', addresses: ['198.51.100.1'] }],
        });
        assert.equal(devices[0]?.policy, 'addressed');
      });
    });
  });
});

describe('quarantine', () => {
  const OPEN = {
    'tapwall.yaml': 'policies: { web: { default: accept } }\nbindings: [{ device: "*", policy: web }]\n',
  };

  it('closes a door at once, over a reload and the next agent, until it is lifted', async () => {
    await withLab(async (lab) => {
      const guest = lab.addGuest({ name: 'macvtap0', mac: MAC });
      const other = lab.addGuest({ name: 'macvtap1', mac: OTHER_MAC });
      const world = lab.world();
      const both = () => fates([packet(guest, world), packet(world, guest), packet(other, world)]);
      await withControl(lab, OPEN, async ({ client, log, folder }) => {
        assert.deepEqual(await both(), [true, true, true]);
        const answer = await client.quarantine({ name: 'macvtap0' });
        assert.deepEqual([answer.state, answer.closed], ['quarantined', true]);
        assert.deepEqual(await both(), [false, false, true]);
        assert.equal(log.of('quarantined').length, 1);
        writeFileSync(join(folder, 'tapwall.yaml'), OPEN['tapwall.yaml'].replace('accept', 'drop'));
        await client.reload();
        writeFileSync(join(folder, 'tapwall.yaml'), OPEN['tapwall.yaml']);
        await client.reload();
        assert.deepEqual(await both(), [false, false, true]);
        // What the hook tells at a restart of libvirtd lifts nothing.
        const told = await client.admit({ guest: { name: 'web-1' }, devices: [{ name: 'macvtap0' }] });
        assert.deepEqual([told.filtered, told.devices[0]?.state], [false, 'quarantined']);
        assert.deepEqual(await both(), [false, false, true]);
      });
      assert.deepEqual(
        statusIn(kernel, lab.host.namespace).devices.map(({ device, state }) => [device, state]),
        [
          ['macvtap0', 'quarantined'],
          ['macvtap1', 'attached'],
        ],
      );
      await withControl(lab, OPEN, async ({ client }) => {
        assert.deepEqual(await both(), [false, false, true]);
        const lifted = await client.unquarantine({ name: 'macvtap0' });
        assert.deepEqual([lifted.state, lifted.guest], ['attached', 'web-1']);
        assert.deepEqual(await both(), [true, true, true]);
      });
    });
  });

  it('is a matter of the service’s own that embeds the agent', async () => {
    await withLab(async (lab) => {
      const guest = lab.addGuest({ name: 'macvtap0', mac: MAC });
      const world = lab.world();
      await withControl(lab, FILES, async ({ agent }) => {
        assert.equal(await passes(packet(guest, world)), false);
        const devices = [{ name: 'macvtap0' }];
        const [admitted] = await agent.admit({ guest: { name: 'web-7' }, devices });
        assert.deepEqual([admitted?.policy, admitted?.filtered, admitted?.guest], ['web', true, 'web-7']);
        assert.equal(await passes(packet(guest, world)), true);
        const [closed] = await agent.quarantine({ name: 'macvtap0' });
        assert.deepEqual([closed?.state, closed?.closed], ['quarantined', true]);
        assert.equal(await passes(packet(guest, world)), false);
        const [opened] = await agent.unquarantine({ name: 'macvtap0' });
        assert.equal(opened?.policy, 'web');
        assert.equal(await passes(packet(guest, world)), true);
        await assert.rejects(agent.quarantine({ name: 'macvtap9' }), { code: 'DEVICE_NOT_FOUND' });
      });
    });
  });

  it('is done by hand where no agent runs, and the next agent keeps to it', async () => {
    await withLab(async (lab) => {
      const guest = lab.addGuest({ name: 'macvtap0', mac: MAC });
      const world = lab.world();
      const hand = new Hand(kernel, lab.host.namespace);
      try {
        assert.throws(() => hand.quarantine('macvtap0'), { code: 'NOT_ATTACHED' });
        await withControl(lab, OPEN, async () => {
          assert.throws(() => hand.quarantine('macvtap0'), { code: 'OWNED_BY_OTHER' });
        });
        assert.equal(await passes(packet(guest, world)), true);
        hand.quarantine('macvtap0');
      } finally {
        hand.close();
      }
      assert.equal(await passes(packet(guest, world)), false);
      await withControl(lab, OPEN, async ({ client }) => {
        assert.equal(await passes(packet(guest, world)), false);
        const { filtered } = await client.admit({ devices: [{ name: 'macvtap0' }], lift: true });
        assert.equal(filtered, true);
        assert.equal(await passes(packet(guest, world)), true);
      });
    });
  });

  it('is refused for a device that is not there, and nothing is changed', async () => {
    await withLab(async (lab) => {
      await withControl(lab, OPEN, async ({ client }) => {
        await assert.rejects(client.quarantine({ name: 'macvtap9' }), { code: 'DEVICE_NOT_FOUND' });
      });
    });
  });
});

it('status, list, counters, policies and events say what is so', async () => {
  await withLab(async (lab) => {
    const guest = lab.addGuest({ name: 'macvtap0', mac: MAC });
    const world = lab.world();
    await withControl(lab, FILES, async ({ client, path }) => {
      await passes(packet(guest, world));
      const { tapwall: _, pid, uptimeSeconds: __, file: ___, ...status } = await client.status();
      assert.equal(pid, process.pid);
      assert.deepEqual(status, {
        placement: status.placement,
        ownership: 'own',
        policies: 3,
        bindings: 2,
        devices: { attached: 1 },
        clients: 1,
      });
      const { devices, placement } = await client.list();
      assert.equal(placement, status.placement);
      assert.deepEqual(
        devices.map(({ device, policy }) => [device, policy]),
        [['macvtap0', 'shut']],
      );
      const [counters] = await client.counters(['macvtap0']);
      // The guest's own, and what its kernel may have sent by itself.
      assert.ok((counters?.egress.dropped['policy']?.packets ?? 0) >= 1);
      await assert.rejects(client.counters(['macvtap9']), { code: 'DEVICE_NOT_FOUND' });
      const { policies } = await client.policies('addressed');
      assert.deepEqual(
        policies.map(({ name, guards }) => [name, guards]),
        [['addressed', ['ip4']]],
      );
      await assert.rejects(client.policies('nobody'), { code: 'POLICY_NOT_FOUND' });
      const other = await ControlClient.connect({ path });
      const events = await other.follow();
      lab.addMacvtap({ name: 'macvtap1', mac: OTHER_MAC });
      const { value } = await events.next();
      assert.deepEqual(value?.event === 'attached' && [value.device, value.policy], ['macvtap1', 'shut']);
      await events.return();
      assert.equal((await client.recentEvents(1))[0]?.event, 'attached');
      await client.release();
      assert.equal((await client.status()).ownership, 'lent');
      await client.reload();
      assert.equal((await client.status()).ownership, 'own');
    });
  });
});
