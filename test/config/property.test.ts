import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseConfiguration } from '#src/config/load.js';
import { formatProblem, TapwallError } from '#src/error.js';
import { prefixLengths } from '#src/policy/fact.js';
import { renderShared } from '#src/policy/shared.js';

/** Whatever the text: a configuration, or an error whose every problem can be shown. Never anything else. */
function assertCivil(text: string): void {
  let configuration: ReturnType<typeof parseConfiguration>;
  try {
    configuration = parseConfiguration(text, 'f.yaml');
  } catch (error) {
    if (!(error instanceof TapwallError)) throw error;
    assert.equal(error.code, 'CONFIG');
    const problems = (error.toJSON()['problems'] ?? []) as Parameters<typeof formatProblem>[0][];
    assert.ok(problems.length > 0);
    const lines = text.replace(/^\ufeff/, '').split('\n');
    let previous = [0, 0];
    for (const problem of problems) {
      formatProblem(problem);
      const { line, column } = problem.location ?? assert.fail('a problem without a place');
      assert.ok(line >= 1 && line <= lines.length, `line ${line} of ${lines.length}`);
      assert.ok(
        column >= 1 && column <= (lines[line - 1]?.length ?? 0) + 1,
        `column ${column} in line ${line}`,
      );
      const [previousLine = 0, previousColumn = 0] = previous;
      assert.ok(line > previousLine || (line === previousLine && column >= previousColumn), 'out of order');
      previous = [line, column];
    }
    return;
  }
  // What was accepted can be rendered: nothing is left to be found later.
  renderShared({
    policies: [...configuration.policies.values()].map((policy, at) => ({ policy, mark: at + 2 })),
    sets: [...configuration.sets.values()],
    prefixLengths: prefixLengths(configuration.bindings),
    mostDevices: 1024,
    hooks: { egress: true },
  });
}

const VALID = `devices:
  prefixes: [macvtap]
  names: ["macvtap{0..3}", "macvtap-{a,b}"]
placement: auto
unmatched: legacy
egress: optional
sets:
  dns: { type: ipv4_addr . inet_service, elements: [10.0.0.0/8 . 53], flags: [interval], timeout: 1h, size: 9 }
policies:
  lan-guard:
    ingress: &rules |
      ip saddr $gateway accept
      ip saddr { 10.0.0.0/8, 192.168.0.0/16 } drop
    egress: *rules
    default: accept
    guards: [clean-traffic, nd]
    limits: { broadcast: 10/second, egress-bytes: 1 mbytes/second burst 9 kbytes }
    variables: { gateway: 192.168.2.1 }
  legacy:
    file: filters/macvtap.nft
bindings:
  - { mac: 52:54:00:aa:bb:cc, parent: enp88s0, policy: lan-guard, addresses: [192.0.2.7, "2001:db8::/64"] }
  - { device: "macvtap{1,2}*", alias: "[a-c]?*", policy: legacy }
`;

const FRAGMENTS = [
  ...'\n \t:-?[]{}&*!|>\'"%@`#,\\;$0\r\ufeff\u2028',
  '\n  ',
  '---\n',
  '<<: ',
  '*rules',
  '&rules ',
  '!!str ',
  'policies:',
  'bindings:',
  'device: ',
  'policy: ',
  'ingress: |\n',
  '~',
  'null',
  '1.5',
  '__proto__: ',
  'constructor: ',
  'é',
  '\u{1f600}',
];

test('a valid configuration is accepted', () => {
  assert.equal(parseConfiguration(VALID, 'f.yaml').bindings.length, 2);
});

test('any text is refused in a civil way', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 100 }), assertCivil), { numRuns: 2000 });
});

test('any text made of what YAML is made of is refused in a civil way', () => {
  const text = fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 40 }).map((parts) => parts.join(''));
  fc.assert(fc.property(text, assertCivil), { numRuns: 1500 });
});

test('a valid configuration with pieces cut out or put in is accepted or refused in a civil way', () => {
  const edit = fc.record({
    at: fc.nat({ max: VALID.length }),
    remove: fc.nat({ max: 12 }),
    insert: fc.oneof(fc.constant(''), fc.constantFrom(...FRAGMENTS), fc.string({ maxLength: 5 })),
  });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const text = edits.reduce(
        (current, { at, remove, insert }) => current.slice(0, at) + insert + current.slice(at + remove),
        VALID,
      );
      assertCivil(text);
    }),
    { numRuns: 1500 },
  );
});

test('a value of any type in any place is refused in a civil way', () => {
  const root: unknown = {
    devices: { prefixes: ['macvtap'], names: ['macvtap0'] },
    placement: 'auto',
    unmatched: 'f',
    egress: 'required',
    sets: { s: { type: 'mark', elements: [1], flags: ['interval'], timeout: '1m', size: 5 } },
    policies: {
      p: {
        ingress: 'accept',
        default: 'drop',
        variables: { a: 1 },
        guards: ['ip'],
        limits: { broadcast: '1/day' },
      },
      f: { file: 'x' },
    },
    bindings: [{ device: '*', policy: 'p', addresses: ['192.0.2.7'] }],
  };
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 2 }), fc.infiniteStream(fc.nat({ max: 5 })), (value, choices) => {
      assertCivil(JSON.stringify(replaceOne(structuredClone(root), value, choices)));
    }),
    { numRuns: 2000 },
  );
});

/** Walks down at random and puts `value` where it stops. */
function replaceOne(node: unknown, value: unknown, choices: Iterator<number>): unknown {
  const choice = choices.next().value;
  if (typeof node !== 'object' || node === null || choice === 0) return value;
  const keys = Object.keys(node);
  const key = keys[choice % keys.length];
  if (key === undefined) return value;
  const record = node as Record<string, unknown>;
  record[key] = replaceOne(record[key], value, choices);
  return node;
}
