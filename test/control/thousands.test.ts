/** A host with thousands of devices, asked again and again while VMs come. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { MACVLAN_MODE_BRIDGE } from '#src/links/constants.js';
import { parseMac } from '#src/links/link.js';
import { deleteLink, newLink } from '#src/links/request.js';
import { configurationFor, createVms, OWN_FILE, planVms } from '../integration/thousands.js';
import { withLab } from '../support/host.js';
import type { EventLog } from '../support/station.js';
import { withControl } from './support.js';

const DEVICES = 4_000;
const VMS = planVms(DEVICES, { own: 250, bound: 1_000 });
const ROUNDS = 40;

function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}

function milliseconds(action: () => void): number {
  const start = performance.now();
  action();
  return performance.now() - start;
}

function microseconds(log: EventLog, names: readonly string[]): number[] {
  return names.map((name) => log.attachments(name)[0]?.microseconds ?? Number.NaN);
}

describe('with thousands of devices', () => {
  it('list and counters are whole, and a device gets its policy while they are read', async (t: TestContext) => {
    await withLab(async (lab) => {
      const removeVms = createVms(lab, VMS);
      try {
        const files = { 'tapwall.yaml': configurationFor(VMS), 'own.nft': OWN_FILE };
        await withControl(lab, files, async ({ agent, client, log }) => {
          const { devices } = await client.list();
          assert.equal(devices.length, DEVICES);
          const wrong = VMS.filter(({ policy }, at) => devices[at]?.policy !== policy);
          assert.deepEqual(wrong.slice(0, 3), []);
          assert.equal((await client.counters(['macvtap7', 'macvtap8'])).length, 2);
          assert.deepEqual((await client.status()).devices, { attached: DEVICES });

          const held: number[] = [];
          const parentIndex = lab.host.link('uplink0').index;
          const mac = parseMac('52:54:00:02:00:01');
          const link = { kind: 'macvtap', mac, parentIndex, mode: MACVLAN_MODE_BRIDGE };
          const attach = async (first: number, meanwhile: () => void) => {
            const names = Array.from({ length: ROUNDS }, (_, round) => `macvtap${first + round}`);
            for (const name of names) {
              lab.host.route.request(newLink({ name, ...link }), `RTM_NEWLINK ${name}`);
              meanwhile();
              await log.attached(name);
              lab.host.route.request(deleteLink(lab.host.link(name).index), `RTM_DELLINK ${name}`);
            }
            return microseconds(log, names);
          };
          const alone = await attach(5_000, () => undefined);
          const listed = await attach(6_000, () => held.push(milliseconds(() => void agent.status())));
          assert.ok(listed.every(Number.isFinite));
          const words = (values: number[]) =>
            `p50 ${quantile(values, 0.5).toFixed(0)}, p95 ${quantile(values, 0.95).toFixed(0)}`;
          t.diagnostic(`${DEVICES} devices: reading all holds the main thread for ${words(held)} ms`);
          t.diagnostic(
            `one more device: ${words(alone)} µs; while all are read: ${words(listed)} µs (n ${ROUNDS} each)`,
          );
        });
      } finally {
        removeVms();
      }
    });
  });
});
