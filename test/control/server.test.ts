/** Clients that are many, slow, silent or mad. What they ask is answered by a stand-in: no kernel is needed here. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ControlClient } from '#src/control/client.js';
import { MOST_REQUEST_BYTES } from '#src/control/protocol.js';
import { ControlServer, MOST_CLIENTS } from '#src/control/server.js';
import type { Handler, Session, SessionLimits } from '#src/control/session.js';
import { withFiles } from '../support/agent.js';
import { until } from '../support/station.js';

const HELLO = `${JSON.stringify({ version: 1, id: 7, request: 'hello' })}\n`;

/** Answers with what was asked, and lets a test send events to those who ask for them. */
class Echo implements Handler {
  readonly followers: ((json: string) => void)[] = [];
  readonly asked: string[] = [];

  async handle(
    request: Parameters<Handler['handle']>[0],
    session: Session,
    signal: AbortSignal,
  ): Promise<unknown> {
    this.asked.push(request.request);
    if (request.request === 'events') {
      const unfollow = session.follow();
      this.followers.push(session.send(request.id));
      if (!signal.aborted) await once(signal, 'abort');
      unfollow();
    }
    return { request: request.request };
  }
}

async function withServer(
  action: (the: { server: ControlServer; echo: Echo; path: string; notices: string[] }) => Promise<void>,
  limits: Partial<SessionLimits> = {},
): Promise<void> {
  await withFiles({}, async (folder) => {
    const path = join(folder, 'socket');
    const echo = new Echo();
    const notices: string[] = [];
    const server = await ControlServer.open({ path, limits, notice: (one) => notices.push(one) }, echo);
    try {
      await action({ server, echo, path, notices });
    } finally {
      await server.close();
    }
  });
}

async function open(path: string): Promise<Socket> {
  const socket = connect(path);
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** All that comes until the other side ends. */
async function heardFrom(socket: Socket): Promise<string> {
  let heard = '';
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString('utf8');
  });
  await once(socket, 'close');
  return heard;
}

async function say(path: string, bytes: string | Uint8Array): Promise<string> {
  const socket = await open(path);
  const heard = heardFrom(socket);
  socket.end(bytes);
  return await heard;
}

