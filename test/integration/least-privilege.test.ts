import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import type { AgentEvent } from '#src/agent/event.js';
import { readPrivileges } from '#src/kernel/privilege.js';
import { GUARD, ONE_POLICY, PLACEMENTS, withFiles } from '../support/agent.js';
import { withLab } from '../support/host.js';
import { tapwallAsNobody, tapwallWithNetAdmin } from '../support/ordinary-user.js';
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
