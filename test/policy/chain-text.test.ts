import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { checkChainText, flawInInlineValue } from '#src/policy/chain-text.js';
import { brief, rules } from './support.js';

const SETS = new Set(['dns', 'lan-hosts']);
const found = (text: string) => checkChainText(rules(text), SETS).map(brief);

describe('rules that stay in their chain pass', () => {
  const texts = [
    '',
    'accept',
    'ip saddr { 10.0.0.1,\n  10.0.0.2 } drop\n',
    'tcp dport 22 jump {\n  ip saddr 1.2.3.4 accept; drop\n}\n',
    'accept comment "} # { in a string"\n',
    '# } " in a comment\naccept # }',
    'ip saddr 1.2.3.4 \\\n  drop\n',
    'icmp type echo-request accept\nct state new drop',
    'define x = { 1, 2 }\n',
    'comment "my chain"\naccept\n\n',
    'fib daddr type local \\\n type',
    'ip saddr @dns accept\nip daddr @lan-hosts drop',
    'ip saddr @ \\\n dns accept',
    'add @dns { ip saddr timeout 5m } accept',
    '@ll,0,48 0x525400123456 drop\n@nh,0,4 4 @th,16,16 53 @ih,0,8 1 accept',
    'tcp option @34,8,16 0x1234 goto { accept\n}',
    'tcp dport vmap { 22 : jump { accept\n}, 23 : drop }',
    'log prefix "jump @x meter $intface " # goto y @z $intf',
    'iif lo meta iifname $other drop',
  ];
  for (const text of texts) test(JSON.stringify(text), () => assert.deepEqual(found(text), []));

  test('all the single rules of the corpus', () => {
    // From dist-test/policy to the corpus of nft policies that are known to load.
    const corpus = readFileSync(new URL('../../test/corpus/rules.txt', import.meta.url), 'utf8');
    const single = corpus
      .split('\n')
      .flatMap((line) => /^(?:both|ingress|egress) \| (.*)$/.exec(line)?.[1] ?? []);
    assert.ok(single.length > 500);
    // What names the device, or makes a set, is for files.
    const isForFiles = (rule: string) => /\$intf|\bmeter /.test(rule);
    const shared = single.filter((rule) => !isForFiles(rule));
    assert.ok(shared.length > 500);
    for (const rule of shared) assert.deepEqual(found(rule), [], rule);
    for (const rule of single) assert.equal(found(rule).length > 0, isForFiles(rule), rule);
  });
});

describe('rules that name what is not theirs are refused', () => {
  const CHAIN = 'to a chain with a name: an inline policy has no chains but its own two';
  const DEVICE = '`$intf` is no single device here: an inline policy is shared by all of its devices';
  const SHARED = 'would make a set in the table that all policies share';
  const cases: [name: string, text: string, ...expected: string[]][] = [
    ['a chain', 'accept\njump policy.other.ingress', `11:7+4 \`jump\` ${CHAIN}`],
    ['a chain by goto, in a map', 'tcp dport vmap { 22 : goto x }', `10:29+4 \`goto\` ${CHAIN}`],
    ['a chain by a variable', 'jump $x', `10:7+4 \`jump\` ${CHAIN}`],
    ['a chain on the next line', 'jump \\\n x', `10:7+4 \`jump\` ${CHAIN}`],
    ['nothing behind a jump', 'jump', `10:7+4 \`jump\` ${CHAIN}`],
    ['a set there is not', 'ip saddr @dnz drop', '10:17+3 there is no set `dnz`'],
    ['a set behind a blank', 'ip saddr @ \\\n dnz drop', '11:8+3 there is no set `dnz`'],
    [
      'a set of tapwall',
      'update @ip4.assigned { iif . ip saddr }',
      '10:15+12 `@ip4.assigned`: sets with a dot in their name are tapwall’s own',
    ],
    ['a base of payload without a comma', 'ip saddr @th drop', '10:17+2 there is no set `th`'],
    ['the device', 'iif $intf drop', `10:11+1 ${DEVICE}`],
    ['the device behind a blank', 'iif $ intf drop', `10:11+1 ${DEVICE}`],
    ['the device in a string', 'log prefix "to $intf: "', `10:18+12 ${DEVICE}`],
    ['a meter', 'meter m { ip saddr limit rate 5/second } drop', `10:7+5 \`meter\` ${SHARED}`],
    ['a meter in the old form', 'flow table m { ip saddr counter }', `10:7+4 \`flow\` ${SHARED}`],
  ];
  for (const [name, text, ...expected] of cases) test(name, () => assert.deepEqual(found(text), expected));

  test('with what may have been meant', () => {
    const hints = (text: string) => checkChainText(rules(text), SETS).map(({ hint }) => hint);
    assert.deepEqual(hints('ip saddr @dnz drop'), ['Did you mean `dns`?']);
    assert.deepEqual(hints('ip saddr @x drop'), ['Sets are named in `sets`, beside `policies`.']);
    assert.deepEqual(hints('iif $intf'), [
      'Write a file policy, which is compiled for one device at a time.',
    ]);
    assert.deepEqual(hints('jump x'), [
      'Write the rules themselves, as `jump { … }`, or put them into a file of their own and name it with `file`.',
    ]);
    assert.deepEqual(hints('meter x { ip saddr }'), [
      'Name a set in `sets`, with `flags: [dynamic]`, and write `add @NAME { … }`.',
    ]);
  });

  test('in the value of a variable too, which nft puts where the variable stands', () => {
    assert.equal(flawInInlineValue('{ 10.0.0.0/8, 192.168.0.0/16 }', SETS), undefined);
    assert.equal(flawInInlineValue('@dns', SETS), undefined);
    assert.equal(flawInInlineValue('@ip4.assigned', SETS)?.[0].startsWith('`@ip4.assigned`'), true);
    assert.equal(flawInInlineValue('{ 1.2.3.4 : jump x }', SETS)?.[0], `\`jump\` ${CHAIN}`);
    assert.equal(flawInInlineValue('$intf', SETS)?.[0], DEVICE);
  });
});

