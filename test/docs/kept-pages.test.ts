import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { configurationJsonSchema, type JsonSchema } from '#src/docs/json-schema.js';
import { keptPages } from '#src/docs/pages.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

describe('what is made from the source and kept', () => {
  it('is what the source says now: npm run docs makes it anew', async () => {
    for (const [path, text] of Object.entries(await keptPages())) {
      const kept = readFileSync(`${ROOT}${path}`, 'utf8');
      assert.ok(kept === text, `${path} is out of date: npm run docs makes it anew`);
    }
  });

  it('tells what each key of a configuration is, and of which type', () => {
    const keys = keysOf(configurationJsonSchema(), '');
    assert.ok(keys.length > 30, `${keys.length} keys`);
    for (const [path, schema] of keys) {
      assert.match(
        schema.description ?? '',
        /^[A-Z`].*\.$/,
        `${path}: a description, in src/config/schema.ts`,
      );
      assert.ok(
        schema.type ?? schema.anyOf ?? schema.enum,
        `${path}: no type; join it in src/config/whole-schema.ts`,
      );
    }
  });
});

function keysOf(schema: JsonSchema, path: string): [path: string, schema: JsonSchema][] {
  const { properties = {}, items, additionalProperties } = schema;
  const own = Object.entries(properties).flatMap(([name, property]): [string, JsonSchema][] => [
    [`${path}.${name}`, property],
    ...keysOf(property, `${path}.${name}`),
  ]);
  const inner = [items, additionalProperties].filter((one) => typeof one === 'object');
  return [...own, ...inner.flatMap((one) => keysOf(one, `${path}[]`))];
}
