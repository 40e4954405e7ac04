import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AssignedAddress, GuardName } from '#src/config/configuration.js';
import type { Lab } from '#src/demo/lab.js';
import type { Tap } from '#src/demo/tap.js';
import { GUARD_NAMES } from '#src/policy/guard-name.js';
import { membersOf } from '#src/policy/membership.js';
import { renderShared } from '#src/policy/shared.js';
import { loadNft, TestDoor } from '../support/door.js';
import { openLab, runIn } from '../support/host.js';
import { ip4, ip6 } from '../support/packet.js';
import { until } from '../support/station.js';
import { DROPPED, type Frames, LEGITIMATE, SPARED, TO_VM, toVm, VM } from './frames.js';
import { policyWith } from './support.js';

const addresses: AssignedAddress[] = [
  { family: 4, bytes: ip4(VM.ip4), prefixLength: 32 },
  { family: 4, bytes: ip4('198.51.100.16'), prefixLength: 28 },
  { family: 6, bytes: ip6(VM.ip6), prefixLength: 128 },
  { family: 6, bytes: ip6('2001:db8:1::'), prefixLength: 52 },
];

/** All that go with each other and forbid no protocol. */
const STRICT: readonly GuardName[] = GUARD_NAMES.filter(
  (name) => !name.startsWith('no-') && name !== 'ethertype-rarp',
);

const policies = [
  ...GUARD_NAMES.map((name) => policyWith({ name, guards: [name], default: 'accept' })),
  policyWith({ name: 'strict', guards: STRICT, default: 'accept' }),
];

const source = renderShared({
  policies: policies.map((policy, at) => ({ policy, mark: at + 2 })),
  sets: [],
  prefixLengths: { ip4: [28], ip6: [52] },
  mostDevices: 1024,
  hooks: { egress: true },
});

/**
 * Behind the door in both directions. Not of frames that the host's own link sends: in its multicast reports
 * the place of the mark holds something else (reserved_tailroom in struct sk_buff).
 */
const PROBE = `table netdev probe {
  chain out { type filter hook egress device vx0 priority 0; ether saddr ${VM.mac} meta mark != 0 counter
  }
  chain in { type filter hook ingress device $intf priority 100; meta mark != 0 counter
  }
}
`;

