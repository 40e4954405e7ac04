import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Lab } from '#src/demo/lab.js';
import { FORBID_HOST_NAMESPACE } from '#src/kernel/linux.js';
import { GUARD, ONE_POLICY, withFiles } from '../support/agent.js';
import { runIn, withLab } from '../support/host.js';
import { tapwallAsNobody } from '../support/ordinary-user.js';
import { jsonLines, MAIN, Running, tapwall } from '../support/run.js';
import { packet, passes, until } from '../support/station.js';

const DEVICE = { name: 'macvtap0', mac: '52:54:00:00:00:01' };
const FILES = { 'tapwall.yaml': ONE_POLICY, 'guard.nft': GUARD };

async function withRunning(
  lab: Lab,
  folder: string,
  action: (running: Running) => Promise<void>,
  ...more: string[]
) {
  const running = new Running(lab, folder, ...more);
  try {
    await running.saw('ready');
    await action(running);
  } finally {
    running.child.kill('SIGKILL');
    await running.exited;
  }
}

describe('tapwall run', () => {
  it('tells each event as one JSON object, and leaves the filters in place on SIGTERM', async () => {
    await withFiles(FILES, (folder) =>
      withLab(async (lab) => {
        await withRunning(lab, folder, async (running) => {
          const guest = lab.addGuest(DEVICE);
          await running.saw('attached');
          running.child.kill('SIGTERM');
          assert.equal(await running.exited, 0);
          assert.deepEqual(
            running.events.map(({ event }) => event),
            ['ready', 'attached', 'stopped'],
          );
          const [, attached] = running.events;
          assert.ok(attached?.event === 'attached');
          assert.equal(attached.device, 'macvtap0');
          assert.equal(attached.policy, 'guard');
          assert.equal(typeof attached.microseconds, 'number');
          assert.equal(await passes(packet(guest, lab.world(), { destination: '192.168.7.7' })), false);
        });
      }),
    );
  });

  it('removes its filters on SIGINT with --detach-on-exit', async () => {
    await withFiles(FILES, (folder) =>
      withLab(async (lab) => {
        lab.addMacvtap(DEVICE);
        const act = async (running: Running) => {
          running.child.kill('SIGINT');
          assert.equal(await running.exited, 0);
          assert.equal(runIn(lab.host.namespace, ['nft', 'list', 'ruleset']).stdout, '');
        };
        await withRunning(lab, folder, act, '--detach-on-exit');
      }),
    );
  });

  it('reads the configuration again on SIGHUP, and keeps the old one when the new one has errors', async () => {
    await withFiles(FILES, (folder) =>
      withLab(async (lab) => {
        const guest = lab.addGuest(DEVICE);
        const world = lab.world();
        await withRunning(lab, folder, async (running) => {
          const lan = () => packet(guest, world, { destination: '192.168.7.7' });
          writeFileSync(join(folder, 'guard.nft'), GUARD.replace('drop', 'dorp'));
          running.child.kill('SIGHUP');
          await running.saw('reload-failed');
          assert.equal(await passes(lan()), false);
          writeFileSync(join(folder, 'guard.nft'), GUARD.replaceAll(' drop', ' accept'));
          running.child.kill('SIGHUP');
          await running.saw('reloaded');
          assert.equal(await passes(lan()), true);
          const failed = running.events.find(({ event }) => event === 'reload-failed');
          assert.ok(failed?.event === 'reload-failed');
          assert.match(failed.error.message, /guard\.nft:3:/);
        });
      }),
    );
  });

  it('survives nothing of itself: killed, its filters stay', async () => {
    await withFiles(FILES, (folder) =>
      withLab(async (lab) => {
        const guest = lab.addGuest(DEVICE);
        await withRunning(lab, folder, async (running) => {
          running.child.kill('SIGKILL');
          await running.exited;
          assert.equal(await passes(packet(guest, lab.world(), { destination: '192.168.7.7' })), false);
        });
      }),
    );
  });

  it('starts no nft and no ip, and no shell', async () => {
    await withFiles(FILES, (folder) =>
      withLab(async (lab) => {
        const trace = join(folder, 'trace');
        const strace = ['-f', '-qq', '-e', 'trace=execve', '-o', trace, process.execPath, MAIN];
        const where = ['--namespace', lab.namespacePath];
        const run = spawn(
          'strace',
          [...strace, 'run', '--config', join(folder, 'tapwall.yaml'), ...where, '--json'],
          {
            stdio: ['ignore', 'pipe', 'inherit'],
          },
        );
        let said = '';
        run.stdout.on('data', (data: Buffer) => {
          said += data.toString();
        });
        const exited = new Promise((resolve) => run.on('close', resolve));
        await until('ready', () => said.includes('"event":"ready"'));
        const { index } = lab.addMacvtap(DEVICE);
        await until('attached', () => said.includes('"event":"attached"'));
        lab.remove(index);
        await until('detached', () => said.includes('"event":"detached"'));
        const [, pid] = /^(\d+) /.exec(readFileSync(trace, 'utf8')) ?? [];
        process.kill(Number(pid), 'SIGTERM');
        await exited;
        lab.addMacvtap(DEVICE);
        const file = join(folder, 'guard.nft');
        for (const args of [['attach', 'macvtap0', '--policy', file], ['list'], ['detach', 'macvtap0']]) {
          const traced = spawnSync('strace', ['-A', ...strace, ...args, ...where], { encoding: 'utf8' });
          assert.equal(traced.status, 0, traced.stderr);
        }
        const executed = [...readFileSync(trace, 'utf8').matchAll(/execve\("([^"]+)"/g)].map(
          ([, path]) => path,
        );
        // The agent, itself once more with the rights that it needs, each command, the compiler's child of those two that compile, and the one in which the agent tries
        // what libnftables does with hooks on a prefix.
        assert.deepEqual(executed, Array(executed.length).fill(process.execPath));
        assert.equal(executed.length, 8);
      }),
    );
  });
});

