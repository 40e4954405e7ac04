import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { FilePolicy, InlinePolicy, NamedSet, Rate } from '#src/config/configuration.js';
import { SourceError } from '#src/error.js';
import { prefixLengths } from '#src/policy/fact.js';
import { GUARD_NAMES } from '#src/policy/guard-name.js';
import { MOST_LANES } from '#src/policy/lane.js';
import { tokenize } from '#src/policy/lexer.js';
import { renderShared, type SharedInput } from '#src/policy/shared.js';
import { loadNft } from '../support/door.js';
import { runIn, withLab } from '../support/host.js';
import { brief, policyWith, rules } from './support.js';

const NOTHING: SharedInput = {
  policies: [],
  sets: [],
  prefixLengths: { ip4: [], ip6: [] },
  mostDevices: 1024,
  hooks: { egress: true },
};
const AT = (line: number) => ({ file: 'tapwall.yaml', line, column: 5 });

function namedSet(parts: Partial<NamedSet>): NamedSet {
  const elementLocations = (parts.elements ?? []).map((_, at) => AT(at + 31));
  return {
    name: 'dns',
    type: 'ipv4_addr',
    packed: undefined,
    elements: [],
    flags: [],
    location: AT(30),
    elementLocations,
    ...parts,
  };
}

const packets: Rate = { unit: 'packets', amount: 100, seconds: 1, burst: 5 };
const bytes: Rate = { unit: 'bytes', amount: 1_000_000, seconds: 1, burst: 65_536 };
const LIMITS = {
  broadcast: packets,
  ingressPackets: packets,
  ingressBytes: bytes,
  egressPackets: packets,
  egressBytes: bytes,
};

/** Everything that can be rendered at once. */
const ALL: SharedInput = {
  policies: [
    {
      policy: policyWith({
        name: 'all',
        guards: GUARD_NAMES,
        limits: LIMITS,
        ingress: rules('ip saddr @dns accept\n'),
        egress: rules('ip daddr . tcp dport @services accept\nadd @seen { ip daddr timeout 1m }'),
      }),
      mark: 2,
    },
  ],
  sets: [
    namedSet({ elements: ['192.0.2.1', '192.0.2.0/24', '10.0.0.1-10.0.0.9'], flags: ['interval'] }),
    namedSet({
      name: 'services',
      type: 'ipv4_addr . inet_service',
      elements: ['192.0.2.1 . 53'],
      flags: ['constant'],
    }),
    namedSet({ name: 'seen', flags: ['dynamic', 'timeout'], timeout: '10m', size: 1000 }),
  ],
  prefixLengths: { ip4: [1, 9, 24, 31], ip6: [1, 48, 52, 127] },
  mostDevices: 1024,
  hooks: { egress: true },
};

/** The chains or sets of a text, by name. */
function blocks(kind: 'chain' | 'set' | 'map', text: string): Map<string, string[]> {
  const found = text.matchAll(new RegExp(`^\\t${kind} (\\S+) \\{\\n([^]*?)^\\t\\}`, 'gm'));
  return new Map([...found].map(([, name = '', body = '']) => [name, body.trim().split(/\n\s*/)]));
}

