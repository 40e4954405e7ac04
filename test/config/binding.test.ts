import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type DeviceFacts, isSelected, matchBinding } from '#src/config/binding.js';
import type { Binding } from '#src/config/configuration.js';
import { SourceError } from '#src/error.js';
import { parse, withBindings } from './support.js';

const location = { file: 'f', line: 1, column: 1 };
const device: DeviceFacts = {
  name: 'macvtap3',
  kind: 'macvtap',
  mac: '52:54:00:aa:bb:cc',
  alias: 'tenant/a',
  parentName: 'eth0',
};

function matches(selectors: Omit<Binding, 'policy' | 'location'>, facts: DeviceFacts = device): boolean {
  return matchBinding([{ ...selectors, policy: 'p', location }], facts) !== undefined;
}

describe('a binding', () => {
  test('matches if all of its selectors do', () => {
    const all = { device: 'macvtap?', parent: 'eth0', mac: '52:54:00:aa:bb:cc', alias: 'tenant/*' };
    assert.ok(matches(all));
    assert.ok(!matches({ ...all, device: 'macvtap' }));
    assert.ok(!matches({ ...all, parent: 'eth' }));
    assert.ok(!matches({ ...all, mac: '52:54:00:aa:bb:cd' }));
    assert.ok(!matches({ ...all, alias: 'tenant' }));
  });

  test('does not match by what is not known of a device', () => {
    const bare: DeviceFacts = { name: 'macvtap3', kind: 'macvtap', mac: undefined };
    assert.ok(matches({ device: '*' }, bare));
    assert.ok(!matches({ parent: 'eth0' }, bare));
    assert.ok(!matches({ mac: '52:54:00:aa:bb:cc' }, bare));
    assert.ok(!matches({ alias: '*' }, bare));
    assert.ok(!matches({ alias: '*' }, { ...bare, alias: '' }));
  });

  test('knows the guest that somebody has told, and no other', () => {
    const uuid = '0d6e7c0a-3a4b-4a52-9d6c-0f4f5d8a1b2c';
    const told = { ...device, guest: 'web-1', uuid };
    assert.ok(matches({ guest: 'web-*' }, told));
    assert.ok(matches({ guest: 'web-1', uuid, device: 'macvtap3' }, told));
    assert.ok(!matches({ guest: 'web' }, told));
    assert.ok(!matches({ uuid: uuid.replace('0d', '0e') }, told));
    assert.ok(!matches({ guest: '*' }), 'nothing was told of this one');
    assert.ok(!matches({ uuid }));
  });

  test('reads a UUID whatever its case', () => {
    const text = withBindings('{ uuid: 0D6E7C0A-3A4B-4A52-9D6C-0F4F5D8A1B2C, policy: p }');
    assert.equal(parse(text).bindings[0]?.uuid, '0d6e7c0a-3a4b-4a52-9d6c-0f4f5d8a1b2c');
  });

  test('compares addresses whatever their case', () => {
    assert.ok(matches({ mac: '52:54:00:aa:bb:cc' }, { ...device, mac: '52:54:00:AA:BB:CC' }));
  });

  test('matches nothing if it was built by hand with a glob that cannot be read', () => {
    assert.ok(!matches({ device: '[' }));
  });

  test('takes the name of a parent literally', () => {
    assert.ok(!matches({ parent: 'eth*' }));
  });
});

test('the first binding that matches wins', () => {
  const { bindings } = parse(
    withBindings(
      '{ device: macvtap9, policy: p }',
      '{ device: "macvtap[1-5]", parent: eth0, policy: p }',
      '{ device: "*", policy: p }',
    ),
  );
  assert.equal(matchBinding(bindings, device), bindings[1]);
  assert.equal(matchBinding(bindings, { ...device, parentName: 'eth1' }), bindings[2]);
  assert.equal(matchBinding([], device), undefined);
});

test('only macvtap devices with one of the prefixes are looked at', () => {
  const devices = { prefixes: ['macvtap', 'vm'], names: [] };
  assert.ok(isSelected(devices, device));
  assert.ok(isSelected(devices, { ...device, name: 'vm' }));
  assert.ok(!isSelected(devices, { ...device, name: 'tap0' }));
  assert.ok(!isSelected(devices, { ...device, kind: 'macvlan' }));
  assert.ok(!isSelected(devices, { ...device, kind: undefined }));
  assert.ok(!matches({ device: '*' }, { ...device, kind: 'macvlan' }));
});

const selectors = fc.record(
  {
    device: fc.constantFrom(
      '*',
      'macvtap*',
      'macvtap1*',
      'macvtap?',
      'macvtap1',
      '*1',
      'macvtap{1,2}',
      'mac*',
      '{m,v}*',
    ),
    parent: fc.constantFrom('eth0', 'eth1'),
    mac: fc.constantFrom('52:54:00:00:00:01', '52:54:00:00:00:02'),
    alias: fc.constantFrom('*', 'a*', 'ab', 'a/?', '{ab,a*}'),
  },
  { requiredKeys: [] },
);
const facts = fc.record({
  name: fc.constantFrom('macvtap', 'macvtap1', 'macvtap2', 'macvtap11', 'macvtapx1'),
  kind: fc.constant('macvtap'),
  mac: fc.constantFrom('52:54:00:00:00:01', '52:54:00:00:00:02', undefined),
  alias: fc.constantFrom('a', 'ab', 'a/b', 'b', undefined),
  parentName: fc.constantFrom('eth0', 'eth1', undefined),
});

test('no device reaches a binding that was refused as unreachable', () => {
  fc.assert(
    fc.property(
      fc.array(selectors, { minLength: 1, maxLength: 4 }),
      fc.array(facts, { minLength: 20, maxLength: 40 }),
      (list, devices) => {
        const bindings: Binding[] = list
          .filter((one) => Object.keys(one).length > 0)
          .map((one, index) => ({
            ...one,
            policy: 'p',
            location: { file: 'f', line: index + 4, column: 3 },
          }));
        fc.pre(bindings.length > 0);
        const text = withBindings(...bindings.map(({ location: _, ...one }) => JSON.stringify(one)));
        const refused = new Set<number | undefined>();
        try {
          parse(text);
        } catch (error) {
          assert.ok(error instanceof SourceError);
          for (const problem of error.problems) {
            assert.match(problem.message, /can never match/);
            refused.add(problem.location?.line);
          }
        }
        for (const one of devices) {
          const found = matchBinding(bindings, one);
          assert.ok(
            !found || !refused.has(found.location.line),
            `${JSON.stringify(one)} reaches ${JSON.stringify(found)}`,
          );
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test('that bindings are found by their MAC does not change which is the first', () => {
  fc.assert(
    fc.property(fc.array(selectors, { maxLength: 6 }), facts, (list, one) => {
      const bindings = list.map((selection) => ({ ...selection, policy: 'p', location }));
      const first = bindings.find((binding) => matchBinding([binding], one));
      assert.equal(matchBinding(bindings, one), first);
    }),
    { numRuns: 1000 },
  );
});
