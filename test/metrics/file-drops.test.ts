/** What files have dropped, from two counts that are not of one moment: pure logic. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FileDrops } from '#src/metrics/file-drops.js';

const count = (packets: number) => ({ packets, bytes: packets * 60 });

describe('what files have dropped', () => {
  it('is what the door has let through and has not passed', () => {
    const drops = new FileDrops();
    assert.deepEqual(drops.settle('4', count(100), count(70)), count(30));
    assert.deepEqual(drops.settle('5', count(7), count(7)), count(0));
  });

  it('is never less than nothing, nor less than it was, when more has passed between the two counts', () => {
    const drops = new FileDrops();
    assert.deepEqual(drops.settle('4', count(100), count(110)), count(0));
    assert.deepEqual(drops.settle('4', count(200), count(150)), count(50));
    assert.deepEqual(drops.settle('4', count(300), count(290)), count(50));
    assert.deepEqual(drops.settle('4', count(400), count(320)), count(80));
  });

  it('begins anew with tables that were made anew', () => {
    const drops = new FileDrops();
    assert.deepEqual(drops.settle('4', count(100), count(50)), count(50));
    assert.deepEqual(drops.settle('4', count(3), count(1)), count(2));
  });

  it('is forgotten with the device', () => {
    const drops = new FileDrops();
    drops.settle('4', count(100), count(50));
    drops.end();
    drops.end();
    assert.deepEqual(drops.settle('4', count(200), count(199)), count(1));
  });
});
