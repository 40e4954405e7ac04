/** Whose the tables are on a real kernel, and what becomes of what other programs do to them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Agent } from '#src/agent/agent.js';
import { readTables } from '#src/agent/attachment.js';
import { readShared } from '#src/agent/shared-state.js';
import { statusIn } from '#src/agent/status.js';
import { loadConfiguration } from '#src/config/load.js';
import type { Lab } from '#src/demo/lab.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { NFT_TABLE_F_OWNER, NFT_TABLE_F_PERSIST } from '#src/nftables/constants.js';
import type { Inventory } from '#src/program/inventory.js';
import { GUARD, PLACEMENTS, withAgent, withFiles } from '../support/agent.js';
import { kernel, runIn, withLab } from '../support/host.js';
import { MAIN, Running } from '../support/run.js';
import { fates, packet, passes, until } from '../support/station.js';
import { deviceElements } from './thousands.js';

const OWNED = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST;

const A = { name: 'macvtap0', mac: '52:54:00:00:00:01' };
const B = { name: 'macvtap1', mac: '52:54:00:00:00:02' };
const LAN = { destination: '192.168.7.7' };

/** One guest with rules of the shared table, one with a file of its own. */
const YAML = `policies:
  lan:
    ingress: |
      ip saddr 192.168.2.1 accept
      ip saddr 192.168.0.0/16 drop
    egress: |
      ip daddr 192.168.2.1 accept
      ip daddr 192.168.0.0/16 drop
    default: accept
  own: { file: guard.nft }
bindings:
  - { mac: "${A.mac}", policy: lan }
  - { mac: "${B.mac}", policy: own }
`;
const UNOWNED = `owner: false\n${YAML}`;
const files = (yaml: string) => ({ 'tapwall.yaml': yaml, 'guard.nft': GUARD });

function tablesIn({ host }: Lab) {
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: host.namespace });
  try {
    return readTables(netfilter);
  } finally {
    netfilter.close();
  }
}

function inventoryIn({ host }: Lab): Inventory {
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: host.namespace });
  try {
    return readShared(netfilter)?.inventory ?? assert.fail('there is no shared table');
  } finally {
    netfilter.close();
  }
}

const flagsIn = (lab: Lab) => tablesIn(lab).map(({ flags }) => flags);
const nft = (lab: Lab, ...words: string[]) => runIn(lab.host.namespace, ['nft', ...words]);

for (const placement of PLACEMENTS)
  describe(`tables that are owned, placement ${placement}`, () => {
    const start: typeof withAgent = (lab, yaml, action) => withAgent(lab, yaml, action, { placement });

    it('are passed by when others flush, and cannot be changed by them', async () => {
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        await start(lab, files(YAML), async ({ log }) => {
          const tables = tablesIn(lab);
          assert.deepEqual([tables.length, tables.every(({ flags }) => flags === OWNED)], [2, true]);
          assert.equal(nft(lab, 'flush', 'ruleset').status, 0);
          for (const words of [
            'delete table netdev tapwall',
            'flush chain netdev tapwall ingress.door',
            'add element netdev tapwall device.policy { 77 : 1 }',
            `delete table netdev tapwall.${b.index}.guard`,
          ]) {
            assert.match(nft(lab, words).stderr, /Operation not permitted/, words);
          }
          assert.deepEqual(tablesIn(lab), tables);
          const shots = [a, b].flatMap((guest) => [packet(guest, world), packet(guest, world, LAN)]);
          assert.deepEqual(await fates(shots), [true, false, true, false]);
          assert.deepEqual(log.of('repaired'), []);
        });
        assert.deepEqual(flagsIn(lab), [NFT_TABLE_F_PERSIST, NFT_TABLE_F_PERSIST]);
        assert.equal(await passes(packet(a, world, LAN)), false);
      });
    });

    it('are taken over by the next agent with their counters, and by no second one', async () => {
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        await start(lab, files(YAML), async () => {
          await fates([a, b].flatMap((guest) => [packet(guest, world), packet(guest, world, LAN)]));
        });
        const counted = deviceElements(lab.host.namespace);
        assert.ok(counted.some((element) => element.includes('egress.admitted')));
        await start(lab, files(YAML), async ({ folder, agent, log }) => {
          assert.ok(log.of('attached').every(({ kept }) => kept));
          assert.ok(flagsIn(lab).every((flags) => flags === OWNED));
          const tables = tablesIn(lab);
          const configuration = loadConfiguration(join(folder, 'tapwall.yaml'));
          const second = Agent.start({ ...configuration, placement }, { namespace: lab.host.namespace });
          await assert.rejects(second, {
            code: 'OWNED_BY_OTHER',
            message: new RegExp(`port ${tables[0]?.owner}\\b`),
          });
          assert.deepEqual(tablesIn(lab), tables);
          await agent.release();
          assert.deepEqual(flagsIn(lab), [NFT_TABLE_F_PERSIST, NFT_TABLE_F_PERSIST]);
        });
        const left = deviceElements(lab.host.namespace);
        assert.ok(counted.every((element) => left.some((one) => one.length >= element.length)));
      });
    });
  });