function listing(lab: Parameters<Parameters<typeof withLab>[0]>[0]): string {
  const { status, stdout, stderr } = runIn(lab.host.namespace, ['nft', 'list', 'ruleset']);
  assert.equal(status, 0, stderr);
  // What a device's own kernel sends when it comes up may be counted by then, or not yet.
  return stdout.replaceAll(/^\t\telements = \{ .* counter packets .*\n/gm, '');
}

describe('the text of the shared table', () => {
  const policy = policyWith({
    guards: ['mac'],
    limits: { broadcast: packets },
    egress: rules('ip daddr $lan drop\n'),
    variables: { lan: '192.168.0.0/16' },
    default: 'accept',
  });
  const source = renderShared({ ...NOTHING, policies: [{ policy, mark: 2 }] });
  const chains = blocks('chain', source.text);

  test('leads a frame from its hook to the policy of its device', () => {
    assert.deepEqual(chains.get('egress'), [
      'comment "all devices of tapwall, from the VM"',
      'type filter hook egress device $intf priority -2147483648; policy drop',
      'goto egress.door',
    ]);
    assert.deepEqual(chains.get('egress.door'), [
      'comment "where every frame from the VM begins"',
      'oif . ether saddr @policy.lan-guard.macs goto policy.lan-guard.egress',
      'meta mark set oif map @device.policy meta mark vmap @policy.egress',
      'goto egress.dropped.unmatched',
    ]);
    assert.deepEqual(blocks('map', source.text).get('policy.egress')?.slice(2), [
      'elements = {',
      '1 : goto by-hand.egress,',
      '2 : goto policy.lan-guard.egress.marked,',
      '}',
    ]);
    // What a lane does not know is looked up by the mark, which then goes, and the lane's guard is not left out.
    assert.deepEqual(chains.get('policy.lan-guard.egress.marked')?.slice(1), [
      'meta mark set 0',
      'oif . ether saddr != @policy.lan-guard.macs goto egress.dropped.mac',
      'goto policy.lan-guard.egress',
    ]);
    assert.deepEqual(chains.get('ingress.door')?.slice(1, 2), [
      'iif @policy.lan-guard.devices goto policy.lan-guard.ingress',
    ]);
  });

  test('has no lanes where so many would take longer than a mark', () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, at) => ({
        policy: policyWith({ name: `p${at}`, guards: ['mac'], default: 'accept' }),
        mark: at + 2,
      }));
    const few = renderShared({ ...NOTHING, policies: many(MOST_LANES) });
    assert.equal(blocks('chain', few.text).get('egress.door')?.length, MOST_LANES + 3);
    const { text, policies } = renderShared({ ...NOTHING, policies: many(MOST_LANES + 1) });
    const found = blocks('chain', text);
    assert.deepEqual(found.get('egress.door')?.slice(1), [
      'meta mark set oif map @device.policy meta mark vmap @policy.egress',
      'goto egress.dropped.unmatched',
    ]);
    assert.deepEqual(found.get('policy.p0.egress')?.slice(1), [
      'meta mark set 0',
      'oif . ether saddr != @mac.assigned goto egress.dropped.mac',
      'oif @egress.admitted accept',
      'goto egress.admit',
    ]);
    assert.ok(![...found.keys()].some((name) => name.endsWith('.marked')));
    assert.deepEqual([policies.get('p0')?.plain, policies.get('p0')?.facts], [[], ['mac.assigned']]);
  });

  test('has guards before limits, limits before rules, and the default at the end', () => {
    assert.deepEqual(chains.get('policy.lan-guard.egress'), [
      'comment "policy lan-guard: from the VM"',
      'ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 oif @limit.broadcast.egress goto egress.dropped.limit.broadcast',
      'define lan = 192.168.0.0/16',
      'ip daddr $lan drop',
      'oif @egress.admitted accept',
      'goto egress.admit',
    ]);
    assert.deepEqual(chains.get('policy.lan-guard.ingress'), [
      'comment "policy lan-guard: to the VM"',
      'iif @ingress.admitted accept',
      'goto ingress.admit',
    ]);
    const [dropping] = renderShared({
      ...NOTHING,
      policies: [{ policy: policyWith({}), mark: 2 }],
    }).text.match(/goto ingress.dropped.policy/) ?? [undefined];
    assert.ok(dropping);
  });

  test('has rules that may return in a chain of their own, from which they return to the default', () => {
    const returning: Partial<InlinePolicy>[] = [
      { egress: rules('# no return\nip daddr 192.0.2.1 return\ndrop\n') },
      { egress: rules('ip daddr vmap { 192.0.2.1 : $what }\n'), variables: { what: 'return' } },
    ];
    for (const settings of returning) {
      const rendered = renderShared({
        ...NOTHING,
        policies: [{ policy: policyWith({ ...settings, default: 'accept' }), mark: 2 }],
      });
      const found = blocks('chain', rendered.text);
      assert.deepEqual(found.get('policy.lan-guard.egress')?.slice(1), [
        'jump policy.lan-guard.egress.rules',
        'oif @egress.admitted accept',
        'goto egress.admit',
      ]);
      assert.equal(
        found.get('policy.lan-guard.egress.rules')?.at(-1),
        settings.egress?.text.trim().split('\n').at(-1),
      );
    }
    const spoken = policyWith({ egress: rules('log prefix "return" # return\n') });
    const { text } = renderShared({ ...NOTHING, policies: [{ policy: spoken, mark: 2 }] });
    assert.doesNotMatch(text, /egress\.rules/);
  });

  test('has no guard, set or reason that no policy uses', () => {
    const inUse = [
      'admitted',
      'admitted.early',
      'dropped.unmatched',
      'dropped.policy',
      'dropped.mac',
      'dropped.limit.broadcast',
    ];
    assert.deepEqual(source.counters, [
      'ingress.admitted',
      'ingress.admitted.early',
      'ingress.dropped.unmatched',
      ...inUse.map((name) => `egress.${name}`),
    ]);
    assert.deepEqual(
      [...blocks('set', source.text).keys()].sort(),
      [
        'policy.lan-guard.devices',
        'policy.lan-guard.macs',
        'limit.broadcast.egress',
        ...source.counters,
      ].sort(),
    );
    // Those of few rules stand in the policy itself.
    assert.deepEqual(
      [...chains.keys()].filter((name) => name.includes('.guard')),
      [],
    );
  });

  test('says by what devices are members', () => {
    const membership = source.policies.get('lan-guard');
    assert.deepEqual([membership?.mark, membership?.facts], [2, []]);
    assert.deepEqual(membership?.plain, [
      { set: 'policy.lan-guard.devices' },
      { set: 'policy.lan-guard.macs', withMac: true },
    ]);
    assert.deepEqual(
      membership?.limits.map(({ set }) => set),
      ['limit.broadcast.egress'],
    );
    assert.deepEqual(source.byHand, { mark: 1, facts: [], limits: [], plain: [] });
  });

  test('takes the mark away from frames where rules may ask for it', () => {
    const asking: Partial<InlinePolicy>[] = [
      { ingress: rules('meta mark 7 accept\n') },
      { ingress: rules('$what 7 accept\n'), variables: { what: 'meta mark' } },
    ];
    for (const settings of asking) {
      const { text } = renderShared({ ...NOTHING, policies: [{ policy: policyWith(settings), mark: 2 }] });
      const found = blocks('chain', text);
      assert.equal(found.get('policy.lan-guard.ingress')?.[1], 'meta mark set 0');
      assert.notEqual(found.get('policy.lan-guard.egress')?.[1], 'meta mark set 0');
    }
  });

  test('has nothing of egress where the kernel has no such hook', () => {
    const ingressAlone = renderShared({ ...ALL, hooks: { egress: false } });
    assert.doesNotMatch(ingressAlone.text.replace(/comment ".*"/g, ''), /egress|oif/);
    assert.deepEqual(ingressAlone.policies.get('all')?.facts, []);
    assert.deepEqual(
      ingressAlone.policies.get('all')?.limits.map(({ set }) => set),
      ['limit.packets.ingress', 'limit.bytes.ingress'],
    );
    assert.ok(ingressAlone.counters.every((set) => set.startsWith('ingress.')));
  });

  test('admits the devices of a file policy, whose own tables filter as well', () => {
    const { kind: _, default: __, ...common } = policyWith({ name: 'mine', guards: ['no-ipv6'] });
    const file: FilePolicy = { ...common, kind: 'file', file: '/etc/mine.nft' };
    const rendered = renderShared({ ...NOTHING, policies: [{ policy: file, mark: 2 }] });
    assert.deepEqual(blocks('chain', rendered.text).get('policy.mine.ingress')?.slice(1), [
      'meta mark set 0',
      'meta protocol ip6 goto ingress.dropped.no-ipv6',
      'iif @ingress.admitted accept',
      'goto ingress.admit',
    ]);
    assert.ok(!rendered.counters.includes('ingress.dropped.policy'));
  });

  test('is refused if rules reach beyond their chain', () => {
    const bad = policyWith({ ingress: rules('accept }'), egress: rules('ip daddr @mac.assigned drop') });
    assert.throws(
      () => renderShared({ ...NOTHING, policies: [{ policy: bad, mark: 2 }] }),
      (error) => {
        assert.ok(error instanceof SourceError);
        assert.equal(error.code, 'POLICY');
        assert.deepEqual(error.problems.map(brief), [
          '10:14+1 this `}` has no `{`: it would end the chain that tapwall puts these rules into',
          '10:17+12 `@mac.assigned`: sets with a dot in their name are tapwall’s own',
        ]);
        return true;
      },
    );
  });
});