describe('tapwall attach, list and detach', () => {
  it('attach, replace, list and detach a device without an agent', async () => {
    await withFiles(FILES, (folder) =>
      withLab(async (lab) => {
        const guest = lab.addGuest(DEVICE);
        const world = lab.world();
        const where = ['--namespace', lab.namespacePath, '--json'];
        const policy = ['--policy', join(folder, 'guard.nft')];
        const lan = () => packet(guest, world, { destination: '192.168.7.7' });
        const table = `tapwall.${guest.index}.guard`;

        const [attached] = jsonLines(tapwall('attach', 'macvtap0', ...policy, ...where).stdout);
        assert.deepEqual(
          [attached?.['event'], attached?.['tables'], attached?.['replaced']],
          ['attached', [table], []],
        );
        assert.equal(await passes(lan()), false);
        const [again] = jsonLines(tapwall('attach', 'macvtap0', ...policy, ...where).stdout);
        assert.deepEqual(again?.['replaced'], [table]);
        const [listed] = jsonLines(tapwall('list', ...where).stdout);
        assert.equal(listed?.['state'], 'attached');
        assert.equal(listed?.['policy'], 'guard');
        assert.equal(listed?.['origin'], 'manual');

        assert.equal(runIn(lab.host.namespace, ['nft', 'add table netdev theirs']).status, 0);
        const [detached] = jsonLines(tapwall('detach', 'macvtap0', ...where).stdout);
        assert.deepEqual(detached?.['tables'], [table]);
        assert.equal(await passes(lan()), true);
        assert.equal(runIn(lab.host.namespace, ['nft', 'list tables']).stdout, 'table netdev theirs\n');
        const nothing = tapwall('detach', 'macvtap0', ...where);
        assert.equal(nothing.status, 4);
        assert.equal(jsonLines(nothing.stdout)[0]?.['code'], 'NOT_ATTACHED');
      }),
    );
  });

  it('refuse, with a hint and a status, and change nothing', async () => {
    await withFiles({ ...FILES, 'bad.nft': GUARD.replace('drop', 'dorp') }, (folder) =>
      withLab(async (lab) => {
        lab.addMacvtap(DEVICE);
        const where = ['--namespace', lab.namespacePath];
        const good = ['--policy', join(folder, 'guard.nft')];
        const cases: [string[], number, RegExp][] = [
          [['attach', 'macvtap9', ...good, ...where], 4, /no device macvtap9.*\n.*macvtap0/],
          [['attach', 'vx0', ...good, ...where], 2, /vx0 is a veth, not a macvtap/],
          [
            ['attach', 'macvtap0', '--policy', join(folder, 'bad.nft'), ...where],
            3,
            /bad\.nft:3:\d+: .*dorp/s,
          ],
          [
            ['attach', 'macvtap0', '--policy', join(folder, 'none.nft'), ...where],
            3,
            /cannot read .*none\.nft: there is no such file/,
          ],
          [['attach', 'macvtap0', ...where], 2, /--policy/],
          [['attach', 'macvtap0', ...good, '-D', 'intf=x', ...where], 2, /-D.*name of the device/],
          [
            ['list', '--namespace', 'no-such-namespace'],
            4,
            /cannot open the network namespace no-such-namespace/,
          ],
          [['list', '--namespace', '/etc/hostname'], 4, /cannot open the network namespace/],
          [['list', '--namespce', 'x'], 2, /unknown option.*--namespace/s],
          [['run', '--config', join(folder, 'none.yaml'), ...where], 3, /none\.yaml/],
          [['lst'], 2, /unknown command.*list/s],
        ];
        for (const [args, status, message] of cases) {
          const result = tapwall(...args);
          assert.match(result.stderr, message, args.join(' '));
          assert.equal(result.status, status, `${args.join(' ')}: ${result.stderr}`);
          assert.doesNotMatch(result.stderr, /\n\s+at .*:\d+:\d+/, 'a stack trace');
        }
        assert.equal(runIn(lab.host.namespace, ['nft', 'list', 'ruleset']).stdout, '');
      }),
    );
  });

  it('give status 5 when this kernel takes only the ingress half, and 0 when that is wanted', async () => {
    await withFiles(FILES, (folder) =>
      withLab((lab) => {
        lab.addMacvtap(DEVICE);
        const args = [
          'attach',
          'macvtap0',
          '--policy',
          join(folder, 'guard.nft'),
          '--namespace',
          lab.namespacePath,
          '--without',
          'egress',
        ];
        const partial = tapwall(...args);
        assert.equal(partial.status, 5, partial.stderr);
        assert.match(partial.stderr, /no egress hook/);
        assert.match(runIn(lab.host.namespace, ['nft', 'list', 'ruleset']).stdout, /hook ingress/);
        assert.equal(tapwall(...args, '--egress-optional').status, 0);
      }),
    );
  });

  it('cannot act on the machine’s own namespace under test', () => {
    assert.ok(process.env[FORBID_HOST_NAMESPACE]);
    const result = tapwall('list', '--json');
    assert.equal(jsonLines(result.stdout)[0]?.['code'], 'HOST_NAMESPACE_FORBIDDEN');
    assert.equal(result.status, 1);
  });
});

