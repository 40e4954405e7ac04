/** What a compiled text becomes as the shared table. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dumpRuleset } from '#src/compiler/scratch.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { encodeUserdata } from '#src/nftables/userdata.js';
import { buildBlueprint, DIGEST_TYPE, readDigest, withDigest } from '#src/program/blueprint.js';
import { jumpTarget } from '#src/program/verdict.js';
import { runIn } from '../support/host.js';
import { compilations } from './policy.js';
import { blueprints, onStage } from './shared.js';

const text = (rules: string, more = '') => `table netdev tapwall {
  set counted { type iface_index; size 65535; flags dynamic; counter; }
  set free { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 } }
  chain admit { add @counted { iif }
    accept }
  chain dropped { drop
  }
  chain a.rules {
    ${rules}
  }
  ${more}
  chain in { type filter hook ingress device $intf priority 5; policy drop;
    jump a.rules }
}
`;

test('digests say what is the same: of a chain its rules, of a set its elements, whatever the order', async () => {
  const [one, same, other] = await blueprints(
    text('ip saddr @free accept\n tcp dport { 22, 80 } drop'),
    text('ip saddr @free accept\n tcp dport { 80, 22 } drop').replace(
      '10.0.0.1, 10.0.0.2',
      '10.0.0.2, 10.0.0.1',
    ),
    text('ip saddr @free accept\n tcp dport { 22, 81 } drop').replace('10.0.0.2', '10.0.0.3'),
  );
  assert.ok(one && same && other);
  const digests = ({ chains, sets, bases }: typeof one) =>
    new Map([...chains, ...sets].map(({ name, digest }) => [name, digest])).set(
      'base',
      bases.get(0)?.digest ?? '',
    );
  assert.deepEqual(digests(same), digests(one));
  const differing = [...digests(other)].filter(([name, digest]) => digests(one).get(name) !== digest);
  assert.deepEqual(differing.map(([name]) => name).sort(), ['a.rules', 'free']);
  for (const [, digest] of digests(one)) assert.match(digest, /^[0-9a-f]{16}$/);
});

test('base chains are made apart, less their device', async () => {
  const [blueprint] = await blueprints(text('accept'));
  const base = blueprint?.bases.get(0);
  assert.deepEqual([...(blueprint?.bases.keys() ?? [])], [0]);
  assert.deepEqual(base?.chain.hook, { number: 0, priority: 5 });
  assert.equal(base?.rules.length, 1);
  assert.equal(readDigest(base?.rules[0]?.userdata), base?.digest);
  assert.equal(
    blueprint?.chains.some(({ name }) => name === 'in'),
    false,
  );
});

test('accept and drop of counted chains lead to chains, also in maps and in anonymous chains; no other verdict does', async () => {
  const [blueprint] = await blueprints(
    text(
      'tcp dport 22 accept\n tcp dport vmap { 1 : accept, 2 : drop, 3 : return }\n ip protocol 17 jump { udp dport 53 drop; }\n return',
      'chain b { accept\n }',
    ),
  );
  assert.ok(blueprint);
  onStage((stage) => {
    stage.put(blueprint);
    const listed = runIn(stage.namespace, ['nft', '-n', 'list', 'table', 'netdev', 'tapwall']).stdout;
    assert.match(listed, /tcp dport 22 goto admit/);
    assert.match(listed, /tcp dport vmap \{ 1 : goto admit, 2 : goto dropped, 3 : return \}/);
    assert.match(listed, /udp dport 53 goto dropped/);
    assert.match(listed, /chain b \{\s+accept/);
    assert.match(listed, /\treturn\n/);
    const { rules } = parseRuleset(dumpRuleset(stage.netfilter));
    const targets = rules.flatMap(({ expressions = [] }) => expressions.map(jumpTarget)).filter(Boolean);
    assert.ok(targets.length >= 3);
  });
});

test('links that rules name are told of, and are no part of the digest', async () => {
  // A link that nobody has is a name that the compiler gives a stand-in.
  const [one, two] = await blueprints(
    text('iif lo drop').replace('iif lo', 'fwd to up7 #'),
    text('iif lo drop').replace('iif lo', 'fwd to up7 #'),
  );
  assert.deepEqual(one?.links, ['up7']);
  assert.deepEqual(
    one?.chains.map(({ digest }) => digest),
    two?.chains.map(({ digest }) => digest),
  );
});

test('what makes anything but the one table is refused', () => {
  const [first, second] = compilations();
  assert.throws(() => buildBlueprint('x', first, second, () => undefined), { code: 'POLICY_NOT_PORTABLE' });
});

test('objects are refused', async () => {
  await assert.rejects(blueprints(text('counter name "c"', 'counter c {\n }')), {
    code: 'POLICY_NOT_PORTABLE',
    message: /made objects of their own/,
  });
});

test('a digest stands behind what user data there was, and anything may stand there', () => {
  const own = encodeUserdata([{ type: 0, value: Uint8Array.of(65, 0) }]);
  assert.equal(readDigest(withDigest(own, '0123456789abcdef')), '0123456789abcdef');
  assert.deepEqual([...withDigest(own, 'x').subarray(0, own.length)], [...own]);
  assert.equal(readDigest(undefined), undefined);
  assert.equal(readDigest(own), undefined);
  assert.equal(readDigest(Uint8Array.of(DIGEST_TYPE, 200, 1)), undefined);
});
