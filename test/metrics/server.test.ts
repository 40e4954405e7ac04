/** Clients that are many, slow, silent or mad; the page is a stand-in. No kernel is needed here. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type MetricsLimits, MetricsServer } from '#src/metrics/server.js';
import { withFiles } from '../support/agent.js';
import { until } from '../support/station.js';

interface Stage {
  path: string;
  notices: string[];
  /** How often a page was made. */
  pages: () => number;
  /** Makes the next pages. */
  page: { make: () => Promise<string> };
  health: { isHealthy: boolean };
}

async function withServer(
  action: (stage: Stage) => Promise<void>,
  limits: Partial<MetricsLimits> = {},
  mode?: number,
): Promise<void> {
  await withFiles({}, async (folder) => {
    const path = join(folder, 'metrics.sock');
    const page = { make: async () => 'tapwall_up 1\n' };
    const health = { isHealthy: true };
    const notices: string[] = [];
    let pages = 0;
    const server = await MetricsServer.open({
      listen: { path },
      mode,
      limits,
      notice: (message) => notices.push(message),
      isHealthy: () => health.isHealthy,
      page: async () => {
        pages++;
        return { contentType: 'text/plain; version=0.0.4', body: await page.make() };
      },
    });
    try {
      await action({ path, notices, page, health, pages: () => pages });
    } finally {
      await server.close();
    }
    assert.equal(existsSync(path), false, 'the socket is gone');
  });
}

async function open(path: string): Promise<Socket> {
  const socket = connect(path);
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Says something, and gives all that comes until the other side ends. */
async function say(path: string, text: string): Promise<string> {
  const socket = await open(path);
  let heard = '';
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString('utf8');
  });
  socket.write(text);
  await once(socket, 'close');
  return heard;
}

const request = (line: string, head = '') =>
  `${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${head}\r\n`;
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);

describe('the metrics server', () => {
  it('serves the page, and whether all is well', async () => {
    await withServer(async ({ path, health }) => {
      const answer = await say(path, request('GET /metrics'));
      assert.match(answer, /^HTTP\/1\.1 200 OK\r\nContent-Type: text\/plain; version=0\.0\.4\r\n/);
      assert.match(answer, /\r\n\r\ntapwall_up 1\n$/);
      assert.match(await say(path, request('HEAD /metrics')), /Content-Length: 13\r\n(?:.+\r\n)+\r\n$/);
      assert.equal(statusOf(await say(path, request('GET /healthz'))), 200);
      health.isHealthy = false;
      assert.equal(statusOf(await say(path, request('GET /healthz'))), 503);
    });
  });

  it('does nothing else that it is asked for', async () => {
    await withServer(async ({ path, pages }) => {
      const asked: [text: string, status: number][] = [
        [request('GET /'), 404],
        [request('GET /metrics/../etc/passwd'), 404],
        [request('POST /metrics'), 405],
        [request('DELETE /healthz'), 405],
        [request('POST /metrics', 'Content-Length: 5\r\n'), 413],
        [request('GET /metrics', 'Transfer-Encoding: chunked\r\n'), 413],
        [request('GET /metrics', `X: ${'x'.repeat(9_000)}\r\n`), 431],
        ['not HTTP\r\n\r\n', 400],
      ];
      for (const [text, status] of asked)
        assert.equal(statusOf(await say(path, text)), status, text.slice(0, 60));
      assert.equal(pages(), 0);
    });
  });

  it('makes one page for all who ask at the same time', async () => {
    await withServer(async ({ path, page, pages }) => {
      let finish: (body: string) => void = () => undefined;
      const body = new Promise<string>((resolve) => {
        finish = resolve;
      });
      page.make = () => body;
      const answers = Array.from({ length: 20 }, () => say(path, request('GET /metrics')));
      await until('a page is being made', () => pages() > 0);
      // Answered at once, behind them all.
      await say(path, request('GET /healthz'));
      finish('one 1\n');
      for (const answer of await Promise.all(answers)) assert.match(answer, /one 1\n$/);
      assert.equal(pages(), 1);
    });
  });

  it('tells of a page that cannot be made, and goes on', async () => {
    await withServer(async ({ path, page, notices }) => {
      page.make = () => Promise.reject(new Error('no luck'));
      assert.equal(statusOf(await say(path, request('GET /metrics'))), 500);
      assert.deepEqual(notices, ['no metrics: no luck']);
      page.make = async () => 'two 2\n';
      assert.match(await say(path, request('GET /metrics')), /two 2\n$/);
    });
  });

  it('lets nobody hold a connection who says nothing, or half a request', async () => {
    await withServer(
      async ({ path }) => {
        const sockets = await Promise.all(Array.from({ length: 4 }, () => open(path)));
        sockets[1]?.write('GET /metrics HT');
        sockets[2]?.write('GET /metrics HTTP/1.1\r\nHost: x\r\n');
        for (const socket of sockets) socket.resume();
        await until('all are closed', () => sockets.every((socket) => socket.destroyed));
        assert.equal(statusOf(await say(path, request('GET /healthz'))), 200);
      },
      { requestMs: 100, answerMs: 300, idleMs: 100 },
    );
  });

  it('ends a client that does not take what it has asked for', async () => {
    await withServer(
      async ({ path, page, notices }) => {
        // More than the kernel keeps for a socket that nobody reads.
        const length = 8 << 20;
        page.make = async () => `# ${'x'.repeat(length)}\n`;
        const slow = await open(path);
        slow.write(request('GET /metrics'));
        await until('the client was given up', () => notices.length > 0);
        assert.deepEqual(notices, ['a client did not take the metrics that it had asked for']);
        let heard = 0;
        slow.on('data', (chunk: Buffer) => {
          heard += chunk.length;
        });
        await once(slow, 'close');
        assert.ok(heard < length, `${heard} bytes`);
      },
      { answerMs: 200 },
    );
  });

  it('takes so many connections and no more, and those that it has are served', async () => {
    await withServer(
      async ({ path }) => {
        const held = await Promise.all([open(path), open(path)]);
        const more = await open(path);
        more.resume();
        await once(more, 'close');
        const [one] = held;
        assert.ok(one);
        one.write(request('GET /healthz'));
        const [answer] = (await once(one, 'data')) as [Buffer];
        assert.equal(statusOf(answer.toString()), 200);
        for (const socket of held) socket.destroy();
      },
      { connections: 2 },
    );
  });

  it('is for its own user alone, or for whom the mode says', async () => {
    await withServer(async ({ path }) => assert.equal(statSync(path).mode & 0o777, 0o600));
    await withServer(async ({ path }) => assert.equal(statSync(path).mode & 0o777, 0o666), {}, 0o666);
  });

  it('does not take the place of anything else', async () => {
    const nothing = {
      page: () => Promise.reject(new Error('not asked')),
      isHealthy: () => true,
      notice: () => undefined,
    };
    await withServer(async ({ path }) => {
      await assert.rejects(MetricsServer.open({ ...nothing, listen: { path } }), { code: 'METRICS_IN_USE' });
    });
    await withFiles({}, async (folder) => {
      const path = join(folder, 'file');
      writeFileSync(path, '');
      await assert.rejects(MetricsServer.open({ ...nothing, listen: { path } }), {
        code: 'METRICS_ADDRESS',
        message: `${path} is there already, and is no socket`,
      });
      chmodSync(folder, 0o777);
      await assert.rejects(MetricsServer.open({ ...nothing, listen: { path: join(folder, 'socket') } }), {
        code: 'METRICS_ADDRESS',
        message: /^anybody may put another socket in the place of /,
      });
    });
  });
});
