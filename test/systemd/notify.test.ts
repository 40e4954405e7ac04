/** What a service manager hears of the real agent, over a real socket. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { loadAddon } from '#src/kernel/addon.js';
import { GUARD, ONE_POLICY, withFiles } from '../support/agent.js';
import { withLab } from '../support/host.js';
import { MAIN } from '../support/run.js';
import { until } from '../support/station.js';
import { ManagerSocket } from './manager-socket.js';

const DEVICE = { name: 'macvtap0', mac: '52:54:00:00:00:01' };

describe('tapwall run under a service manager', () => {
  it('is ready once every device is filtered, lives, reloads and stops', async () => {
    await withFiles({ 'tapwall.yaml': ONE_POLICY, 'guard.nft': GUARD }, (folder) =>
      withLab(async (lab) => {
        lab.addMacvtap(DEVICE);
        const path = join(folder, 'notify');
        const manager = await ManagerSocket.listen(path);
        const config = join(folder, 'tapwall.yaml');
        const args = [MAIN, 'run', '--config', config, '--namespace', lab.namespacePath];
        const child = spawn(process.execPath, args, {
          stdio: 'ignore',
          env: { ...process.env, NOTIFY_SOCKET: path, WATCHDOG_USEC: '2200000' },
        });
        try {
          await manager.heard('READY=1');
          assert.deepEqual(manager.lines.slice(0, 2), [
            'READY=1',
            'STATUS=filtering 1 device, placement names',
          ]);
          const alive = () => manager.lines.filter((line) => line === 'WATCHDOG=1').length;
          await until('two signs of life', () => alive() >= 2);
          writeFileSync(config, 'policies: [');
          child.kill('SIGHUP');
          await manager.heard('RELOADING=1');
          await until('ready again', () => manager.lines.filter((line) => line === 'READY=1').length === 2);
          child.kill('SIGTERM');
          const [status] = await once(child, 'exit');
          assert.equal(status, 0);
          await manager.heard('STOPPING=1');
        } finally {
          child.kill('SIGKILL');
          manager.close();
        }
      }),
    );
  });

  it('reaches a socket in the abstract name space', async () => {
    const name = `@tapwall-test-${process.pid}`;
    const manager = await ManagerSocket.listen(name);
    try {
      loadAddon().sendDatagram(name, 'READY=1');
      await manager.heard('READY=1');
    } finally {
      manager.close();
    }
  });
});
