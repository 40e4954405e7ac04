/** Sums of what the kernel counts: pure logic. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Traffic } from '#src/metrics/traffic.js';

const SET = 'ingress.admitted';

/** One whole reading: packets by device, ten bytes each. */
function read(traffic: Traffic, packets: Readonly<Record<number, number>>, set = SET): void {
  traffic.begin();
  for (const [device, count] of Object.entries(packets))
    traffic.count(set, Number(device), count, count * 10);
  traffic.end([set]);
}

const packetsIn = (lines: Iterable<{ packets: number }>) => [...lines].map(({ packets }) => packets);

describe('traffic', () => {
  it('sums up what all devices have counted, before the agent too', () => {
    const traffic = new Traffic(8);
    read(traffic, { 4: 100, 5: 1 });
    read(traffic, { 4: 130, 5: 1 });
    assert.deepEqual([...traffic.totals()], [{ set: SET, packets: 131, bytes: 1310 }]);
    assert.deepEqual(
      [...traffic.byDevice()].map(({ device, packets }) => [device, packets]),
      [
        [4, 130],
        [5, 1],
      ],
    );
    assert.deepEqual([...traffic.others()], []);
  });

  it('does not go back when a device goes, nor when its counter is made anew', () => {
    const traffic = new Traffic(8);
    read(traffic, { 4: 100, 5: 50 });
    read(traffic, { 5: 50 });
    assert.deepEqual(packetsIn(traffic.totals()), [150]);
    assert.deepEqual(packetsIn(traffic.byDevice()), [50]);
    // The table was made anew.
    read(traffic, { 5: 3 });
    assert.deepEqual(packetsIn(traffic.totals()), [153]);
    assert.deepEqual(packetsIn(traffic.byDevice()), [3]);
  });

  it('gives the first devices series of their own, and sums up the others for as long as they live', () => {
    const traffic = new Traffic(2);
    read(traffic, { 4: 1, 5: 10, 6: 100, 7: 1000 });
    assert.deepEqual(traffic.devices, { own: 2, summed: 2 });
    assert.deepEqual([...traffic.own], [4, 5]);
    assert.deepEqual(packetsIn(traffic.others()), [1100]);
    // A place is free, and goes to the next that comes: the sum must not go back.
    read(traffic, { 5: 10, 6: 101, 7: 1000 });
    read(traffic, { 5: 10, 6: 101, 7: 1000, 8: 7 });
    assert.deepEqual([...traffic.own], [5, 8]);
    assert.deepEqual(packetsIn(traffic.others()), [1101]);
    // Those that were summed up have gone, and what they sent has not.
    read(traffic, { 5: 10, 8: 7 });
    assert.deepEqual(traffic.devices, { own: 2, summed: 0 });
    assert.deepEqual(packetsIn(traffic.others()), [1101]);
    assert.deepEqual(packetsIn(traffic.totals()), [1119]);
  });

  it('with no series of their own for any device still sums up', () => {
    const traffic = new Traffic(0);
    read(traffic, { 4: 1, 5: 10 });
    assert.deepEqual([packetsIn(traffic.byDevice()), packetsIn(traffic.others())], [[], [11]]);
  });

  it('forgets nothing over a reading that broke off', () => {
    const traffic = new Traffic(1);
    read(traffic, { 4: 5, 5: 6 });
    traffic.begin();
    traffic.count(SET, 4, 7, 70);
    // Here the kernel refused; the next reading is whole.
    read(traffic, { 4: 8, 5: 6 });
    assert.deepEqual(packetsIn(traffic.totals()), [14]);
    assert.deepEqual([...traffic.own], [4]);
    assert.deepEqual(packetsIn(traffic.others()), [6]);
  });
});
