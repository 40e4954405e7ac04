import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadConfiguration, parseConfiguration } from '#src/config/load.js';
import { TapwallError } from '#src/error.js';
import { brief, FILE, parse, problemsOf, withBindings, withPolicy } from './support.js';

const COMPLETE = `# What the file of a small host looks like.
devices:
  prefixes: [macvtap, vmtap]
  names: ["macvtap{0..1}", "vmtap-{a,b}"]
placement: names
unmatched: legacy
egress: optional
sets:
  dns: { type: ipv4_addr.inet_service, elements: [192.168.2.1 . 53, 10.0.0.0/8  .  53], timeout: 1h, size: 100 }
policies:
  lan-guard:
    ingress: |
      ip saddr $gateway accept
      ip saddr 192.168.0.0/16 drop
    egress: ip daddr $gateway accept
    default: accept
    guards: [dhcp-server, arp, ip, ethertype]
    limits: { broadcast: 100/second, egress-bytes: 10 mbytes/second burst 2 mbytes }
    variables: { gateway: 192.168.2.1, most: 5, lan: "{ 10.0.0.0/8, 192.168.0.0/16 }" }
  legacy:
    file: filters/macvtap.nft
    variables: { gateway: 192.168.2.1 }
bindings:
  - { mac: 52-54-00-AA-BB-CC, parent: enp88s0, policy: lan-guard, addresses: [192.0.2.7, "2001:db8::/64"] }
  - { device: "macvtap*", alias: "tenant/{a,b}-*", policy: legacy }
`;

