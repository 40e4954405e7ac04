/** The commands that ask an agent, as processes, beside an agent that is one. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import type { Lab } from '#src/demo/lab.js';
import { withFiles } from '../support/agent.js';
import { withLab } from '../support/host.js';
import { tapwallAsNobody } from '../support/ordinary-user.js';
import { jsonLines, MAIN, Running, tapwall } from '../support/run.js';
import { fates, packet, passes, until } from '../support/station.js';

const MAC = '52:54:00:00:00:01';
const NAME = 'macvtap0';
const YAML = `policies:
  web: { egress: ip daddr 192.168.0.0/16 drop, default: accept }
  addressed: { default: accept, guards: [ip4] }
bindings:
  - { device: "macvtap0", policy: web }
  - { guest: "db-*", policy: addressed, addresses: [198.51.100.1] }
`;
const FILES = { 'tapwall.yaml': YAML };

interface Host {
  lab: Lab;
  folder: string;
  running: Running;
  /** Asks the agent. */
  ask(...args: string[]): { status: number | null; stdout: string; stderr: string };
  /** The same, with `--json`; one line is expected. */
  askJson(...args: string[]): Record<string, unknown>;
}

/** An agent that runs as a command, with a socket in a folder of its own. */
async function withHost(action: (host: Host) => Promise<void>, files: Record<string, string> = FILES) {
  await withFiles(files, (folder) =>
    withLab(async (lab) => {
      const socket = join(folder, 'tapwall.sock');
      const yaml = join(folder, 'tapwall.yaml');
      writeFileSync(yaml, `${files['tapwall.yaml']}control: { path: ${socket} }\n`);
      const running = new Running(lab, folder);
      const ask = (...args: string[]) => tapwall(...args, '--socket', socket);
      const askJson = (...args: string[]) => {
        const { stdout, stderr, status } = ask(...args, '--json');
        assert.equal(status, 0, `${args.join(' ')}: ${stdout}${stderr}`);
        const lines = jsonLines(stdout);
        assert.equal(lines.length, 1, stdout);
        return lines[0] ?? {};
      };
      try {
        await running.saw('ready');
        await action({ lab, folder, running, ask, askJson });
      } finally {
        running.child.kill('SIGKILL');
        await running.exited;
      }
    }),
  );
}

/** A command that goes on, line by line. */
class Following {
  readonly lines: Record<string, unknown>[] = [];
  readonly exited: Promise<number | null>;
  readonly #child;

