import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readRate } from '#src/config/rate.js';
import { parse, refuses, withPolicy } from './support.js';

const PACKETS = 'Write it as `100/second burst 20 packets`.';
const BYTES = 'Write it as `10 mbytes/second burst 2 mbytes`.';

describe('a rate', () => {
  test('of packets', () => {
    const read = (text: string) => readRate(text, 'packets');
    const unit = 'packets';
    assert.deepEqual(read('100/second'), { unit, amount: 100, seconds: 1, burst: 5 });
    assert.deepEqual(read('500/minute burst 50 packets'), { unit, amount: 500, seconds: 60, burst: 50 });
    assert.deepEqual(read(' 1 / hour '), { unit, amount: 1, seconds: 3600, burst: 5 });
    assert.deepEqual(read('1/day'), { unit, amount: 1, seconds: 86_400, burst: 5 });
    assert.deepEqual(read('1/week burst 30000 packets'), {
      unit,
      amount: 1,
      seconds: 604_800,
      burst: 30_000,
    });
    assert.deepEqual(read('1000000000/second'), { unit, amount: 1e9, seconds: 1, burst: 5 });
  });

  test('of bytes, in the units of nft', () => {
    const read = (text: string) => readRate(text, 'bytes');
    const unit = 'bytes';
    assert.deepEqual(read('10 mbytes/second burst 2 mbytes'), {
      unit,
      amount: 10 * 1024 * 1024,
      seconds: 1,
      burst: 2 * 1024 * 1024,
    });
    assert.deepEqual(read('3 kbytes/minute burst 7 bytes'), { unit, amount: 3072, seconds: 60, burst: 7 });
    assert.deepEqual(read('5 bytes/hour burst 1 kbytes'), { unit, amount: 5, seconds: 3600, burst: 1024 });
  });

  test('of bytes has a burst of a tenth of a second, and room for the largest frame', () => {
    const burst = (text: string) => {
      const rate = readRate(text, 'bytes');
      return 'flaw' in rate ? rate.flaw : rate.burst;
    };
    assert.equal(burst('10 mbytes/second'), 1024 * 1024);
    assert.equal(burst('120 mbytes/minute'), Math.ceil((2 * 1024 * 1024) / 10));
    assert.equal(burst('1 kbytes/second'), 65_536);
    assert.equal(burst('655361 bytes/second'), 65_537);
  });

  const flaws: [text: string, unit: 'packets' | 'bytes', flaw: string, hint?: string][] = [
    ['', 'packets', '`` is not a rate', PACKETS],
    ['100', 'packets', '`100` is not a rate', PACKETS],
    ['100/fortnight', 'packets', '`100/fortnight` is not a rate', PACKETS],
    ['100/second burst 5', 'packets', '`100/second burst 5` is not a rate', PACKETS],
    ['1.5/second', 'packets', '`1.5/second` is not a rate', PACKETS],
    ['-1/second', 'packets', '`-1/second` is not a rate', PACKETS],
    ['over 1/second', 'packets', '`over 1/second` is not a rate', PACKETS],
    ['1/second; drop', 'packets', '`1/second; drop` is not a rate', PACKETS],
    ['1 packets/second', 'packets', '`1 packets/second` is not a rate', PACKETS],
    ['1 gbytes/second', 'bytes', '`1 gbytes/second` is not a rate', BYTES],
    ['1 kbytes/second', 'packets', '`1 kbytes/second`: this limit counts packets', PACKETS],
    ['100/second', 'bytes', '`100/second`: this limit counts bytes', BYTES],
    [
      '1/second burst 5 bytes',
      'packets',
      '`1/second burst 5 bytes`: the burst of this limit counts packets',
      PACKETS,
    ],
    [
      '1 bytes/day burst 5 packets',
      'bytes',
      '`1 bytes/day burst 5 packets`: the burst of this limit counts bytes',
      BYTES,
    ],
    [
      '1 bytes/day burst 5 foo',
      'bytes',
      '`1 bytes/day burst 5 foo`: the burst of this limit counts bytes',
      BYTES,
    ],
    ['0/second', 'packets', '`0/second` would let nothing pass: a rate is at least 1'],
    ['1/second burst 0 packets', 'packets', '`1/second burst 0 packets`: a burst is at least 1'],
    [
      '1/second burst 4294967296 packets',
      'packets',
      '`1/second burst 4294967296 packets`: a burst is at most 4294967295 packets',
    ],
    [
      '1 mbytes/second burst 4096 mbytes',
      'bytes',
      '`1 mbytes/second burst 4096 mbytes`: a burst is at most 4294967295 bytes',
    ],
    ['1000000001/second', 'packets', '`1000000001/second` is a higher rate than the kernel can count'],
    // Refused by Linux 6.18: more than 64 bits of nanoseconds.
    [
      '1/week burst 31000 packets',
      'packets',
      '`1/week burst 31000 packets` is a larger burst than the kernel can count',
    ],
    [
      '18000 mbytes/second burst 1 bytes',
      'bytes',
      '`18000 mbytes/second burst 1 bytes` is more than the kernel can count: rate and burst together are at most 18446744073 bytes in a second',
      'Write the rate in bytes per second.',
    ],
    [
      '1 mbytes/day',
      'bytes',
      '`1 mbytes/day` is more than the kernel can count: rate and burst together are at most 213503 bytes in a day',
      'Write the rate in bytes per second.',
    ],
    // The kernel takes it, and then reckons wrongly with every frame of more than 30,500 bytes.
    [
      '1 bytes/week burst 1 bytes',
      'bytes',
      '`1 bytes/week burst 1 bytes` is more than the kernel can count: rate and burst together are at most 30500 bytes in a week',
      'Write the rate in bytes per second.',
    ],
  ];
  for (const [text, unit, flaw, hint] of flaws) {
    test(`of ${unit} is not ${JSON.stringify(text)}`, () => {
      const { flaw: found, hint: hinted } = { flaw: undefined, hint: undefined, ...readRate(text, unit) };
      assert.deepEqual([found, hinted], [flaw, hint]);
    });
  }

  test('is as high as the kernel can count, and no higher', () => {
    assert.ok(!('flaw' in readRate('17591 mbytes/second burst 1 bytes', 'bytes')));
    assert.ok('flaw' in readRate('17593 mbytes/second burst 1 bytes', 'bytes'));
  });
});