describe('a configuration that is right', () => {
  test('is read in full', () => {
    assert.deepEqual(parse(COMPLETE), {
      file: FILE,
      devices: { prefixes: ['macvtap', 'vmtap'], names: ['macvtap0', 'macvtap1', 'vmtap-a', 'vmtap-b'] },
      placement: 'names',
      unmatched: { action: 'policy', policy: 'legacy' },
      domainPolicies: [],
      egress: 'optional',
      namespaces: ['self'],
      owner: true,
      reconcileMs: 60_000,
      control: { path: undefined, group: undefined, mode: undefined },
      libvirtState: '/run/libvirt/qemu',
      metrics: undefined,
      sets: new Map([
        [
          'dns',
          {
            name: 'dns',
            type: 'ipv4_addr . inet_service',
            packed: undefined,
            elements: ['192.168.2.1 . 53', '10.0.0.0/8 . 53'],
            flags: ['interval', 'timeout'],
            timeout: '1h',
            size: 100,
            location: { file: FILE, line: 9, column: 3 },
            elementLocations: [
              { file: FILE, line: 9, column: 51 },
              { file: FILE, line: 9, column: 69 },
            ],
          },
        ],
      ]),
      policies: new Map<string, unknown>([
        [
          'lan-guard',
          {
            kind: 'inline',
            name: 'lan-guard',
            location: { file: FILE, line: 11, column: 3 },
            ingress: {
              text: 'ip saddr $gateway accept\nip saddr 192.168.0.0/16 drop\n',
              location: { file: FILE, line: 13, column: 7 },
              sourceLine: '      ip saddr $gateway accept',
              verbatim: true,
            },
            egress: {
              text: 'ip daddr $gateway accept',
              location: { file: FILE, line: 15, column: 13 },
              sourceLine: '    egress: ip daddr $gateway accept',
              verbatim: true,
            },
            default: 'accept',
            variables: { gateway: '192.168.2.1', most: '5', lan: '{ 10.0.0.0/8, 192.168.0.0/16 }' },
            guards: ['ethertype', 'arp-mac', 'arp-ip', 'ip4', 'ip6', 'dhcp-server'],
            limits: {
              broadcast: { unit: 'packets', amount: 100, seconds: 1, burst: 5 },
              egressBytes: { unit: 'bytes', amount: 10 << 20, seconds: 1, burst: 2 << 20 },
            },
          },
        ],
        [
          'legacy',
          {
            kind: 'file',
            name: 'legacy',
            location: { file: FILE, line: 20, column: 3 },
            file: '/etc/tapwall/filters/macvtap.nft',
            variables: { gateway: '192.168.2.1' },
            guards: [],
            limits: {},
          },
        ],
      ]),
      bindings: [
        {
          parent: 'enp88s0',
          mac: '52:54:00:aa:bb:cc',
          addresses: [
            { family: 4, bytes: Uint8Array.of(192, 0, 2, 7), prefixLength: 32 },
            {
              family: 6,
              bytes: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
              prefixLength: 64,
            },
          ],
          policy: 'lan-guard',
          location: { file: FILE, line: 24, column: 5 },
        },
        {
          device: 'macvtap*',
          alias: 'tenant/{a,b}-*',
          policy: 'legacy',
          location: { file: FILE, line: 25, column: 5 },
        },
      ],
      warnings: [],
    });
  });

  test('can be posted to a worker', () => {
    const configuration = parse(COMPLETE);
    assert.deepEqual(structuredClone(configuration), configuration);
  });

  test('gets libvirt’s names, a required egress hook and a closed default when it says nothing about them', () => {
    const configuration = parse(withPolicy('ingress: accept'));
    assert.deepEqual(configuration.devices.prefixes, ['macvtap']);
    assert.equal(configuration.devices.names.length, 8192);
    assert.equal(configuration.placement, 'auto');
    assert.deepEqual(configuration.unmatched, { action: 'drop' });
    assert.deepEqual(configuration.sets, new Map());
    assert.equal(configuration.egress, 'required');
    const policy = configuration.policies.get('p');
    assert.equal(policy?.kind === 'inline' && policy.default, 'drop');
  });

  test('may name no prefixes and have no bindings', () => {
    const configuration = parse('devices: {}\npolicies: {}\nbindings: []\n');
    assert.deepEqual(configuration.devices.prefixes, ['macvtap']);
    assert.deepEqual(configuration.bindings, []);
  });

  test('keeps an absolute path, and takes a relative one from the folder of the configuration', () => {
    const fileOf = (path: string) => {
      const policy = parse(withPolicy(`file: ${path}`)).policies.get('p');
      return policy?.kind === 'file' && policy.file;
    };
    assert.equal(fileOf('/srv/a.nft'), '/srv/a.nft');
    assert.equal(fileOf('../a.nft'), '/etc/a.nft');
  });

  test('may name the folder in which libvirt keeps its state, or leave it unread', () => {
    const stateOf = (value: string) =>
      parse(`libvirt-state: ${value}\n${withBindings('{ device: "*", policy: p }')}`).libvirtState;
    assert.deepEqual(['/run/other', 'off'].map(stateOf), ['/run/other', undefined]);
    const problems = problemsOf(() => stateOf('run/libvirt'));
    assert.deepEqual(problems.map(brief), ['1:16+11 `run/libvirt` is not an absolute path']);
  });

  test('may begin with a byte order mark, which does not move the first line', () => {
    assert.equal(parse(`\ufeff${withBindings('{ device: "*", policy: p }')}`).bindings.length, 1);
    assert.deepEqual(problemsOf(() => parse('\ufeffpolices: {}\npolicies: {}\nbindings: []')).map(brief), [
      '1:1+7 unknown key `polices` in the configuration | Did you mean `policies`?',
    ]);
  });

  test('may end its lines as on Windows', () => {
    const policy = parse(
      withPolicy('ingress: |', '  accept', '  drop').replaceAll('\n', '\r\n'),
    ).policies.get('p');
    assert.equal(policy?.kind === 'inline' && policy.ingress?.text, 'accept\ndrop\n');
  });

  test('may use a text twice through an alias', () => {
    const policy = parse(withPolicy('ingress: &rules |', '  accept', 'egress: *rules')).policies.get('p');
    assert.ok(policy?.kind === 'inline');
    assert.equal(policy.egress?.text, 'accept\n');
    assert.deepEqual(policy.egress?.location, { file: FILE, line: 4, column: 7 });
  });
});

test('a configuration with guards, sets and addresses, as a host has it, is right', () => {
  const { policies, bindings, warnings } = parse(`
devices:
  prefixes: [macvtap]              # the names libvirt gives
unmatched: drop                    # a device that no binding admits
sets:
  dns: { type: ipv4_addr, elements: [192.168.2.1, 192.168.2.53] }
policies:
  lan-guard:
    guards: [mac, ip, arp, nd, dhcp-server, ra, ethertype, fragment]
    ingress: |
      ip saddr 192.168.2.1 accept
      ip saddr 192.168.0.0/16 drop
    egress: |
      ip daddr @dns accept
      ip daddr 192.168.0.0/16 drop
    default: accept
  legacy:
    file: filtermacvtap.nft
bindings:
  - { alias: myvm, parent: enp88s0, policy: lan-guard, addresses: [203.0.113.7, "2001:db8::7"] }
  - { device: "macvtap*", parent: enp88s0, policy: legacy }
`);
  assert.deepEqual(warnings, []);
  assert.equal(policies.get('lan-guard')?.guards.length, 10);
  assert.equal(bindings[0]?.addresses?.length, 2);
});

