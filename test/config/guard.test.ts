import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  DEFAULT_GUARDS,
  GUARD_ALIASES,
  GUARD_NAMES,
  guardsNamed,
  inGuardOrder,
} from '#src/policy/guard-name.js';
import { parse, refuses, warns, withPolicy } from './support.js';

/** With addresses, for the guards that compare them. */
const withGuards = (guards: string, policy = 'default: drop') =>
  `policies: { p: { ${policy}, guards: [${guards}] } }\nbindings: [{ device: "*", policy: p, addresses: [192.0.2.7] }]\n`;
const guardsOf = (text: string) => parse(text).policies.get('p')?.guards;

describe('guards', () => {
  test('have their own names', () => {
    for (const name of GUARD_NAMES) assert.deepEqual(guardsOf(withGuards(name)), [name]);
  });

  const aliases: [written: string, ...guards: string[]][] = [
    ['ip', 'ip4', 'ip6'],
    ['arp', 'arp-mac', 'arp-ip'],
    ['no-mac-spoofing', 'mac'],
    ['no-ip-spoofing', 'ip4'],
    ['no-ipv6-spoofing', 'ip6'],
    ['no-arp-spoofing', 'arp-mac', 'arp-ip'],
    ['no-arp-mac-spoofing', 'arp-mac'],
    ['no-arp-ip-spoofing', 'arp-ip'],
    ['no-mac-broadcast', 'no-broadcast'],
    ['no-other-l2-traffic', 'ethertype-rarp', 'no-ipv6'],
    ['clean-traffic', 'ethertype-rarp', 'mac', 'no-ipv6', 'arp-mac', 'arp-ip', 'ip4'],
  ];
  for (const [written, ...guards] of aliases) {
    test(`may be written ${written}`, () => assert.deepEqual(guardsOf(withGuards(written)), guards));
  }
  test('have no other aliases', () =>
    assert.deepEqual(
      [...GUARD_ALIASES.keys()],
      aliases.map(([name]) => name),
    ));

  test('have one order, and each is there once', () => {
    assert.deepEqual(guardsOf(withGuards('nd, mac, ip, ip4, mac, ethertype')), [
      'ethertype',
      'mac',
      'ip4',
      'ip6',
      'nd',
    ]);
    assert.deepEqual(guardsOf(withGuards('ethertype, ethertype-rarp')), ['ethertype-rarp']);
    assert.deepEqual(guardsOf(withGuards('clean-traffic, ethertype')), guardsOf(withGuards('clean-traffic')));
    fc.assert(
      fc.property(fc.shuffledSubarray([...GUARD_NAMES]), (names) => {
        const ordered = inGuardOrder(names);
        assert.deepEqual(inGuardOrder([...ordered].reverse()), ordered);
        const left = names.filter((name) => !(name === 'ethertype' && names.includes('ethertype-rarp')));
        assert.deepEqual(new Set(ordered), new Set(left));
      }),
    );
  });

  test('are these unless the policy says which, and none for a file', () => {
    const expected = ['ethertype', 'mac', 'fragment', 'ra', 'dhcp-server'];
    assert.deepEqual(DEFAULT_GUARDS, expected);
    assert.deepEqual(guardsOf(withPolicy('default: drop')), expected);
    assert.deepEqual(guardsOf(withPolicy('file: a.nft')), []);
    assert.deepEqual(guardsOf(withPolicy('default: drop', 'guards: []')), []);
    assert.deepEqual(guardsOf(withPolicy('file: a.nft', 'guards: [ra, mac]')), ['mac', 'ra']);
  });

  test('are refused with the name that was meant', () => {
    refuses(
      withPolicy('default: drop', 'guards: [mca, no-ip-spoofng, xyzzy, 5]'),
      '4:14+3 there is no guard `mca` | The guards are `ethertype`, `ethertype-rarp`, `mac`, `fragment`, `no-broadcast`, `no-ip-multicast`, `no-ipv6-multicast`, `no-ipv6`, `arp-mac`, `arp-ip`, `ip4`, `ip6`, `nd`, `ra`, `dhcp-server`.',
      '4:19+13 there is no guard `no-ip-spoofng` | Did you mean `no-ip-spoofing`?',
      '4:34+5 there is no guard `xyzzy` | The guards are `ethertype`, `ethertype-rarp`, `mac`, `fragment`, `no-broadcast`, `no-ip-multicast`, `no-ipv6-multicast`, `no-ipv6`, `arp-mac`, `arp-ip`, `ip4`, `ip6`, `nd`, `ra`, `dhcp-server`.',
      '4:41+1 expected text, got the number 5',
    );
    refuses(withPolicy('default: drop', 'guards: mac'), '4:13+3 expected a list, got the text `mac`');
    refuses(withPolicy('default: drop', 'guards:'), '4:5+6 expected a list, got nothing');
  });

  const allowing = [
    'allow-arp',
    'allow-dhcp',
    'allow-dhcp-server',
    'allow-dhcpv6',
    'allow-dhcpv6-server',
    'allow-incoming-ipv4',
    'allow-incoming-ipv6',
    'allow-ipv4',
    'allow-ipv6',
    'allow-anything',
    'clean-traffic-gateway',
    'no-other-rarp-traffic',
    'qemu-announce-self',
    'qemu-announce-self-rarp',
  ];
  for (const name of allowing) {
    test(`only take away: ${name} is refused with what to write`, () => {
      assert.equal(guardsNamed(name), undefined);
      assert.throws(
        () => parse(withPolicy('default: drop', `guards: [${name}]`)),
        ({ problems: [problem] }) => {
          assert.equal(problem.message, `\`${name}\` is no guard of tapwall: its guards only take away`);
          assert.match(problem.hint, /^Write (a|the) (rules?|guard) /);
          return true;
        },
      );
    });
  }
});

describe('a policy that a tag walks past', () => {
  const TAGS =
    'a guest that tags its frames walks past rules on `ip` and `ip6`: what they do not drop is accepted | Add the guard `ethertype`, or the rule `ether type != { ip, ip6, arp } drop` to both directions.';

  test('is warned about', () => {
    warns(withPolicy('egress: ip daddr 10.0.0.1 drop', 'default: accept', 'guards: [mac]'), `4:14+6 ${TAGS}`);
    warns(withPolicy('ingress: ip saddr 10.0.0.1 drop', 'default: accept', 'guards: []'), `4:14+6 ${TAGS}`);
    warns(
      withPolicy(
        'egress: "ether type != { ip } drop"',
        'ingress: "drop # ether type != ip"',
        'default: accept',
        'guards: []',
      ),
      `5:14+6 ${TAGS}`,
    );
  });

  test('is not one with the guard, with rules that look, or with nothing to walk past', () => {
    const rules = 'egress: ip daddr 10.0.0.1 drop';
    warns(withPolicy(rules, 'default: accept'));
    warns(withPolicy(rules, 'default: accept', 'guards: [ethertype-rarp]'));
    warns(withPolicy(rules, 'default: drop', 'guards: []'));
    warns(withPolicy('default: accept', 'guards: []'));
    warns(withPolicy('egress: "ether type != { ip } drop"', 'default: accept', 'guards: []'));
    warns(withPolicy('file: a.nft'));
  });
});
