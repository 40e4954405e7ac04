/** All that reads what others write: bytes of the kernel's, text of the administrator's, lines of a child process. */
import { readdirSync, readFileSync } from 'node:fs';
import { parseAnswer } from '#src/compiler/answer.js';
import { type PolicySource, parseDiagnostics } from '#src/compiler/diagnostics.js';
import { readAddress } from '#src/config/address.js';
import { ElementList } from '#src/config/element-list.js';
import { compileGlob, parseGlob } from '#src/config/glob.js';
import { readInterval } from '#src/config/interval.js';
import { parseConfiguration } from '#src/config/load.js';
import { normaliseMac } from '#src/config/mac-address.js';
import { expandNames } from '#src/config/name-pattern.js';
import { readRate } from '#src/config/rate.js';
import { readElement, readSetType } from '#src/config/set-element.js';
import { formatProblem, SourceError } from '#src/error.js';
import { parseLinkEvent } from '#src/links/link.js';
import { parseAcknowledgement } from '#src/netlink/acknowledgement.js';
import { parseAttributes } from '#src/netlink/attribute.js';
import { parseMessages } from '#src/netlink/message.js';
import { checkBatch } from '#src/nftables/batch.js';
import { readElementValues } from '#src/nftables/element.js';
import { generationSchema } from '#src/nftables/generation.js';
import { parseNftablesMessage } from '#src/nftables/message.js';
import { readPackedElements } from '#src/nftables/packed-dump.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { parseUserdata } from '#src/nftables/userdata.js';
import { checkChainText } from '#src/policy/chain-text.js';
import { blankEgressChains } from '#src/policy/egress-chain.js';
import { prefixLengths } from '#src/policy/fact.js';
import { findIncludes } from '#src/policy/include.js';
import { tokenize } from '#src/policy/lexer.js';
import { renderShared } from '#src/policy/shared.js';
import { flawInVariableName, flawInVariableValue } from '#src/policy/variable.js';
import { readAssignedMac } from '#src/program/assigned-mac.js';
import { readDigest } from '#src/program/blueprint.js';
import { buildProgram } from '#src/program/build.js';
import { contentsOf } from '#src/program/contents.js';
import { takeInventory } from '#src/program/inventory.js';
import { parseDeviceTableName } from '#src/program/name.js';
import { parseRecord, recordTemplate } from '#src/program/record.js';
import { schemas } from '../fixtures-support/golden.js';
import { fixtureNames, fixturePath, readFixture } from '../fixtures-support/hex.js';
import { device, fillValue } from '../program/facts.js';
import { compilations } from '../program/policy.js';

export interface Target {
  name: string;
  seeds: readonly Buffer[];
  /** Whatever it gives back is told apart by; an error that is a TapwallError is an answer, too. */
  run(input: Buffer): unknown;
  /** True for one that throws nothing at all: what it can't read isn't for it. */
  neverThrows?: boolean;
}

const HEADER = 16;

const fixtures = fixtureNames().map((name) => readFixture(name));
const messages = fixtures.flatMap((fixture) => fixture.messages.map(({ bytes }) => Buffer.from(bytes)));
const datagrams = [...fixtures.map(({ bytes }) => Buffer.from(bytes)), ...messages];
const payloads = messages.map((bytes) => bytes.subarray(HEADER));
const attributes = messages.map((bytes) => bytes.subarray(HEADER + 4));
const record = recordTemplate(undefined, 'lan-guard');
const userdata = [
  Buffer.from('001d636f756e7473207768617400f710316264356531653063633732323061', 'hex'),
  Buffer.from('f7087368617265642031', 'hex'),
  Buffer.from('f61135323a35343a30303a30303a30303a3031', 'hex'),
  Buffer.from(record.value),
  Buffer.from(fillValue(record.value, record.slots, device(), '0123456789abcdef')),
];
/** An acknowledgement of the last message of the transaction below. */
const success = Buffer.from(
  '24000000020000010ea0300000000000000000001c000000000a050fea03000000000000',
  'hex',
);
success.writeUInt32LE(1002, 8);

/** With the length in its header that it really has, so that what is inside is reached. */
function honest(message: Buffer): Buffer {
  if (message.length < HEADER) return message;
  const copy = Buffer.from(message);
  copy.writeUInt32LE(copy.length, 0);
  return copy;
}

