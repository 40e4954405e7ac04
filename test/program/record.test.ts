import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseUserdata } from '#src/nftables/userdata.js';
import { originByte, parseRecord, recordTemplate } from '#src/program/record.js';
import type { DeviceFacts } from '#src/program/slot.js';
import { concat, text, userdata } from '../fixtures-support/bytes.js';
import { device, fillValue } from './facts.js';

const DIGEST = '0123456789abcdef';
const COMMENT = 0;
const RECORD = 0xf7;
const KERNEL_LIMIT = 256;

/** A table's user data as it is in the kernel. */
function userdataFor(own: Uint8Array | undefined, policy: string, facts: DeviceFacts): Uint8Array {
  const { value, slots } = recordTemplate(own, policy);
  return fillValue(value, slots, facts, DIGEST);
}

test('what is written is read back', () => {
  for (const origin of ['agent', 'manual'] as const) {
    assert.deepEqual(parseRecord(userdataFor(undefined, 'lan-guard', device({ origin }))), {
      origin,
      digest: DIGEST,
      device: 'macvtap0',
      mac: '52:54:00:aa:bb:cc',
      policy: 'lan-guard',
    });
  }
});

test('any device and policy is read back', () => {
  const name = fc.string({ unit: fc.constantFrom(...'abcxyz0189.-_é'), minLength: 1, maxLength: 7 });
  fc.assert(
    fc.property(name, name, fc.constantFrom('', '52:54:00:aa:bb:cc', '0a:00'), (deviceName, policy, mac) => {
      const record = parseRecord(userdataFor(undefined, policy, device({ name: deviceName, mac })));
      assert.deepEqual(record, { origin: 'agent', digest: DIGEST, device: deviceName, mac, policy });
    }),
  );
});

test('a table without a comment gets one, for whoever lists it with nft', () => {
  const entries = parseUserdata(userdataFor(undefined, 'lan-guard', device()));
  assert.deepEqual(
    entries.map(({ type }) => type),
    [COMMENT, RECORD],
  );
  const comment = Buffer.from(entries[0]?.value ?? []);
  assert.equal(comment.toString().replace(/\0+$/, ''), 'tapwall: policy lan-guard on macvtap0');
  // nft does not print one whose last byte is not NUL.
  assert.equal(comment.at(-1), 0);
  const longest = userdataFor(undefined, 'lan-guard', device({ name: 'fifteen-letters' }));
  const [first] = parseUserdata(longest);
  assert.deepEqual(first?.value, text('tapwall: policy lan-guard on fifteen-letters'));
});

test("the user's own entries stay, and stay in front", () => {
  const own = concat([userdata(COMMENT, text("the user's own")), userdata(9, new Uint8Array(3))]);
  const bytes = userdataFor(own, 'lan-guard', device());
  assert.deepEqual(bytes.subarray(0, own.length), own);
  assert.equal(parseRecord(bytes)?.policy, 'lan-guard');
  const withoutComment = userdata(9, new Uint8Array(3));
  assert.deepEqual(
    parseUserdata(userdataFor(withoutComment, 'lan-guard', device())).map(({ type }) => type),
    [COMMENT, 9, RECORD],
  );
});

test('a table has room for 256 bytes, and not for one more', () => {
  // A comment of its own: 2 + 20 + the policy + 16, then the record: 2 + 50 + the policy.
  const longest = 'p'.repeat((KERNEL_LIMIT - 90) / 2);
  assert.equal(recordTemplate(undefined, longest).value.length, KERNEL_LIMIT);
  assert.throws(() => recordTemplate(undefined, `${longest}p`), {
    code: 'POLICY_NOT_PORTABLE',
    message: /take 258 bytes of the 256/,
  });

  const comment = (length: number) => userdata(COMMENT, text('c'.repeat(length)));
  const room = KERNEL_LIMIT - 2 - 1 - 2 - 50 - 'guard'.length;
  assert.equal(recordTemplate(comment(room), 'guard').value.length, KERNEL_LIMIT);
  assert.throws(() => recordTemplate(comment(room + 1), 'guard'), { code: 'POLICY_NOT_PORTABLE' });
  // Longer than the length of an entry can say.
  assert.throws(() => recordTemplate(undefined, 'p'.repeat(300)), { code: 'POLICY_NOT_PORTABLE' });
});

test("what stands in somebody else's table is no record", () => {
  const ours = userdataFor(undefined, 'lan-guard', device());
  const record = parseUserdata(ours).find(({ type }) => type === RECORD)?.value ?? assert.fail();
  const changed = (at: number, to: number) => {
    const copy = record.slice();
    copy[at] = to;
    return userdata(RECORD, copy);
  };
  assert.ok(parseRecord(userdata(RECORD, record)));
  const others: [string, Uint8Array | undefined][] = [
    ['nothing', undefined],
    ['no bytes', new Uint8Array()],
    ['a comment', userdata(COMMENT, text('keeps VMs off the LAN'))],
    ['half an entry', Uint8Array.of(RECORD)],
    ['an entry that runs past the end', ours.subarray(0, ours.length - 1)],
    ['a record of another version', changed(0, 2)],
    ['a record of nobody', changed(1, 'x'.charCodeAt(0))],
    ['a record that is cut off', userdata(RECORD, record.subarray(0, 49))],
    ['an empty record', userdata(RECORD, new Uint8Array())],
    ['a record under another type', userdata(0xf6, record)],
  ];
  for (const [what, bytes] of others) assert.equal(parseRecord(bytes), undefined, what);
});

test('an origin is one letter', () => {
  assert.equal(originByte('agent'), 'a'.charCodeAt(0));
  assert.equal(originByte('manual'), 'm'.charCodeAt(0));
});
