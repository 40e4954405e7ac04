import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { isAddress } from '#src/config/address.js';
import {
  numberReader,
  readIp4,
  readIp6,
  readMac,
  type ValueReader,
  writeMac,
} from '#src/config/value-bytes.js';

/** The value in hexadecimal; undefined where the text is none. It stands in the middle of other text. */
function read(reader: ValueReader, text: string, length: number): string | undefined {
  const bytes = Buffer.from(`9${text}9`);
  const target = new Uint8Array(length + 2).fill(0xee);
  if (!reader(bytes, 1, bytes.length - 1, target, 1)) return undefined;
  assert.deepEqual([target[0], target.at(-1)], [0xee, 0xee], 'nothing is written beside it');
  return Buffer.from(target.subarray(1, -1)).toString('hex');
}

const bytesOf = (text: string) => Buffer.from(ipaddr.parse(text).toByteArray()).toString('hex');

/** Texts that nearly are addresses. */
const near = (alphabet: string, most: number) =>
  fc.array(fc.constantFrom(...alphabet), { maxLength: most }).map((letters) => letters.join(''));
const group = fc.constantFrom('0', '1', 'ff', '0db8', 'ffff', '10000', '', 'g');
const nearIp6 = fc.oneof(
  fc.array(group, { minLength: 1, maxLength: 9 }).map((groups) => groups.join(':')),
  fc
    .tuple(fc.array(group, { maxLength: 7 }), fc.array(group, { maxLength: 7 }))
    .map(([before, behind]) => `${before.join(':')}::${behind.join(':')}`),
  fc.array(group, { maxLength: 7 }).map((groups) => `${groups.join(':')}:192.0.2.1`),
  near('0:f.1', 20),
);

test('IPv4 addresses are read as the library reads them', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), near('0129.', 16)), (text) => {
      assert.equal(read(readIp4, text, 4), isAddress(text, 4) ? bytesOf(text) : undefined, text);
    }),
    { numRuns: 3000 },
  );
  for (const text of [
    '256.1.1.1',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.',
    '.1.2.3.4',
    '1.2.3.1000',
    '',
  ]) {
    assert.equal(read(readIp4, text, 4), undefined, text);
  }
});

test('IPv6 addresses are read as the library reads them', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV6(), nearIp6), (text) => {
      const own = read(readIp6, text, 16);
      // It takes `::192.0.2.1` for `::ffff:192.0.2.1`, unlike inet_pton(3). What it takes besides is for nft.
      const isOld = /^::[0-9.]+$/.test(text) && text.includes('.');
      if (!isOld && own !== undefined)
        assert.equal(own, isAddress(text, 6) ? bytesOf(text) : 'refused', text);
    }),
    { numRuns: 5000 },
  );
  const texts = ['::', '::1', '1::', 'fe80::1', '2001:db8::7', '::ffff:192.0.2.1', '1:2:3:4:5:6:7:8'];
  texts.push(
    '64:ff9b::192.0.2.1',
    '1::3:4:5:6:7:8',
    '1:2:3:4:5:6:7::',
    'FE80::ABCD',
    '1:2:3:4:5:6:192.0.2.1',
  );
  for (const text of texts) assert.equal(read(readIp6, text, 16), bytesOf(text), text);
  assert.equal(read(readIp6, '::192.0.2.1', 16), '000000000000000000000000c0000201');
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const text = ipaddr.fromByteArray([...bytes]).toString();
      assert.equal(read(readIp6, text, 16), Buffer.from(bytes).toString('hex'), text);
    }),
  );
  for (const text of [
    ':',
    ':::',
    '1:::2',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7',
    ':1',
    '1:',
    'fe80::1%eth0',
  ]) {
    assert.equal(read(readIp6, text, 16), undefined, text);
  }
});

test('MAC addresses may leave out a zero in each part', () => {
  assert.equal(read(readMac, '52:54:00:aA:bb:cc', 6), '525400aabbcc');
  assert.equal(read(readMac, '2:4:0:a:b:c', 6), '020400' + '0a0b0c');
  for (const text of [
    '52:54:00:aa:bb',
    '52:54:00:aa:bb:cc:dd',
    '52-54-00-aa-bb-cc',
    '::::: ',
    'g2:54:00:aa:bb:cc',
    '525:4:0:1:2:3',
  ]) {
    assert.equal(read(readMac, text, 6), undefined, text);
  }
  assert.equal(writeMac(Uint8Array.of(2, 4, 0, 10, 11, 12)), '02:04:00:0a:0b:0c');
});

test('numbers are decimal or hexadecimal, and what nft would read as octal is not ours', () => {
  assert.equal(read(numberReader(2), '53', 2), '0035');
  assert.equal(read(numberReader(2), '0', 2), '0000');
  assert.equal(read(numberReader(2), '0xFf', 2), '00ff');
  assert.equal(read(numberReader(4), '4294967295', 4), 'ffffffff');
  assert.equal(read(numberReader(1), '255', 1), 'ff');
  const wrong: [1 | 2 | 4, string[]][] = [
    [1, ['256', '0x100', '-1', '', 'tcp', '1.5', '1e1']],
    [2, ['65536', '010', '00', '0x', 'ssh', '5 ', '0b1']],
    [4, ['4294967296', '0x100000000', '99999999999', '0xg']],
  ];
  for (const [length, texts] of wrong) {
    for (const text of texts) assert.equal(read(numberReader(length), text, length), undefined, text);
  }
});
