/** The unit as systemd itself judges it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { withFiles } from '../support/agent.js';

const UNIT = fileURLToPath(new URL('../../packaging/systemd/tapwall.service', import.meta.url));

function analyze(...args: string[]): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  return { status, text: stdout + stderr };
}

describe('the systemd unit', () => {
  it('has nothing that systemd-analyze verify complains of', async () => {
    // The command need not be installed where the unit is tested.
    const unit = readFileSync(UNIT, 'utf8').replaceAll('/usr/bin/tapwall', '/usr/bin/env');
    await withFiles({}, (folder) => {
      const file = join(folder, 'tapwall.service');
      writeFileSync(file, unit);
      assert.deepEqual(analyze('verify', '--man=no', file), { status: 0, text: '' });
      writeFileSync(file, unit.replace('Type=notify', 'Type=notiphy'));
      assert.match(analyze('verify', '--man=no', file).text, /notiphy/);
    });
  });

  it('is exposed by 3.0 at most', () => {
    const { status, text } = analyze('security', '--offline=yes', '--threshold=30', UNIT);
    assert.equal(status, 0, text);
  });

  it('comes before whatever starts guests, and leaves the filters when it stops', () => {
    const unit = readFileSync(UNIT, 'utf8');
    assert.match(unit, /^Before=libvirtd\.service virtqemud\.service$/m);
    assert.doesNotMatch(unit, /detach-on-exit|ExecStop/);
  });
});
