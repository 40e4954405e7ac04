import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import type { AgentEvent } from '#src/agent/event.js';
import { readPrivileges } from '#src/kernel/privilege.js';
import { GUARD, ONE_POLICY, PLACEMENTS, withFiles } from '../support/agent.js';
import { withLab } from '../support/host.js';
import { tapwallAsNobody, tapwallWithNetAdmin } from '../support/ordinary-user.js';
import { MAIN, Running } from '../support/run.js';
import { fates, packet, until } from '../support/station.js';

const LAN = { destination: '192.168.7.7' };

async function withFolder<T>(action: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-nobody-'));
  try {
    return await action(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('a user with CAP_NET_ADMIN and nothing else', () => {
  for (const placement of PLACEMENTS) {
    it(`can run the agent: start, attach, reload, stop; placement ${placement}`, async () => {
      const yaml = `placement: ${placement}\n${ONE_POLICY}`;
      await withLab((lab) =>
        withFiles({ 'tapwall.yaml': yaml, 'guard.nft': GUARD }, (files) =>
          withFolder(async (folder) => {
            chmodSync(files, 0o755);
            const configuration = join(files, 'tapwall.yaml');
            const args = ['run', '--config', configuration, '--json'];
            const child = tapwallWithNetAdmin(lab.namespacePath, folder, ...args);
            let output = '';
            child.stdout?.on('data', (data: Buffer) => {
              output += data;
            });
            const errors = child.stderr ? text(child.stderr) : '';
            const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
            const saw = (event: AgentEvent['event']) =>
              until(event, () => output.includes(`"event":"${event}"`) || child.exitCode !== null);
            try {
              await saw('ready');
              assert.equal(child.exitCode, null, `${output}${child.exitCode === null ? '' : await errors}`);
              // The shell, nsenter, unshare and setpriv have each become the next.
              const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
              assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
              assert.deepEqual(readPrivileges(status), {
                capabilities: ['CAP_NET_ADMIN'],
                noNewPrivileges: true,
              });
              const guest = lab.addGuest({ name: 'macvtap0', mac: '52:54:00:00:00:01' });
              const world = lab.world();
              await saw('attached');
              assert.deepEqual(await fates([packet(guest, world, LAN), packet(guest, world)]), [false, true]);
              writeFileSync(join(files, 'guard.nft'), GUARD.replaceAll(' drop', ' accept'));
              child.kill('SIGHUP');
              await saw('reloaded');
              assert.deepEqual(await fates([packet(guest, world, LAN)]), [true]);
              child.kill('SIGTERM');
              assert.equal(await ended, 0);
              assert.equal(await errors, '');
              assert.doesNotMatch(output, /"event":"(failed|warning)".*EPERM/);
            } finally {
              child.kill('SIGKILL');
            }
          }),
        ),
      );
    });
  }

  it('is told by doctor what is there, what is missing and what is lost', async () => {
    await withLab((lab) =>
      withFolder(async (folder) => {
        const child = tapwallWithNetAdmin(lab.namespacePath, folder, 'doctor', '--json');
        const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
        const output = child.stdout ? await text(child.stdout) : '';
        assert.equal(await ended, 0, output);
        const lines = output
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as Record<string, unknown>);
        assert.deepEqual(
          lines.find(({ event }) => event === 'privileges'),
          { event: 'privileges', user: 65534, capabilities: ['CAP_NET_ADMIN'], noNewPrivileges: true },
        );
        const finding = (feature: string) => lines.find((line) => line['feature'] === feature);
        assert.equal(finding('CAP_NET_ADMIN')?.['ok'], true);
        assert.equal(finding('CAP_SYS_ADMIN')?.['ok'], false);
        assert.match(String(finding('CAP_SYS_ADMIN')?.['consequence']), /no --namespace/);
        // Tried in a user namespace.
        assert.ok(lines.some(({ feature, ok }) => String(feature).includes('egress') && ok === true));
      }),
    );
  });
});

describe('a user without any right', () => {
  it('is told by doctor that nothing can be filtered', () => {
    const { status, stdout } = tapwallAsNobody('doctor');
    assert.equal(status, 1, stdout);
    assert.match(stdout, /CAP_NET_ADMIN *│ NO *│ no device can be filtered/);
  });
});

describe('an agent that root starts', () => {
  /** Of the kernel's own words, every set. */
  function setsOf(pid: number | undefined): Record<string, readonly string[]> {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const sets = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((name) => {
      const [, mask] = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status) ?? [];
      return [name, readPrivileges(`CapEff:\t${mask}\n`).capabilities];
    });
    return { ...Object.fromEntries(sets), NoNewPrivs: [/^NoNewPrivs:\s*(\d)$/m.exec(status)?.[1] ?? ''] };
  }

  function onlyThose(...kept: string[]) {
    return { CapInh: [], CapPrm: kept, CapEff: kept, CapBnd: kept, CapAmb: [], NoNewPrivs: ['1'] };
  }

  /** Every thread has its own. */
  function assertRights(pid: number | undefined, ...kept: string[]): void {
    const threads = readdirSync(`/proc/${pid}/task`);
    assert.ok(threads.length > 1);
    for (const thread of threads) assert.deepEqual(setsOf(Number(thread)), onlyThose(...kept));
  }

  it('has what it needs and nothing else, in every thread; it reads root’s own files again, and makes its socket', async () => {
    await withLab((lab) =>
      withFiles({ 'tapwall.yaml': ONE_POLICY, 'guard.nft': GUARD }, async (folder) => {
        const socket = join(folder, 'run', 'tapwall.sock');
        for (const name of ['tapwall.yaml', 'guard.nft']) chmodSync(join(folder, name), 0o600);
        const yaml = `${ONE_POLICY}control: { path: ${socket}, group: 43210 }\n`;
        writeFileSync(join(folder, 'tapwall.yaml'), yaml);
        const running = new Running(lab, folder);
        try {
          await running.saw('ready');
          // The namespace is named by a process of somebody else's.
          assertRights(running.child.pid, 'CAP_CHOWN', 'CAP_NET_ADMIN', 'CAP_SYS_PTRACE', 'CAP_SYS_ADMIN');
          const { gid, mode } = statSync(socket);
          assert.deepEqual([gid, mode & 0o777], [43210, 0o660]);
          const guest = lab.addGuest({ name: 'macvtap0', mac: '52:54:00:00:00:01' });
          const world = lab.world();
          await running.saw('attached');
          assert.deepEqual(await fates([packet(guest, world, LAN), packet(guest, world)]), [false, true]);
          writeFileSync(join(folder, 'guard.nft'), GUARD.replaceAll(' drop', ' accept'));
          running.child.kill('SIGHUP');
          await running.saw('reloaded');
          assert.deepEqual(await fates([packet(guest, world, LAN)]), [true]);
          assert.deepEqual(
            running.events.map(({ event }) => event),
            ['ready', 'attached', 'attached', 'reloaded'],
          );
        } finally {
          running.child.kill('SIGTERM');
          assert.equal(await running.exited, 0);
        }
      }),
    );
  });

  it('may not look into other processes where no network namespace is named by one', async () => {
    await withLab((lab) =>
      withFiles({ 'tapwall.yaml': ONE_POLICY, 'guard.nft': GUARD }, async (folder) => {
        const { TAPWALL_FORBID_HOST_NAMESPACE: _, ...env } = process.env;
        const args = ['run', '--config', join(folder, 'tapwall.yaml'), '--json'];
        const start = async (prefix: string[], ...more: string[]) => {
          const command = [`--net=${lab.namespacePath}`, ...prefix, process.execPath, MAIN, ...args, ...more];
          const options = { env: { ...env, TAPWALL_CONTROL: 'off' } };
          const child = spawn('nsenter', command, { ...options, stdio: ['ignore', 'pipe', 'inherit'] });
          let said = '';
          child.stdout.on('data', (data: Buffer) => {
            said += data;
          });
          const exited = new Promise((resolve) => child.on('close', resolve));
          await until('ready', () => said.includes('"event":"ready"') || child.exitCode !== null);
          return { child, exited, said: () => said };
        };
        const dropped = await start([]);
        try {
          assertRights(dropped.child.pid, 'CAP_CHOWN', 'CAP_NET_ADMIN', 'CAP_SYS_ADMIN');
        } finally {
          dropped.child.kill('SIGTERM');
          await dropped.exited;
        }
        // What `systemctl edit` can leave the unit.
        const bounded = ['--bounding-set=-all,+net_admin,+chown', '--inh-caps=-all', '--no-new-privs'];
        const less = await start(['setpriv', ...bounded]);
        try {
          assertRights(less.child.pid, 'CAP_CHOWN', 'CAP_NET_ADMIN');
          const guest = lab.addGuest({ name: 'macvtap0', mac: '52:54:00:00:00:01' });
          await until('attached', () => less.said().includes('"event":"attached"'));
          assert.deepEqual(await fates([packet(guest, lab.world(), LAN), packet(guest, lab.world())]), [
            false,
            true,
          ]);
        } finally {
          less.child.kill('SIGTERM');
          await less.exited;
        }
        const kept = await start([], '--keep-rights');
        try {
          assert.ok((setsOf(kept.child.pid)['CapEff']?.length ?? 0) > 4);
          assert.deepEqual(setsOf(kept.child.pid)['NoNewPrivs'], ['0']);
        } finally {
          kept.child.kill('SIGTERM');
          await kept.exited;
        }
      }),
    );
  });
});
