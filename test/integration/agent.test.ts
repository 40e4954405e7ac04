import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Agent } from '#src/agent/agent.js';
import { statusIn } from '#src/agent/status.js';
import { loadConfiguration } from '#src/config/load.js';
import type { Lab } from '#src/demo/lab.js';
import { GUARD, ONE_POLICY, PLACEMENTS, withAgent, withFiles } from '../support/agent.js';
import { kernel, runIn, withLab } from '../support/host.js';
import { type EventLog, fates, packet, passes, until } from '../support/station.js';

const FILES = { 'tapwall.yaml': ONE_POLICY, 'guard.nft': GUARD };
const mac = (number: number) =>
  `52:54:00:00:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}`;
const LAN = { destination: '192.168.7.7' };

function statuses(lab: Lab) {
  return statusIn(kernel, lab.host.namespace).devices;
}

for (const placement of PLACEMENTS)
  describe(`the agent on a real kernel, placement ${placement}`, () => {
    const start: typeof withAgent = (lab, files, action, setup) =>
      withAgent(lab, files, action, { ...setup, placement });

    it('filters devices that were there before it', async () => {
      await withLab(async (lab) => {
        const guest = lab.addGuest({ name: 'macvtap0', mac: mac(1) });
        const world = lab.world();
        assert.equal(await passes(packet(guest, world, LAN)), true);
        await start(lab, FILES, async ({ log }) => {
          assert.equal(log.attachments('macvtap0').length, 1);
          assert.equal(log.events.at(-1)?.event, 'ready');
          assert.equal(await passes(packet(guest, world, LAN)), false);
        });
      });
    });

    it('attaches 200 devices that are made at once, each once', async () => {
      await withLab(async (lab) => {
        await start(lab, FILES, async ({ log }) => {
          const links = Array.from({ length: 200 }, (_, number) =>
            lab.addMacvtap({ name: `macvtap${number}`, mac: mac(number) }),
          );
          await until('200 attached', () => log.of('attached').length >= 200);
          const names = links.map(({ name }) => name).sort();
          assert.deepEqual(
            log
              .of('attached')
              .map(({ device }) => device)
              .sort(),
            names,
          );
          assert.deepEqual(log.of('failed'), []);
          const attached = statuses(lab).filter(({ state }) => state === 'attached');
          assert.deepEqual(attached.map(({ device }) => device).sort(), names);
          for (const { index } of links) lab.remove(index);
          await until('200 detached', () => log.of('detached').length >= 200);
          assert.deepEqual(statuses(lab), []);
        });
      });
    });

    it('moves a renamed device’s filter to its new name', async () => {
      await withLab(async (lab) => {
        await start(lab, FILES, async ({ log }) => {
          const guest = lab.addGuest({ name: 'macvtap0', mac: mac(1) });
          const world = lab.world();
          await log.attached('macvtap0');
          lab.rename(guest.index, 'macvtap77');
          await log.attached('macvtap77');
          assert.equal(log.attachments('macvtap77')[0]?.replaced, true);
          assert.equal(await passes(packet(guest, world, LAN)), false);
          assert.equal(await passes(packet(guest, world)), true);
          const [status] = statuses(lab);
          assert.equal(status?.state, 'attached');
          assert.equal(status?.device, 'macvtap77');
        });
      });
    });

    it('gives a device recreated under the same name its own policy, and nothing of the old one', async () => {
      const yaml = `policies:
  guard: { file: guard.nft }
  open: { default: accept }
bindings:
  - { mac: "${mac(1)}", policy: guard }
  - { device: "*", policy: open }
`;
      await withLab(async (lab) => {
        await start(lab, { ...FILES, 'tapwall.yaml': yaml }, async ({ log }) => {
          const first = lab.addGuest({ name: 'macvtap0', mac: mac(1) });
          const world = lab.world();
          await log.attached('macvtap0');
          assert.equal(await passes(packet(first, world, LAN)), false);
          lab.remove(first.index);
          const second = lab.addGuest({ name: 'macvtap0', mac: mac(2) });
          await log.attached('macvtap0', 2);
          assert.notEqual(second.index, first.index);
          assert.equal(await passes(packet(second, world, LAN)), true);
          const detached = log.of('detached');
          assert.deepEqual(
            detached.map(({ index, reason, tables }) => ({ index, reason, tables })),
            [{ index: first.index, reason: 'gone', tables: [`tapwall.${first.index}.guard`] }],
          );
          assert.deepEqual(
            statuses(lab).map(({ index, policy }) => ({ index, policy })),
            [{ index: second.index, policy: 'open' }],
          );
        });
      });
    });

    it('leaves filters in place when it stops, adopts them when it starts, and takes them along when asked', async () => {
      await withLab(async (lab) => {
        const guest = lab.addGuest({ name: 'macvtap0', mac: mac(1) });
        const world = lab.world();
        await start(lab, FILES, async () => undefined);
        assert.equal(await passes(packet(guest, world, LAN)), false);
        await start(lab, FILES, async ({ agent, log }) => {
          assert.deepEqual(
            log.of('attached').map(({ kept }) => kept),
            [true],
          );
          await agent.stop({ detach: true });
          assert.deepEqual(
            log.of('detached').map(({ reason }) => reason),
            ['exit'],
          );
        });
        assert.equal(await passes(packet(guest, world, LAN)), true);
        assert.deepEqual(
          statuses(lab).map(({ state }) => state),
          ['unfiltered'],
        );
      });
    });

    it('puts a reloaded policy in force in one transaction, and leaves an unchanged device’s counters alone', async () => {
      const counted = (rule: string) =>
        `table netdev t {\n  chain in { type filter hook ingress device $intf priority 0; policy accept;\n    counter ${rule}\n  }\n}\n`;
      const yaml = (
        second: string,
      ) => `policies: { a: { file: a.nft }, b: { file: b.nft }, c: { file: c.nft } }
bindings: [{ device: macvtap0, policy: a }, { device: macvtap1, policy: ${second} }]
`;
      const files = {
        'tapwall.yaml': yaml('b'),
        'a.nft': counted('accept'),
        'b.nft': counted('accept comment "b"'),
        'c.nft': counted('drop'),
      };
      await withLab(async (lab) => {
        const [first, second, world] = [
          lab.addGuest({ name: 'macvtap0', mac: mac(1) }),
          lab.addGuest({ name: 'macvtap1', mac: mac(2) }),
          lab.world(),
        ];
        await start(lab, files, async ({ log, reload }) => {
          assert.deepEqual(await fates([packet(world, first), packet(world, second)]), [true, true]);
          await reload(yaml('c'));
          assert.deepEqual(await fates([packet(world, first), packet(world, second)]), [true, false]);
          assert.equal(log.attachments('macvtap0').length, 1);
          assert.deepEqual(
            log.attachments('macvtap1').map(({ policy, replaced }) => [policy, replaced]),
            [
              ['b', false],
              ['c', true],
            ],
          );
          const table = `tapwall.${first.index}.t`;
          const { stdout } = runIn(lab.host.namespace, ['nft', 'list', 'table', 'netdev', table]);
          const packets = Number(/counter packets (\d+)/.exec(stdout)?.[1]);
          // Both frames: a replaced table would have counted only the second.
          assert.ok(packets >= 2, stdout);
          await assert.rejects(reload('policies: {}\nbindings: [{ device: "*", policy: nobody }]\n'));
          assert.equal(await passes(packet(world, second)), false);
        });
      });
    });

    it('never lets a frame through while a filter is replaced', async () => {
      const version = (number: number) =>
        GUARD.replace('table netdev guard {', `table netdev guard {\n  comment "${number}"`);
      await withLab(async (lab) => {
        const guest = lab.addGuest({ name: 'macvtap0', mac: mac(1) });
        const world = lab.world();
        {
          const yaml = (file: string) => ONE_POLICY.replace('guard.nft', file);
          await start(lab, { ...FILES, 'other.nft': version(2) }, async (running) => {
            while (world.receive());
            let sent = 0;
            let leaked = 0;
            let flooding = true;
            const flood = (async () => {
              while (flooding) {
                for (let burst = 0; burst < 50; burst++) {
                  guest.send(packet(guest, world, LAN).frame);
                  sent++;
                }
                for (let frame = world.receive(); frame; frame = world.receive()) {
                  if (frame.includes('<test-frame-')) leaked++;
                }
                await new Promise(setImmediate);
              }
            })();
            for (let round = 0; round < 60; round++)
              await running.reload(yaml(round % 2 ? 'guard.nft' : 'other.nft'));
            flooding = false;
            await flood;
            assert.equal(running.log.attachments('macvtap0').filter(({ replaced }) => replaced).length, 60);
            assert.ok(sent > 1000, `only ${sent} frames were sent`);
            assert.equal(leaked, 0);
          });
        }
      });
    });

    it('is not delayed by a main thread that is blocked', async () => {
      await withLab(async (lab) => {
        await start(lab, FILES, async () => {
          const link = lab.addMacvtap({ name: 'macvtap0', mac: mac(1) });
          // Blocks this thread, which reads the events, until the kernel has the table: no event is handled meanwhile.
          const end = Date.now() + 10_000;
          let found = false;
          while (!found && Date.now() < end)
            found = statuses(lab).some(({ index, state }) => index === link.index && state === 'attached');
          assert.equal(found, true);
        });
      });
    });

    it('installs the ingress half alone on a kernel without egress hooks, and says what is missing', async () => {
      const noEgress = { egress: false };
      // Of hooks on a prefix the agent warns where the host's nft cannot list them, as here.
      const warnings = (log: EventLog) => {
        const messages = log.of('warning').map(({ message }) => message);
        const ofPrefix = messages.filter((message) => message.startsWith('placement prefix: '));
        assert.equal(ofPrefix.length, placement === 'prefix' ? 1 : 0);
        return messages.filter((message) => !ofPrefix.includes(message));
      };
      await withLab(async (lab) => {
        const guest = lab.addGuest({ name: 'macvtap0', mac: mac(1) });
        const world = lab.world();
        const shots = () => [packet(world, guest, { source: '192.168.7.7' }), packet(guest, world, LAN)];
        await start(
          lab,
          FILES,
          async ({ log }) => {
            assert.deepEqual(await fates(shots()), [false, true]);
            const [warning, ...more] = warnings(log);
            assert.match(warning ?? '', /policy guard: .*no egress hook.*out.*FROM the VM is not filtered/);
            assert.deepEqual(more, []);
          },
          { capabilities: noEgress },
        );
        const optional = { ...FILES, 'tapwall.yaml': `egress: optional\n${ONE_POLICY}` };
        await start(lab, optional, async ({ log }) => assert.deepEqual(warnings(log), []), {
          capabilities: noEgress,
        });
      });
    });

    it('starts nothing when a policy does not compile', async () => {
      await withLab(async (lab) => {
        lab.addMacvtap({ name: 'macvtap0', mac: mac(1) });
        await withFiles({ ...FILES, 'guard.nft': 'table netdev t { nonsense }\n' }, async (folder) => {
          const configuration = loadConfiguration(join(folder, 'tapwall.yaml'));
          await assert.rejects(Agent.start(configuration, { namespace: lab.host.namespace }), {
            code: 'POLICY',
          });
        });
        assert.deepEqual(
          statuses(lab).map(({ state }) => state),
          ['unfiltered'],
        );
      });
    });
  });