  constructor(...args: string[]) {
    this.#child = spawn(process.execPath, [MAIN, 'events', '--follow', ...args, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.lines.push(JSON.parse(line)));
    this.exited = new Promise((resolve) => this.#child.on('close', resolve));
  }

  async saw(event: string): Promise<void> {
    await until(event, () => this.lines.some((line) => line['event'] === event));
  }

  /** What `| head` does when it has seen enough. */
  stopReading(): void {
    this.#child.stdout.destroy();
  }

  interrupt(): void {
    this.#child.kill('SIGINT');
  }
}

/** Also when nothing happens that it would be told. */
async function noClientBut(ask: Host['ask']): Promise<void> {
  await until('no other client', () => /clients of the control socket: 1\n/.test(ask('status').stdout));
}

describe('the commands that ask an agent', () => {
  it('say what is so, in words and as JSON', async () => {
    await withHost(async ({ lab, folder, running, ask, askJson }) => {
      const guest = lab.addGuest({ name: NAME, mac: MAC });
      const world = lab.world();
      await running.saw('attached');
      const shots = [packet(guest, world), packet(guest, world, { destination: '192.168.7.7' })];
      assert.deepEqual(await fates(shots), [true, false]);

      const status = askJson('status');
      assert.deepEqual(
        [status['event'], status['running'], status['pid'], status['file'], status['devices']],
        ['status', true, running.child.pid, join(folder, 'tapwall.yaml'), { attached: 1 }],
      );
      assert.match(
        ask('status').stdout,
        /^tapwall .*process \d+.*\n.*2 policies, 2 bindings\n.*devices: 1 attached\n/s,
      );

      const listed = jsonLines(ask('list', '--json').stdout);
      assert.deepEqual(
        listed.map(({ event, device, state, policy }) => [event, device, state, policy]),
        [
          ['door', undefined, undefined, undefined],
          ['device', NAME, 'attached', 'web'],
        ],
      );
      assert.match(ask('list').stdout, /macvtap0 │ \d+ +│ attached │ web +│ agent/);

      const counters = askJson('counters', NAME);
      const { dropped } = counters['egress'] as { dropped: Record<string, unknown> };
      assert.deepEqual(dropped['policy'], { packets: 1, bytes: shots[1]?.frame.length });
      assert.match(ask('counters').stdout, /macvtap0 │ egress +│ dropped │ policy +│ 1 /);

      assert.match(ask('policy', 'show').stdout, /web +│ inline │ .*\n.*addressed/);
      const policy = askJson('policy', 'show', 'web');
      assert.deepEqual([policy['name'], policy['egress']], ['web', 'ip daddr 192.168.0.0/16 drop']);
      assert.match(ask('policy', 'show', 'web').stdout, /egress, from the VM:\n {2}ip daddr 192/);

      const events = jsonLines(ask('events', '--json').stdout);
      assert.deepEqual(
        events.map(({ event }) => event),
        ['ready', 'attached'],
      );
      assert.match(ask('events').stdout, /macvtap0 \(index \d+\) has policy web/);
      assert.equal(ask('events', '--recent', '1', '--json').stdout.includes('"ready"'), false);
    });
  });

  it('change what is asked for: quarantine, admit, reload, release', async () => {
    await withHost(async ({ lab, folder, running, ask, askJson }) => {
      const guest = lab.addGuest({ name: NAME, mac: MAC });
      const world = lab.world();
      await running.saw('attached');
      assert.match(ask('quarantine', NAME).stdout, /^macvtap0 \(index \d+\): its door is closed/);
      assert.equal(await passes(packet(guest, world)), false);
      assert.deepEqual(askJson('quarantine', NAME)['state'], 'quarantined');
      const told = askJson(
        'admit',
        NAME,
        '--guest',
        'db-1',
        '--policy',
        'addressed',
        '--address',
        '198.51.100.1',
      );
      assert.deepEqual(
        [told['event'], told['state'], told['policy'], told['guest']],
        ['admitted', 'attached', 'addressed', 'db-1'],
      );
      const spoofed = packet(guest, world, { source: '198.51.100.77' });
      assert.deepEqual(await fates([packet(guest, world), spoofed]), [true, false]);
      assert.match(
        ask('admit', NAME, '--guest', 'db-1').stdout,
        /macvtap0 \(index \d+\) is filtered by policy web\n/,
      );

      const file = join(folder, 'tapwall.yaml');
      writeFileSync(file, YAML.replace('192.168.0.0/16 drop', '192.168.0.0/16 dorp'));
      const refused = ask('reload');
      assert.equal(refused.status, 3);
      assert.match(refused.stderr, /tapwall\.yaml:2:/);
      assert.equal(await passes(packet(guest, world, { destination: '192.168.7.7' })), false);
      writeFileSync(file, YAML.replace('192.168.0.0/16 drop', '192.168.0.0/16 accept'));
      assert.deepEqual(askJson('reload'), { event: 'reloaded', file });
      assert.equal(await passes(packet(guest, world, { destination: '192.168.7.7' })), true);

      assert.equal(askJson('release')['pid'], running.child.pid);
      await running.saw('released');
      assert.match(ask('status').stdout, /given up until the next reload/);
    });
  });

  it('reload all but the socket itself, and say so', async () => {
    await withHost(async ({ folder, running, ask, askJson }) => {
      const file = join(folder, 'tapwall.yaml');
      const socket = join(folder, 'tapwall.sock');
      const configure = (more: string) => writeFileSync(file, `${YAML}control: { path: ${socket} }\n${more}`);
      const warnings = () =>
        running.events.flatMap((event) => (event.event === 'warning' ? [event.message] : []));
      configure('');
      askJson('reload');
      assert.deepEqual(
        warnings().filter((message) => /next start/.test(message)),
        [],
      );
      writeFileSync(file, `${YAML}control: { path: ${socket}, group: 43210 }\nlibvirt-state: off\n`);
      askJson('reload');
      await until(
        'the warnings',
        () => warnings().filter((message) => /next start/.test(message)).length === 2,
      );
      assert.match(warnings().join('\n'), /`control` has changed: it holds .*\n`libvirt-state` has changed/);
      assert.equal(ask('status').status, 0);
    });
  });

  it('end with a status that tells what was wrong, and say it', async () => {
    await withHost(async ({ lab, folder, ask }) => {
      const faults: [string[], number, string][] = [
        [['counters', 'macvtap9'], 4, 'DEVICE_NOT_FOUND'],
        [['quarantine', 'macvtap9'], 4, 'DEVICE_NOT_FOUND'],
        [['policy', 'show', 'nobody'], 4, 'POLICY_NOT_FOUND'],
      ];
      for (const [args, status, code] of faults) {
        const words = ask(...args);
        assert.deepEqual([words.status, words.stdout], [status, ''], words.stderr);
        assert.match(words.stderr, /^tapwall: .*(macvtap9|nobody)/);
        assert.doesNotMatch(words.stderr, /^ +at /m);
        const json = ask(...args, '--json');
        assert.deepEqual([json.status, jsonLines(json.stdout)[0]?.['code']], [status, code]);
      }
      const absent = ask('admit', 'macvtap9', '--wait', '10');
      assert.deepEqual([absent.status, absent.stdout], [8, 'macvtap9 is not filtered, absent\n']);
      lab.addMacvtap({ name: 'macvtap1', mac: MAC });
      const unmatched = ask('admit', 'macvtap1', '--json');
      assert.deepEqual([unmatched.status, jsonLines(unmatched.stdout)[0]?.['state']], [8, 'unmatched']);
      for (const args of [
        ['events', '--recent', '257'],
        ['admit', NAME, '--wait', 'x'],
        ['status', '--no-such'],
      ]) {
        assert.equal(ask(...args).status, 2, args.join(' '));
      }
      // Another user, whom the mode of the socket keeps out.
      chmodSync(folder, 0o755);
      const denied = tapwallAsNobody('status', '--socket', join(folder, 'tapwall.sock'));
      assert.equal(denied.status, 9, denied.stderr);
      assert.match(denied.stderr, /this user may not ask the agent/);
    });
  });
});

describe('events --follow', () => {
  it('tells events as they come, until it is interrupted', async () => {
    await withHost(async ({ lab, folder, ask }) => {
      const following = new Following('--recent', '0', '--socket', join(folder, 'tapwall.sock'));
      // Whatever device comes before it listens is not among those that come.
      let made = 0;
      const more = setInterval(
        () => lab.addMacvtap({ name: `macvtap${++made}`, mac: MAC.replace('01', String(9 + made)) }),
        200,
      );
      try {
        await following.saw('unmatched');
      } finally {
        clearInterval(more);
      }
      following.interrupt();
      assert.equal(await following.exited, 0);
      await noClientBut(ask);
    });
  });

  it('says that the agent has gone, and why where that is known', async () => {
    for (const [signal, code] of [
      ['SIGKILL', 'CONTROL_LOST'],
      ['SIGTERM', 'STOPPED'],
    ] as const) {
      await withHost(async ({ folder, running }) => {
        const following = new Following('--socket', join(folder, 'tapwall.sock'));
        await following.saw('ready');
        running.child.kill(signal);
        assert.equal(await following.exited, 1);
        assert.equal(following.lines.at(-1)?.['code'], code);
      });
    }
  });

  it('ends when nobody reads any more, and the agent goes on', async () => {
    await withHost(async ({ lab, folder, running, ask }) => {
      const following = new Following('--socket', join(folder, 'tapwall.sock'));
      await following.saw('ready');
      following.stopReading();
      lab.addMacvtap({ name: NAME, mac: MAC });
      assert.equal(await following.exited, 0);
      await running.saw('attached');
      await noClientBut(ask);
    });
  });

  it('tells of a configuration that could not be read again', async () => {
    await withHost(async ({ folder, ask }) => {
      const following = new Following('--socket', join(folder, 'tapwall.sock'));
      await following.saw('ready');
      writeFileSync(join(folder, 'tapwall.yaml'), 'policies: 5\n');
      assert.equal(ask('reload').status, 3);
      await following.saw('reload-failed');
      following.interrupt();
      assert.equal(await following.exited, 0);
    });
  });
});

describe('without an agent', () => {
  it('what only an agent can answer ends with 7, and the rest is read from the kernel', async () => {
    await withFiles(FILES, (folder) =>
      withLab(async (lab) => {
        const guest = lab.addGuest({ name: NAME, mac: MAC });
        const world = lab.world();
        const here = ['--namespace', lab.namespacePath];
        for (const args of [
          ['events'],
          ['events', '--follow'],
          ['reload'],
          ['policy', 'show'],
          ['admit', NAME],
        ]) {
          const { status, stderr } = tapwall(...args, ...here);
          assert.equal(status, 7, `${args.join(' ')}: ${stderr}`);
          assert.match(stderr, /no agent with a control socket serves this network namespace\n.*tapwall run/);
        }
        const nobody = tapwall('status', '--socket', join(folder, 'none.sock'));
        assert.deepEqual([nobody.status, nobody.stdout], [7, '']);
        const bare = tapwall('status', ...here);
        assert.equal(bare.status, 7);
        assert.match(
          bare.stdout,
          /no agent .*\nthe kernel has no door of tapwall’s\ndevices: 1 unfiltered\n/,
        );
        // Where no door stands there is none to close.
        const early = tapwall('quarantine', NAME, ...here);
        assert.notEqual(early.status, 0);
        assert.equal(await passes(packet(guest, world)), true);

        const config = ['--config', join(folder, 'tapwall.yaml')];
        assert.equal(tapwall('admit', NAME, ...config, ...here).status, 0);
        const status = tapwall('status', '--json', ...here);
        assert.equal(status.status, 7);
        assert.deepEqual(jsonLines(status.stdout)[0]?.['devices'], { attached: 1 });
        assert.match(tapwall('list', ...here).stdout, /macvtap0 .*attached │ web/);
        assert.equal(tapwall('counters', NAME, ...here).status, 0);
        assert.match(tapwall('policy', 'show', ...config).stdout, /web +│ inline/);
        assert.match(tapwall('quarantine', NAME, ...here).stdout, /its door is closed/);
        assert.equal(await passes(packet(guest, world)), false);
        assert.match(tapwall('list', ...here).stdout, /macvtap0 .*quarantined/);
        assert.equal(tapwall('release', ...here).stdout, 'nobody owns tables of tapwall here\n');
        assert.equal(existsSync('/run/tapwall/tapwall.sock'), false);
      }),
    );
  });

  it('an agent that a variable names is found by the namespace that it serves, and by no other', async () => {
    await withHost(async ({ lab, folder, running }) => {
      const asked = (namespace: string) =>
        spawnSync(process.execPath, [MAIN, 'status', '--json', '--namespace', namespace], {
          encoding: 'utf8',
          env: { ...process.env, TAPWALL_CONTROL: join(folder, 'tapwall.sock') },
        });
      assert.equal(jsonLines(asked(lab.namespacePath).stdout)[0]?.['pid'], running.child.pid);
      await withLab((other) => {
        const { status, stdout } = asked(other.namespacePath);
        assert.deepEqual([status, jsonLines(stdout)[0]?.['running']], [7, false]);
      });
    });
  });
});
