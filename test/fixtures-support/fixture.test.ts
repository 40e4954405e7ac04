import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { hex } from './bytes.js';
import { canonical } from './golden.js';
import {
  assertSameBytes,
  compareInFours,
  fixtureNames,
  fixturePath,
  formatFixture,
  parseFixture,
  readFixture,
  splitMessages,
} from './hex.js';
import { parseTranscript } from './strace.js';

test('every fixture says what made it, and with which kernel and tools', () => {
  const names = fixtureNames();
  assert.ok(names.length >= 30, `${names.length} fixtures`);
  for (const name of names) {
    const [command, versions] = readFileSync(fixturePath(`${name}.hex`), 'utf8').split('\n');
    assert.match(command ?? '', /^# \S.{10,}/, name);
    assert.match(versions ?? '', /^# kernel \d+\.\d+\.\d+, nft \d+\.\d+\.\d+, iproute2 \d+\.\d+\.\d+$/, name);
  }
});

test('a fixture is what was written, message by message, and whole messages only', () => {
  for (const name of fixtureNames()) {
    const text = readFileSync(fixturePath(`${name}.hex`), 'utf8');
    const { messages, bytes } = readFixture(name);
    const header =
      text
        .split('\n\n')[0]
        ?.split('\n')
        .map((line) => line.replace(/^# ?/, '')) ?? [];
    assert.equal(formatFixture(header, messages), text, name);
    assert.deepEqual(
      splitMessages(bytes),
      messages.map((message) => message.bytes),
      name,
    );
  }
});

test('what is not four bytes in hexadecimal is no fixture', () => {
  assert.throws(() => parseFixture('x', '# a\n\n0102030405\n'), /not four bytes: 0102030405/);
  assert.throws(() => parseFixture('x', 'xyz\n'), /not four bytes/);
  assert.throws(() => splitMessages(hex('0f000000 00000000 00000000 000000')), /a message of 16 bytes/);
});

test('a difference shows both sides, four bytes to a line', () => {
  const expected = [
    'offset  actual    expected',
    '0000    01020304  01020304',
    '0004    05        06        <',
  ];
  assert.equal(compareInFours(hex('01020304 05'), hex('01020304 06')), expected.join('\n'));
  assert.equal(
    compareInFours(hex('01'), hex('')),
    'offset  actual    expected\n0000    01                  <',
  );
  assert.throws(() => assertSameBytes(hex('01'), hex('02'), 'it'), {
    message: /^it: the bytes differ\noffset/,
  });
  assertSameBytes(hex('01'), hex('01'), 'it');
});

test('attributes are brought into one order, nests as the guide has them', () => {
  const sent = hex('0c00 0280 0500 0200 61000000 0800 0100 00000001');
  const ours = hex('0800 0100 00000001 0c00 0200 0500 0200 61000000');
  assertSameBytes(canonical(ours, sent), canonical(sent, sent), 'the same');
  const other = hex('0800 0100 00000001 0c00 0200 0500 0200 62000000');
  assert.throws(() => assertSameBytes(canonical(other, sent), canonical(sent, sent), 'another'));
});

test("a transcript of strace, in which one call may have several buffers and a line's text may look like bytes", () => {
  const transcript = [
    '1272  sendmsg(3, 0x7ffd, 0)  = 0x14',
    ' * 18 bytes in buffer 0',
    ' | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |',
    ' | 00010  61 20                                             a                |',
    ' * 2 bytes in buffer 1',
    ' | 00000  30 31                                             01               |',
    'recvmsg(3, {msg_namelen=12}, 0) = -1 EAGAIN',
    'recvmsg(3, {msg_namelen=12}, 0) = 2',
    ' * 2 bytes in buffer 0',
    ' | 00000  0a 0b                                             ..               |',
    '1272  +++ exited with 0 +++',
  ].join('\n');
  assert.deepEqual(parseTranscript(transcript), [
    { call: 'sendmsg', bytes: hex('1400000010000100 0000000000000000 6120 3031') },
    { call: 'recvmsg', bytes: hex('0a0b') },
  ]);
});
