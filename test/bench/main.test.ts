import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { SizeResult } from '../../dist-bench/attach/benchmark.js';
import { readReport } from '../../dist-bench/report.js';
import type { RestartResult } from '../../dist-bench/restart/chapter.js';
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
      assert.equal(status, 2);
      assert.match(stderr, message);
    }
  });

  test('says what is wrong with a file that is no report', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'none.json');
      for (const text of ['no JSON', '{"chapters":[]}']) {
        writeFileSync(file, text);
        const { status, stdout, stderr } = run('--from', file);
        assert.equal(status, 2);
        assert.equal(stdout, '');
        assert.match(stderr, /^tapwall: .*none\.json is no report: /);
        assert.doesNotMatch(stderr, /^ +at /m);
      }
      assert.match(run('--from', join(folder, 'missing.json')).stderr, /is no report: ENOENT/);
    });
  });

  test('loses nothing of what was measured when a part fails', async () => {
    await withFolder(async (folder) => {
      // An nft that is there, and fails at everything.
      const nft = join(folder, 'nft');
      writeFileSync(nft, '#!/bin/sh\n[ "$1" = --version ] && echo "nftables v0" || exit 1\n', {
        mode: 0o755,
      });
      const json = join(folder, 'report.json');
      const args = ['--quick', '--only', 'restart,reload', '--sizes', '1', '--json', json];
      const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}` };
      const { status } = spawnSync(process.execPath, [BENCHMARK, ...args], { env, timeout: 120_000 });
      assert.equal(status, 1);
      const { chapters, leftOut } = readReport(readFileSync(json, 'utf8'));
      assert.deepEqual(
        chapters.map(({ name }) => name),
        ['restart'],
      );
      assert.deepEqual(
        leftOut.map(({ name }) => name),
        ['reload'],
      );
      assert.match(leftOut[0]?.why ?? '', /^it failed: nft/);
      const results = chapters[0]?.figures['results'] as RestartResult[];
      assert.equal(results[0]?.process.length, 2);
      assert.equal(results[0]?.transactions.length, 2);
    });
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

  // attach: contenders on pipes; memory: an agent that outlives whoever reads it; leak: a script that leads a group;
  // busy: a program that reads nothing.
  for (const [name, signal, wanted] of [
    ['attach', 'SIGINT', /runner\.js/],
    ['memory', 'SIGTERM', /main\.js run/],
    ['leak', 'SIGHUP', /ip -o monitor/],
    ['busy', 'SIGTERM', /rival\.js/],
  ] as const) {
    test(`leaves nothing behind when ${signal} interrupts ${name}`, async () => {
      await withFolder(async (folder) => {
        const child = spawn(process.execPath, [BENCHMARK, '--quick', '--only', name], {
          env: { ...process.env, TMPDIR: folder },
          stdio: 'ignore',
        });
        const closed = once(child, 'close');
        const ends = Date.now() + 100_000;
        const running = () => descendants(child.pid ?? 0);
        while (!running().some(({ command }) => wanted.test(command)) && Date.now() < ends) {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        const found = running();
        assert.ok(
          found.some(({ command }) => wanted.test(command)),
          `nothing like ${wanted} was started`,
        );
        child.kill(signal);
        const [status] = await closed;
        assert.equal(status, { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal]);
        assert.deepEqual(readdirSync(folder), []);
        const alive = () => found.filter(({ pid }) => existsSync(`/proc/${pid}/exe`));
        while (alive().length > 0 && Date.now() < ends)
          await new Promise((resolve) => setTimeout(resolve, 20));
        assert.deepEqual(alive(), []);
      });
    });
  }
});

/** All processes that a process has started, and those have. */
function descendants(pid: number): { pid: number; command: string }[] {
  let children: number[];
  try {
    children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    // It has ended meanwhile.
    return [];
  }
  return children.flatMap((child) => {
    try {
      const command = readFileSync(`/proc/${child}/cmdline`, 'latin1').replaceAll('\0', ' ');
      return [{ pid: child, command }, ...descendants(child)];
    } catch {
      return [];
    }
  });
}