const decoders: Target[] = [
  { name: 'messages', seeds: datagrams, run: parseMessages },
  { name: 'attributes', seeds: attributes, run: parseAttributes },
  {
    name: 'acknowledgements',
    seeds: datagrams,
    run: (bytes) => parseMessages(honest(bytes)).map(parseAcknowledgement),
  },
  { name: 'link events', seeds: datagrams, run: (bytes) => parseMessages(honest(bytes)).map(parseLinkEvent) },
  {
    name: 'what a transaction came to',
    seeds: [success, ...datagrams],
    run: (reply) =>
      checkBatch({ bytes: new Uint8Array(), firstSequence: 1000, labels: ['one', 'two'] }, reply),
  },
  { name: 'rulesets', seeds: datagrams, run: (bytes) => parseRuleset(parseMessages(bytes)) },
  {
    name: 'one nf_tables message',
    seeds: payloads,
    run: (payload) => parseNftablesMessage({ type: 0x0a00, flags: 0, sequence: 1, portId: 0, payload }),
  },
  ...[...schemas].map(([operation, schema]) => ({
    name: `attributes of message ${operation}`,
    seeds: attributes,
    run: (bytes: Buffer) => schema.parse(bytes),
  })),
  { name: 'generations', seeds: attributes, run: (bytes) => generationSchema.parse(bytes) },
  {
    name: 'the values of a set',
    seeds: datagrams,
    run: (bytes) => readElementValues('s', parseMessages(honest(bytes))),
  },
  {
    name: 'the shared table',
    seeds: datagrams,
    run: (bytes) => {
      const ruleset = parseRuleset(parseMessages(bytes));
      return [takeInventory(ruleset), contentsOf(ruleset)];
    },
  },
  {
    name: 'the keys of a set',
    seeds: datagrams,
    run: (bytes) => {
      const read = parseMessages(honest(bytes));
      return [false, true].map((isInterval) => readPackedElements(read, { keyLength: 4, isInterval }));
    },
  },
  { name: 'user data', seeds: [...userdata, ...attributes], run: parseUserdata },
  { name: 'records', seeds: userdata, run: parseRecord, neverThrows: true },
  { name: 'digests', seeds: userdata, run: readDigest, neverThrows: true },
  { name: 'assigned MACs', seeds: userdata, run: readAssignedMac, neverThrows: true },
  {
    name: 'names of tables',
    seeds: [Buffer.from('tapwall.12.guard'), Buffer.from('tapwall')],
    run: (bytes) => parseDeviceTableName(bytes.toString('latin1')),
    neverThrows: true,
  },
];

const [first, second] = compilations();

const programs: Target = {
  name: 'programs',
  seeds: ['policy/first', 'policy/second'].map((name) => Buffer.from(readFixture(name).bytes)),
  run: (bytes) => {
    const ruleset = parseRuleset(parseMessages(bytes));
    const compilation = { ...first, ruleset };
    // With itself, so that what a program is made of is reached, and with what it should be.
    const program = buildProgram('guard', 'guard.nft', compilation, compilation);
    return [program, buildProgram('guard', 'guard.nft', compilation, second)];
  },
};

const TEXTS = readdirSync(fixturePath('rulesets/')).map((name) =>
  readFileSync(fixturePath(`rulesets/${name}`)),
);
const RULES = [
  'ip saddr @dns accept # of it\nip saddr { 10.0.0.0/8, 192.168.0.0/16 } drop\n',
  'include "a.nft"\n',
];
const nftTexts = [...TEXTS, ...RULES.map((text) => Buffer.from(text))];
const words = (...texts: string[]) => texts.map((text) => Buffer.from(text));

const CONFIGURATION = `devices: { prefixes: [macvtap], names: ["macvtap{0..3}", "macvtap-{a,b}"] }
placement: auto
unmatched: legacy
reconcile: 60s
sets:
  dns: { type: ipv4_addr . inet_service, elements: [10.0.0.0/8 . 53], flags: [interval], timeout: 1h, size: 9 }
policies:
  lan-guard:
    ingress: &rules |
      ip saddr $gateway accept
      ip saddr { 10.0.0.0/8, 192.168.0.0/16 } drop
    egress: *rules
    default: accept
    guards: [clean-traffic, nd]
    limits: { broadcast: 10/second, egress-bytes: 1 mbytes/second burst 9 kbytes }
    variables: { gateway: 192.168.2.1 }
  legacy: { file: filters/macvtap.nft }
bindings:
  - { mac: 52:54:00:aa:bb:cc, parent: enp88s0, policy: lan-guard, addresses: [192.0.2.7, "2001:db8::/64"] }
  - { device: "macvtap{1,2}*", alias: "[a-c]?*", policy: legacy }
`;