test('the lengths of prefixes are those of bindings, once each, but for single addresses', () => {
  const address = (family: 4 | 6, prefixLength: number) => ({
    family,
    bytes: new Uint8Array(family === 4 ? 4 : 16),
    prefixLength,
  });
  const bindings = [
    { addresses: [address(4, 32), address(4, 24), address(6, 64)] },
    {},
    { addresses: [address(4, 16), address(4, 24), address(6, 128), address(6, 32)] },
  ];
  assert.deepEqual(prefixLengths(bindings), { ip4: [16, 24], ip6: [32, 64] });
});

test('whatever the rules, they end with their chain', () => {
  const units = [...'{}"#\\;\n \ta', '\\\n', 'type', 'policy', 'chain x {', 'accept', 'include'];
  const text = fc.string({ unit: fc.constantFrom(...units), maxLength: 12 });
  const chainsOf = (rendered: string) => {
    const chains: string[] = [];
    let depth = 0;
    let tables = 0;
    const tokens = tokenize(rendered).filter(({ kind }) => kind !== 'comment');
    for (const [index, token] of tokens.entries()) {
      if (token.text === 'chain' && depth === 1) chains.push(tokens[index + 1]?.text ?? '');
      if (token.text === '{') depth++;
      if (token.text === '}') depth--;
      if (token.text === '}' && depth === 0) tables++;
    }
    return { depth, tables, chains };
  };
  const render = (ingress: string, egress: string) => {
    const policy = policyWith({ ingress: rules(ingress), egress: rules(egress) });
    return renderShared({ ...NOTHING, policies: [{ policy, mark: 2 }] }).text;
  };
  const expected = chainsOf(render('accept', 'accept'));
  fc.assert(
    fc.property(text, text, (ingress, egress) => {
      let rendered: string;
      try {
        rendered = render(ingress, egress);
      } catch (error) {
        assert.ok(error instanceof SourceError);
        return;
      }
      assert.deepEqual(chainsOf(rendered), expected);
    }),
    { numRuns: 3000 },
  );
});

