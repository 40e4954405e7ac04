import assert from 'node:assert/strict';
import { test } from 'node:test';
import { passesTags } from '#src/policy/tag.js';

const file = (rules: string, policy = ' policy accept;') =>
  `table netdev t {\n  chain c {\n    type filter hook egress device $intf priority 0;${policy}\n    ${rules}\n  }\n}`;

test('a file that looks behind the Ethernet header alone lets tagged frames pass', () => {
  assert.equal(passesTags(file('ip daddr 192.168.0.0/16 drop'), []), true);
  assert.equal(passesTags(file('tcp dport 25 drop', ''), []), true);
});

test('one that looks at the type, drops what is left, or has the guard does not', () => {
  assert.equal(
    passesTags(file('ether type != { ip, arp } drop\n    ip daddr 192.168.0.0/16 drop'), []),
    false,
  );
  assert.equal(passesTags(file('ip daddr 192.168.2.1 accept', ' policy drop;'), []), false);
  assert.equal(passesTags(file('ip daddr 192.168.0.0/16 drop'), ['ethertype']), false);
  assert.equal(passesTags(file('ip daddr 192.168.0.0/16 drop'), ['mac']), true);
});

test('what stands in a comment is no rule', () => {
  assert.equal(passesTags(file('# ether type ip\n    ip daddr 192.168.0.0/16 drop'), []), true);
  assert.equal(passesTags(file('ether saddr 52:54:00:00:00:01 drop # ip'), []), false);
});