describe('frames of a VM', () => {
  let lab: Lab;
  let door: TestDoor;
  let guest: Tap;
  let world: Tap;

  before(() => {
    lab = openLab();
    // The host's own IPv6 speaks on the device, too, and would be counted.
    const quiet = 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6';
    assert.equal(runIn(lab.host.namespace, ['sh', '-c', quiet]).status, 0);
    guest = lab.addGuest({ name: 'macvtap0', mac: VM.mac });
    world = lab.world();
    loadNft(lab.host.namespace, PROBE, 'macvtap0');
    door = new TestDoor(lab.host.namespace, source, 'macvtap0');
  });
  after(() => {
    door.close();
    lab.close();
  });

  function admit(name: string): void {
    const policy = source.policies.get(name);
    assert.ok(policy);
    door.admit(membersOf({ index: guest.index, mac: VM.mac, addresses, policy }));
  }

  /** What counted a frame: one set, once. */
  async function counted(send: () => void): Promise<string> {
    const earlier = door.counts(guest.index);
    send();
    let grown: [string, number][] = [];
    await until('the frame is counted', () => {
      grown = [...door.counts(guest.index)]
        .map(([set, count]): [string, number] => [set, count - (earlier.get(set) ?? 0)])
        .filter(([, count]) => count > 0);
      return grown.length > 0;
    });
    return grown.map(([set, count]) => (count === 1 ? set : `${set} ${count} times`)).join(' and ');
  }

  /** Sends frames one by one, and finds that each was counted there and that it arrived if it was admitted. */
  async function expectAll(from: Tap, to: Tap, frames: Frames, set: string): Promise<void> {
    while (to.receive());
    const seen: Record<string, string> = {};
    const expected: Record<string, string> = {};
    for (const [name, bytes] of Object.entries(frames)) {
      seen[name] = await counted(() => from.send(bytes));
      expected[name] = set;
    }
    assert.deepEqual(seen, expected);
    const sent = Object.values(frames);
    const arrived: Buffer[] = [];
    const wanted = set.endsWith('.admitted.early') ? sent.length : 0;
    for (
      let quiet = 0;
      quiet < (wanted > 0 ? 5000 : 50) && arrived.length < Math.max(1, wanted);
      quiet += 2
    ) {
      for (let frame = to.receive(); frame; frame = to.receive()) {
        if (sent.some((bytes) => frame?.subarray(0, bytes.length).equals(bytes))) arrived.push(frame);
      }
      if (arrived.length < wanted || wanted === 0) await sleep(2);
    }
    assert.equal(arrived.length, wanted, `${arrived.length} of ${sent.length} frames arrived`);
  }

  test('that are legitimate pass all guards together', async () => {
    admit('strict');
    await expectAll(guest, world, LEGITIMATE, 'egress.admitted.early');
  });

  for (const guard of GUARD_NAMES) {
    test(`are dropped by ${guard} for that reason`, async () => {
      admit(guard);
      await expectAll(guest, world, DROPPED[guard], `egress.dropped.${guard}`);
    });
  }

  for (const [guard, frames] of Object.entries(SPARED)) {
    test(`pass ${guard} where it is not about them`, async () => {
      admit(guard);
      await expectAll(guest, world, frames, 'egress.admitted.early');
    });
  }

  for (const guard of GUARD_NAMES.filter((name) => !name.startsWith('no-'))) {
    test(`that are legitimate pass ${guard}`, async () => {
      admit(guard);
      await expectAll(guest, world, LEGITIMATE, 'egress.admitted.early');
    });
  }

  for (const [guard, frames] of Object.entries(TO_VM)) {
    test(`to it are dropped by ${guard} for that reason`, async () => {
      admit(guard);
      const reversed = Object.entries(frames).map(([name, bytes]) => [name, toVm(bytes)] as const);
      await expectAll(world, guest, Object.fromEntries(reversed), `ingress.dropped.${guard}`);
    });
  }

  test('to it pass all guards together, whoever they come from', async () => {
    admit('strict');
    const frames = Object.entries(LEGITIMATE).map(([name, bytes]) => [name, toVm(bytes)] as const);
    await expectAll(world, guest, Object.fromEntries(frames), 'ingress.admitted.early');
  });

  test('of a device without a policy are counted as unmatched, in both directions', async () => {
    door.admit([]);
    const [some = Buffer.alloc(0)] = Object.values(LEGITIMATE);
    await expectAll(guest, world, { some }, 'egress.dropped.unmatched');
    await expectAll(world, guest, { some: toVm(some) }, 'ingress.dropped.unmatched');
  });

  test('that some guard drops pass none of them together', async () => {
    admit('strict');
    const seen: string[] = [];
    for (const frames of STRICT.map((guard) => DROPPED[guard])) {
      for (const [name, bytes] of Object.entries(frames)) {
        if ((await counted(() => guest.send(bytes))) === 'egress.admitted.early') seen.push(name);
      }
    }
    assert.deepEqual(seen, []);
  });

  test('pass unguarded when it is admitted by hand', async () => {
    door.admit(membersOf({ index: guest.index, mac: VM.mac, addresses, policy: source.byHand }));
    await expectAll(guest, world, DROPPED.mac, 'egress.admitted.early');
  });

  test('have no mark when they leave the host, nor when they reach the VM', () => {
    const { stdout } = runIn(lab.host.namespace, ['nft', 'list', 'table', 'netdev', 'probe']);
    assert.deepEqual(stdout.match(/counter packets \d+/g), ['counter packets 0', 'counter packets 0']);
    assert.match(stdout, /meta mark != 0x0+ counter/);
  });
});
