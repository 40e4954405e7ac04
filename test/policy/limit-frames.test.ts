import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Limits, Rate } from '#src/config/configuration.js';
import { membersOf } from '#src/policy/membership.js';
import { renderShared } from '#src/policy/shared.js';
import { TestDoor } from '../support/door.js';
import { runIn, withLab } from '../support/host.js';
import { frame, IP4, ip4Packet, UDP, udpDatagram } from '../support/packet.js';
import { until } from '../support/station.js';
import { VM } from './frames.js';
import { policyWith } from './support.js';

/** Slow enough that nothing is given back while a test runs. */
const slow = (unit: Rate['unit'], burst: number): Rate => ({ unit, amount: 1, seconds: 3600, burst });

const FRAMES = 12;
const BURST = 4;
/** Of one frame, as both hooks count it but for the Ethernet header. */
const SIZE = 1000;

const cases: { limits: Limits; to?: string; toVm?: boolean; set: string }[] = [
  {
    limits: { broadcast: slow('packets', BURST) },
    to: 'ff:ff:ff:ff:ff:ff',
    set: 'egress.dropped.limit.broadcast',
  },
  {
    limits: { broadcast: slow('packets', BURST) },
    to: '33:33:00:00:00:01',
    set: 'egress.dropped.limit.broadcast',
  },
  { limits: { egressPackets: slow('packets', BURST) }, set: 'egress.dropped.limit.packets' },
  { limits: { egressBytes: slow('bytes', BURST * SIZE + 200) }, set: 'egress.dropped.limit.bytes' },
  { limits: { ingressPackets: slow('packets', BURST) }, toVm: true, set: 'ingress.dropped.limit.packets' },
  {
    limits: { ingressBytes: slow('bytes', BURST * SIZE + 200) },
    toVm: true,
    set: 'ingress.dropped.limit.bytes',
  },
];

function sized(to: string, from: string): Buffer {
  const data = 'x'.repeat(SIZE - 28);
  return frame(
    to,
    from,
    IP4,
    ip4Packet({ from: VM.ip4, to: VM.ip4, protocol: UDP, payload: udpDatagram(1, 2, data) }),
  );
}

describe('a limit', () => {
  for (const { limits, to, toVm = false, set } of cases) {
    const [limit] = Object.keys(limits);
    test(`on ${limit} drops what is over it, of one VM and not of another (${to ?? 'unicast'})`, async () => {
      await withLab(async (lab) => {
        runIn(lab.host.namespace, ['sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6']);
        const source = renderShared({
          policies: [{ policy: policyWith({ default: 'accept', limits }), mark: 2 }],
          sets: [],
          prefixLengths: { ip4: [], ip6: [] },
          mostDevices: 1024,
          hooks: { egress: true },
        });
        const guest = lab.addGuest({ name: 'macvtap0', mac: VM.mac });
        const neighbour = lab.addGuest({ name: 'macvtap1', mac: '52:54:00:aa:bb:02' });
        const world = lab.world();
        const both = source.text.replaceAll('device $intf', 'devices = { macvtap0, macvtap1 }');
        const door = new TestDoor(lab.host.namespace, { ...source, text: both }, 'macvtap0');
        try {
          const policy = source.policies.get('lan-guard') ?? source.byHand;
          door.admit(
            [guest, neighbour].flatMap(({ index, mac }) => membersOf({ index, mac, addresses: [], policy })),
          );
          const direction = toVm ? 'ingress' : 'egress';
          const passedAndDropped = ({ index }: { index: number }) => {
            const counts = door.counts(index);
            return [counts.get(`${direction}.admitted.early`) ?? 0, counts.get(set) ?? 0];
          };
          for (const vm of [guest, neighbour]) {
            const bytes = toVm ? sized(vm.mac, world.mac) : sized(to ?? world.mac, vm.mac);
            for (let count = 0; count < FRAMES; count++) (toVm ? world : vm).send(bytes);
            await until('all are counted', () => passedAndDropped(vm).reduce((a, b) => a + b) === FRAMES);
            assert.deepEqual(passedAndDropped(vm), [BURST, FRAMES - BURST]);
          }
        } finally {
          door.close();
        }
      });
    });
  }

  test('on broadcast lets what goes to one station pass', async () => {
    await withLab((lab) => {
      runIn(lab.host.namespace, ['sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6']);
      const source = renderShared({
        policies: [
          { policy: policyWith({ default: 'accept', limits: { broadcast: slow('packets', 1) } }), mark: 2 },
        ],
        sets: [],
        prefixLengths: { ip4: [], ip6: [] },
        mostDevices: 1024,
        hooks: { egress: true },
      });
      const guest = lab.addGuest({ name: 'macvtap0', mac: VM.mac });
      const door = new TestDoor(lab.host.namespace, source, 'macvtap0');
      try {
        const policy = source.policies.get('lan-guard') ?? source.byHand;
        door.admit(membersOf({ index: guest.index, mac: guest.mac, addresses: [], policy }));
        for (let count = 0; count < FRAMES; count++) guest.send(sized(lab.world().mac, VM.mac));
        assert.deepEqual([...door.counts(guest.index)], [['egress.admitted.early', FRAMES]]);
      } finally {
        door.close();
      }
    });
  });
});
