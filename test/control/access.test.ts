/** Who may ask an agent, on real sockets and with real users. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, statSync } from 'node:fs';
import { describe, it } from 'node:test';
import { ControlClient } from '#src/control/client.js';
import { withLab } from '../support/host.js';
import { packet, passes } from '../support/station.js';
import { type ControlledAgent, withControl } from './support.js';

const MAC = '52:54:00:00:00:01';
const FILES = {
  'tapwall.yaml': 'policies: { web: { default: accept } }\nbindings: [{ device: "*", policy: web }]\n',
};
const NOBODY = '65534';
/** No group of that number need be there. */
const GROUP = '43210';

/** Sends one line as another user, and gives what came back, or the code of what went wrong. */
async function askAs(credentials: string[], path: string, line: string): Promise<string> {
  const script = `
    const socket = require('node:net').connect(process.argv[1]);
    let heard = '';
    socket.on('data', (chunk) => { heard += chunk; socket.end(); });
    socket.on('error', ({ code }) => { heard ||= code; });
    socket.on('close', () => process.stdout.write(heard));
    socket.write(process.argv[2]);
  `;
  const child = spawn('setpriv', [...credentials, process.execPath, '-e', script, path, line], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let heard = '';
  child.stdout.on('data', (chunk: Buffer) => {
    heard += chunk.toString('utf8');
  });
  await new Promise((resolve) => child.on('close', resolve));
  return heard;
}

const asNobody = ['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups'];
const asMember = ['--reuid', NOBODY, '--regid', NOBODY, '--groups', GROUP];
const QUARANTINE = `${JSON.stringify({
  version: 1,
  id: 1,
  request: 'quarantine',
  device: { name: 'macvtap0' },
})}\n`;

async function withSocket(
  options: { group?: string },
  action: (running: ControlledAgent, isOpen: () => Promise<boolean>) => Promise<void>,
): Promise<void> {
  await withLab(async (lab) => {
    const guest = lab.addGuest({ name: 'macvtap0', mac: MAC });
    const world = lab.world();
    await withControl(
      lab,
      FILES,
      async (running) => {
        chmodSync(running.folder, 0o755);
        await action(running, () => passes(packet(guest, world)));
      },
      options,
    );
  });
}

describe('who may ask', () => {
  it('nobody but root, by the mode of the socket and, should that be lost, by who it is that asks', async () => {
    await withSocket({}, async ({ path, notices }, isOpen) => {
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assert.equal(await askAs(asNobody, path, QUARANTINE), 'EACCES');
      chmodSync(path, 0o666);
      const answer = JSON.parse(await askAs(asNobody, path, QUARANTINE));
      assert.deepEqual([answer.id, answer.ok, answer.error.code], [null, false, 'ACCESS_DENIED']);
      assert.match(notices.join('\n'), /user 65534 may not ask/);
      assert.equal(await isOpen(), true);
    });
  });

  it('a member of the group, and no one else', async () => {
    await withSocket({ group: GROUP }, async ({ path }, isOpen) => {
      const { mode, gid } = statSync(path);
      assert.deepEqual([mode & 0o777, String(gid)], [0o660, GROUP]);
      assert.equal(await askAs(asNobody, path, QUARANTINE), 'EACCES');
      assert.equal(await isOpen(), true);
      const answer = JSON.parse(await askAs(asMember, path, QUARANTINE));
      assert.deepEqual([answer.id, answer.ok, answer.result.state], [1, true, 'quarantined']);
      assert.equal(await isOpen(), false);
    });
  });

  it('and a second agent does not take the socket of one that runs', async () => {
    await withSocket({}, async ({ path, client }) => {
      await withLab(async (other) => {
        const { Control } = await import('#src/control/control.js');
        const settings = { path, group: undefined, mode: undefined };
        const options = {
          namespace: other.host.namespace,
          reload: async () => undefined,
          notice: () => undefined,
        };
        await assert.rejects(Control.open(settings, options), { code: 'CONTROL_IN_USE' });
      });
      assert.equal((await client.status()).devices['attached'], 1);
      await (await ControlClient.connect({ path })).hello();
    });
  });
});
