import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { matchBinding } from '#src/config/binding.js';
import { readNamespacePattern } from '#src/config/namespace.js';
import { parse, refuses } from './support.js';

const REST = 'policies: { p: { default: drop } }\nbindings: [{ device: "*", policy: p }]\n';

/** What stands in the first line, from column 14 on. */
function withNamespaces(list: string): string {
  return `namespaces: [${list}]\n${REST}`;
}

describe('the network namespaces that are served', () => {
  test('are the agent’s own alone, unless the configuration lists others', () => {
    assert.deepEqual(parse(REST).namespaces, ['self']);
    assert.deepEqual(parse(withNamespaces('self, "vm-*", /proc/7/ns/net')).namespaces, [
      'self',
      'vm-*',
      '/proc/7/ns/net',
    ]);
  });

  test('are names of ip-netns(8), paths, and globs of either', () => {
    assert.deepEqual(readNamespacePattern('self'), { kind: 'self' });
    for (const [text, folder, glob] of [
      ['web', '/run/netns', 'web'],
      ['{a,b}-?', '/run/netns', '{a,b}-?'],
      ['/run/netns/self', '/run/netns', 'self'],
      ['/proc/7/ns/net', '/proc/7/ns', 'net'],
      ['/var/run/docker/netns/*', '/var/run/docker/netns', '*'],
      ['/net', '/', 'net'],
    ] as const) {
      assert.deepEqual(readNamespacePattern(text), { kind: 'entries', folder, glob });
    }
  });

  test('cannot be what names none', () => {
    const hint =
      'Names are those of `ip netns list`; a path is that of a namespace, such as `/proc/PID/ns/net`.';
    refuses(withNamespaces('netns/a'), `1:14+7 \`netns/a\` is neither a name nor an absolute path | ${hint}`);
    refuses(
      withNamespaces('"/proc/*/ns/net"'),
      '1:14+16 only the last part of a path may be a glob: `/proc/*/ns/net` | List the folders one by one.',
    );
    refuses(
      withNamespaces('/run/netns/, "a[", ..'),
      '1:14+11 `/run/netns/` names no network namespace: an empty glob matches nothing',
      '1:27+4 `a[` names no network namespace: a `[` without its `]`',
      '1:33+2 `..` names no network namespace',
    );
    refuses(withNamespaces('1'), '1:14+1 expected text, got the number 1');
    refuses(`namespaces: self\n${REST}`, '1:13+4 expected a list, got the text `self`');
  });

  test('are told once each, and at least one', () => {
    refuses(withNamespaces('web, web'), '1:19+3 `web` is in this list already');
    refuses(withNamespaces(''), '1:13+2 no namespace: nothing would be filtered');
  });
});

describe('a binding to a network namespace', () => {
  const bound = (namespaces: string, namespace: string) =>
    `namespaces: ${namespaces}\npolicies: { p: { default: drop } }\nbindings: [{ namespace: ${namespace}, policy: p }]\n`;

  test('matches devices of it, by a glob; without a name it is the agent’s own', () => {
    const device = { name: 'macvtap0', kind: 'macvtap', mac: '52:54:00:00:00:01' };
    const matches = (glob: string, namespace?: string) =>
      matchBinding(parse(bound('["*", self]', glob)).bindings, { ...device, namespace }) !== undefined;
    assert.deepEqual(
      [matches('"web-*"', 'web-1'), matches('"web-*"', 'db-1'), matches('"web-*"'), matches('self')],
      [true, false, false, true],
    );
    assert.equal(matches('"/proc/*"', '/proc/7/ns/net'), true);
  });

  test('is refused where no other namespace is served, and where it is no glob', () => {
    const never = 'this binding can never match:';
    const list = 'List those that are to be served in `namespaces`.';
    refuses(
      bound('[self]', 'web'),
      `3:25+3 ${never} no network namespace but the agent’s own, \`self\`, is served | ${list}`,
    );
    assert.equal(parse(bound('[self]', '"s*"')).bindings.length, 1);
    refuses(bound('[web]', '"a["'), '3:25+4 not a glob: a `[` without its `]`');
  });

  test('is covered by one that takes all of it', () => {
    const two = (first: string, second: string) =>
      `namespaces: ["*"]\npolicies: { p: { default: drop } }\nbindings:\n- { ${first}, policy: p }\n- { ${second}, policy: p }\n`;
    const covered =
      'this binding can never match: the one in line 4 comes first and matches everything it matches | The first binding that matches wins: put the narrower one first, or take this one out.';
    refuses(two('namespace: "web*"', 'namespace: web-1'), `5:3+31 ${covered}`);
    refuses(two('device: "*"', 'namespace: web-1'), `5:3+31 ${covered}`);
    assert.equal(parse(two('namespace: web-1', 'namespace: "web*"')).bindings.length, 2);
    assert.equal(parse(two('namespace: web-1', 'device: "*"')).bindings.length, 2);
  });
});
