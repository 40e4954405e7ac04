import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { checkChainText } from '#src/policy/chain-text.js';
import { brief, rules } from './support.js';

const found = (text: string) => checkChainText(rules(text)).map(brief);

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
  ];
  for (const text of texts) test(JSON.stringify(text), () => assert.deepEqual(found(text), []));

  test('all the single rules of the corpus', () => {
    // From dist-test/policy to the corpus of nft policies that are known to load.
    const corpus = readFileSync(new URL('../../test/corpus/rules.txt', import.meta.url), 'utf8');
    const single = corpus
      .split('\n')
      .flatMap((line) => /^(?:both|ingress|egress) \| (.*)$/.exec(line)?.[1] ?? []);
    assert.ok(single.length > 500);
    for (const rule of single) assert.deepEqual(found(rule), [], rule);
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
    const hints = checkChainText(rules('type x\npolicy x\ninclude "x"')).map(({ hint }) => hint);
    assert.deepEqual(hints, [
      'Leave the line out: only rules belong here.',
      'Write `default: accept` or `default: drop`.',
      'Put the rules into a file of their own and name it with `file`.',
    ]);
  });

  test('and shown as the file has them', () => {
    const [problem] = checkChainText(rules('accept\n} chain evil {\n'));
    assert.equal(problem?.sourceLine, '      } chain evil {');
  });
});
