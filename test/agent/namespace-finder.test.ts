/** Which network namespaces are found, in folders of the test's own. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findNamespaces } from '#src/agent/namespace-finder.js';
import { kernel } from '../support/host.js';
import { NamedNamespaces } from '../support/named-namespaces.js';

test('namespaces are found by name, glob and path, each once, and nothing else is', () => {
  const names = new NamedNamespaces();
  const [a, b] = [kernel.createNamespace(), kernel.createNamespace()];
  try {
    names.add('b', b);
    names.add('a', a);
    names.add('a2', a);
    // What `ip netns add` makes before it mounts, what is left of one that is gone, and a folder.
    writeFileSync(join(names.folder, 'plain'), '');
    symlinkSync('/proc/self/fd/9999', join(names.folder, 'dangling'));
    mkdirSync(join(names.folder, 'folder'));
    const found = (...patterns: string[]) => {
      const { found: all, problems } = findNamespaces(patterns, 7n);
      assert.deepEqual(problems, []);
      return all.map(({ name, inode }) => [name.replace(`${names.folder}/`, ''), inode]);
    };
    assert.deepEqual(found(names.glob), [
      ['a', a.inode],
      ['b', b.inode],
    ]);
    assert.deepEqual(found(names.name('b'), 'self', names.glob), [
      ['b', b.inode],
      ['self', 7n],
      ['a', a.inode],
    ]);
    assert.deepEqual(found(names.name('{a2,plain,none}')), [['a2', a.inode]]);
    assert.deepEqual(found(b.path), [[b.path, b.inode]]);
    assert.deepEqual(found('/nowhere/at/all/*', '/proc/999999999/ns/net', 'no-such-name'), []);
  } finally {
    for (const one of [a, b]) one.close();
    names.close();
  }
});

test('what cannot be looked at is told, and the rest is found', () => {
  const names = new NamedNamespaces();
  const a = kernel.createNamespace();
  try {
    names.add('a', a);
    // A link that leads to itself.
    symlinkSync(join(names.folder, 'loop'), join(names.folder, 'loop'));
    const { found, problems } = findNamespaces([names.name('loop'), names.name('a')]);
    assert.deepEqual(
      found.map(({ name }) => name),
      [names.name('a')],
    );
    assert.deepEqual(problems, [`cannot look for network namespaces at ${names.name('loop')}: ELOOP`]);
    rmSync(join(names.folder, 'loop'));
  } finally {
    a.close();
    names.close();
  }
});