describe('a file that cannot be read', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapwall-config-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  function put(name: string, content: string | Uint8Array): string {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  }

  function refusal(path: string): TapwallError {
    try {
      loadConfiguration(path);
    } catch (error) {
      assert.ok(error instanceof TapwallError, String(error));
      assert.equal(error.code, 'CONFIG');
      return error;
    }
    return assert.fail('the file was read');
  }

  test('is read when there is nothing wrong with it', () => {
    const path = put('good.yaml', COMPLETE);
    const configuration = loadConfiguration(path);
    assert.equal(configuration.file, path);
    const policy = configuration.policies.get('legacy');
    assert.equal(policy?.kind === 'file' && policy.file, join(folder, 'filters/macvtap.nft'));
  });

  test('says why: missing, a folder, below a file, links in a circle', () => {
    const path = put('plain', '');
    mkdirSync(join(folder, 'folder'));
    symlinkSync('circle', join(folder, 'circle'));
    const reason = (name: string) => refusal(join(folder, name)).message.replace(`${folder}/`, '');
    assert.equal(reason('missing'), 'cannot read the configuration missing: there is no such file');
    assert.equal(reason('folder'), 'cannot read the configuration folder: it is a folder');
    assert.equal(
      reason('circle'),
      'cannot read the configuration circle: its symbolic links lead in a circle',
    );
    assert.equal(
      refusal(`${path}/below`).message,
      `cannot read the configuration ${path}/below: a part of its path is not a folder`,
    );
  });

  test('says that this user may not read it', () => {
    const path = put('secret', '');
    chmodSync(path, 0);
    const isRoot = process.geteuid?.() === 0;
    // Root may read everything, so it becomes nobody for a moment.
    if (isRoot) process.seteuid?.(65534);
    try {
      assert.equal(refusal(path).message, `cannot read the configuration ${path}: this user may not read it`);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  test('is refused beyond 16 MiB, and when it would never end', () => {
    const path = put('large', Buffer.alloc(16 * 1024 * 1024 + 1, '#'));
    assert.equal(refusal(path).message, `cannot read the configuration ${path}: it is larger than 16 MiB`);
    assert.equal(
      refusal('/dev/zero').message,
      'cannot read the configuration /dev/zero: it is no ordinary file',
    );
  });

  test('is refused at the first byte that is not UTF-8', () => {
    const path = put('latin1', Buffer.from('# ok\n# é \ufffd caf\xe9\n', 'latin1'));
    const exact = put(
      'mixed',
      Buffer.concat([Buffer.from('# ok\n# é\u{1f600}\ufffd '), Buffer.from([0xe9, 0x0a])]),
    );
    const at = (file: string) => problemsOf(() => loadConfiguration(file)).map(brief);
    assert.deepEqual(at(path), ['2:3+1 a byte that is not UTF-8']);
    assert.deepEqual(at(exact), ['2:8+1 a byte that is not UTF-8']);
    assert.deepEqual(at(put('utf16', Buffer.from('\ufeffa: 1', 'utf16le'))), [
      '1:1+1 this is UTF-16: a configuration must be UTF-8',
    ]);
    assert.deepEqual(at(put('one-byte', Buffer.from([0xff]))), ['1:1+1 a byte that is not UTF-8']);
  });
});

describe('a text without a configuration', () => {
  const at = (text: string) => problemsOf(() => parseConfiguration(text, FILE)).map(brief);

  test('is refused for what it is', () => {
    assert.deepEqual(at(''), ['1:1+1 the configuration is empty']);
    assert.deepEqual(at('\ufeff \n\n'), ['1:1+1 the configuration is empty']);
    assert.deepEqual(at('# nothing\n'), ['1:1+1 the configuration has nothing but comments']);
    assert.deepEqual(at('a: 1\nb: \0'), ['2:4+1 a NUL: this is not a text file']);
  });

  test('is refused when its top is no map', () => {
    const expected = 'expected a map with the keys `policies` and `bindings`, got';
    assert.deepEqual(at('[1]\n'), [`1:1+3 ${expected} a list`]);
    assert.deepEqual(at('\n hello'), [`2:2+5 ${expected} the text \`hello\``]);
    assert.deepEqual(at('42'), [`1:1+2 ${expected} the number 42`]);
    assert.deepEqual(at('---\n'), [`1:4+1 ${expected} nothing`]);
  });
});
