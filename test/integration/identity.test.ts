/** Who a device is, whatever happens to it: the right policy or none, and nothing of the old one left. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { listAttachments } from '#src/agent/attachment.js';
import { readShared } from '#src/agent/shared-state.js';
import type { Lab } from '#src/demo/lab.js';
import { listLinks } from '#src/links/query.js';
import { deleteLink } from '#src/links/request.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { GUARD, PLACEMENTS, withAgent } from '../support/agent.js';
import { deviceStates, moveLink } from '../support/devices.js';
import { kernel, runIn, withLab } from '../support/host.js';
import { fates, packet, passes, until } from '../support/station.js';

const A = { name: 'macvtap0', mac: '52:54:00:00:00:01' };
const B = { name: 'macvtap1', mac: '52:54:00:00:00:02' };
const LAN = { destination: '192.168.7.7' };

/** A has rules of the shared table, B a file of its own, and who has the alias `lent…` passes all. */
const YAML = `policies:
  lan: { guards: [mac], egress: "ip daddr 192.168.0.0/16 drop", default: accept }
  own: { file: guard.nft, guards: [mac] }
  open: { default: accept, guards: [] }
bindings:
  - { device: "macvtap-2*", policy: open }
  - { alias: "lent*", policy: open }
  - { mac: "${A.mac}", policy: lan }
  - { mac: "${B.mac}", policy: own }
`;
const FILES = { 'tapwall.yaml': YAML, 'guard.nft': GUARD };

function ip(lab: Lab, ...words: string[]): void {
  const { status, stderr } = runIn(lab.host.namespace, ['ip', ...words]);
  assert.equal(status, 0, `ip ${words.join(' ')}: ${stderr}`);
}

const devices = ({ host }: Lab) => deviceStates(host);

async function become(lab: Lab, ...wanted: string[]): Promise<void> {
  const rest = wanted.length === 0 ? 'no device' : '';
  await until(rest + wanted.join(', '), () => devices(lab).join() === wanted.join());
}

/** Elements, counters and tables of devices that are not there. */
function leftovers({ host }: Lab): string[] {
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: host.namespace });
  try {
    const present = new Set(listLinks(host.route).map(({ index }) => index));
    const shared = readShared(netfilter);
    const elements = [...(shared?.members ?? []), ...(shared?.counted ?? [])];
    const tables = listAttachments(netfilter).map(({ index, tables: own }) => [index, own] as const);
    return [...elements.map(([index, own]) => [index, own.map(({ set }) => set)] as const), ...tables]
      .filter(([index]) => !present.has(index))
      .map(([index, own]) => `${index}: ${own.join()}`);
  } finally {
    netfilter.close();
  }
}

for (const placement of PLACEMENTS)
  describe(`a device, placement ${placement}`, () => {
    const start = (lab: Lab, action: Parameters<typeof withAgent>[2]) =>
      withAgent(lab, FILES, action, { placement });

    it('has names with odd characters, and such that differ in the last byte alone', async () => {
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        await start(lab, async ({ log }) => {
          for (const [first, second] of [
            ['macvtap-1234567', 'macvtap-1234568'],
            ['macvtap"$;{}#', "macvtap'\\`*?"],
            ['macvtap-ä-€', 'macvtap+@^|'],
            ['macvtap-1234568', 'macvtap-1234567'],
          ] as const) {
            lab.rename(a.index, first);
            lab.rename(b.index, second);
            await become(lab, `${first} attached lan`, `${second} attached own`);
            const shots = [a, b].flatMap((guest) => [packet(guest, world), packet(guest, world, LAN)]);
            assert.deepEqual(await fates(shots), [true, false, true, false], `${first}, ${second}`);
          }
          assert.deepEqual([log.of('failed'), leftovers(lab)], [[], []]);
        });
      });
    });

    it('has other names beside its own, which mean nothing', async () => {
      await withLab(async (lab) => {
        const [a, world] = [lab.addGuest(A), lab.world()];
        await start(lab, async ({ reload }) => {
          ip(lab, 'link', 'property', 'add', 'dev', A.name, 'altname', 'macvtap-2nd-name-of-it');
          lab.setUp(a.index, false);
          lab.setUp(a.index);
          await reload(`${YAML}\n`);
          assert.deepEqual(devices(lab), ['macvtap0 attached lan']);
          assert.deepEqual(await fates([packet(a, world), packet(a, world, LAN)]), [true, false]);
        });
      });
    });

    it('gets another policy with its alias, and keeps its own with another MAC', async () => {
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        await start(lab, async () => {
          ip(lab, 'link', 'set', 'dev', A.name, 'alias', 'lent to somebody');
          await become(lab, 'macvtap0 attached open', 'macvtap1 attached own');
          assert.equal(await passes(packet(a, world, LAN)), true);
          ip(lab, 'link', 'set', 'dev', A.name, 'alias', 'mine');
          await become(lab, 'macvtap0 attached lan', 'macvtap1 attached own');
          assert.equal(await passes(packet(a, world, LAN)), false);
          // A guest that takes its neighbour's address has nothing of it, nor any more of its own.
          ip(lab, 'link', 'set', 'dev', B.name, 'address', '52:54:00:00:00:77');
          ip(lab, 'link', 'set', 'dev', A.name, 'address', B.mac);
          assert.deepEqual(devices(lab), ['macvtap0 attached lan', 'macvtap1 attached own']);
          assert.deepEqual(await fates([packet(a, world, LAN), packet(b, world, LAN)]), [false, false]);
        });
        await start(lab, async () => {
          assert.deepEqual(devices(lab), ['macvtap0 attached lan', 'macvtap1 attached own']);
        });
      });
    });

    it('goes to another namespace and comes back', async () => {
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        const elsewhere = kernel.createNamespace();
        const route = kernel.openSocket({ protocol: 0, namespace: elsewhere });
        await start(lab, async ({ log }) => {
          for (const { index } of [a, b]) moveLink(lab.host, index, elsewhere);
          await until('both are gone', () => log.of('detached').length === 2);
          assert.deepEqual([devices(lab), leftovers(lab)], [[], []]);
          for (const { name, index } of listLinks(route)) {
            if (!name.startsWith('macvtap')) continue;
            moveLink({ route }, index, lab.host.namespace);
          }
          await become(lab, 'macvtap0 attached lan', 'macvtap1 attached own');
          for (const { name } of [a, b]) lab.setUp(lab.host.link(name).index);
          const shots = [a, b].flatMap((guest) => [packet(guest, world), packet(guest, world, LAN)]);
          assert.deepEqual(await fates(shots), [true, false, true, false]);
          assert.deepEqual(log.of('failed'), []);
        });
        route.close();
        elsewhere.close();
      });
    });

    it('goes with its parent, and leaves nothing; one that is made with its index is another', async () => {
      await withLab(async (lab) => {
        const [a, b] = [lab.addGuest(A), lab.addGuest(B)];
        const parent = lab.host.link(lab.parent);
        await start(lab, async ({ log }) => {
          lab.remove(a.index);
          lab.addMacvtap({ ...B, name: 'macvtap7', mac: '52:54:00:00:00:03', index: a.index });
          await become(lab, 'macvtap7 closed -', 'macvtap1 attached own');
          lab.host.route.request(deleteLink(parent.index), 'RTM_DELLINK');
          await until(`${b.name} is gone`, () => log.of('detached').some(({ index }) => index === b.index));
          await become(lab);
          assert.deepEqual([leftovers(lab), log.of('failed')], [[], []]);
        });
      });
    });
  });
