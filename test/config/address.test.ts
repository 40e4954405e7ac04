import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { addressText, readAddress } from '#src/config/address.js';
import { parse, refuses, warns } from './support.js';

const FORM = 'Write it as `192.0.2.7`, `2001:db8::7`, `10.1.0.0/16` or `2001:db8::/64`.';

function flaw(text: string): string {
  const read = readAddress(text);
  assert.ok('flaw' in read, `${text} was read`);
  return read.hint === undefined ? read.flaw : `${read.flaw} | ${read.hint}`;
}

describe('an address', () => {
  test('is read, single or a prefix', () => {
    assert.deepEqual(readAddress('192.0.2.7'), {
      family: 4,
      bytes: Uint8Array.of(192, 0, 2, 7),
      prefixLength: 32,
    });
    const texts = {
      '192.0.2.7/32': '192.0.2.7',
      '10.128.0.0/9': '10.128.0.0/9',
      '128.0.0.0/2': '128.0.0.0/2',
      '2001:DB8:0::7': '2001:db8::7',
      '2001:db8::/63': '2001:db8::/63',
      'fe80::5054:ff:fe00:1': 'fe80::5054:ff:fe00:1',
      '64:ff9b::192.0.2.7': '64:ff9b::c000:207',
    };
    for (const [text, expected] of Object.entries(texts)) {
      const read = readAddress(text);
      assert.ok(!('flaw' in read), text);
      assert.equal(addressText(read), expected);
    }
  });

  test('is not whatever a library would take for one', () => {
    const texts = [
      '',
      'host',
      '10.0.0',
      '0x7f.0.0.1',
      '010.0.0.1',
      '256.0.0.1',
      '1.2.3.4/8/8',
      'fe80::1%eth0',
      ':::',
      '10.0.0.1 ',
    ];
    for (const text of texts) assert.equal(flaw(text), `\`${text}\` is not an address | ${FORM}`);
    for (const text of ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', '10.0.0.0/255.0.0.0']) {
      assert.equal(flaw(text), `\`${text}\`: the length of the prefix must be a number from 1 to 32`);
    }
    assert.equal(flaw('fd00::/129'), '`fd00::/129`: the length of the prefix must be a number from 1 to 128');
  });

  test('has nothing behind its prefix, and is told corrected', () => {
    assert.equal(
      flaw('192.168.2.7/24'),
      '`192.168.2.7/24` has bits behind its prefix | Write `192.168.2.0/24` for the whole prefix, or `192.168.2.7` for the one address.',
    );
    assert.equal(
      flaw('2001:db8::1:0/111'),
      '`2001:db8::1:0/111` has bits behind its prefix | Write `2001:db8::/111` for the whole prefix, or `2001:db8::1:0` for the one address.',
    );
  });

  test('is one that a VM can call its own', () => {
    const none = 'it says that there is no address yet';
    assert.equal(flaw('0.0.0.0'), `\`0.0.0.0\` cannot be a VM’s own: ${none}`);
    assert.equal(flaw('::'), `\`::\` cannot be a VM’s own: ${none}`);
    assert.equal(flaw('127.0.0.1'), '`127.0.0.1` cannot be a VM’s own: it is a loopback address');
    assert.equal(flaw('::1'), '`::1` cannot be a VM’s own: it is the loopback address');
    assert.equal(flaw('239.1.2.3'), '`239.1.2.3` cannot be a VM’s own: it is a multicast address');
    assert.equal(flaw('ff02::1'), '`ff02::1` cannot be a VM’s own: it is a multicast address');
    assert.equal(
      flaw('255.255.255.255'),
      '`255.255.255.255` cannot be a VM’s own: it is the broadcast address',
    );
    assert.equal(
      flaw('::ffff:10.0.0.1'),
      '`::ffff:a00:1` cannot be a VM’s own: it is an IPv4 address in IPv6 form',
    );
    assert.equal(
      flaw('192.0.0.0/2'),
      '`192.0.0.0` cannot be a VM’s own: with this prefix it takes in 224.0.0.0/4',
    );
    assert.equal(flaw('::/8'), '`::` cannot be a VM’s own: with this prefix it takes in ::/128');
    for (const text of ['0.0.0.0/0', '::/0', '10.0.0.0/0']) {
      assert.equal(
        flaw(text),
        `\`${text}\` is every address there is | To let a VM use any address leave out the guards that compare addresses.`,
      );
    }
  });

  test('keeps the bits of its prefix, and no others', () => {
    const address = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(address, fc.nat({ max: 128 }), (bytes, length) => {
        const bits = bytes.length * 8;
        const prefixLength = Math.min(bits, length);
        const text = `${addressText({ family: bits === 32 ? 4 : 6, bytes, prefixLength: bits })}/${prefixLength}`;
        const read = readAddress(text);
        const value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
        const behind = value & ((1n << BigInt(bits - prefixLength)) - 1n);
        if ('flaw' in read) return;
        assert.equal(behind, 0n);
        assert.deepEqual([read.bytes, read.prefixLength], [bytes, prefixLength]);
      }),
    );
  });
});

