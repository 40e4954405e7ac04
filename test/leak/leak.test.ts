/** What passes a guest's device, and what is counted, while it comes and goes under a flood from both of its sides. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readShared } from '#src/agent/shared-state.js';
import { countOf, type DirectionCounts, statusIn } from '#src/agent/status.js';
import type { Placement } from '#src/config/configuration.js';
import type { Lab } from '#src/demo/lab.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import type { Member } from '#src/program/member.js';
import { FORBIDDEN_ADDRESS, Storm } from '../../dist-bench/leak/storm.js';
import { withAgent, withFiles } from '../support/agent.js';
import { kernel, runIn, withLab } from '../support/host.js';
import { until } from '../support/station.js';

const SOURCE = fileURLToPath(new URL('../../bench/leak/flooder.c', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../dist-bench/leak/flooder', import.meta.url));
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

const CREATIONS = Number(process.env['TAPWALL_LEAK_CREATIONS'] ?? 60);
/** From each end to each device; on an idle machine they take a few milliseconds. */
const FRAMES = 40;

const PLACEMENTS: readonly Placement[] = ['prefix', 'names'];

/** No binding matches. */
const UNMATCHED = `policies: { nothing: { guards: [], default: drop } }
bindings: [{ mac: "52:54:00:ff:ff:ff", policy: nothing }]
`;
/** Every device has a policy; it drops what floods them and passes the rest. */
const DROPPING = `policies:
  lan:
    guards: []
    ingress: ip saddr ${FORBIDDEN_ADDRESS} drop
    egress: ip daddr ${FORBIDDEN_ADDRESS} drop
    default: accept
bindings: [{ device: "*", policy: lan }]
`;

function dropped({ dropped: reasons }: DirectionCounts): number {
  return Object.values(reasons).reduce((sum, { packets }) => sum + packets, 0);
}

/** What the kernel has counted for a device, by its index: in both directions, dropped and admitted. */
function counted(lab: Lab, index: number) {
  const found = statusIn(kernel, lab.host.namespace).devices.find((device) => device.index === index);
  assert.ok(found, `nothing is known of interface ${index}`);
  const { ingress, egress } = found;
  return {
    ingress: dropped(ingress),
    egress: dropped(egress),
    admitted: ingress.admitted.packets + egress.admitted.packets,
  };
}

/** The same, of all devices together, also of those that are gone. */
function countedOfAll(lab: Lab) {
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: lab.host.namespace });
  const counters = readShared(netfilter)?.counted ?? new Map<number, Member[]>();
  netfilter.close();
  const members = [...counters.values()].flat();
  const sum = (pattern: RegExp) =>
    members.filter(({ set }) => pattern.test(set)).reduce((total, one) => total + countOf(one).packets, 0);
  return {
    devices: counters.size,
    ingress: sum(/^ingress\.dropped\./),
    egress: sum(/^egress\.dropped\./),
    admitted: sum(/\.admitted$/),
  };
}

/** Without IPv6 the host sends nothing of its own from a device that comes up, and counters can be exact. */
function silenceHost(lab: Lab): void {
  const command =
    'for one in all default; do echo 1 > /proc/sys/net/ipv6/conf/$one/disable_ipv6 || exit 1; done';
  assert.equal(runIn(lab.host.namespace, ['bash', '-c', command]).status, 0);
}

/**
 * The storm: every other device is removed under the flood, the others while it pauses, and then every frame has to
 * be accounted for.
 * @param keepsCounters nobody removes the counters of devices that are gone, so that all can be read at the end.
 */
async function endure(lab: Lab, { keepsCounters = false } = {}): Promise<void> {
  const storm = await Storm.start(lab, { oneName: true });
  try {
    for (let creation = 0; creation < CREATIONS; creation++) {
      const start = await storm.report();
      const link = storm.create();
      await storm.flood(link, FRAMES, start);
      if (creation % 2 === 1) {
        const end = await storm.pause();
        const sent = { ingress: storm.received(link), egress: end.guest.written - start.guest.written };
        const got = counted(lab, link.index);
        assert.deepEqual(got, { ...sent, admitted: 0 }, `creation ${creation + 1}: counted and sent`);
        storm.resume();
      }
      storm.remove(link);
    }
    const { guest, world } = await storm.stop();
    assert.equal(guest.opened, CREATIONS);
    assert.ok(guest.written >= CREATIONS * FRAMES && world.written >= CREATIONS * FRAMES);
    assert.deepEqual({ toGuests: guest.received, toWorld: world.received }, { toGuests: 0, toWorld: 0 });
    if (!keepsCounters) return;
    const all = countedOfAll(lab);
    const bounds = `${guest.written} and at most ${guest.late} more`;
    assert.equal(all.devices, CREATIONS);
    assert.ok(
      all.egress >= guest.written && all.egress <= guest.written + guest.late,
      `${all.egress}, not ${bounds}`,
    );
    assert.ok(all.ingress <= world.written);
    assert.equal(all.admitted, 0);
  } finally {
    storm.close();
  }
}

/** Lets an agent make the door, and kills it. */
async function killAgent(lab: Lab, folder: string): Promise<void> {
  const args = ['run', '--config', join(folder, 'tapwall.yaml'), '--namespace', lab.namespacePath, '--json'];
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  await until('the agent is ready', () => lines.some((line) => line.includes('"event":"ready"')));
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

describe(`while ${CREATIONS} devices come and go under a flood`, () => {
  before(() => {
    const flags = ['-std=c11', '-O2', '-pthread', '-Wall', '-Wextra', '-Wpedantic', '-Werror'];
    const built = spawnSync('cc', [...flags, '-o', PROGRAM, SOURCE], { encoding: 'utf8' });
    assert.equal(built.status, 0, built.stderr);
  });

  for (const placement of PLACEMENTS) {
    describe(`placement ${placement}`, () => {
      it('no frame passes one that no binding matches, and each is counted', () =>
        withLab((lab) => {
          silenceHost(lab);
          return withAgent(lab, { 'tapwall.yaml': UNMATCHED }, () => endure(lab), { placement });
        }));

      it('no frame passes that the policy drops, before it is there or after, and each is counted', () =>
        withLab((lab) => {
          silenceHost(lab);
          return withAgent(lab, { 'tapwall.yaml': DROPPING }, () => endure(lab), { placement });
        }));

      it('no frame passes when the agent was killed, and each is counted', () =>
        withLab((lab) =>
          withFiles({ 'tapwall.yaml': `placement: ${placement}\n${DROPPING}` }, async (folder) => {
            silenceHost(lab);
            await killAgent(lab, folder);
            await endure(lab, { keepsCounters: true });
          }),
        ));
    });
  }
});
