/** Elements that tapwall puts into sets itself, on the real kernel: what nft would have put there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readHeld, readShared } from '#src/agent/shared-state.js';
import { ElementReader } from '#src/config/element-reader.js';
import { readSetType } from '#src/config/set-element.js';
import { type PackedElements, packElements } from '#src/nftables/packed-elements.js';
import { countTold } from '#src/nftables/packed-messages.js';
import type { Blueprint } from '#src/program/blueprint.js';
import { changeSegments, planChange } from '#src/program/change.js';
import { HELD_SET, heldElements, readDigests, withElements } from '#src/program/held.js';
import { blueprints, onStage, type Stage } from './shared.js';

/** A table with one set, with elements or without. */
function text(type: string, flags: string, elements: readonly string[] = []): string {
  const list = elements.length > 0 ? `elements = { ${elements.join(', ')} }` : '';
  return `table netdev tapwall {
  comment "for tests"
  set s { type ${type}; ${flags} ${list}
  }
  set ${HELD_SET} { type mark; }
  chain ingress { type filter hook ingress device $intf priority filter; policy drop;
  }
}
`;
}

function pack(type: string, isInterval: boolean, elements: readonly string[]): PackedElements {
  const read = readSetType(type);
  if ('flaw' in read) assert.fail(read.flaw);
  const reader = new ElementReader(read);
  for (const element of elements) {
    const bytes = Buffer.from(element);
    assert.equal(reader.read(bytes, 0, bytes.length), 'read', element);
  }
  return reader.finish(isInterval);
}

function withPacked(blueprint: Blueprint, packed: PackedElements, capacity?: number): Blueprint {
  return withElements(blueprint, new Map([['s', heldElements(packed, { isEditable: true, capacity })]]));
}

/** What the kernel holds of the set, by bytes and flags. */
function elementsOf(stage: Stage): string[] {
  const name = Buffer.from('s\0').toString('hex');
  return stage.state().filter((line) => line.startsWith(`elements table=tapwall 2=${name}  `));
}

const MERGED = 'flags interval; auto-merge;';

const CASES: [type: string, flags: string, elements: string[]][] = [
  ['ipv4_addr', '', ['192.0.2.1', '10.0.0.1', '10.0.0.1']],
  ['ipv6_addr', '', ['::', 'fe80::1', '2001:db8::7']],
  ['ether_addr', '', ['52:54:00:00:00:01', '2:4:0:a:b:c']],
  ['inet_service', '', ['53', '0x16', '65535']],
  ['inet_proto', '', ['6', '17']],
  ['ether_type', '', ['0x800', '34525']],
  ['mark', '', ['1', '0x10203040']],
  ['ipv4_addr . inet_service', '', ['192.0.2.1 . 53', '10.0.0.1 . 80']],
  ['ether_addr . ipv6_addr', '', ['52:54:00:00:00:01 . fe80::1']],
  ['mark . inet_proto . ether_type', '', ['258 . 6 . 0x800', '1 . 17 . 0x806']],
  ['ipv4_addr', 'timeout 1h;', ['192.0.2.1', '192.0.2.2']],
  ['ipv4_addr', 'size 10;', ['192.0.2.1', '192.0.2.2']],
  ['ipv4_addr', MERGED, ['10.0.0.0/8', '10.1.0.0/16', '11.0.0.0/8', '1.2.3.4', '20.0.0.1-20.0.0.9']],
  ['ipv4_addr', MERGED, ['10.0.0.77/24', '255.255.255.0/24']],
  ['ipv4_addr', MERGED, ['0.0.0.0/0']],
  ['ipv4_addr', MERGED, ['0.0.0.0/1', '255.255.255.255']],
  ['ipv4_addr', `${MERGED} size 3;`, ['1.1.1.1', '3.3.3.3', '5.5.5.5-6.6.6.6']],
  ['ipv6_addr', MERGED, ['2001:db8::/32', 'fe80::/10', '::1']],
  ['ether_addr', MERGED, ['52:54:00:00:00:00/24', '52:54:01:00:00:01-52:54:01:00:00:09']],
  ['inet_service', MERGED, ['0-10', '80', '81', '65535']],
  ['inet_proto', MERGED, ['6-17', '255']],
  ['mark', MERGED, ['1-5', '0x10', '0xfffffff0-0xffffffff']],
];

for (const [type, flags, elements] of CASES) {
  test(`${type} ${flags} ${elements.join(', ')}: as nft puts it there`, async () => {
    const [empty, full] = await blueprints(text(type, flags), text(type, flags, elements));
    if (!empty || !full) return assert.fail('no blueprint');
    const packed = pack(type, flags.includes('interval'), elements);
    const [own, nfts] = [withPacked(empty, packed), full].map((blueprint) =>
      onStage((stage) => {
        stage.put(blueprint);
        const shared = readShared(stage.netfilter);
        const held = flags.includes('timeout') ? packed : readHeld(stage.netfilter, 's', packed);
        return { elements: elementsOf(stage), held, count: shared?.inventory.counts.get('s') };
      }),
    );
    assert.ok((own?.elements.length ?? 0) > 0);
    assert.deepEqual(own?.elements, nfts?.elements);
    assert.deepEqual(own?.held, packed);
    if (own?.count !== undefined) assert.equal(own.count, countTold(packed));
  });
}

