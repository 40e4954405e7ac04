import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { parseAcknowledgement } from '#src/netlink/acknowledgement.js';
import { parseAttributes } from '#src/netlink/attribute.js';
import { parseMessages } from '#src/netlink/message.js';
import { type Decoder, testHostileBytes } from '../fixtures-support/hostile.js';

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const CAPPED = 0x100;
const ACK_TLVS = 0x200;

/** A payload is read as an acknowledgement of every kind. */
const acknowledgements: Decoder[] = [
  ['uncapped', NLMSG_ERROR, ACK_TLVS] as const,
  ['capped', NLMSG_ERROR, CAPPED | ACK_TLVS] as const,
  ['without attributes', NLMSG_ERROR, CAPPED] as const,
  ['at the end of a dump', NLMSG_DONE, ACK_TLVS] as const,
].map(([what, type, flags]) => ({
  name: `parseAcknowledgement ${what}`,
  input: 'payload',
  decode: (payload) => parseAcknowledgement({ type, flags, sequence: 1, portId: 0, payload }),
}));

testHostileBytes([
  { name: 'parseMessages', input: 'datagram', decode: parseMessages },
  { name: 'parseAttributes', input: 'attributes', decode: parseAttributes },
  {
    name: 'parseMessages and parseAcknowledgement',
    input: 'datagram',
    decode: (bytes) => parseMessages(bytes).map(parseAcknowledgement),
  },
  ...acknowledgements,
]);

test('a decoder that hangs would be found', () => {
  const watchdog = new URL('../fixtures-support/watchdog.js', import.meta.url).href;
  const program = `import { startWatchdog } from '${watchdog}'; startWatchdog(200).beat('this one'); for (;;);`;
  const { signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.equal(signal, 'SIGKILL');
  assert.equal(stderr, 'a decoder hangs: this one\n');
});
