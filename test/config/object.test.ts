import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createConfiguration } from '#src/config/object.js';
import type { ConfigurationObject } from '#src/config/whole-schema.js';
import { parse } from './support.js';

const OBJECT: ConfigurationObject = {
  devices: { prefixes: ['macvtap', 'vm-'] },
  sets: { servers: { type: 'ipv4_addr', elements: ['192.168.2.1'] } },
  policies: {
    guard: {
      ingress: 'ip saddr @servers accept\nip saddr 192.168.0.0/16 drop\n',
      egress: undefined,
      default: 'accept',
      guards: ['mac', 'ip', 'ethertype'],
      limits: { broadcast: '100/second' },
    },
  },
  bindings: [{ mac: '52:54:00:aa:bb:cc', addresses: ['203.0.113.7'], policy: 'guard' }],
};

const TEXT = `devices: { prefixes: [macvtap, vm-] }
sets: { servers: { type: ipv4_addr, elements: [192.168.2.1] } }
policies:
  guard:
    ingress: |
      ip saddr @servers accept
      ip saddr 192.168.0.0/16 drop
    default: accept
    guards: [mac, ip, ethertype]
    limits: { broadcast: 100/second }
bindings:
  - { mac: "52:54:00:aa:bb:cc", addresses: [203.0.113.7], policy: guard }
`;

/** Where things stand is another matter. */
function withoutPlaces(value: unknown): unknown {
  const places = new Set(['location', 'elementLocations', 'sourceLine', 'file', 'warnings']);
  if (value instanceof Map) return [...value].map(withoutPlaces);
  if (Array.isArray(value)) return value.map(withoutPlaces);
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (places.has(key) ? [] : [[key, withoutPlaces(inner)]])),
  );
}

describe('a configuration that a program has made', () => {
  it('means what the same file means', () => {
    assert.deepEqual(withoutPlaces(createConfiguration(OBJECT)), withoutPlaces(parse(TEXT)));
  });

  it('keeps the lines of rules, so that nft can be told at its place', () => {
    const { policies } = createConfiguration(OBJECT);
    const guard = policies.get('guard');
    assert.ok(guard?.kind === 'inline');
    assert.equal(guard.ingress?.verbatim, true);
    assert.equal(guard.ingress.text, OBJECT.policies['guard']?.ingress);
  });

  it('keeps a long line one line', () => {
    const ingress = `ip saddr { ${Array.from({ length: 30 }, (_, index) => `192.168.2.${index}`).join(', ')} } accept`;
    const policies = { long: { ingress } };
    const { policies: read } = createConfiguration({ policies, bindings: [{ device: '*', policy: 'long' }] });
    const long = read.get('long');
    assert.ok(long?.kind === 'inline');
    assert.deepEqual([long.ingress?.text, long.ingress?.verbatim], [ingress, true]);
  });

  it('takes the same part in two places, and text that YAML would take for something else', () => {
    const limits = { broadcast: '100/second' };
    const policies = {
      a: { default: 'drop' as const, limits },
      b: { default: 'drop' as const, limits, variables: { x: '{ 22, 443 }', y: 'no', z: '0x10' } },
    };
    const { policies: read } = createConfiguration({ policies, bindings: [{ device: '*', policy: 'a' }] });
    assert.deepEqual(read.get('b')?.variables, { x: '{ 22, 443 }', y: 'no', z: '0x10' });
    assert.deepEqual(read.get('a')?.limits, read.get('b')?.limits);
  });

  it('is refused with every mistake, each with its line', () => {
    const wrong = { policies: { a: { default: 'accpet' } }, bindings: [{ device: '*', policy: 'b' }] };
    assert.throws(() => createConfiguration(wrong as unknown as ConfigurationObject, 'tenants'), {
      code: 'CONFIG',
      message: /tenants:3:14: expected `accept` or `drop`[\s\S]*tenants:6:13: there is no policy `b`/,
    });
  });

  it('is refused where YAML cannot hold it', () => {
    const cycle: Record<string, unknown> = {};
    cycle['policies'] = cycle;
    assert.throws(() => createConfiguration(cycle as unknown as ConfigurationObject), { code: 'CONFIG' });
  });
});