/** What is sent to make one set of another. */
function change(stage: Stage, blueprint: Blueprint): string[] {
  const shared = readShared(stage.netfilter) ?? assert.fail('no table');
  const held = blueprint.sets.find(({ name }) => name === 's')?.held ?? assert.fail('nothing held');
  const present = new Map([['s', readHeld(stage.netfilter, 's', held.packed)]]);
  const segments = changeSegments(
    planChange(shared.inventory, blueprint, 'none', { digests: shared.digests, present }),
  );
  stage.send(...segments);
  return segments.flatMap(({ labels }) => labels);
}

test('of elements that change only what differs is sent, and what stays is told', async () => {
  const [hashes, intervals] = await blueprints(text('ipv4_addr', ''), text('ipv4_addr', MERGED));
  for (const [blueprint, isInterval] of [
    [hashes, false],
    [intervals, true],
  ] as const) {
    if (!blueprint) return assert.fail('no blueprint');
    onStage((stage) => {
      const put = (...elements: string[]) => {
        const wanted = withPacked(blueprint, pack('ipv4_addr', isInterval, elements));
        return { wanted, labels: change(stage, wanted) };
      };
      stage.put(withPacked(blueprint, pack('ipv4_addr', isInterval, ['10.0.0.1', '10.0.0.5'])));
      assert.deepEqual(put('10.0.0.5', '10.0.0.1').labels, []);
      const told = [`DELSETELEM of ${HELD_SET}`, `NEWSETELEM ${HELD_SET}`];
      assert.deepEqual(put('10.0.0.1', '10.0.0.5', '10.0.0.7').labels, ['NEWSETELEM s', ...told]);
      assert.deepEqual(put('10.0.0.5', '10.0.0.7').labels, ['DELSETELEM s', ...told]);
      const { wanted, labels } = put('0.0.0.0', '10.0.0.7', '255.255.255.255');
      assert.deepEqual(labels, ['DELSETELEM s', 'NEWSETELEM s', ...told]);
      const { digests } = readShared(stage.netfilter) ?? assert.fail('no table');
      const digest = wanted.sets.find(({ name }) => name === 's')?.held?.digest;
      assert.deepEqual([...digests], [['s', digest]]);
      // All gone, and back.
      assert.deepEqual(put().labels, ['DELSETELEM s', ...told]);
      assert.deepEqual(put('1.1.1.1').labels, ['NEWSETELEM s', ...told]);
    });
  }
});

test('whatever intervals become, the kernel takes the difference and holds what it should', async () => {
  const [blueprint] = await blueprints(text('inet_service', MERGED));
  if (!blueprint) return assert.fail('no blueprint');
  const bound = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 65_500, max: 65_535 }));
  const range = fc.tuple(bound, bound).map(([a, b]) => (a < b ? `${a}-${b}` : `${b}-${a}`));
  const list = fc.array(fc.oneof(range, bound.map(String)), { maxLength: 8 });
  onStage((stage) => {
    stage.put(withPacked(blueprint, packElements(2, true, new Uint8Array())));
    fc.assert(
      fc.property(list, (elements) => {
        const wanted = pack('inet_service', true, elements);
        change(stage, withPacked(blueprint, wanted));
        assert.deepEqual(readHeld(stage.netfilter, 's', wanted), wanted);
      }),
      { numRuns: 200 },
    );
  });
});

test('a set is made anew where nobody knows its elements, they have no room, or most of them change', async () => {
  const [blueprint] = await blueprints(text('ipv4_addr', 'size 3;'));
  if (!blueprint) return assert.fail('no blueprint');
  const anew = ['DELSET s', 'NEWSET s', 'NEWSETELEM s'];
  onStage((stage) => {
    const packed = (...elements: string[]) => pack('ipv4_addr', false, elements);
    stage.put(withPacked(blueprint, packed('10.0.0.1', '10.0.0.2', '10.0.0.3')));
    const full = withPacked(blueprint, packed('10.0.0.1', '10.0.0.2', '10.0.0.4'), 3);
    assert.deepEqual(change(stage, full).slice(0, 3), anew);
    const { inventory } = readShared(stage.netfilter) ?? assert.fail('no table');
    const other = withPacked(blueprint, packed('10.0.0.9'));
    const digests = readDigests([]);
    const plan = planChange(inventory, other, 'none', { digests, present: new Map() });
    assert.deepEqual(
      changeSegments(plan)
        .flatMap(({ labels }) => labels)
        .slice(0, 3),
      anew,
    );
    const strange = planChange(inventory, other, 'none', { digests, present: new Map([['s', undefined]]) });
    assert.deepEqual(
      changeSegments(strange)
        .flatMap(({ labels }) => labels)
        .slice(0, 3),
      anew,
    );
    assert.deepEqual(plan.emptied, ['s']);
  });
  const many = (first: number) =>
    Array.from({ length: 1_500 }, (_, at) => `10.0.${(first + at) >> 8}.${(first + at) & 255}`);
  const [large] = await blueprints(text('ipv4_addr', ''));
  if (!large) return assert.fail('no blueprint');
  onStage((stage) => {
    stage.put(withPacked(large, pack('ipv4_addr', false, many(0))));
    assert.deepEqual(change(stage, withPacked(large, pack('ipv4_addr', false, many(500)))).slice(0, 2), [
      'DELSETELEM s',
      'NEWSETELEM s',
    ]);
    assert.deepEqual(
      change(stage, withPacked(large, pack('ipv4_addr', false, many(9_000)))).slice(0, 3),
      anew,
    );
  });
});