describe('the addresses of a binding', () => {
  const config = (guards: string, rest = '', more = '') =>
    `policies: { p: { default: drop, guards: [${guards}] } }\nbindings: [{ device: "*", policy: p${rest} }]\n${more}`;
  const NONE = 'the VM could use no address at all';
  const GIVE = 'Give the VM’s `addresses`, or take the guard out of the policy.';

  test('are refused one by one', () => {
    refuses(
      config('ip4', ', addresses: [192.0.2.7/24, host, 5, 192.0.2.0/24]'),
      '2:50+12 `192.0.2.7/24` has bits behind its prefix | Write `192.0.2.0/24` for the whole prefix, or `192.0.2.7` for the one address.',
      `2:64+4 \`host\` is not an address | ${FORM}`,
      '2:70+1 expected text, got the number 5',
    );
    refuses(
      config('ip4', ', addresses: [192.0.2.7, 192.0.2.7/32]'),
      '2:61+12 `192.0.2.7` is in this list already',
    );
    refuses(config('mac', ', addresses: 192.0.2.7'), '2:49+9 expected a list, got the text `192.0.2.7`');
  });

  test('are missing where a guard compares with them', () => {
    for (const guard of ['ip4', 'ip6', 'arp-ip', 'nd']) {
      refuses(
        config(guard),
        `2:35+1 the policy \`p\` compares addresses (guard \`${guard}\`), and this binding gives none: ${NONE} | ${GIVE}`,
      );
      assert.equal(parse(config(guard, ', addresses: [192.0.2.7]')).bindings[0]?.addresses?.length, 1);
    }
    refuses(
      config('ip, mac', ', addresses: []'),
      `2:35+1 the policy \`p\` compares addresses (guards \`ip4\`, \`ip6\`), and this binding gives none: ${NONE} | ${GIVE}`,
    );
    assert.equal(parse(config('mac, arp-mac, ra')).bindings[0]?.addresses, undefined);
  });

  test('are missing with the policy of devices that no binding matches', () => {
    refuses(
      config('nd', ', addresses: [fd00::7]', 'unmatched: p\n'),
      `3:12+1 the policy \`p\` compares addresses (guard \`nd\`), and a device that no binding matches has none: ${NONE} | Name a policy without such guards.`,
    );
  });

  test('are idle where no guard does', () => {
    warns(
      config('mac', ', addresses: [192.0.2.7]'),
      '2:38+9 these addresses have no effect: no guard of the policy `p` compares addresses | Add `ip`, `arp` or `nd` to its `guards`.',
    );
    warns(config('arp', ', addresses: [192.0.2.7]'));
    warns(config('mac', ', addresses: []'));
  });
});
