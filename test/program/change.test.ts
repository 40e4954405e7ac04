/** From one text of the shared table to another, on the real kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { host32 } from '#src/netlink/bytes.js';
import { planChange } from '#src/program/change.js';
import { inventoryOf } from '#src/program/inventory.js';
import { type Member, memberSegment } from '#src/program/member.js';
import { blueprints, onStage, type Stage } from './shared.js';

/** What no version changes; `$rules` and the rest are filled in. */
function text(parts: { rules?: string; map?: string; set?: string; more?: string } = {}): string {
  const { rules = 'ip saddr 10.0.0.1 drop', map = '', set = '', more = '' } = parts;
  return `table netdev tapwall {
  comment "for tests"
  map device.policy { type iface_index : mark; }
  set counted { type iface_index; size 65535; flags dynamic; counter; }
  set dropping { type iface_index; size 65535; flags dynamic; counter; }
  set users { type ipv4_addr; flags interval; elements = { 192.168.0.0/16${set} } }
  chain admit { add @counted { iif }
    accept }
  chain dropped { add @dropping { iif }
    drop }
  chain guard { ether type != { ip, ip6, arp } goto dropped
    ip frag-off & 0x1fff != 0 goto dropped }
  chain policy.a.rules {
    ${rules}
  }
  chain policy.a { meta mark set 0
    jump guard
    jump policy.a.rules
    goto admit }
  ${more}
  map policy.ingress { type mark : verdict; elements = { 2 : goto policy.a${map} }
  }
  chain ingress.door { meta mark set 0
    meta mark set iif map @device.policy
    meta mark vmap @policy.ingress
    drop }
  chain ingress { type filter hook ingress device $intf priority filter; policy drop;
    goto ingress.door }
}
`;
}

const TEXTS: Record<string, string> = {
  first: text(),
  'other rules': text({ rules: 'ip saddr @users accept\n tcp dport { 22, 80 } drop' }),
  'verdict map': text({
    rules: 'tcp dport vmap { 22 : accept, 23 : drop, 80 : jump guard }\n ip daddr @users drop',
  }),
  'anonymous chain': text({ rules: 'ip protocol tcp jump { tcp dport 22 accept; tcp dport { 1-5 } drop; }' }),
  'no rules': text({ rules: '' }),
  'another policy': text({
    map: ', 3 : goto policy.b',
    more: 'chain policy.b { meta mark set 0\n jump guard\n goto dropped }',
  }),
  'another element': text({ rules: 'ip saddr @users drop', set: ', 10.1.0.0/16' }),
  'another set': text({
    rules: 'ip saddr @hosts drop',
    more: 'set hosts { type ipv4_addr; elements = { 10.0.0.9 } }',
  }),
};

const members: Member[] = [7, 8, 9].flatMap((index) => [
  { set: 'device.policy', key: host32(index), data: host32(2) },
  { set: 'counted', key: host32(index) },
]);

function join(stage: Stage): void {
  stage.send(memberSegment('join', members));
}

/** The elements of devices, as lines. */
function elementsOf(stage: Stage): string[] {
  return stage
    .state()
    .filter((line) => /^elements .*(?:6465766963652e706f6c696379|636f756e746564)/.test(line));
}

test('any version becomes any other as if it had been made anew, and devices keep what they have', async () => {
  const names = Object.keys(TEXTS);
  const compiled = await blueprints(...Object.values(TEXTS));
  const fresh = compiled.map((blueprint) =>
    onStage((stage) => {
      stage.put(blueprint);
      join(stage);
      return stage.state();
    }),
  );
  // An Eulerian way over all pairs would do; this one is long enough to begin anew for each first.
  for (const [from, first] of compiled.entries()) {
    onStage((stage) => {
      stage.put(first);
      join(stage);
      assert.deepEqual(stage.put(first), [], 'what is there already');
      const elements = elementsOf(stage);
      assert.ok(elements.length >= members.length);
      for (const [to, second] of compiled.entries()) {
        stage.put(second);
        assert.deepEqual(stage.state(), fresh[to], `${names[from]}, then ${names[to]}`);
        assert.deepEqual(elementsOf(stage), elements);
        assert.deepEqual(stage.put(second), []);
        stage.put(first);
        assert.deepEqual(stage.state(), fresh[from], `${names[from]} after ${names[to]}`);
      }
    });
  }
});

test('only what differs is sent', async () => {
  const [first, rules, policy, element] = await blueprints(
    ...['first', 'other rules', 'another policy', 'another element'].map((name) => TEXTS[name] ?? ''),
  );
  assert.ok(first && rules && policy && element);
  const labels = (to: typeof first) => planChange(inventoryOf(first), to).messages.map(({ label }) => label);
  assert.deepEqual(labels(first), []);
  assert.deepEqual(labels(rules), [
    'DELRULE of policy.a.rules',
    'NEWSET of policy.a.rules',
    `NEWSETELEM __set.policy.a.rules.${chainDigest(rules, 'policy.a.rules')}.0`,
    'NEWRULE policy.a.rules rule 1',
    'NEWRULE policy.a.rules rule 2',
  ]);
  assert.deepEqual(labels(policy), [
    'DELRULE of ingress.door',
    'DELSET policy.ingress',
    'NEWSET policy.ingress',
    'NEWCHAIN policy.b',
    'NEWSETELEM policy.ingress',
    ...[1, 2, 3].map((at) => `NEWRULE policy.b rule ${at}`),
    ...[1, 2, 3, 4].map((at) => `NEWRULE ingress.door rule ${at}`),
  ]);
  const { emptied } = planChange(inventoryOf(first), element);
  assert.deepEqual(emptied, ['users']);
});

function chainDigest({ chains }: { chains: { name: string; digest: string }[] }, name: string): string {
  return chains.find((chain) => chain.name === name)?.digest ?? '';
}

test('a set that goes is told of, for its elements need not be taken from it', async () => {
  const [without, having] = await blueprints(TEXTS['first'] ?? '', TEXTS['another set'] ?? '');
  assert.ok(without && having);
  assert.deepEqual(planChange(inventoryOf(having), without).emptied, ['hosts']);
  assert.deepEqual(planChange(inventoryOf(without), having).emptied, ['hosts']);
});

test('the table is made with all that it needs where there is none', async () => {
  const [first] = await blueprints(TEXTS['first'] ?? '');
  assert.ok(first);
  const { messages, emptied } = planChange(undefined, first);
  assert.equal(messages[0]?.label, 'NEWTABLE tapwall');
  assert.deepEqual(
    messages.filter(({ label }) => label.startsWith('DEL')),
    [],
  );
  assert.deepEqual(
    emptied,
    first.sets.map(({ name }) => name),
  );
});
