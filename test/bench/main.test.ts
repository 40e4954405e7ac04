import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { SizeResult } from '../../dist-bench/attach/benchmark.js';
import { readReport } from '../../dist-bench/report.js';
import { MAIN } from '../support/run.js';

const BENCHMARK = fileURLToPath(new URL('../../dist-bench/main.js', import.meta.url));

function run(...args: string[]) {
  return spawnSync(process.execPath, [BENCHMARK, ...args], { encoding: 'utf8', timeout: 120_000 });
}

async function withFolder(action: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-bench-test-'));
  try {
    await action(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('the benchmark', () => {
  test('refuses what makes no sense, and says what there is', () => {
    for (const [args, message] of [
      [['--only', 'attach,speed'], /There is no speed, but there are attach, flat/],
      [['--sizes', '0'], /numbers of devices from 1 to 8191/],
      [['--placements', 'prefix,everywhere'], /some of prefix, names, device, chain/],
      [['--seed', 'x'], /whole number/],
    ] as const) {
      const { status, stderr } = run(...args);
      assert.equal(status, 1);
      assert.match(stderr, message);
    }
  });

  test('is a command of tapwall', () => {
    const { status, stdout } = spawnSync(process.execPath, [MAIN, 'bench', '--', '--help'], {
      encoding: 'utf8',
    });
    assert.equal(status, 0);
    assert.match(stdout, /--quick /);
    assert.match(stdout, /^ {2}leak {5}what leaks/m);
  });

  test('measures every contender that is there, each as often as it says', async () => {
    await withFolder(async (folder) => {
      const json = join(folder, 'report.json');
      const { status, stderr } = run('--quick', '--only', 'attach', '--sizes', '1', '--json', json);
      assert.equal(status, 0, stderr);
      assert.match(stderr, /^\[1\/1\] attaching and detaching one more device/m);
      const report = readReport(readFileSync(json, 'utf8'));
      const [attached] = report.chapters;
      assert.ok(attached);
      const [size] = attached.figures['sizes'] as SizeResult[];
      const { measurements = [] } = size ?? {};
      const names = measurements.map(({ contender }) => contender);
      assert.deepEqual(names, [
        'tapwall',
        'tapwall-again',
        'nft',
        'script',
        'nft-adds',
        'nft-interactive',
        'libnftables',
        'libnftables-json',
        'floor',
        'prefix',
        'prefix-floor',
        'names',
        'names-floor',
      ]);
      for (const { contender, attach, detach } of measurements) {
        assert.equal(attach.length, detach.length);
        assert.ok(attach.length >= 3 && attach.every((nanoseconds) => nanoseconds > 0), contender);
      }
    });
  });

  test('cleans up when it is interrupted', async () => {
    await withFolder(async (folder) => {
      const child = spawn(process.execPath, [BENCHMARK, '--quick', '--only', 'attach', '--sizes', '10'], {
        env: { ...process.env, TMPDIR: folder },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const [line] = await once(createInterface({ input: child.stderr }), 'line');
      assert.match(line, /^\[1\/1\]/);
      // Its contenders run by the time that it has files.
      while (readdirSync(folder).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
        .trim()
        .split(' ');
      child.kill('SIGINT');
      const [status] = await once(child, 'close');
      assert.equal(status, 130);
      assert.deepEqual(readdirSync(folder), []);
      const ends = Date.now() + 10_000;
      const alive = () => children.filter((pid) => pid !== '' && existsSync(`/proc/${pid}/exe`));
      while (alive().length > 0 && Date.now() < ends) await new Promise((resolve) => setTimeout(resolve, 20));
      assert.deepEqual(alive(), []);
    });
  });
});
