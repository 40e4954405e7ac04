import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { blankEgressChains } from '#src/policy/egress-chain.js';
import { tokenize } from '#src/policy/lexer.js';

/** What is left, line by line and without blanks at the ends, and the chains that were taken out. */
function left(text: string): { lines: string[]; removed: string[] } {
  const result = blankEgressChains(text, 'f.nft');
  assertSameShape(text, result.text);
  const removed = result.removed.map(({ name, location }) => `${location.line}:${location.column} ${name}`);
  return { lines: result.text.split('\n').map((line) => line.trim()), removed };
}

/** Every character is as it was, or a blank; newlines stay. */
function assertSameShape(before: string, after: string): void {
  assert.equal(after.length, before.length);
  for (let index = 0; index < before.length; index++) {
    if (after[index] === before[index]) continue;
    assert.equal(after[index], ' ');
    assert.notEqual(before[index], '\n');
  }
}

describe('a chain on the egress hook is blanked', () => {
  test('in a table, and no other chain', () => {
    const { lines, removed } = left(`table netdev t {
  chain in { type filter hook ingress device $intf priority 0; accept; }
  chain out { # } in a comment
    type filter hook egress device $intf priority 0; policy accept;
    ip daddr { 10.0.0.1,
      10.0.0.2 } log prefix "} in a string" drop
  }; chain plain { comment "hook egress"; accept; }
}
`);
    assert.deepEqual(lines, [
      'table netdev t {',
      'chain in { type filter hook ingress device $intf priority 0; accept; }',
      '',
      '',
      '',
      '',
      '; chain plain { comment "hook egress"; accept; }',
      '}',
      '',
    ]);
    assert.deepEqual(removed, ['3:9 out']);
  });

  test('with a list of devices, and in `add table` as well', () => {
    const { lines, removed } = left(
      'add table netdev t { chain c { type filter hook egress devices = { a, b } priority 0; } ; set s { } }\n',
    );
    assert.deepEqual(lines, [`add table netdev t {${' '.repeat(68)}; set s { } }`, '']);
    assert.deepEqual(removed, ['1:28 c']);
  });

  test('as a command of its own, with every command on it', () => {
    const { lines, removed } = left(`add table netdev t
flush chain netdev t c
add chain netdev t c { type filter hook egress device $intf priority 0; policy drop; }
create chain netdev t d { type filter hook ingress device $intf priority 0; }
add rule netdev t c ip daddr {
  10.0.0.1 } drop; add rule netdev t d accept
insert rule netdev t c counter
rule netdev t c counter
netdev t c counter
add netdev t c counter
delete chain netdev t c
add rule ip t c counter
add rule netdev t2 c counter
add rule t c counter # family ip
`);
    assert.deepEqual(lines, [
      'add table netdev t',
      '',
      '',
      'create chain netdev t d { type filter hook ingress device $intf priority 0; }',
      '',
      '; add rule netdev t d accept',
      '',
      '',
      '',
      '',
      '',
      'add rule ip t c counter',
      'add rule netdev t2 c counter',
      'add rule t c counter # family ip',
      '',
    ]);
    assert.deepEqual(removed, ['3:20 c']);
  });

  test('whose hook stands on a continued line, with a comment between', () => {
    const { lines, removed } = left(
      'table netdev t { chain \\\n c \\\n # x\n { type filter hook \\\n # y\n egress device a priority 0; }\n}\n',
    );
    assert.deepEqual(lines, ['table netdev t {', '', '', '', '', '', '}', '']);
    assert.deepEqual(removed, ['2:2 c']);
  });

  test('also in a last line that has no newline', () => {
    const { lines } = left(
      'table netdev t { chain c { type filter hook egress device a priority 0; }; } # done',
    );
    assert.match(lines[0] ?? '', /^table netdev t \{ {50,}; \} # done$/);
  });

  test('and a carriage return goes with it, since nft 1.0.6 takes one only in comments', () => {
    const { lines } = left(
      'table netdev t {\nchain c { # x\r\ntype filter hook egress device a priority 0; }\n}\n',
    );
    assert.deepEqual(lines, ['table netdev t {', '', '', '}', '']);
  });
});

describe('a text stays as it is', () => {
  const texts: [name: string, text: string][] = [
    [
      'without such a chain',
      'table netdev t { chain egress { type filter hook ingress device a priority 0; } }\n',
    ],
    [
      'with the words in comments and strings',
      'table netdev t { chain c { comment "hook egress"; # hook egress\n } }\n',
    ],
    ['with the words one level deeper', 'table netdev t { chain c { jump { hook egress; }; } }\n'],
    ['with the words in a set', 'table netdev t { set s { hook egress; } }\n'],
    [
      'with braces that do not balance',
      'table netdev t { chain c { type filter hook egress device a priority 0; }\n',
    ],
    ['without anything', ''],
  ];
  for (const [name, text] of texts) {
    test(name, () => assert.deepEqual(blankEgressChains(text, 'f.nft'), { text, removed: [] }));
  }
});

test('no policy of the corpus keeps an egress hook, and every other hook stays', () => {
  const folder = new URL('../../test/corpus/files/', import.meta.url);
  const hooks = (text: string, name: string) => {
    const words = tokenize(`${text}\n`).filter(({ kind }) => kind === 'word');
    return words.filter(({ text }, index) => text === name && words[index - 1]?.text === 'hook').length;
  };
  const files = readdirSync(folder).filter((name) => name.endsWith('.nft'));
  assert.ok(files.length > 50);
  for (const name of files) {
    const before = readFileSync(new URL(name, folder), 'utf8');
    const { text, removed } = blankEgressChains(before, name);
    assertSameShape(before, text);
    assert.equal(hooks(text, 'egress'), 0, name);
    assert.equal(hooks(text, 'ingress'), hooks(before, 'ingress'), name);
    assert.equal(removed.length, hooks(before, 'egress'), name);
  }
});

test('blanking keeps the length and the newlines of any text, and a second time changes nothing', () => {
  const units = [
    ...'{};"#\\ \n\r',
    '\\\n',
    'table netdev t {',
    'chain c {',
    'hook egress',
    'type filter hook egress device a priority 0;',
    'add chain netdev t c {',
    'add rule netdev t c drop\n',
    '}\n',
  ];
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...units), maxLength: 20 }), (text) => {
      const once = blankEgressChains(text, 'f.nft');
      assertSameShape(text, once.text);
      assert.equal(blankEgressChains(once.text, 'f.nft').text, once.text);
    }),
    { numRuns: 3000 },
  );
});
