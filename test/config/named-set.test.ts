import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { textOfElements } from '#src/config/element-text.js';
import { countElements } from '#src/nftables/packed-elements.js';
import { parse, refuses } from './support.js';

const REST = 'policies: {}\nbindings: []\n';
/** The set is in line 2, its content from column 6 on. */
const withSet = (content: string) => `sets:\n  s: ${content}\n${REST}`;

/** A set with its elements in words, and who reads them. */
function read(content: string) {
  const set = parse(withSet(content)).sets.get('s') ?? assert.fail('no set');
  const { packed, elements, flags, type } = set;
  if (!packed) return { type, elements, flags, reader: 'nft' };
  assert.deepEqual([elements, set.elementLocations], [[], []]);
  return { type, elements: textOfElements(packed, type), flags, reader: 'tapwall' };
}

describe('a set', () => {
  test('has elements of its type, in order and apart', () => {
    const cases: [type: string, elements: string[], same?: string[] | undefined, flags?: string[]][] = [
      ['ipv4_addr', ['192.168.2.1', '10.0.0.2', '192.168.2.1'], ['10.0.0.2', '192.168.2.1']],
      ['ipv4_addr', ['10.0.0.0/8'], ['10.0.0.0-10.255.255.255'], ['interval']],
      ['ipv4_addr', ['10.0.0.7/31', '1.1.1.1/32'], ['1.1.1.1', '10.0.0.6-10.0.0.7'], ['interval']],
      ['ipv4_addr', ['10.0.0.1-10.0.0.9'], undefined, ['interval']],
      ['ipv4_addr', ['1.2.3.4/0'], ['0.0.0.0-255.255.255.255'], ['interval']],
      [
        'ipv4_addr',
        ['9.0.0.0/8', '8.0.0.0/8', '10.0.0.1', '8.1.1.1'],
        ['8.0.0.0-9.255.255.255', '10.0.0.1'],
        ['interval'],
      ],
      ['ipv6_addr', ['"2001:db8::1"', '"::1"'], ['::1', '2001:db8::1']],
      ['ipv6_addr', ['"2001:db8::/32"'], ['2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'], ['interval']],
      ['ipv6_addr', ['"2001:db8::1-2001:db8::9"'], undefined, ['interval']],
      ['ether_addr', ['"52:54:00:aa:bb:cc"']],
      ['ether_addr', ['"2:4:0:A:b:cc"'], ['02:04:00:0a:0b:cc']],
      ['ether_addr', ['"52:54:00:00:00:00-52:54:00:ff:ff:ff"'], undefined, ['interval']],
      ['inet_service', ['53', '0x16'], ['22', '53']],
      ['inet_service', ['1024-65535'], undefined, ['interval']],
      ['inet_proto', ['17', '6'], ['6', '17']],
      ['ether_type', ['0x0800', '34525'], ['2048', '34525']],
      ['mark', ['0x10', '4294967295'], ['16', '4294967295']],
      ['mark', ['0x10-0x1f'], ['16-31'], ['interval']],
      ['ipv4_addr . inet_service', ['192.0.2.1 . 53']],
      ['mark . ether_addr . mark', ['"1 . 52:54:00:00:00:01 . 258"'], ['1 . 52:54:00:00:00:01 . 258']],
    ];
    for (const [type, elements, same, flags = []] of cases) {
      assert.deepEqual(read(`{ type: ${type}, elements: [${elements.join(', ')}] }`), {
        type,
        elements: same ?? elements.map((element) => element.replaceAll('"', '')),
        flags,
        reader: 'tapwall',
      });
    }
  });

  test('is read by nft where an element says something to nft alone', () => {
    const cases: [type: string, elements: string[], flags?: string[], own?: string][] = [
      ['inet_service', ['53', 'ssh', 'http-alt']],
      // Eight, to nft.
      ['inet_service', ['010']],
      ['inet_proto', ['tcp', 'ipv6-icmp', '17']],
      ['ether_type', ['0x0800', 'arp', '34525']],
      ['ipv4_addr . inet_service', ['192.0.2.1 . http-alt', '192.0.2.1 . 53']],
      ['ipv4_addr . inet_service', ['10.0.0.0/8 . 53', '192.0.2.1 . 1-9'], ['interval']],
      ['ether_addr . ipv6_addr . inet_proto', ['"52:54:00:00:00:01 . fd00::7 . udp"']],
      ['ipv4_addr', ['192.0.2.1'], ['constant'], ', flags: [constant]'],
      ['ipv4_addr . mark', ['192.0.2.1 . 1'], ['interval'], ', flags: [interval]'],
    ];
    for (const [type, elements, flags = [], own = ''] of cases) {
      assert.deepEqual(read(`{ type: ${type}, elements: [${elements.join(', ')}]${own} }`), {
        type,
        elements: elements.map((element) => element.replaceAll('"', '')),
        flags,
        reader: 'nft',
      });
    }
  });

  test('has its type and elements as nft writes them', () => {
    assert.deepEqual(read('{ type: "ipv4_addr.inet_service", elements: ["192.0.2.1  .  53"] }'), {
      type: 'ipv4_addr . inet_service',
      elements: ['192.0.2.1 . 53'],
      flags: [],
      reader: 'tapwall',
    });
  });

  test('may be empty, and filled by packets', () => {
    const sets = parse(withSet('{ type: ipv4_addr, flags: [dynamic], timeout: 1h30m, size: 1000 }')).sets;
    assert.deepEqual(sets.get('s'), {
      name: 's',
      type: 'ipv4_addr',
      packed: { keyLength: 4, isInterval: false, bytes: new Uint8Array() },
      elements: [],
      flags: ['dynamic', 'timeout'],
      timeout: '1h30m',
      size: 1000,
      location: { file: '/etc/tapwall/tapwall.yaml', line: 2, column: 3 },
      elementLocations: [],
    });
  });

  test('knows where elements stand that nft will read', () => {
    const { sets } = parse(
      `sets:\n  s:\n    type: inet_service\n    elements:\n    - 1\n    -   ssh\n${REST}`,
    );
    assert.deepEqual(
      sets.get('s')?.elementLocations.map(({ line, column }) => [line, column]),
      [
        [5, 7],
        [6, 9],
      ],
    );
  });

  test('of 100,000 addresses is no exhaustion', () => {
    const lines = Array.from(
      { length: 100_000 },
      (_, n) => `    - 10.${n >> 16}.${(n >> 8) & 255}.${n & 255}\n`,
    );
    const { sets } = parse(`sets:\n  s:\n    type: ipv4_addr\n    elements:\n${lines.join('')}${REST}`);
    const { packed } = sets.get('s') ?? {};
    assert.equal(packed && countElements(packed), 100_000);
  });

  test('has a name that nft takes and tapwall has not taken', () => {
    const form = 'Up to 32 letters, digits, `_` and `-`, the first a letter.';
    const long = 'a'.repeat(33);
    const names = ['a.b', '1a', '_a', 'a b', long, 'drop', 'th', 'll'];
    const lines = names.map((name) => `  ${name}: { type: mark }\n`).join('');
    refuses(
      `sets:\n${lines}${REST}`,
      '2:3+3 `a.b` cannot be the name of a set: names with a dot are tapwall’s own | They stand in the same table as the sets of the addresses, which no rule may change.',
      `3:3+2 \`1a\` cannot be the name of a set | ${form}`,
      `4:3+2 \`_a\` cannot be the name of a set | ${form}`,
      `5:3+3 \`a b\` cannot be the name of a set | ${form}`,
      `6:3+33 \`${long}\` cannot be the name of a set | ${form}`,
      '7:3+4 `drop` cannot be the name of a set: it is a keyword of nft',
      '8:3+2 `th` cannot be the name of a set: it is a keyword of nft',
      '9:3+2 `ll` cannot be the name of a set: it is a keyword of nft',
    );
    assert.equal(
      parse(`sets: { A-b_9: { type: mark }, ${'a'.repeat(32)}: { type: mark } }\n${REST}`).sets.size,
      2,
    );
  });

  test('has a type', () => {
    refuses(withSet('{}'), '2:6+2 missing key `type` in the set `s`');
    refuses(
      withSet('{ type: ipv4 }'),
      '2:14+4 `ipv4` is no type that a set can have | The types are `ipv4_addr`, `ipv6_addr`, `ether_addr`, `inet_service`, `inet_proto`, `ether_type`, `mark`, and several of them with ` . ` between.',
    );
    refuses(
      withSet('{ type: ipv4_addr . mak }'),
      '2:14+15 `mak` is no type that a set can have | Did you mean `mark`?',
    );
    refuses(
      withSet('{ type: ipv6_addr . ipv6_addr . ipv6_addr . ipv6_addr . mark }'),
      '2:14+52 an element of this type has 68 bytes, 64 is the most',
    );
    assert.equal(read('{ type: ipv6_addr . ipv6_addr . ipv6_addr . ipv6_addr }').elements.length, 0);
  });

  const refusals: [type: string, element: string, length: number, message: string][] = [
    ['ipv4_addr', '"1.2.3.4 }"', 11, '`1.2.3.4 }` is not one element: it has a `}`'],
    ['ipv4_addr', '"1.2.3.4; x"', 12, '`1.2.3.4; x` is not one element: it has a `;`'],
    ['ipv4_addr', '"1.2.3.4, 1.2.3.5"', 18, '`1.2.3.4, 1.2.3.5` is not one element: it has a `,`'],
    [
      'ipv4_addr',
      '"1.2.3.4\\n1.2.3.5"',
      18,
      '`1.2.3.4\\u000a1.2.3.5` is not one element: it has a line break',
    ],
    ['ipv4_addr', '"@other"', 8, '`@other` is not one element: it has a `@`'],
    ['ipv4_addr', '"$x"', 4, '`$x` is not one element: it has a `$`'],
    ['ipv4_addr', '"a # b"', 7, '`a # b` is not one element: it has a `#`'],
    ['ipv4_addr', '\'"a"\'', 5, '`"a"` is not one element: it has a `"a"`'],
    [
      'ipv4_addr',
      '"1.2.3.4 timeout 5m"',
      20,
      '`1.2.3.4 timeout 5m` is more than one element: each is an item of its own',
    ],
    ['ipv4_addr', '""', 2, 'an empty element'],
    ['ipv4_addr', '1.2.3', 5, '`1.2.3` is not an IPv4 address'],
    ['ipv4_addr', '10.0', 4, '`10.0` is not an IPv4 address'],
    ['ipv4_addr', 'localhost', 9, '`localhost` is not an IPv4 address'],
    ['ipv4_addr', '10.0.0.0/33', 11, '`10.0.0.0/33` is not an IPv4 address'],
    ['ipv4_addr', '1.2.3.4-x', 9, '`1.2.3.4-x` is not an IPv4 address'],
    ['ipv6_addr', '1.2.3.4', 7, '`1.2.3.4` is not an IPv6 address'],
    ['ether_addr', '52-54-00-aa-bb-cc', 17, '`52-54-00-aa-bb-cc` is not a MAC address'],
    ['inet_service', '65536', 5, '`65536` is not a port'],
    ['ipv4_addr', '10.0.0.2-10.0.0.1', 17, 'the range `10.0.0.2-10.0.0.1` ends before it begins'],
    ['inet_service', '9-1', 3, 'the range `9-1` ends before it begins'],
    ['inet_service', '80-ssh', 6, '`80-ssh` is not a port'],
    ['inet_service', '-5', 2, '`-5` is not a port'],
    ['inet_service', '1/2', 3, '`1/2` is not a port'],
    ['inet_proto', '256', 3, '`256` is not a protocol'],
    ['ether_type', '0x10000', 7, '`0x10000` is not an ethertype'],
    ['mark', '4294967296', 10, '`4294967296` is not a mark'],
    ['mark', '1.5', 3, '`1.5` is not a mark'],
    ['mark', 'true', 4, 'expected text or a whole number, got the boolean true'],
    ['mark', '[1]', 3, 'expected text or a whole number, got a list'],
  ];
  for (const [type, element, length, message] of refusals) {
    test(`of ${type} has no ${element}`, () => {
      refuses(
        withSet(`{ type: ${type}, elements: [${element}] }`),
        `2:${27 + type.length}+${length} ${message}`,
      );
    });
  }

  test('of several parts has elements of as many', () => {
    const hint = 'Write a dot with blanks between the parts.';
    refuses(
      withSet('{ type: ipv4_addr . mark, elements: [1.2.3.4, 1.2.3.4 . 1 . 2, 1.2.3.4.5] }'),
      `2:43+7 \`1.2.3.4\` has 1 part, and the type \`ipv4_addr . mark\` has 2 | ${hint}`,
      `2:52+15 \`1.2.3.4 . 1 . 2\` has 3 parts, and the type \`ipv4_addr . mark\` has 2 | ${hint}`,
      `2:69+9 \`1.2.3.4.5\` has 1 part, and the type \`ipv4_addr . mark\` has 2 | ${hint}`,
    );
  });

  test('has flags, a timeout and a size that the kernel takes', () => {
    refuses(
      withSet('{ type: mark, flags: [intervall], timeout: 5, size: 0 }'),
      '2:28+9 expected `interval` or `timeout` or `dynamic` or `constant`, got the text `intervall`',
      '2:49+1 expected text, got the number 5',
      '2:58+1 a size is at least 1',
    );
    for (const time of ['0s', '5', '1m1h', 'x', '""', '123456789s']) {
      const shown = time.replaceAll('"', '');
      refuses(
        withSet(`{ type: mark, timeout: ${time === '5' ? '"5"' : time} }`),
        `2:29+${time === '5' ? 3 : time.length} \`${shown}\` is not a time | Write it as \`10m\` or \`1d12h\`.`,
      );
    }
    refuses(withSet('{ type: mark, size: 16777217 }'), '2:26+8 a size is at most 16777216');
    refuses(
      withSet('{ type: mark, size: 1, elements: [1, 2] }'),
      '2:26+1 the set has 2 elements, more than its size',
    );
    refuses(
      withSet('{ type: mark, flags: [dynamic], elements: [1-2] }'),
      '2:20+5 no set can be both `interval` and `dynamic`',
    );
    refuses(
      withSet('{ type: mark, flags: [constant], timeout: 1m }'),
      '2:20+5 no set can be both `constant` and `timeout`',
    );
  });

  test('may have its elements in a file, relative to the folder of the configuration', () => {
    const { file, packed, elements } =
      parse(withSet('{ type: ipv4_addr, file: lists/a.txt }')).sets.get('s') ?? assert.fail('no set');
    assert.deepEqual([file, packed?.bytes.length, elements], ['/etc/tapwall/lists/a.txt', 0, []]);
    const hint = 'Leave the flag out, or list the elements in the configuration.';
    refuses(
      withSet('{ type: mark, file: a, elements: [1] }'),
      '2:20+4 `elements` and `file` exclude each other',
    );
    refuses(
      withSet('{ type: mark, file: a, flags: [constant] }'),
      `2:20+4 a set with the flag \`constant\` cannot have a file | ${hint}`,
    );
    refuses(
      withSet('{ type: mark . mark, file: a, flags: [interval] }'),
      `2:27+4 a set with the flag \`interval\` and several parts cannot have a file | ${hint}`,
    );
    refuses(withSet('{ type: mark, file: "" }'), '2:26+2 an empty path');
  });

  test('is known to the rules, even if it is wrong in itself', () => {
    const text = (rule: string) =>
      `sets: { dns: { type: ipv4 } }\npolicies: { p: { ingress: ${rule} } }\nbindings: [{ device: "*", policy: p }]\n`;
    const problem =
      '1:22+4 `ipv4` is no type that a set can have | The types are `ipv4_addr`, `ipv6_addr`, `ether_addr`, `inet_service`, `inet_proto`, `ether_type`, `mark`, and several of them with ` . ` between.';
    refuses(text('"ip saddr @dns drop"'), problem);
    refuses(text('"ip saddr @dnss drop"'), problem, '2:38+4 there is no set `dnss` | Did you mean `dns`?');
  });
});
