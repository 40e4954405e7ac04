/** The program that the hook runs, against an agent that says what the test wants it to. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { hookProgram } from '#src/kernel/hook-program.js';
import { withFiles } from '../support/agent.js';
import { domainXml } from './support.js';

interface Run {
  status: number | null;
  stdout: string;
  stderr: string;
}

interface Setting {
  folder: string;
  operation?: string;
  onFailure?: 'refuse' | 'allow';
  timeoutMs?: number;
  xml?: string;
}

/** In place of Node: tells what it was asked, and ends as the configuration's name says. */
const STAND_IN = `#!/bin/sh
echo "stand-in: $*" >&2
echo "not for libvirt"
cat >&2
case $5 in
  *hangs*) sleep 60 ;;
  *fails*) exit 1 ;;
esac
`;

async function runHook(
  {
    folder,
    operation = 'start',
    onFailure = 'refuse',
    timeoutMs = 5_000,
    xml = domainXml({ name: '<ü "\\' }),
  }: Setting,
  config = 'tapwall.yaml',
): Promise<Run> {
  const standIn = join(folder, 'stand-in');
  writeFileSync(standIn, STAND_IN);
  chmodSync(standIn, 0o755);
  const ours = [join(folder, 'socket'), String(timeoutMs), onFailure, standIn, '/main.js', config];
  const child = spawn(hookProgram(), [...ours, '--', 'a "guest"', operation, 'begin', '-']);
  const run: Run = { status: null, stdout: '', stderr: '' };
  child.stdout.on('data', (data) => {
    run.stdout += data;
  });
  child.stderr.on('data', (data) => {
    run.stderr += data;
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(xml);
  run.status = await new Promise((resolve) => child.on('close', resolve));
  return run;
}

/** An agent that answers each line as `answer` says. */
async function withAgent(
  folder: string,
  answer: (line: string, socket: Socket) => void,
  action: () => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      text += data;
      if (text.endsWith('\n')) answer(text, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(join(folder, 'socket'), resolve));
  try {
    await action();
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

const reply = (result: object) => (_line: string, socket: Socket) =>
  socket.write(`${JSON.stringify({ version: 1, id: 1, ok: true, result })}\n`);

describe('the program of the hook', () => {
  it('passes the domain to the agent as it is', async () => {
    await withFiles({}, async (folder) => {
      let asked = '';
      const answer = (line: string, socket: Socket) => {
        asked = line;
        reply({ admitted: true, message: '' })(line, socket);
      };
      await withAgent(folder, answer, async () => {
        const xml = domainXml({ name: `${'\t\u0001"\\/\r'}${'ü€😀'.repeat(20_000)}` });
        assert.deepEqual(await runHook({ folder, xml }), { status: 0, stdout: '', stderr: '' });
        const { waitMs, domain, ...request } = JSON.parse(asked) as Record<string, unknown>;
        assert.ok(domain === xml);
        assert.deepEqual(request, {
          version: 1,
          id: 1,
          request: 'libvirt',
          guest: 'a "guest"',
          operation: 'start',
        });
        assert.ok(typeof waitMs === 'number' && waitMs > 0 && waitMs <= 4_500);
      });
    });
  });

  it('refuses what the agent refuses, in its words, or allows it', async () => {
    await withFiles({}, async (folder) => {
      const message = 'no "policy"\nfor \\ ü \u0001 "admitted":true';
      await withAgent(folder, reply({ admitted: false, message }), async () => {
        assert.deepEqual(await runHook({ folder }), {
          status: 1,
          stdout: '',
          stderr: `tapwall: ${message}\n`,
        });
        const allowed = await runHook({ folder, onFailure: 'allow' });
        assert.deepEqual([allowed.status, allowed.stderr], [0, `tapwall: ${message}\n`]);
      });
    });
  });

  it('fails at nothing but a start', async () => {
    await withFiles({}, async (folder) => {
      await withAgent(folder, reply({ admitted: false, message: 'no' }), async () => {
        for (const operation of ['reconnect', 'release']) {
          assert.equal((await runHook({ folder, operation })).status, 0);
        }
        for (const operation of ['stopped', 'prepare']) {
          assert.deepEqual(await runHook({ folder, operation }), { status: 0, stdout: '', stderr: '' });
        }
      });
    });
  });

  it('refuses when the agent makes no sense, goes away or says nothing', async () => {
    await withFiles({}, async (folder) => {
      const cases: [(line: string, socket: Socket) => void, RegExp][] = [
        [
          (_line, socket) => socket.write('{"ok":false,"error":{"code":"X","message":"because"}}\n'),
          /because/,
        ],
        [(_line, socket) => socket.write('rubbish\n'), /no answer/],
        [(_line, socket) => socket.destroy(), /no answer in time/],
        [(_line, socket) => socket.write('{"ok":true'), /no answer in time/],
        [() => undefined, /no answer in time/],
      ];
      for (const [answer, words] of cases) {
        await withAgent(folder, answer, async () => {
          const { status, stderr } = await runHook({ folder, timeoutMs: 600 });
          assert.equal(status, 1);
          assert.match(stderr, words);
        });
      }
    });
  });

  it('does the agent’s work where none listens, and keeps what it says from libvirt’s XML', async () => {
    await withFiles({}, async (folder) => {
      const { status, stdout, stderr } = await runHook({ folder, xml: '<domain/>' });
      assert.deepEqual([status, stdout], [0, '']);
      assert.match(
        stderr,
        /^stand-in: \/main\.js libvirt hook --config tapwall\.yaml --timeout \d+ a "guest" start$/m,
      );
      assert.match(stderr, /^not for libvirt$/m);
      assert.match(stderr, /<domain\/>/);
      assert.equal((await runHook({ folder }, 'fails.yaml')).status, 1);
      assert.equal((await runHook({ folder, operation: 'release' }, 'fails.yaml')).status, 0);
      assert.deepEqual(await runHook({ folder, operation: 'reconnect' }), {
        status: 0,
        stdout: '',
        stderr: '',
      });
    });
  });

  it('ends that work when it takes too long', async () => {
    await withFiles({}, async (folder) => {
      const { status, stderr } = await runHook({ folder, timeoutMs: 300 }, 'hangs.yaml');
      assert.equal(status, 1);
      assert.match(stderr, /took longer than the hook may/);
    });
  });

  it('is not taken in by arguments that are not those of the script', async () => {
    const child = spawn(hookProgram(), ['a', 'b']);
    const status = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(status, 1);
  });
});
