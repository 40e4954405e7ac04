import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parse, refuses, warns } from './support.js';

const withUnmatched = (unmatched: string) =>
  `policies: { lan-guard: { default: drop } }\nbindings: []\nunmatched: ${unmatched}\n`;

describe('a device that no binding matches', () => {
  test('is dropped, accepted or given a policy', () => {
    assert.deepEqual(parse(withUnmatched('drop')).unmatched, { action: 'drop' });
    assert.deepEqual(parse(withUnmatched('accept')).unmatched, { action: 'accept' });
    assert.deepEqual(parse(withUnmatched('lan-guard')).unmatched, { action: 'policy', policy: 'lan-guard' });
  });

  test('uses its policy', () => {
    warns(withUnmatched('lan-guard'));
    warns(withUnmatched('drop'), '1:13+9 no binding uses the policy `lan-guard`');
  });

  test('is given nothing that is not there', () => {
    refuses(withUnmatched('lan-gard'), '3:12+8 there is no policy `lan-gard` | Did you mean `lan-guard`?');
    refuses(withUnmatched('acept'), '3:12+5 there is no policy `acept` | Did you mean `accept`?');
    refuses(withUnmatched('xyzzy'), '3:12+5 there is no policy `xyzzy`');
    refuses(withUnmatched('5'), '3:12+1 expected text, got the number 5');
    refuses(withUnmatched(''), '3:1+9 expected text, got nothing');
  });

  test('is why no policy can be called as what else becomes of it', () => {
    const hint = 'Give it another name, such as `nothing` or `everything`.';
    refuses(
      'policies: { drop: { default: drop }, accept: { default: accept } }\nbindings: []\n',
      `1:13+4 no policy can be called \`drop\`: \`unmatched: drop\` would mean two things | ${hint}`,
      `1:38+6 no policy can be called \`accept\`: \`unmatched: accept\` would mean two things | ${hint}`,
    );
  });
});

test('a placement is one of five', () => {
  for (const placement of ['auto', 'prefix', 'names', 'device', 'chain']) {
    assert.equal(parse(`policies: {}\nbindings: []\nplacement: ${placement}\n`).placement, placement);
  }
  refuses(
    'policies: {}\nbindings: []\nplacement: name\n',
    '3:12+4 expected `auto` or `prefix` or `names` or `device` or `chain`, got the text `name`',
  );
});