describe('rules that leave their chain are refused', () => {
  const END = 'this `}` has no `{`: it would end the chain that tapwall puts these rules into';
  const HOOK = 'tapwall itself says what the chain is hooked to';
  const POLICY = 'the policy of the chain comes from the key `default`';
  const cases: [name: string, text: string, ...expected: string[]][] = [
    ['by ending it', 'accept\n} chain evil {\n', `11:7+1 ${END}`, '11:20+1 this `{` has no `}`'],
    ['by ending it twice', '}}', `10:7+1 ${END}`, `10:8+1 ${END}`],
    ['behind a comment that does not go on', '# \\\n}', `11:7+1 ${END}`],
    ['behind a string with a `#`', 'log prefix "#" }', `10:22+1 ${END}`],
    ['by leaving a brace open', 'ip saddr { 1.2.3.4 drop\naccept', '10:16+1 this `{` has no `}`'],
    ['by leaving a string open', 'accept\nlog prefix "x', '11:18+1 this string is not closed'],
    [
      'by a string over two lines',
      'log prefix "x\n}" accept',
      '10:18+2 this string is not closed on its line',
    ],
    [
      'by continuing on what follows',
      'accept \\\n',
      '10:14+1 a `\\` at the end of the rules: there is no next line for it to continue on',
    ],
    [
      'the same without a newline',
      'accept \\',
      '10:14+1 a `\\` at the end of the rules: there is no next line for it to continue on',
    ],
    [
      'the same before a comment',
      'accept \\\n # x',
      '10:14+1 a `\\` at the end of the rules: there is no next line for it to continue on',
    ],
    ['by a hook of their own', 'type filter hook ingress device eth0 priority 0\n', `10:7+4 ${HOOK}`],
    ['by a hook after a rule', 'accept; type filter hook ingress device eth0 priority 0', `10:15+4 ${HOOK}`],
    [
      'by a hook on a continued line',
      '\\\ntype filter hook ingress device eth0 priority 0',
      `11:7+4 ${HOOK}`,
    ],
    ['by more devices', 'devices = { eth0 }\ndevice eth0', `10:7+7 ${HOOK}`, `11:7+6 ${HOOK}`],
    ['by a policy of their own', 'accept\npolicy accept\n', `11:7+6 ${POLICY}`],
    ['by a file', 'accept\njump { include "x"; }', '11:14+7 `include` is not allowed in an inline policy'],
    [
      'by a NUL',
      'accept\0}',
      '10:13+1 a NUL ends the text for nft: what follows would be ignored',
      `10:14+1 ${END}`,
    ],
  ];
  for (const [name, text, ...expected] of cases) test(name, () => assert.deepEqual(found(text), expected));

  test('and told with what to do instead', () => {
    const hints = checkChainText(rules('type x\npolicy x\ninclude "x"'), SETS).map(({ hint }) => hint);
    assert.deepEqual(hints, [
      'Leave the line out: only rules belong here.',
      'Write `default: accept` or `default: drop`.',
      'Put the rules into a file of their own and name it with `file`.',
    ]);
  });

  test('and shown as the file has them', () => {
    const [problem] = checkChainText(rules('accept\n} chain evil {\n'), SETS);
    assert.equal(problem?.sourceLine, '      } chain evil {');
  });
});