describe('a place in the text of the shared table', () => {
  const policy = policyWith({
    ingress: rules('accept\n\n# é drop\n'),
    variables: { lan: '10.0.0.0/8' },
  });
  const { text, sourceMap } = renderShared({
    ...NOTHING,
    policies: [{ policy, mark: 2 }],
    sets: [namedSet({ elements: ['192.0.2.1', '192.0.2.2'] })],
  });
  const lines = text.split('\n');
  const at = (line: string, column = 1) => {
    const place = sourceMap.locate(lines.indexOf(line) + 1, column);
    return place && `${place.line}:${place.column}`;
  };

  test('leads to the rules, column by column', () => {
    assert.equal(at('accept', 3), '10:9');
    // nft counts bytes.
    assert.equal(at('# é drop', 3), '12:9');
    assert.equal(at('# é drop', 4), '12:9');
    assert.equal(at('# é drop', 6), '12:11');
    assert.equal(at('# é drop', 99), '12:15');
  });

  test('leads to the element, the set and the policy', () => {
    assert.equal(at('\t\t\t192.0.2.2,', 7), '32:5');
    assert.equal(at('\tset dns {'), '30:5');
    assert.equal(at('\t\tdefine lan = 10.0.0.0/8'), '8:3');
  });

  test('leads nowhere if tapwall wrote it', () => {
    for (const line of ['table netdev tapwall {', '\tchain policy.lan-guard.ingress {', '\t\tdrop', '}']) {
      assert.equal(at(line), undefined);
    }
  });
});

