import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { setSchema } from '#src/nftables/set.js';
import { encodeUserdata, parseUserdata, tableComment } from '#src/nftables/userdata.js';
import { concat, h32, hex, text, userdata } from '../fixtures-support/bytes.js';
import { NEWSET, parseGolden } from '../fixtures-support/golden.js';

test("a set's user data as libnftnl writes it", () => {
  const [, admitted] = parseGolden('dumped/set', NEWSET, setSchema);
  assert.ok(admitted?.userdata);
  const NFTNL_UDATA_SET_KEYBYTEORDER = 0;
  const NFTNL_UDATA_SET_KEY_TYPEOF = 3;
  // The expression `iif` itself, in user data of its own: meta, with key 4.
  const meta = concat([userdata(0, h32(4))]);
  assert.deepEqual(parseUserdata(admitted.userdata), [
    { type: NFTNL_UDATA_SET_KEYBYTEORDER, value: h32(1) },
    { type: NFTNL_UDATA_SET_KEY_TYPEOF, value: concat([userdata(0, h32(9)), userdata(1, meta)]) },
  ]);
});

test('entries of every length there is', () => {
  const entries = [0, 1, 127, 255].map((length) => ({ type: length, value: new Uint8Array(length).fill(7) }));
  const bytes = encodeUserdata(entries);
  assert.equal(bytes.length, 4 * 2 + 0 + 1 + 127 + 255);
  assert.deepEqual(parseUserdata(bytes), entries);
  assert.deepEqual(parseUserdata(new Uint8Array()), []);
});

test('a value longer than its length can say is refused', () => {
  const value = new Uint8Array(256);
  assert.throws(() => encodeUserdata([{ type: 1, value }]), { code: 'ARGUMENT', message: /256 bytes/ });
});

test('an entry that runs past the end is refused', () => {
  for (const bytes of [hex('00'), hex('0001'), hex('000500000000'), hex('0000 07ff 00')]) {
    assert.throws(() => parseUserdata(bytes), { code: 'MALFORMED_MESSAGE' });
  }
});

test('what was parsed is written back', () => {
  const entry = fc.record(
    { type: fc.nat(255), value: fc.uint8Array({ maxLength: 255 }) },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
      const bytes = encodeUserdata(entries);
      assert.deepEqual(parseUserdata(bytes), entries);
    }),
  );
});

test('a comment ends with a NUL, as nft insists', () => {
  assert.deepEqual(tableComment('known'), { type: 0, value: text('known') });
});