for (const placement of PLACEMENTS)
  describe(`tables that nobody owns, placement ${placement}`, () => {
    const start: typeof withAgent = (lab, yaml, action) => withAgent(lab, yaml, action, { placement });

    it('are put right whatever nft does to them, and who did it is told', async () => {
      await withLab(async (lab) => {
        const [a, b, world] = [lab.addGuest(A), lab.addGuest(B), lab.world()];
        const shots = () => [
          ...[a, b].flatMap((guest) => [packet(guest, world), packet(guest, world, LAN)]),
          ...[a, b].flatMap((guest) => [
            packet(world, guest),
            packet(world, guest, { source: '192.168.7.7' }),
          ]),
        ];
        const verdicts = [true, false, true, false, true, false, true, false];
        await start(lab, files(UNOWNED), async ({ log }) => {
          assert.deepEqual(flagsIn(lab), [0, 0]);
          assert.deepEqual(await fates(shots()), verdicts);
          const own = `tapwall.${b.index}.guard`;
          for (const words of [
            'flush ruleset',
            'delete table netdev tapwall',
            `delete table netdev ${own}`,
            'flush chain netdev tapwall policy.lan.egress',
            'insert rule netdev tapwall egress.door accept',
            'insert rule netdev tapwall policy.lan.ingress accept',
            'flush chain netdev tapwall ingress.door',
            'flush map netdev tapwall device.policy',
            'flush map netdev tapwall policy.egress',
            `add element netdev tapwall ingress.dropped.policy { ${a.index} }; flush map netdev tapwall device.policy`,
            'add table netdev tapwall { flags dormant; }',
            `flush chain netdev ${own} out`,
            `insert rule netdev ${own} in accept`,
            'add counter netdev tapwall theirs',
            'add quota netdev tapwall theirs { over 1 mbytes; }; add chain netdev tapwall odd; add rule netdev tapwall odd quota name theirs',
            `add chain netdev ${own} more`,
          ]) {
            const repairs = log.of('repaired').length;
            const { status, stderr } = nft(lab, words);
            assert.equal(status, 0, `${words}: ${stderr}`);
            await until(`${words} is put right`, () => log.of('repaired').length > repairs);
            const [repaired, ...more] = log.of('repaired').slice(repairs);
            assert.deepEqual(more, [], words);
            assert.deepEqual(
              repaired?.by.map(({ processName }) => processName),
              ['nft'],
              words,
            );
            assert.deepEqual(await fates(shots()), verdicts, words);
            assert.deepEqual(inventoryIn(lab).objects, [], words);
          }
          assert.deepEqual(log.of('failed'), []);
          assert.deepEqual(
            log.of('warning').filter(({ message }) => !message.startsWith('placement')),
            [],
          );
          const states = statusIn(kernel, lab.host.namespace).devices.map(({ state }) => state);
          assert.deepEqual(states, ['attached', 'attached']);
        });
      });
    });

    it('are put right at the start when they were changed while no agent ran', async () => {
      await withLab(async (lab) => {
        const [a, world] = [lab.addGuest(A), lab.world()];
        lab.addMacvtap(B);
        for (const [words, isHidden] of [
          ['insert rule netdev tapwall policy.lan.egress accept', false],
          ['flush chain netdev tapwall policy.lan.egress', false],
          ['flush map netdev tapwall policy.egress', true],
          ['add rule netdev tapwall ingress.admit accept', true],
          // What no digest shows leads to it, so it can only go when that has gone.
          ['add chain netdev tapwall odd; add rule netdev tapwall egress.door jump odd', false],
          [
            'add set netdev tapwall odd { type ether_addr; }; ' +
              'add rule netdev tapwall policy.lan.egress ether saddr @odd accept',
            false,
          ],
          [
            'add chain netdev tapwall odd; add map netdev tapwall ways { type mark : verdict; elements = { 1 : jump odd }; }; ' +
              'add rule netdev tapwall egress.admit mark vmap @ways',
            false,
          ],
        ] as const) {
          await start(lab, files(UNOWNED), async () => undefined);
          assert.equal(nft(lab, words).status, 0);
          await start(lab, files(UNOWNED), async ({ log }) => {
            // What the digests do not show is found as soon as the devices are in line.
            if (isHidden) await until('it is put right', () => log.of('repaired').length === 1);
            assert.deepEqual(await fates([packet(a, world), packet(a, world, LAN)]), [true, false], words);
            assert.deepEqual(log.of('failed'), []);
            const { chains, sets } = inventoryIn(lab);
            assert.deepEqual([chains.has('odd'), sets.has('odd'), sets.has('ways')], [false, false, false]);
          });
        }
      });
    });
  });