describe('nft', () => {
  test('takes all there can be, and what it lists, it takes again', async () => {
    await withLab((lab) => {
      lab.addMacvtap({ name: 'macvtap0', mac: '52:54:00:aa:bb:01' });
      loadNft(lab.host.namespace, renderShared(ALL).text, 'macvtap0');
      const first = listing(lab);
      assert.match(first, /@nd\.target\.52 return/);
      runIn(lab.host.namespace, ['nft', 'flush', 'ruleset']);
      loadNft(lab.host.namespace, first, 'macvtap0');
      assert.equal(listing(lab), first);
    });
  });

  test('takes each guard without the others, in both directions and in one', async () => {
    await withLab((lab) => {
      lab.addMacvtap({ name: 'macvtap0', mac: '52:54:00:aa:bb:01' });
      for (const egress of [true, false]) {
        for (const guard of GUARD_NAMES) {
          const policy = policyWith({ guards: [guard] });
          const { text } = renderShared({ ...NOTHING, policies: [{ policy, mark: 2 }], hooks: { egress } });
          loadNft(lab.host.namespace, text, 'macvtap0');
          runIn(lab.host.namespace, ['nft', 'flush', 'ruleset']);
        }
      }
    });
  });

  test('gives a variable of two policies the value of each', async () => {
    await withLab((lab) => {
      lab.addMacvtap({ name: 'macvtap0', mac: '52:54:00:aa:bb:01' });
      const policyOf = (name: string, net: string) =>
        policyWith({
          name,
          variables: { net },
          ingress: rules('ip saddr $net accept'),
          egress: rules('ip daddr $net accept'),
        });
      const { text } = renderShared({
        ...NOTHING,
        policies: [
          { policy: policyOf('one', '192.0.2.1'), mark: 2 },
          { policy: policyOf('two', '{ 192.0.2.2, 192.0.2.3 }'), mark: 3 },
        ],
      });
      loadNft(lab.host.namespace, text, 'macvtap0');
      const chains = blocks('chain', listing(lab));
      assert.equal(chains.get('policy.one.ingress')?.at(-2), 'ip saddr 192.0.2.1 accept');
      assert.equal(chains.get('policy.one.egress')?.at(-2), 'ip daddr 192.0.2.1 accept');
      assert.equal(chains.get('policy.two.ingress')?.at(-2), 'ip saddr { 192.0.2.2, 192.0.2.3 } accept');
      assert.equal(chains.get('policy.two.egress')?.at(-2), 'ip daddr { 192.0.2.2, 192.0.2.3 } accept');
    });
  });

  test('knows no variable of another policy, and says where it is missing', async () => {
    await withLab((lab) => {
      lab.addMacvtap({ name: 'macvtap0', mac: '52:54:00:aa:bb:01' });
      const one = policyWith({ name: 'one', variables: { net: '192.0.2.1' }, ingress: rules('accept') });
      const two = policyWith({ name: 'two', ingress: rules('accept\nip saddr $net accept') });
      const { text, sourceMap } = renderShared({
        ...NOTHING,
        policies: [
          { policy: one, mark: 2 },
          { policy: two, mark: 3 },
        ],
      });
      const folder = mkdtempSync(join(tmpdir(), 'tapwall-shared-'));
      try {
        writeFileSync(join(folder, 'shared.nft'), text);
        const command = ['nft', '-c', '-D', 'intf=macvtap0', '-f', 'shared.nft'];
        const { status, stderr } = runIn(lab.host.namespace, command, folder);
        assert.notEqual(status, 0);
        const [, line, column] = /shared\.nft:(\d+):(\d+)/.exec(stderr) ?? [];
        const place = sourceMap.locate(Number(line), Number(column));
        assert.deepEqual([place?.line, place?.column], [11, 17]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  });

  test('takes 256 policies with eight guards in far less than a second', async () => {
    await withLab((lab) => {
      lab.addMacvtap({ name: 'macvtap0', mac: '52:54:00:aa:bb:01' });
      const policies = Array.from({ length: 256 }, (_, at) => ({
        policy: policyWith({
          name: `policy-${at}`,
          guards: ['ethertype', 'mac', 'fragment', 'arp-mac', 'arp-ip', 'ip4', 'ip6', 'nd'],
          ingress: rules('ip saddr $lan accept\ntcp dport 22 drop'),
          egress: rules('ip daddr $lan accept\ntcp dport { 25, 465 } drop'),
          variables: { lan: `10.${at}.0.0/16` },
        }),
        mark: at + 2,
      }));
      const { text } = renderShared({ ...ALL, policies, sets: [] });
      const start = performance.now();
      loadNft(lab.host.namespace, text, 'macvtap0');
      const took = performance.now() - start;
      // Measured: 0.2 s. The machine may be busy with something else.
      assert.ok(took < 2000, `${took} ms`);
    });
  });
});
