import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Lab } from '#src/demo/lab.js';
import { GUARD, ONE_POLICY, withFiles } from '../support/agent.js';
import { runIn, withLab } from '../support/host.js';
import { Running, tapwall } from '../support/run.js';

const FILES = { 'tapwall.yaml': ONE_POLICY, 'guard.nft': `include "parts/*.nft"\n${GUARD}` };
const PARTS = ['tapwall.yaml', 'guard.nft', 'parts/one.nft', 'parts'];

async function withParts(action: (folder: string) => Promise<void> | void): Promise<void> {
  await withFiles(FILES, async (folder) => {
    mkdirSync(join(folder, 'parts'));
    writeFileSync(join(folder, 'parts/one.nft'), 'define lan = 10.0.0.0/8\n');
    await action(folder);
  });
}

/** Makes one part after the other writable for everybody. */
async function withEachOpen(folder: string, action: (path: string) => Promise<void> | void): Promise<void> {
  for (const part of PARTS) {
    const path = join(folder, part);
    chmodSync(path, 0o777);
    await action(path);
    chmodSync(path, 0o755);
  }
}

/** Without what has been counted, which the host's own frames change. */
function ruleset(lab: Lab): string {
  const { stdout } = runIn(lab.host.namespace, ['nft', 'list', 'ruleset']);
  return stdout.replaceAll(/^\t\telements = \{ .* counter packets .*\n/gm, '');
}

describe('a file that others can write', () => {
  it('keeps run from starting, and is told of by check', async () => {
    await withLab((lab) =>
      withParts(async (folder) => {
        const configuration = join(folder, 'tapwall.yaml');
        const good = tapwall('check', configuration);
        assert.equal(good.status, 0, good.stderr);
        assert.doesNotMatch(good.stderr, /others/);
        await withEachOpen(folder, (path) => {
          const run = tapwall('run', '--config', configuration, '--namespace', lab.namespacePath, '--json');
          assert.equal(run.status, 3, run.stderr);
          const error = JSON.parse(run.stdout.trim().split('\n').at(-1) ?? '');
          assert.equal(error.code, 'UNTRUSTED_FILE');
          assert.ok(error.message.includes(`${path} can be written by others (mode 0777)`), error.message);
          assert.equal(error.hint, `Take that away from them: chmod go-w ${path}`);
          const check = tapwall('check', configuration);
          assert.equal(check.status, 0, check.stderr);
          assert.ok(check.stderr.includes(`${path} can be written by others`), check.stderr);
        });
        assert.equal(ruleset(lab), '');
      }),
    );
  });

  it('is not used by a reload, nor by attach', async () => {
    await withLab((lab) =>
      withParts(async (folder) => {
        lab.addMacvtap({ name: 'macvtap0', mac: '52:54:00:00:00:01' });
        const running = new Running(lab, folder);
        try {
          await running.saw('ready');
          const before = ruleset(lab);
          let reloads = 0;
          await withEachOpen(folder, async () => {
            running.child.kill('SIGHUP');
            await running.saw('reload-failed', ++reloads);
          });
          const codes = running.events.map((event) => event.event === 'reload-failed' && event.error.code);
          assert.equal(codes.filter((code) => code === 'UNTRUSTED_FILE').length, PARTS.length);
          assert.equal(ruleset(lab), before);
        } finally {
          running.child.kill('SIGTERM');
          await running.exited;
        }
        const before = ruleset(lab);
        const policy = join(folder, 'guard.nft');
        chmodSync(policy, 0o666);
        const attach = tapwall('attach', 'macvtap0', '--policy', policy, '--namespace', lab.namespacePath);
        assert.equal(attach.status, 3, attach.stderr);
        assert.match(attach.stderr, /others decide what it says/);
        assert.equal(ruleset(lab), before);
      }),
    );
  });

  it('is no pipe and no device: neither is waited for', async () => {
    await withFiles(FILES, (folder) => {
      const pipe = join(folder, 'pipe.yaml');
      assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
      for (const file of [pipe, '/dev/zero']) {
        const { status, stderr } = tapwall('run', '--config', file, '--namespace', '/proc/self/ns/net');
        assert.equal(status, 3, stderr);
        assert.match(stderr, /it is no ordinary file/);
      }
      writeFileSync(join(folder, 'tapwall.yaml'), ONE_POLICY.replace('guard.nft', 'pipe.yaml'));
      const { status, stderr } = tapwall('check', join(folder, 'tapwall.yaml'));
      assert.equal(status, 3);
      assert.match(stderr, /cannot read the policy file .*pipe\.yaml: it is no ordinary file/);
    });
  });
});

describe('a name that would act on a terminal', () => {
  const NAME = 'macvtap\u001b[2J';
  const ODD = 'macvtap\u009b1A';

  it('is seen, and does not act', async () => {
    await withLab(async (lab) => {
      lab.addMacvtap({ name: NAME, mac: '52:54:00:00:00:01' });
      lab.addMacvtap({ name: ODD, mac: '52:54:00:00:00:02' });
      const namespace = ['--namespace', lab.namespacePath];
      await withFiles(FILES, async (folder) => {
        writeFileSync(join(folder, 'tapwall.yaml'), `placement: device\n${ONE_POLICY}`);
        writeFileSync(join(folder, 'guard.nft'), GUARD);
        const running = new Running(lab, folder);
        await running.saw('ready');
        const texts = [
          ['list'],
          ['list', '--json'],
          ['counters'],
          ['attach', 'x\u001b[1m', '--policy', 'none'],
        ].map((args) => {
          const { stdout, stderr } = tapwall(...args, ...namespace);
          return stdout + stderr;
        });
        running.child.kill('SIGTERM');
        await running.exited;
        const text = texts.join('');
        assert.ok(!text.includes('\u001b') && !text.includes('\u009b'), JSON.stringify(text));
        assert.ok(text.includes('macvtap\\u001b[2J') && text.includes('macvtap\\u009b1A'), text);
        const names = running.events.map((event) => 'device' in event && event.device);
        assert.ok(names.includes(NAME) && names.includes(ODD));
      });
    });
  });
});
