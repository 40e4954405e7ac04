/** A device that goes from one network namespace that the agent serves to another: it is that one's from then on. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Agent } from '#src/agent/agent.js';
import { readShared } from '#src/agent/shared-state.js';
import { createConfiguration } from '#src/config/object.js';
import type { Lab } from '#src/demo/lab.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { PLACEMENTS } from '../support/agent.js';
import { deviceStates, moveLink } from '../support/devices.js';
import { kernel, withLab } from '../support/host.js';
import { NamedNamespaces } from '../support/named-namespaces.js';
import { EventLog, fates, packet, until } from '../support/station.js';

const KNOWN = { name: 'macvtap0', mac: '52:54:00:00:00:0a' };
const STRANGE = { name: 'macvtap1', mac: '52:54:00:00:00:0b' };
const LAN = { destination: '192.168.7.7' };

/** How many elements and counters devices have in a namespace. */
function remains(lab: Lab): number {
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: lab.host.namespace });
  try {
    const shared = readShared(netfilter);
    return (shared?.members.size ?? 0) + (shared?.counted.size ?? 0);
  } finally {
    netfilter.close();
  }
}

function move(name: string, from: Lab, to: Lab): void {
  moveLink(from.host, from.host.link(name).index, to.host.namespace);
  to.setUp(to.host.link(name).index);
}

for (const placement of PLACEMENTS) {
  describe(`a device that goes from one served namespace to another, placement ${placement}`, () => {
    it('has the policy of the one that it is in, or none, and leaves nothing in the other', async () => {
      await withLab((own) =>
        withLab(async (other) => {
          const names = new NamedNamespaces();
          const log = new EventLog();
          const configuration = createConfiguration({
            placement,
            namespaces: ['self', names.glob],
            policies: {
              lan: { guards: [], egress: 'ip daddr 192.168.0.0/16 drop', default: 'accept' },
              open: { guards: [], default: 'accept' },
            },
            bindings: [
              { namespace: 'self', policy: 'lan' },
              { mac: KNOWN.mac, policy: 'open' },
            ],
          });
          names.add('other', other.host.namespace);
          const guests = [own.addGuest(KNOWN), own.addGuest(STRANGE)];
          const world = own.world();
          const shots = () => guests.flatMap((guest) => [packet(guest, world), packet(guest, world, LAN)]);
          const agent = await Agent.start(configuration, { namespace: own.host.namespace }, log.add);
          try {
            for (let times = 0; times < 2; times++) {
              await until('both are the own namespace’s', () => deviceStates(own.host).length === 2);
              await until('both have its policy', () =>
                deviceStates(own.host).every((state) => state.endsWith('attached lan')),
              );
              assert.deepEqual(await fates(shots()), [true, false, true, false]);
              for (const { name } of [KNOWN, STRANGE]) move(name, own, other);
              await until('both are behind the other’s door', () => {
                return deviceStates(other.host).sort().join() === 'macvtap0 attached open,macvtap1 closed -';
              });
              assert.deepEqual(await fates(shots()), [true, true, false, false]);
              await until('nothing is left of them', () => remains(own) === 0);
              for (const { name } of [KNOWN, STRANGE]) move(name, other, own);
              await until('nothing is left of them there', () => remains(other) === 0);
            }
            assert.deepEqual(log.of('failed'), []);
          } finally {
            await agent.stop();
            names.close();
          }
        }),
      );
    });
  });
}
