import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareMembers } from '#src/agent/target.js';
import { host32 } from '#src/netlink/bytes.js';
import { encodeTransaction, TransactionMemory } from '#src/nftables/transaction.js';
import { indexSegment, type Member, memberSegment } from '#src/program/member.js';

const OPERATIONS = ['join', 'leave', 'destroy'] as const;

/** So many members, each of a set and key of its own. */
function manyMembers(count: number): Member[] {
  return Array.from({ length: count }, (_, at) => ({
    set: `set.${at % 5}`,
    key: host32(at),
    data: host32(1),
  }));
}

test('a segment for an index is the same as one of its members, also for the next index', () => {
  const sets = ['ingress.admitted', 'egress.dropped.arp-mac'];
  for (const operation of OPERATIONS) {
    for (const index of [7, 0x01020304, 7]) {
      const members = sets.map((set) => ({ set, key: host32(index) }));
      assert.deepEqual(indexSegment(operation, sets, index), memberSegment(operation, members));
    }
  }
});

test('members of one set that differ in form keep to their own', () => {
  const key = host32(9);
  const forms: Member[] = [
    { set: 's', key },
    { set: 's', key, data: host32(3) },
    { set: 's', key: Uint8Array.of(...key, 1, 2, 3, 4) },
    { set: 's', key, data: host32(3), userdata: Uint8Array.of(1, 2, 3, 4) },
  ];
  const each = forms.map((form) => Buffer.from(memberSegment('join', [form]).bytes));
  assert.deepEqual(Buffer.from(memberSegment('join', forms).bytes), Buffer.concat(each));
  assert.equal(new Set(each.map(({ length }) => length)).size, 4);
});

test('an element leaves by its key alone', () => {
  const full: Member = { set: 's', key: host32(9), data: host32(3), userdata: Uint8Array.of(1, 2, 3, 4) };
  assert.deepEqual(memberSegment('leave', [full]), memberSegment('leave', [{ set: 's', key: full.key }]));
});

test('memory that is used again makes the same transactions', () => {
  const memory = new TransactionMemory();
  // The second is larger than the memory, the third would show what is left of it.
  for (const count of [3, 2_000, 1]) {
    const segments = [memberSegment('join', manyMembers(count))];
    const { bytes } = encodeTransaction(segments, 5, undefined, memory);
    assert.deepEqual(Buffer.from(bytes), Buffer.from(encodeTransaction(segments, 5).bytes));
  }
});

for (const count of [4, 100]) {
  test(`of ${count} members only what differs leaves and joins, whatever the order`, () => {
    const present = manyMembers(count);
    const [changed, ...rest] = manyMembers(count).reverse();
    assert.ok(changed);
    const added: Member = { set: 'set.0', key: host32(1_000) };
    const other = { ...changed, data: host32(2) };
    const wanted = [...rest.slice(0, -1), other, added];
    const { leave, join } = compareMembers(present, wanted);
    assert.deepEqual(leave, [present[0], present.at(-1)]);
    assert.deepEqual(join, [other, added]);
    assert.deepEqual(compareMembers(present, present), { leave: [], join: [] });
    assert.deepEqual(compareMembers(present, []), { leave: present, join: [] });
  });
}