describe('tapwall run and release', () => {
  it('give tables up when told to, and when they are killed; nothing that they start keeps them', async () => {
    await withLab(async (lab) => {
      const [a, world] = [lab.addGuest(A), lab.world()];
      await withFiles(files(YAML), async (folder) => {
        const where = ['--namespace', lab.namespacePath, '--json'];
        const command = (...words: string[]) =>
          spawnSync(process.execPath, [MAIN, ...words, ...where], { encoding: 'utf8', cwd: folder });
        const none = command('release');
        assert.deepEqual([none.status, JSON.parse(none.stdout)], [0, { event: 'released', tables: [] }]);
        const run = new Running(lab, folder);
        const pid = run.child.pid ?? 0;
        try {
          await run.saw('ready');
          assert.ok(flagsIn(lab).every((flags) => flags === OWNED));
          const second = command('run', '--config', 'tapwall.yaml');
          assert.equal(second.status, 6);
          assert.match(second.stdout, new RegExp(`"code":"OWNED_BY_OTHER".*process ${pid} \\(tapwall\\)`));
          const attach = command('attach', 'macvtap0', '--policy', 'guard.nft');
          assert.deepEqual([attach.status, /OWNED_BY_OTHER/.test(attach.stdout)], [6, true]);
          const released = command('release');
          assert.equal(released.status, 0, released.stderr);
          assert.deepEqual(JSON.parse(released.stdout), {
            event: 'released',
            tables: ['tapwall'],
            port: pid,
          });
          assert.deepEqual(flagsIn(lab), [NFT_TABLE_F_PERSIST]);
          assert.equal(nft(lab, 'flush', 'ruleset').status, 0);
          await run.saw('repaired');
          assert.equal(await passes(packet(a, world, LAN)), false);
          // What is made after a release is nobody's, until a reload takes it over.
          assert.deepEqual(flagsIn(lab), [NFT_TABLE_F_PERSIST]);
          run.child.kill('SIGHUP');
          await run.saw('reloaded');
          assert.deepEqual(flagsIn(lab), [OWNED]);
          assert.equal(netlinkSocketsOfChildren(pid), 0);
          run.child.kill('SIGKILL');
          await run.exited;
          assert.equal(await passes(packet(a, world, LAN)), false);
          assert.ok(flagsIn(lab).every((flags = 0) => (flags & NFT_TABLE_F_OWNER) === 0));
        } finally {
          run.child.kill('SIGKILL');
          await run.exited;
        }
      });
    });
  });
});

/** How many of an agent's sockets its child processes have open. */
function netlinkSocketsOfChildren(pid: number): number {
  const sockets = (of: number | string) => {
    const folder = `/proc/${of}/fd`;
    return readdirSync(folder).flatMap((fd) => {
      try {
        const target = readlinkSync(join(folder, fd));
        return target.startsWith('socket:') ? [target] : [];
      } catch {
        return [];
      }
    });
  };
  const own = new Set(sockets(pid));
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
  const children = stdout
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return children.flatMap(sockets).filter((socket) => own.has(socket)).length;
}
