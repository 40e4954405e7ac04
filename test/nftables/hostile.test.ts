import { KernelError } from '#src/netlink/error.js';
import { parseMessages } from '#src/netlink/message.js';
import { checkBatch } from '#src/nftables/batch.js';
import { hookSchema } from '#src/nftables/chain.js';
import { elementSchema } from '#src/nftables/element.js';
import { parseNftablesMessage } from '#src/nftables/message.js';
import { expressionSchema } from '#src/nftables/rule.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { parseUserdata } from '#src/nftables/userdata.js';
import { schemas } from '../fixtures-support/golden.js';
import { type Decoder, testHostileBytes } from '../fixtures-support/hostile.js';

/** What is inside the others is tried on its own as well, where it is found at once. */
const inner = { hook: hookSchema, expression: expressionSchema, element: elementSchema };

const schemaDecoders: Decoder[] = [
  ...[...schemas].map(([operation, schema]) => [`message ${operation}`, schema] as const),
  ...Object.entries(inner),
].map(([name, schema]) => ({
  name: `the schema of ${name}`,
  input: 'attributes',
  decode: (bytes) => schema.parse(bytes),
}));

testHostileBytes([
  ...schemaDecoders,
  {
    name: 'parseMessages and parseRuleset',
    input: 'datagram',
    decode: (bytes) => parseRuleset(parseMessages(bytes)),
  },
  {
    name: 'parseNftablesMessage',
    input: 'payload',
    decode: (payload) => parseNftablesMessage({ type: 0x0a00, flags: 0, sequence: 1, portId: 0, payload }),
  },
  { name: 'parseUserdata', input: 'attributes', decode: parseUserdata },
  {
    name: 'checkBatch',
    input: 'datagram',
    decode: (reply) =>
      checkBatch({ bytes: new Uint8Array(), firstSequence: 1000, labels: ['one', 'two'] }, reply),
    mayThrow: (error) => error instanceof KernelError,
  },
]);