/** What was accepted can be rendered, and every problem has a place that can be shown. */
function configuration(text: string): unknown {
  try {
    const read = parseConfiguration(text, 'f.yaml');
    return renderShared({
      policies: [...read.policies.values()].map((policy, at) => ({ policy, mark: at + 2 })),
      sets: [...read.sets.values()],
      prefixLengths: prefixLengths(read.bindings),
      mostDevices: 1024,
      hooks: { egress: true },
    });
  } catch (error) {
    if (error instanceof SourceError) for (const problem of error.problems) formatProblem(problem);
    throw error;
  }
}

const SOURCE: PolicySource = {
  name: 'guard',
  file: 'guard.nft',
  text: RULES.join(''),
  directory: undefined,
  variables: {},
};

function text(
  name: string,
  seeds: readonly Buffer[],
  run: (text: string) => unknown,
  neverThrows = true,
): Target {
  return { name, seeds, run: (input) => run(input.toString()), neverThrows };
}

const texts: Target[] = [
  text('configurations', words(CONFIGURATION), configuration, false),
  text('tokens of nft', nftTexts, tokenize),
  text('includes', nftTexts, (input) => findIncludes(input, 'f.nft')),
  text('egress chains', nftTexts, (input) => blankEgressChains(input, 'f.nft')),
  text('rules of a chain', words(...RULES), (input) =>
    checkChainText(
      { text: input, location: { file: 'f.yaml', line: 1, column: 1 }, sourceLine: '', verbatim: true },
      new Set(['dns']),
    ),
  ),
  text('names of variables', words('gateway', 'a-b.c/d', 'table'), flawInVariableName),
  text('values of variables', words('192.168.2.1', '{ 22, 80 }', '"a b"'), flawInVariableValue),
  text('globs', words('macvtap*', '[a-c]?{x,y*}', '[!a]\\*'), (input) => {
    const glob = parseGlob(input);
    return 'flaw' in glob ? glob : compileGlob(glob)('macvtap12');
  }),
  text('patterns of names', words('macvtap{0..8191}', 'vm-{a,b}{0..9}'), expandNames),
  text('rates', words('100/second burst 20 packets', '10 mbytes/second'), (input) => [
    readRate(input, 'packets'),
    readRate(input, 'bytes'),
  ]),
  text('addresses', words('192.0.2.7', '2001:db8::/64', '::ffff:1.2.3.4'), readAddress),
  text('MACs', words('52:54:00:aa:bb:cc', '52-54-00-AA-BB-CC'), normaliseMac),
  text('intervals', words('60s', '1h30m', 'never'), readInterval),
  text('elements of sets', words('10.0.0.0/8 . 53', 'ipv4_addr . inet_service'), (input) => {
    const type = readSetType(input);
    const known = readSetType('ipv4_addr . inet_service');
    return [type, 'flaw' in known ? undefined : readElement(input, known)];
  }),
  text(
    'answers of the compiler',
    words(
      '{"ready":true}',
      '{"id":1,"status":"compiled","passes":[{"dump":"AAAA","elapsedMs":1.5}],"listing":"x"}',
      '{"id":1,"status":"refused","file":"f","error":"f:1:1-2: Error: no"}',
      '{"id":1,"status":"failed","error":{"code":"EPERM","message":"no"}}',
    ),
    parseAnswer,
    false,
  ),
  text(
    'errors of libnftables',
    words('f:1:1-2: Error: syntax error\nx\n', 'internal:0:0-0: Error: no', 'g.nft:99:7-8: Warning: old\n'),
    (input) => parseDiagnostics(input, 'f', SOURCE, () => undefined),
  ),
];

const LISTS = [
  '10.0.0.1 # one\r\n\n10.0.0.0/8\n10.0.0.3-10.0.0.9\n',
  '2001:db8::/32\n::1\n',
  '0x10\n53\n',
  '192.0.2.1 . 53\n',
];

/** As elements of each of these types: what is read has an order, what isn't has a place that can be shown. */
const lists: Target = {
  name: 'files of sets',
  seeds: words(...LISTS),
  run: (bytes) =>
    ['ipv4_addr', 'ipv6_addr', 'ether_addr', 'mark', 'ipv4_addr . inet_service'].map((name) => {
      const type = readSetType(name);
      if ('flaw' in type) return type;
      const list = new ElementList(bytes, 'blocked.txt', type);
      for (const problem of list.problems) formatProblem(problem);
      return [list.problems.length, list.reader.finish(list.reader.haveInterval).isInterval];
    }),
  neverThrows: true,
};

export const TARGETS: readonly Target[] = [...decoders, programs, lists, ...texts];
