import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Ruleset } from '#src/nftables/ruleset.js';
import { SHARED_RECORD, withDigest } from '#src/program/blueprint.js';
import { inventoryOf, takeInventory } from '#src/program/inventory.js';
import { emptyRuleset } from '../agent/program.js';
import { blueprints, onStage } from './shared.js';

const family = 5;
const table = 'tapwall';

function ruleset(userdata?: Uint8Array): Ruleset {
  const found = emptyRuleset();
  found.tables.push({ family, name: table, ...(userdata ? { userdata } : {}) });
  return found;
}

test('without a table of that name there is nothing', () => {
  assert.equal(takeInventory(emptyRuleset()), undefined);
});

test('a table that tapwall has not made is somebody else’s, also with a digest of another kind', () => {
  for (const userdata of [undefined, Uint8Array.of(1, 200), withDigest(undefined, 'shared 0')]) {
    assert.throws(() => takeInventory(ruleset(userdata)), { code: 'FOREIGN_TABLE' });
  }
});

test('digests are read where they stand; what is anonymous or in another table is left out', () => {
  const found = ruleset(withDigest(undefined, SHARED_RECORD));
  found.chains.push(
    { family, table, name: 'c' },
    { family, table, name: 'empty' },
    { family, table, name: 'strange' },
    { family, table, name: '__chain.c.0' },
    { family, table: 'other', name: 'd' },
    { family, table, name: 'base', policy: 0, hook: { number: 1, priority: 0, devices: [{ name: 'x' }] } },
    { family, table, name: 'open', policy: 1, hook: { number: 0, priority: 0, devices: [] } },
  );
  found.rules.push(
    { family, table, chain: 'c', userdata: withDigest(undefined, 'digest of c') },
    { family, table, chain: 'c', userdata: withDigest(undefined, 'not the first') },
    { family, table: 'other', chain: 'strange', userdata: withDigest(undefined, 'elsewhere') },
    { family, table, chain: 'strange' },
    { family, table, chain: 'base', userdata: withDigest(undefined, 'digest of base') },
  );
  found.sets.push(
    { family, table, name: 's', userdata: withDigest(Uint8Array.of(0, 1, 7), 'digest of s') },
    { family, table, name: 't', count: 7 },
    { family, table, name: '__set0' },
    { family, table: 'other', name: 'u' },
  );
  assert.deepEqual(takeInventory(found), {
    sets: new Map([
      ['s', 'digest of s'],
      ['t', undefined],
    ]),
    chains: new Map([
      ['c', 'digest of c'],
      ['empty', 'no rules'],
      ['strange', undefined],
    ]),
    bases: new Map([
      ['base', { digest: 'digest of base', direction: 1, devices: [{ name: 'x' }], drops: true }],
      ['open', { digest: 'no rules', direction: 0, devices: [], drops: false }],
    ]),
    objects: [],
    counts: new Map([['t', 7]]),
  });
});

test('what the kernel holds of a blueprint is what the blueprint says', async () => {
  const [blueprint] = await blueprints(
    `table netdev tapwall {
  comment "words of nft's own stand beside the digest"
  set s { type ipv4_addr; elements = { 10.0.0.1 } }
  set e { type iface_index; }
  chain a { ip saddr @s drop
  }
  chain none { comment "empty"
  }
  chain in { type filter hook ingress device $intf priority 0; policy drop;
    jump a }
}
`,
  );
  assert.ok(blueprint);
  onStage((stage) => {
    stage.put(blueprint);
    const inventory = stage.inventory();
    assert.ok(inventory);
    const { sets, chains, objects } = inventory;
    assert.deepEqual({ sets, chains, objects }, inventoryOf(blueprint));
  });
});
