import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import type { Lab } from '#src/demo/lab.js';
import { GUARD, ONE_POLICY, withAgent } from '../support/agent.js';
import { runIn, withLab } from '../support/host.js';
import { MAIN } from '../support/run.js';
import { packet, passes } from '../support/station.js';

const FILES = { 'tapwall.yaml': ONE_POLICY, 'guard.nft': GUARD };
const DEVICE = { name: 'macvtap0', mac: '52:54:00:00:00:01' };

function detachAll(lab: Lab, ...more: string[]) {
  const args = [MAIN, 'detach', '--all', '--namespace', lab.namespacePath, ...more];
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
}

describe('tapwall detach --all', () => {
  it('changes nothing while an agent runs, and then takes all of tapwall away and nothing else', async () => {
    await withLab(async (lab) => {
      runIn(lab.host.namespace, ['nft', 'add table netdev mine']);
      const guest = lab.addGuest(DEVICE);
      const blocked = () => passes(packet(guest, lab.world(), { destination: '192.168.7.7' }));
      await withAgent(lab, FILES, async () => {
        assert.equal(detachAll(lab).status, 6);
        assert.equal(await blocked(), false);
      });
      assert.equal(await blocked(), false, 'the filters outlive the agent');
      const { status, stdout } = detachAll(lab, '--json');
      assert.equal(status, 0);
      const { index } = lab.host.link('macvtap0');
      assert.deepEqual(JSON.parse(stdout), {
        event: 'detached-all',
        tables: [`tapwall.${index}.guard`, 'tapwall'],
      });
      assert.equal(
        runIn(lab.host.namespace, ['nft', 'list', 'ruleset']).stdout.trim(),
        'table netdev mine {\n}',
      );
      assert.equal(await blocked(), true);
      assert.match(detachAll(lab).stdout, /nothing of tapwall/);
    });
  });

  it('wants one device or all of them', () => {
    for (const args of [[], ['macvtap0', '--all']]) {
      const { status } = spawnSync(process.execPath, [MAIN, 'detach', ...args], { encoding: 'utf8' });
      assert.equal(status, 2);
    }
  });
});
