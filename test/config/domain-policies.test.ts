import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parse, refuses, warns } from './support.js';

const REST = 'policies: { web: { default: accept }, other: { default: drop } }\nbindings: []\n';

describe('the policies that a guest’s definition may ask for', () => {
  test('are none unless the configuration names them', () => {
    assert.deepEqual(parse(REST).domainPolicies, []);
    assert.deepEqual(parse(`domain-policies: [web, other]\n${REST}`).domainPolicies, ['web', 'other']);
  });

  test('count as used', () => {
    warns(`domain-policies: [web]\n${REST}`, '2:39+5 no binding uses the policy `other`');
  });

  test('have to be there', () => {
    refuses(
      `domain-policies: [wep, 1]\n${REST}`,
      '1:19+3 there is no policy `wep` | Did you mean `web`?',
      '1:24+1 expected text, got the number 1',
    );
  });
});

describe('a binding to a guest', () => {
  const withGuest = (selector: string) =>
    `policies: { p: { default: drop } }\nbindings: [{ ${selector}, policy: p }]\n`;

  test('is refused where no guest can be meant', () => {
    refuses(
      withGuest('guest: a/b'),
      '2:21+3 this binding can never match: `a/b` matches no name of a guest: it has a slash',
    );
    refuses(
      withGuest('uuid: web-1'),
      '2:20+5 `web-1` is not a UUID | Write it as `0d6e7c0a-3a4b-4a52-9d6c-0f4f5d8a1b2c`; virsh domuuid tells it.',
    );
  });
});
