import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { parseConfiguration } from '#src/config/load.js';
import { ONE_POLICY } from '../support/agent.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
// As an editor gets it: by the name that the package gives out.
const schema = createRequire(`${ROOT}package.json`)('tapwall/schema.json') as object;
const validate = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true }).compile(schema);

const SMALL = 'policies: { closed: { default: drop } }\nbindings: [{ device: "*", policy: closed }]\n';

describe('the JSON Schema of a configuration', () => {
  it('takes what tapwall takes', () => {
    const texts = [
      readFileSync(`${ROOT}examples/tapwall.yaml`, 'utf8'),
      ONE_POLICY,
      SMALL,
      `$schema: x.json\n${SMALL}`,
    ];
    for (const text of texts) {
      parseConfiguration(text, '/etc/tapwall/tapwall.yaml');
      assert.ok(validate(parse(text)), JSON.stringify(validate.errors));
    }
  });

  it('is where the first line of the example says', () => {
    const [first = ''] = readFileSync(`${ROOT}examples/tapwall.yaml`, 'utf8').split('\n');
    const [, path = ''] = /^# yaml-language-server: \$schema=(\S+)$/.exec(first) ?? [];
    assert.deepEqual(JSON.parse(readFileSync(join(ROOT, 'examples', path), 'utf8')), schema);
  });

  it('refuses what tapwall refuses, at the same place', () => {
    const wrong: [text: string, place: string][] = [
      ['policies: {}\n', ''],
      [`${SMALL}unknown: 1\n`, ''],
      [`${SMALL}placement: everywhere\n`, '/placement'],
      [`${SMALL}owner: perhaps\n`, '/owner'],
      [`${SMALL}reconcile: often\n`, '/reconcile'],
      ['policies: { a: { default: accpet } }\nbindings: []\n', '/policies/a/default'],
      ['policies: { a: { guards: [arpmac] } }\nbindings: []\n', '/policies/a/guards/0'],
      ['policies: { a: { limits: { brodcast: 1/second } } }\nbindings: []\n', '/policies/a/limits'],
      ['policies: { a: {} }\nbindings: [{ mac: "52:54", policy: a }]\n', '/bindings/0/mac'],
      ['policies: { a: {} }\nbindings: [{ device: "*" }]\n', '/bindings/0'],
      [`${SMALL}sets: { a: { type: mark, size: 0 } }\n`, '/sets/a/size'],
    ];
    for (const [text, place] of wrong) {
      assert.throws(() => parseConfiguration(text, 'x.yaml'), { code: 'CONFIG' }, text);
      assert.equal(validate(parse(text)), false, text);
      assert.deepEqual([...new Set(validate.errors?.map(({ instancePath }) => instancePath))], [place], text);
    }
  });
});