describe('tapwall check, compile and doctor', () => {
  it('check as an ordinary user', async () => {
    await withFiles({ ...FILES, 'bad.nft': GUARD.replace('drop', 'dorp') }, (folder) => {
      chmodSync(folder, 0o755);
      const nobody = (...args: string[]) => tapwallAsNobody('check', ...args);
      const good = nobody(join(folder, 'tapwall.yaml'), join(folder, 'guard.nft'));
      assert.equal(good.status, 0, good.stderr);
      assert.equal(good.stdout, `${join(folder, 'tapwall.yaml')}: ok\n${join(folder, 'guard.nft')}: ok\n`);
      const bad = nobody(join(folder, 'bad.nft'), join(folder, 'guard.nft'));
      assert.equal(bad.status, 3);
      assert.match(bad.stderr, /bad\.nft:3:\d+: .*\n.*dorp\n\s+\^/);
      assert.equal(bad.stdout, `${join(folder, 'guard.nft')}: ok\n`);
    });
  });

  it('check tells errors of inline policies at their place in the configuration', async () => {
    const yaml =
      'policies:\n  p:\n    egress: |\n      ip daddr 10.0.0.1 accept\n      ip daddr 10.0.0.2 acept\nbindings:\n  - { device: "*", policy: p }\n';
    await withFiles({ 'tapwall.yaml': yaml }, (folder) => {
      const result = tapwall('check', join(folder, 'tapwall.yaml'));
      assert.equal(result.status, 3);
      assert.match(result.stderr, /tapwall\.yaml:5:\d+: .*\n {10}ip daddr 10\.0\.0\.2 acept\n/);
    });
  });

  it('compile prints rules and bytes, and the bytes are what attach sends', async () => {
    await withFiles(FILES, (folder) => {
      const file = join(folder, 'guard.nft');
      const result = tapwall('compile', file, '--device', 'macvtap3', '--index', '77');
      assert.equal(result.status, 0, result.stderr);
      assert.match(result.stdout, /table netdev tapwall\.77\.guard \{/);
      assert.match(result.stdout, /hook egress device "macvtap3"/);
      const hex = result.stdout.split('\n').filter((line) => /: [0-9a-f]{16,}$/.test(line));
      const labels = hex.map((line) => line.replace(/: [0-9a-f]+$/, ''));
      assert.deepEqual([labels[0], labels.at(-1)], ['BATCH_BEGIN', 'BATCH_END']);
      assert.ok(labels.includes('NEWCHAIN in') && labels.includes('NEWRULE out rule 1'), labels.join());
      for (const line of hex) {
        const bytes = Buffer.from(line.slice(line.lastIndexOf(' ') + 1), 'hex');
        assert.equal(bytes.readUInt32LE(0), bytes.length, line);
      }
      const [json] = jsonLines(
        tapwall('compile', file, '--device', 'macvtap3', '--index', '77', '--json').stdout,
      );
      assert.deepEqual(
        ((json?.['messages'] ?? []) as { hex: string }[]).map((one) => one.hex),
        hex.map((line) => line.slice(line.lastIndexOf(' ') + 1)),
      );
    });
  });

  it('doctor says what it tried, what is lost without it, and how long devices are open', () => {
    const result = tapwall('doctor', '--json');
    assert.equal(result.status, 0, result.stderr);
    const findings = jsonLines(result.stdout).filter(({ event }) => event === 'finding');
    assert.ok(findings.length >= 8);
    const egress = findings.find(({ feature }) => String(feature).includes('egress'));
    assert.equal(egress?.['ok'], true);
    for (const { consequence } of findings) assert.ok(String(consequence).length > 0);
    const [window] = jsonLines(result.stdout).filter(({ event }) => event === 'window');
    assert.equal(window?.['placement'], 'device');
    assert.equal(window?.['n'], 20);
    assert.ok(Number(window?.['p50Microseconds']) > 0);
    assert.ok(Number(window?.['maxMicroseconds']) >= Number(window?.['p50Microseconds']));
  });

  it('demo shows every verdict right', () => {
    const result = tapwall('demo', '--json');
    assert.equal(result.status, 0, result.stdout);
    const lines = jsonLines(result.stdout);
    const verdicts = lines.filter(({ event }) => event === 'verdict');
    assert.ok(verdicts.length >= 19);
    assert.deepEqual(
      verdicts.filter(({ expected, seen }) => expected !== seen),
      [],
    );
    assert.ok(
      verdicts.some(({ seen }) => seen === 'dropped') && verdicts.some(({ seen }) => seen === 'passes'),
    );
  });

  it('help has examples for every command', () => {
    const names = [...tapwall('--help').stdout.matchAll(/^ {2}([a-z]+) (?:\[options\]|<)/gm)].map(
      ([, name]) => name ?? '',
    );
    assert.ok(names.length >= 8, names.join());
    for (const name of names.filter((one) => one !== 'help')) {
      const { stdout, status } = tapwall(name, '--help');
      assert.equal(status, 0);
      assert.match(stdout, /Examples?:\n {2}\$ /, name);
      if (['run', 'attach', 'detach', 'list'].includes(name))
        assert.match(stdout, /--namespace <name\|path>/);
      assert.match(stdout, /--json/, name);
    }
  });
});
