import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeAttributes, type LeafAttribute } from '#src/netlink/attribute.js';
import type { Schema, WithOther } from '#src/netlink/schema.js';
import { type Chain, chainSchema, type Hook, hookSchema } from '#src/nftables/chain.js';
import { type ElementList, elementListSchema, type SetElement } from '#src/nftables/element.js';
import { type Generation, generationSchema } from '#src/nftables/generation.js';
import { type NamedObject, objectSchema } from '#src/nftables/object.js';
import { type Expression, type Rule, ruleSchema } from '#src/nftables/rule.js';
import { type SetDefinition, setSchema } from '#src/nftables/set.js';
import { type Table, tableSchema } from '#src/nftables/table.js';
import { bytes, text, u32, u64 } from '../fixtures-support/arbitrary.js';
import { assertSameBytes } from '../fixtures-support/hex.js';

/** Of no object of nf_tables. */
const unknown: fc.Arbitrary<LeafAttribute> = fc.record(
  { type: fc.integer({ min: 100, max: 0x3fff }), flags: fc.constantFrom(0, 0x8000, 0x4000), value: bytes },
  { noNullPrototype: true },
);
const other = fc.array(unknown, { minLength: 1, maxLength: 3 });

/** Objects with any of their properties, and with those that are required; and attributes that are not known. */
function object<T extends WithOther>(
  properties: { [K in Exclude<keyof T, 'other'>]-?: fc.Arbitrary<NonNullable<T[K]>> },
  requiredKeys: readonly (keyof T & string)[],
): fc.Arbitrary<T> {
  const record = { ...properties, other } as Record<string, fc.Arbitrary<unknown>>;
  return fc.record(record, {
    requiredKeys: [...requiredKeys],
    noNullPrototype: true,
  }) as fc.Arbitrary<unknown> as fc.Arbitrary<T>;
}

const list = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 3 });
const expression = object<Expression>({ name: text, data: bytes }, ['name']);
const device = fc.oneof(
  text.map((name) => ({ name })),
  text.map((prefix) => ({ prefix })),
);
const hook = object<Hook>({ number: u32, priority: fc.integer(), devices: list(device), device: text }, [
  'number',
  'priority',
]);
const element = object<SetElement>(
  {
    key: bytes,
    keyEnd: bytes,
    data: bytes,
    expression,
    expressions: list(expression),
    object: text,
    flags: u32,
    timeout: u64,
    expiration: u64,
    userdata: bytes,
  },
  [],
);

const cases: [string, Schema<object>, fc.Arbitrary<object>][] = [
  [
    'table',
    tableSchema,
    object<Table>({ name: text, flags: u32, use: u32, handle: u64, userdata: bytes, owner: u32 }, ['name']),
  ],
  ['hook', hookSchema, hook],
  [
    'chain',
    chainSchema,
    object<Chain>(
      {
        table: text,
        handle: u64,
        name: text,
        hook,
        policy: u32,
        type: text,
        flags: u32,
        counters: bytes,
        use: u32,
        id: u32,
        userdata: bytes,
      },
      ['table'],
    ),
  ],
  [
    'rule',
    ruleSchema,
    object<Rule>(
      {
        table: text,
        chain: text,
        handle: u64,
        position: u64,
        expressions: list(expression),
        compat: bytes,
        userdata: bytes,
      },
      ['table', 'chain'],
    ),
  ],
  [
    'set',
    setSchema,
    object<SetDefinition>(
      {
        table: text,
        name: text,
        handle: u64,
        flags: u32,
        keyType: u32,
        keyLength: u32,
        dataType: u32,
        dataLength: u32,
        objectType: u32,
        timeout: u64,
        gcInterval: u32,
        policy: u32,
        userdata: bytes,
        description: bytes,
        expression,
        expressions: list(expression),
        id: u32,
        backend: bytes,
        count: u32,
      },
      ['table', 'name'],
    ),
  ],
  [
    'list of elements',
    elementListSchema,
    object<ElementList>({ table: text, set: text, setId: u32, elements: list(element) }, ['table', 'set']),
  ],
  [
    'named object',
    objectSchema,
    object<NamedObject>(
      { table: text, name: text, type: u32, use: u32, data: bytes, handle: u64, userdata: bytes },
      ['table', 'name', 'type'],
    ),
  ],
  [
    'generation',
    generationSchema,
    object<Generation>({ id: u32, processId: u32, processName: text }, ['id']),
  ],
].map(([what, schema, arbitrary]) => [
  what as string,
  schema as Schema<object>,
  arbitrary as fc.Arbitrary<object>,
]);

for (const [what, schema, arbitrary] of cases) {
  test(`any ${what} is read back as it was, and written back byte for byte`, () => {
    fc.assert(
      fc.property(arbitrary, (value) => {
        const written = encodeAttributes(schema.encode(value));
        const read = schema.parse(written);
        assert.deepEqual(read, value);
        assertSameBytes(encodeAttributes(schema.encode(read)), written, what);
      }),
      { numRuns: 200 },
    );
  });
}