describe('the limits of a policy', () => {
  test('are read under their names', () => {
    const text = withPolicy(
      'default: drop',
      'limits:',
      '  broadcast: 1/second',
      '  ingress-packets: 2/second',
      '  ingress-bytes: 3 bytes/second',
      '  egress-packets: 4/second',
      '  egress-bytes: 5 bytes/second',
    );
    assert.deepEqual(parse(text).policies.get('p')?.limits, {
      broadcast: { unit: 'packets', amount: 1, seconds: 1, burst: 5 },
      ingressPackets: { unit: 'packets', amount: 2, seconds: 1, burst: 5 },
      ingressBytes: { unit: 'bytes', amount: 3, seconds: 1, burst: 65_536 },
      egressPackets: { unit: 'packets', amount: 4, seconds: 1, burst: 5 },
      egressBytes: { unit: 'bytes', amount: 5, seconds: 1, burst: 65_536 },
    });
    assert.deepEqual(
      parse(withPolicy('file: a.nft', 'limits: { broadcast: 1/day }')).policies.get('p')?.limits,
      {
        broadcast: { unit: 'packets', amount: 1, seconds: 86_400, burst: 5 },
      },
    );
    assert.deepEqual(parse(withPolicy('default: drop')).policies.get('p')?.limits, {});
  });

  test('are refused where they stand', () => {
    refuses(
      withPolicy(
        'default: drop',
        'limits:',
        '  broadcast: 1 mbytes/second',
        '  egres-bytes: 1',
        '  ingress-packets: 5',
      ),
      `5:18+15 \`1 mbytes/second\`: this limit counts packets | ${PACKETS}`,
      '6:7+11 unknown key `egres-bytes` in `limits` of the policy `p` | Did you mean `egress-bytes`?',
      '7:24+1 expected text, got the number 5',
    );
    refuses(withPolicy('default: drop', 'limits: 5'), '4:13+1 expected a map, got the number 5');
    refuses(withPolicy('default: drop', 'limits:'), '4:5+6 expected a map, got nothing');
  });
});
