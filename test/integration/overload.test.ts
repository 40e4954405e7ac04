/** More at once than anybody should ask for: no device is lost, none is left behind, and none is open. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { listAttachments } from '#src/agent/attachment.js';
import { readShared } from '#src/agent/shared-state.js';
import { statusIn } from '#src/agent/status.js';
import type { Lab } from '#src/demo/lab.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { GUARD, PLACEMENTS, withAgent, withFiles } from '../support/agent.js';
import { kernel, withLab } from '../support/host.js';
import { packet, passes, until } from '../support/station.js';

const STORM = Number(process.env['TAPWALL_STORM_DEVICES'] ?? 500);
const mac = (number: number) =>
  `52:54:00:01:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}`;

const YAML = `policies:
  lan: { egress: "ip daddr 192.168.0.0/16 drop", default: accept }
  own: { file: guard.nft }
bindings:
  - { mac: "${mac(0)}", policy: own }
  - { mac: "${mac(7)}", policy: own }
  - { device: "*", policy: lan }
`;
const FILES = { 'tapwall.yaml': YAML, 'guard.nft': GUARD };

function leftIn({ host }: Lab): number {
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: host.namespace });
  try {
    const shared = readShared(netfilter);
    return (shared?.members.size ?? 0) + (shared?.counted.size ?? 0) + listAttachments(netfilter).length;
  } finally {
    netfilter.close();
  }
}

for (const placement of PLACEMENTS)
  describe(`a storm of ${STORM} devices, placement ${placement}`, () => {
    it('made, renamed and deleted without a pause leaves those that are there attached, and nothing else', async () => {
      await withLab(async (lab) => {
        await withAgent(
          lab,
          FILES,
          async ({ log }) => {
            // This thread makes links as fast as the kernel can, and reads no event meanwhile.
            const kept: string[] = [];
            for (let number = 0; number < STORM; number++) {
              const { index } = lab.addMacvtap({ name: `macvtap${number}`, mac: mac(number), up: false });
              if (number % 3 === 0) lab.rename(index, `macvtap-r${number}`);
              if (number % 5 === 0) lab.setUp(index);
              if (number % 10 === 7)
                kept.push(lab.host.link(`macvtap${number % 3 === 0 ? '-r' : ''}${number}`).name);
              else lab.remove(index);
            }
            const attached = () =>
              statusIn(kernel, lab.host.namespace)
                .devices.filter(({ state }) => state === 'attached')
                .map(({ device }) => device);
            await until('those that are left are attached', () => attached().length === kept.length);
            assert.deepEqual(attached().sort(), kept.sort());
            assert.deepEqual([log.of('failed'), log.of('repaired')], [[], []]);
            assert.ok(log.of('overflow').length <= 1);
            for (const name of kept) lab.remove(lab.host.link(name).index);
            await until('nothing is left', () => leftIn(lab) === 0);
            // Devices that never had anything are not told of at all.
            assert.ok(log.events.length <= 1 + 2 * STORM + log.of('overflow').length);
          },
          { placement },
        );
      });
    });
  });

describe('a commit lock that another program holds', () => {
  it('delays devices and loses none', async () => {
    // Thousands of rules that are checked against each other: nft keeps the lock for all of it, again and again.
    const chains = Array.from(
      { length: 400 },
      (_, at) =>
        `add chain ip big c${at}\nadd rule ip big c${at} ip saddr { 10.${at % 250}.0.0/16, 11.0.0.1 } drop`,
    );
    const elements = Array.from({ length: 30_000 }, (_, at) => `10.1.${at >> 8}.${at & 255}`).join(', ');
    const text = [
      'add table ip big',
      'delete table ip big',
      'add table ip big',
      ...chains,
      'add set ip big s { type ipv4_addr; }',
      `add element ip big s { ${elements} }`,
    ].join('\n');
    await withFiles({ 'big.nft': `${text}\n` }, async (folder) => {
      await withLab(async (lab) => {
        const world = lab.world();
        await withAgent(
          lab,
          FILES,
          async ({ log }) => {
            const script = 'for i in 1 2 3 4 5 6; do nft -f big.nft || exit 1; done';
            const command = [`--net=${lab.namespacePath}`, 'sh', '-c', script];
            const busy = spawn('nsenter', command, { cwd: folder, stdio: 'inherit' });
            const ended = once(busy, 'exit');
            let made = 0;
            while (busy.exitCode === null && made < 200) {
              lab.addMacvtap({ name: `macvtap${made}`, mac: mac(made) });
              made++;
              await new Promise(setImmediate);
            }
            const [status] = await ended;
            assert.equal(status, 0);
            await until(`${made} attached`, () => log.of('attached').length === made);
            const guest = lab.addGuest({ name: 'macvtap900', mac: mac(900) });
            await log.attached('macvtap900');
            assert.equal(await passes(packet(guest, world, { destination: '192.168.7.7' })), false);
            assert.equal(await passes(packet(guest, world)), true);
            // What others did with their own tables was no reason to do anything.
            assert.deepEqual([log.of('failed'), log.of('warning')], [[], []]);
            // So much at once may be lost; then all is compared, and nobody is said to have changed anything.
            assert.ok(log.of('repaired').every(({ by }) => by.length === 0));
          },
          { placement: 'names' },
        );
      });
    });
  });
});