describe('a control server', () => {
  it('answers every request of a line of them, in whatever pieces they come', async () => {
    await withServer(async ({ path }) => {
      const socket = await open(path);
      const heard = heardFrom(socket);
      for (const byte of Buffer.from(HELLO.repeat(3))) socket.write(Uint8Array.of(byte));
      socket.end();
      const answers = (await heard).trim().split('\n');
      assert.deepEqual(
        answers.map((answer) => JSON.parse(answer)),
        Array(3).fill({ version: 1, id: 7, ok: true, result: { request: 'hello' } }),
      );
    });
  });

  it('refuses what is no request, says so under its id, and does nothing', async () => {
    const cases: [string, string, number | null][] = [
      ['nonsense', 'PROTOCOL', null],
      ['[]', 'PROTOCOL', null],
      ['{"version":2,"id":3,"request":"hello"}', 'PROTOCOL_VERSION', 3],
      ['{"version":1,"id":4,"request":"destroy"}', 'PROTOCOL', 4],
      ['{"version":1,"id":5,"request":"hello","more":1}', 'PROTOCOL', 5],
      ['{"version":1,"id":-1,"request":"hello"}', 'PROTOCOL', null],
      ['{"version":1,"id":6,"request":"quarantine","device":{}}', 'PROTOCOL', 6],
      ['{"version":1,"id":6,"request":"quarantine","device":{"parent":"vx0"}}', 'PROTOCOL', 6],
      ['{"version":1,"id":8,"request":"admit","devices":[]}', 'PROTOCOL', 8],
      [`${'['.repeat(30_000)}${']'.repeat(30_000)}`, 'PROTOCOL', null],
      [`{"version":1,"id":9,"request":${'{"a":'.repeat(9_000)}1${'}'.repeat(9_000)}}`, 'PROTOCOL', 9],
    ];
    await withServer(async ({ path, echo }) => {
      for (const [line, code, id] of cases) {
        const answer = JSON.parse(await say(path, `${line}\n`));
        assert.deepEqual([answer.ok, answer.error.code, answer.id], [false, code, id], line.slice(0, 80));
      }
      assert.deepEqual(echo.asked, []);
      assert.match(await say(path, HELLO), /"ok":true/);
    });
  });

  it('drops whoever sends a line that is too long, and keeps none of it', async () => {
    await withServer(async ({ path, notices }) => {
      const socket = await open(path);
      const heard = heardFrom(socket);
      socket.write('x'.repeat(MOST_REQUEST_BYTES + 1));
      assert.equal(JSON.parse(await heard).error.code, 'TOO_LONG');
      assert.match(notices.join(), /was dropped/);
    });
  });

  it('lives through any bytes', async () => {
    await withServer(async ({ path, echo }) => {
      const bytes = fc.oneof(
        fc.uint8Array({ maxLength: 4096 }),
        fc.json({ maxDepth: 8 }).map((text) => Buffer.from(`${text}\n`)),
        // Requests that are nearly right: cut off, or with a byte that is another.
        fc.tuple(fc.nat(HELLO.length), fc.nat(HELLO.length - 1), fc.nat(255)).map(([end, at, byte]) => {
          const request = Buffer.from(HELLO);
          request[at] = byte;
          return request.subarray(0, end);
        }),
      );
      await fc.assert(
        fc.asyncProperty(bytes, async (sent) => {
          const heard = await say(path, sent);
          for (const line of heard.split('\n').slice(0, -1)) assert.equal(JSON.parse(line).version, 1);
        }),
        { numRuns: 300 },
      );
      assert.deepEqual(
        echo.asked.filter((one) => one !== 'hello'),
        [],
      );
      assert.match(await say(path, HELLO), /"ok":true/);
    });
  });

  it('takes so many clients and no more, whatever they do', async () => {
    await withServer(async ({ server, path, notices }) => {
      const idle = await Promise.all(Array.from({ length: MOST_CLIENTS }, () => open(path)));
      await until('all are let in', () => server.clients === MOST_CLIENTS);
      const answer = JSON.parse(await say(path, HELLO));
      assert.deepEqual([answer.ok, answer.error.code], [false, 'TOO_MANY_CLIENTS']);
      assert.ok(notices.length > 0);
      for (const socket of idle) socket.destroy();
      await until('all are gone', () => server.clients === 0);
      assert.match(await say(path, HELLO), /"ok":true/);
    });
  });

  it('drops who follows events and does not read them, with a marker, and nobody else', async () => {
    await withServer(
      async ({ path, echo, notices }) => {
        const slow = await open(path);
        slow.pause();
        slow.write(`${JSON.stringify({ version: 1, id: 1, request: 'events' })}\n`);
        const quick = await open(path);
        const heard: string[] = [];
        quick.on('data', (chunk: Buffer) => heard.push(chunk.toString('utf8')));
        quick.write(`${JSON.stringify({ version: 1, id: 2, request: 'events' })}\n`);
        await until('both follow', () => echo.followers.length === 2);
        const event = JSON.stringify({ event: 'warning', message: 'x'.repeat(1000) });
        while (notices.length === 0) {
          for (const send of echo.followers) send(event);
          await new Promise(setImmediate);
        }
        assert.match(notices.join(), /events came faster than they were read/);
        const all = heardFrom(slow);
        slow.resume();
        const last = JSON.parse((await all).trim().split('\n').at(-1) ?? '');
        assert.deepEqual([last.id, last.ok, last.error.code], [1, false, 'TOO_SLOW']);
        const before = heard.length;
        echo.followers[1]?.(event);
        await until('the other goes on', () => heard.length > before);
        quick.destroy();
      },
      { queuedBytes: 65_536 },
    );
  });

  it('does not wait for who asks nothing, or never ends a request', async () => {
    await withServer(
      async ({ path, server }) => {
        const silent = await heardFrom(await open(path));
        assert.equal(JSON.parse(silent).error.code, 'TIMEOUT');
        const begun = await open(path);
        begun.write(HELLO.slice(0, 10));
        assert.equal(JSON.parse(await heardFrom(begun)).error.code, 'TIMEOUT');
        await until('both are gone', () => server.clients === 0);
      },
      { firstMs: 30 },
    );
  });

  it('keeps no place for a client that was dropped and does not go', async () => {
    await withServer(
      async ({ path, server }) => {
        const stubborn = connect({ path, allowHalfOpen: true });
        await once(stubborn, 'connect');
        stubborn.resume();
        await once(stubborn, 'end');
        assert.equal(server.clients, 1);
        await until('it is gone', () => server.clients === 0);
        stubborn.destroy();
      },
      { firstMs: 30, drainMs: 30 },
    );
  });

  it('tells its clients when it ends', async () => {
    let client: ControlClient | undefined;
    let waiting: Promise<unknown> | undefined;
    await withServer(async ({ path }) => {
      client = await ControlClient.connect({ path });
      await client.hello();
      waiting = client.follow().then(
        () => 'followed',
        (error: { code: string }) => error.code,
      );
      await until('it is asked', () => client !== undefined);
    });
    assert.ok(['STOPPED', 'CONTROL_LOST'].includes(String(await waiting)));
    await assert.rejects(async () => await client?.hello());
  });
});
