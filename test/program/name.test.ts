import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { deviceTableName, deviceTableTemplate, parseDeviceTableName } from '#src/program/name.js';

/** NFT_NAME_MAXLEN less the NUL. */
const KERNEL_LIMIT = 255;
const LARGEST_INDEX = 2 ** 31 - 1;
/** What is left for the policy's own name beside `tapwall.2147483647.`. */
const LONGEST = KERNEL_LIMIT - 'tapwall.2147483647.'.length;

const bytesOf = (name: string) => Buffer.byteLength(name);

test('a table is named after its device and after itself', () => {
  assert.equal(deviceTableName(7, 'filtermacvtap'), 'tapwall.7.filtermacvtap');
  assert.equal(deviceTableName(LARGEST_INDEX, 'a.b'), 'tapwall.2147483647.a.b');
});

test('a name that fits is kept, up to the last byte', () => {
  const longest = 'x'.repeat(LONGEST);
  assert.equal(deviceTableName(LARGEST_INDEX, longest), `tapwall.2147483647.${longest}`);
  assert.equal(bytesOf(deviceTableName(LARGEST_INDEX, longest)), KERNEL_LIMIT);
});

test('a name that does not fit is cut, and told apart by a digest of the whole', () => {
  const long = 'x'.repeat(LONGEST);
  const names = ['1', '2', '12'].map((end) => deviceTableName(LARGEST_INDEX, long + end));
  assert.equal(new Set(names).size, 3);
  for (const name of names) {
    assert.equal(bytesOf(name), KERNEL_LIMIT);
    assert.match(name, /^tapwall\.2147483647\.x{227}\.[0-9a-f]{8}$/);
  }
  assert.equal(
    deviceTableName(1, `${long}1`).slice('tapwall.1.'.length),
    names[0]?.slice('tapwall.2147483647.'.length),
  );
});

test('bytes are counted, not characters, and no character is cut in two', () => {
  for (const character of ['é', '✓', '🧱']) {
    const name = deviceTableName(LARGEST_INDEX, character.repeat(LONGEST));
    assert.ok(bytesOf(name) <= KERNEL_LIMIT, `${bytesOf(name)} bytes`);
    assert.ok(bytesOf(name) > KERNEL_LIMIT - bytesOf(character));
    assert.match(name, new RegExp(`^tapwall\\.2147483647\\.(${character})+\\.[0-9a-f]{8}$`));
  }
});

test('the template says the same as the name', () => {
  for (const table of ['guard', 'x'.repeat(LONGEST), 'x'.repeat(LONGEST + 1)]) {
    const text = deviceTableTemplate(table).map((part) => ('text' in part ? part.text : `<${part.slot}>`));
    assert.equal(text.join('').replace('<index>', '4711'), deviceTableName(4711, table));
    assert.equal(deviceTableTemplate(table).filter((part) => 'slot' in part).length, 1);
  }
});

test('a name is read back as what it was made of', () => {
  const table = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: LARGEST_INDEX }), table, (index, name) => {
      assert.deepEqual(parseDeviceTableName(deviceTableName(index, name)), { index, table: name });
    }),
  );
});

test('other names are not of tapwall', () => {
  const others = [
    '',
    'guard',
    'tapwall',
    'tapwall.',
    'tapwall.7',
    'tapwall.7.',
    'tapwall..guard',
    'tapwall.guard',
    'xtapwall.7.guard',
    'Tapwall.7.guard',
    'tapwall-7.guard',
    'tapwall.7x.guard',
    'tapwall.+7.guard',
    'tapwall.-7.guard',
    'tapwall.7e3.guard',
    // No device has index 0, one with a leading zero, or one above 2³¹ - 1.
    'tapwall.0.guard',
    'tapwall.07.guard',
    'tapwall.2147483648.guard',
    'tapwall.9999999999.guard',
    'tapwall.10000000000.guard',
  ];
  for (const name of others) assert.equal(parseDeviceTableName(name), undefined, name);
});
