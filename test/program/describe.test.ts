import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attachBatch } from '#src/program/attach.js';
import { describeProgram } from '#src/program/describe.js';
import { device } from './facts.js';
import { policyProgram } from './policy.js';

test('a program is described as it would be sent', () => {
  const program = policyProgram();
  const facts = device();
  const { messages, bytes, ...rest } = describeProgram(program, facts, undefined);
  assert.deepEqual(rest, {
    policy: 'lan-guard',
    digest: program.digest,
    device: 'macvtap0',
    index: 42,
    tables: ['tapwall.42.guard', 'tapwall.42.extra'],
    listing: '',
  });
  const batch = attachBatch(program, facts, 1);
  assert.equal(bytes, batch.bytes.length);
  assert.equal(messages.map(({ hex }) => hex).join(''), Buffer.from(batch.bytes).toString('hex'));
  assert.deepEqual(
    messages.map(({ label }) => label),
    ['BATCH_BEGIN', ...batch.labels, 'BATCH_END'],
  );
});

test("the listing has the device's name, and the names of the tables as the kernel has them", () => {
  const text = [
    'table netdev guard {',
    '\tchain ingress {',
    '\t\ttype filter hook ingress device "standin" priority filter; policy accept;',
    '\t\tiifname "standin" log prefix "table netdev guard {"',
    '\t}',
    '}',
    'table netdev extra {',
    '}',
  ].join('\n');
  // Every character of a name but `/`, `:` and white space is allowed.
  for (const name of ['macvtap0', '$&', "a$'b", '$$']) {
    const { listing } = describeProgram(policyProgram(), device({ name }), { text, standIn: 'standin' });
    assert.equal(
      listing,
      text
        .split('standin')
        .join(name)
        .replace(/^table netdev guard/, 'table netdev tapwall.42.guard')
        .split('\ntable netdev extra')
        .join('\ntable netdev tapwall.42.extra'),
    );
  }
});
