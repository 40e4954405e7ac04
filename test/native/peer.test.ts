import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { addon } from './support.js';

function fdOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd;
}

test('who is at the other end of a Unix socket', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-peer-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'socket');
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const client = connect(path);
  const socket = await accepted;
  t.after(() => socket.destroy());
  t.after(() => client.destroy());
  const groups = process.getgroups?.() ?? [];
  const { groups: told, ...peer } = addon.peerCredentials(fdOf(socket));
  assert.deepEqual(peer, { pid: process.pid, uid: process.geteuid?.(), gid: process.getegid?.() });
  assert.deepEqual(
    told.filter((group) => group !== peer.gid).sort(),
    groups.filter((group) => group !== peer.gid).sort(),
  );
});

test('all supplementary groups of a process that has many', () => {
  const script = `
    const { createServer, connect } = require('node:net');
    const addon = require(process.argv[1]);
    process.setgroups(Array.from({ length: 1000 }, (_, number) => 50000 + number));
    const server = createServer((socket) => {
      process.stdout.write(String(addon.peerCredentials(socket._handle.fd).groups.length));
      process.exit();
    }).listen('\\0tapwall-test-peer-' + process.pid, () => connect('\\0tapwall-test-peer-' + process.pid));
  `;
  const built = new URL('../../build/Release/tapwall.node', import.meta.url).pathname;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script, built], { encoding: 'utf8' });
  assert.equal(stdout, '1000', stderr);
});

test('what is no socket, or no descriptor, is refused', () => {
  const file = openSync('/dev/null', 'r');
  after(() => closeSync(file));
  assert.throws(() => addon.peerCredentials(file), { code: 'ENOTSOCK', syscall: 'getsockopt' });
  assert.throws(() => addon.peerCredentials(-1), { name: 'TypeError' });
  assert.throws(() => addon.peerCredentials('1' as unknown as number), { name: 'TypeError' });
});
