import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parse, problemsOf, withBindings } from './support.js';

/** Asserts one problem, found soon enough that nobody would call the program stuck. */
function refusesSoon(text: string, message: RegExp, line: number, column: number): void {
  const started = performance.now();
  const [problem, ...others] = problemsOf(() => parse(text));
  assert.ok(performance.now() - started < 60_000, 'took too long');
  assert.match(problem?.message ?? '', message);
  assert.deepEqual(others, []);
  assert.deepEqual([problem?.location?.line, problem?.location?.column], [line, column]);
}

describe('a configuration that would exhaust the machine is refused', () => {
  test('nested too deeply, in whatever form', () => {
    const message = /^nested more than 32 levels deep$/;
    refusesSoon('['.repeat(100_000), message, 1, 32);
    refusesSoon('{'.repeat(100_000), message, 1, 32);
    refusesSoon('- '.repeat(100_000), message, 1, 63);
    const block = Array.from({ length: 1000 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join('');
    refusesSoon(block, message, 32, 32);
  });

  test('aliases of aliases', () => {
    const levels = Array.from(
      { length: 12 },
      (_, level) => `l${level + 1}: &l${level + 1} [${`*l${level},`.repeat(10)}]`,
    );
    refusesSoon(
      `l0: &l0 [1,1,1,1,1,1,1,1,1,1]\n${levels.join('\n')}\n`,
      /^the aliases up to here stand for more than 10000 values$/,
      4,
      38,
    );
  });

  test('long texts that aliases repeat', () => {
    const policies = Array.from({ length: 500 }, (_, index) => `  p${index}: { ingress: *rules }\n`).join('');
    const rules = '      accept\n'.repeat(20_000);
    const text = `policies:\n  p:\n    ingress: &rules |\n${rules}${policies}bindings: []\n`;
    refusesSoon(text, /^the aliases up to here stand for more than 10000 values$/, 20_074, 19);
  });

  test('more parts than memory', () => {
    refusesSoon(`x: [${'a,'.repeat(600_000)}]`, /^more than 1000000 keys, values and marks$/, 1, 666_667);
  });

  test('more text than anybody writes', () => {
    refusesSoon('#'.repeat(16 * 1024 * 1024 + 1), /^the configuration is larger than 16 MiB$/, 1, 1);
  });

  test('errors without end', () => {
    const started = performance.now();
    assert.equal(problemsOf(() => parse('} '.repeat(50_000))).length, 101);
    assert.equal(problemsOf(() => parse('- "a\n'.repeat(50_000))).length, 101);
    assert.equal(problemsOf(() => parse('---\n'.repeat(50_000))).length, 101);
    assert.ok(performance.now() - started < 60_000, 'took too long');
  });
});

describe('a large host is no exhaustion', () => {
  test('8,000 bindings, each for one VM', () => {
    const bindings = Array.from({ length: 8000 }, (_, index) => {
      const tail = index.toString(16).padStart(4, '0');
      return `{ mac: 52:54:00:00:${tail.slice(0, 2)}:${tail.slice(2)}, device: macvtap${index}, policy: p }`;
    });
    assert.equal(parse(withBindings(...bindings)).bindings.length, 8000);
  });

  test('a set of 100,000 addresses in one policy', () => {
    const addresses = Array.from(
      { length: 100_000 },
      (_, index) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
    );
    const rules = `      ip saddr {\n${addresses.map((address) => `        ${address},\n`).join('')}      } drop\n`;
    const policy = parse(`policies:\n  p:\n    ingress: |\n${rules}bindings: []\n`).policies.get('p');
    assert.ok(policy?.kind === 'inline');
    assert.equal(policy.ingress?.text.split('\n').length, 100_003);
  });
});
