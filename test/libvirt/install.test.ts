import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { TapwallError } from '#src/error.js';
import {
  type HookSettings,
  hookScript,
  installHook,
  readHookState,
  uninstallHook,
} from '#src/libvirt/install.js';
import { withFiles } from '../support/agent.js';

/** In place of the program: tells its arguments and ends with 7. */
const PROGRAM = '#!/bin/sh\nprintf "%s\\n" "$@"\nexit 7\n';

function settings(folder: string): HookSettings {
  const program = join(folder, "a program's");
  writeFileSync(program, PROGRAM, { mode: 0o755 });
  return {
    program,
    control: '/run/tapwall/tapwall.sock',
    timeoutMs: 10_000,
    onFailure: 'refuse',
    node: '/usr/bin/node',
    main: '/usr/lib/tapwall/main.js',
    config: '/etc/tapwall/tapwall.yaml',
  };
}

function call(script: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(script, args, { encoding: 'utf8', input: '<domain/>' });
  return { status, stdout, stderr };
}

describe('the hook', () => {
  it('stands beside others, and is removed without them', async () => {
    await withFiles({}, (folder) => {
      const hooks = join(folder, 'hooks');
      mkdirSync(join(hooks, 'qemu.d'), { recursive: true });
      writeFileSync(join(hooks, 'qemu'), '#!/bin/sh\n', { mode: 0o755 });
      writeFileSync(join(hooks, 'qemu.d', '10-other'), '#!/bin/sh\n', { mode: 0o755 });
      writeFileSync(join(hooks, 'qemu.d', 'README'), 'not a hook', { mode: 0o644 });
      const others = [join(hooks, 'qemu'), join(hooks, 'qemu.d', '10-other')];
      const path = join(hooks, 'qemu.d', '50-tapwall');
      assert.deepEqual(readHookState(hooks), { path, installed: false, others });
      assert.equal(uninstallHook(hooks), false);
      assert.deepEqual(installHook(hooks, settings(folder)), { path, installed: true, others });
      assert.equal(statSync(path).mode & 0o777, 0o755);
      assert.deepEqual(readdirSync(join(hooks, 'qemu.d')), ['10-other', '50-tapwall', 'README']);
      // Again, with other settings.
      installHook(hooks, { ...settings(folder), timeoutMs: 5 });
      assert.match(readFileSync(path, 'utf8'), / 5 refuse /);
      assert.equal(uninstallHook(hooks), true);
      assert.deepEqual(readHookState(hooks), { path, installed: false, others });
    });
  });

  it('makes its folder where there is none, and takes nobody’s place', async () => {
    await withFiles({}, (folder) => {
      const hooks = join(folder, 'new');
      const { path } = installHook(hooks, settings(folder));
      writeFileSync(path, '#!/bin/sh\necho mine\n');
      assert.throws(
        () => installHook(hooks, settings(folder)),
        (error) => error instanceof TapwallError && error.code === 'HOOK',
      );
      assert.equal(uninstallHook(hooks), false);
      assert.ok(existsSync(path));
    });
  });

  it('runs its program where there is something to do, and nothing elsewhere', async () => {
    await withFiles({}, (folder) => {
      const { path } = installHook(join(folder, 'hooks'), settings(folder));
      for (const operation of ['prepare', 'started', 'stopped', 'restore', 'migrate', 'attach', '']) {
        assert.deepEqual(call(path, 'vm', operation, 'begin', '-'), { status: 0, stdout: '', stderr: '' });
      }
      for (const operation of ['start', 'reconnect', 'release']) {
        const { status, stdout } = call(path, 'a vm', operation, 'begin', '-');
        assert.equal(status, 7);
        assert.deepEqual(stdout.trimEnd().split('\n'), [
          '/run/tapwall/tapwall.sock',
          '10000',
          'refuse',
          '/usr/bin/node',
          '/usr/lib/tapwall/main.js',
          '/etc/tapwall/tapwall.yaml',
          '--',
          'a vm',
          operation,
          'begin',
          '-',
        ]);
      }
    });
  });

  it('refuses a start, and nothing else, when its program is gone', async () => {
    await withFiles({}, (folder) => {
      const one = settings(folder);
      const { path } = installHook(join(folder, 'hooks'), one);
      chmodSync(one.program, 0o644);
      const { status, stderr } = call(path, 'vm', 'start', 'begin', '-');
      assert.equal(status, 1);
      assert.match(stderr, /a program's is not there any more/);
      assert.equal(call(path, 'vm', 'reconnect', 'begin', '-').status, 0);
      assert.equal(call(path, 'vm', 'release', 'end', '-').status, 0);
      installHook(join(folder, 'hooks'), { ...one, onFailure: 'allow' });
      assert.equal(call(path, 'vm', 'start', 'begin', '-').status, 0);
    });
  });

  it('is a script that shellcheck has nothing against', async () => {
    await withFiles({}, (folder) => {
      const text = hookScript(settings(folder));
      assert.equal(execFileSync('shellcheck', ['-s', 'sh', '-'], { input: text, encoding: 'utf8' }), '');
    });
  });
});
