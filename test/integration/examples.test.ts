/** The examples, run as a reader would run them, on a host that is thrown away. */
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { withFiles } from '../support/agent.js';
import { withLab } from '../support/host.js';
import { packet, passes, until } from '../support/station.js';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));
const DEVICE = { name: 'macvtap0', mac: '52:54:00:00:00:01' };

/** A program, and the lines it has printed. */
class Example {
  readonly lines: string[] = [];
  readonly child: ChildProcessWithoutNullStreams;
  readonly #exited: Promise<unknown[]>;

  constructor(file: string, ...args: string[]) {
    this.child = spawn(process.execPath, [join(EXAMPLES, file), ...args]);
    this.child.stderr.pipe(process.stderr);
    createInterface({ input: this.child.stdout }).on('line', (line) => this.lines.push(line));
    this.#exited = once(this.child, 'exit');
  }

  async line(pattern: RegExp): Promise<string> {
    await until(`a line that matches ${pattern}`, () => this.lines.some((line) => pattern.test(line)));
    return this.lines.find((line) => pattern.test(line)) ?? '';
  }

  async exited(): Promise<unknown> {
    return (await this.#exited)[0];
  }
}

describe('the example', () => {
  it('http-service.mjs tells devices and events, and takes another configuration', async () => {
    const file = 'policies: { open: { default: accept } }\nbindings: [{ device: "*", policy: open }]\n';
    await withFiles({ 'tapwall.yaml': file }, (folder) =>
      withLab(async (lab) => {
        const args = [join(folder, 'tapwall.yaml'), '--namespace', lab.namespacePath];
        const service = new Example('http-service.mjs', ...args);
        try {
          const url = await service.line(/^http:/);
          const events = await fetch(`${url}/events`);
          const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader();
          const guest = lab.addGuest(DEVICE);
          const first = await reader?.read();
          assert.match(first?.value ?? '', /^\{"event":"attached","device":"macvtap0"/);
          assert.equal(await passes(packet(lab.world(), guest)), true);
          const { devices } = (await (await fetch(`${url}/devices`)).json()) as {
            devices: { policy: string }[];
          };
          assert.deepEqual(
            devices.map(({ policy }) => policy),
            ['open'],
          );

          const put = (body: unknown) => fetch(url, { method: 'PUT', body: JSON.stringify(body) });
          const refused = await put({ policies: { open: { default: 'maybe' } }, bindings: [] });
          assert.equal(refused.status, 422);
          assert.equal(((await refused.json()) as { code: string }).code, 'CONFIG');
          assert.equal(await passes(packet(lab.world(), guest)), true);
          const bindings = [{ device: '*', policy: 'shut' }];
          assert.equal((await put({ policies: { shut: { default: 'drop' } }, bindings })).status, 200);
          assert.equal(await passes(packet(lab.world(), guest)), false);
          service.child.kill('SIGTERM');
          assert.equal(await service.exited(), 0);
        } finally {
          service.child.kill('SIGKILL');
        }
      }),
    );
  });

  it('policy-source.mjs puts each list of tenants in force, and keeps the last that was right', async () => {
    await withLab(async (lab) => {
      const source = new Example('policy-source.mjs', '--namespace', lab.namespacePath);
      try {
        await source.line(/^ready$/);
        lab.addGuest(DEVICE);
        await source.line(/^macvtap0: closed/);
        const tenant = { mac: DEVICE.mac, addresses: ['203.0.113.7'], ports: [443, 22] };
        source.child.stdin.write(`${JSON.stringify([tenant])}\n`);
        await source.line(/^macvtap0: ports-22-443$/);
        await source.line(/^in force: 1 tenants$/);
        source.child.stdin.write(`${JSON.stringify([{ ...tenant, ports: ['22 accept; drop'] }])}\n`);
        await source.line(/^refused: CONFIG: /);
        source.child.stdin.end();
        assert.equal(await source.exited(), 0);
        assert.equal(source.lines.filter((line) => line.startsWith('in force')).length, 1);
      } finally {
        source.child.kill('SIGKILL');
      }
    });
  });

  it('fake-kernel.test.mjs passes', () => {
    const args = ['--test', '--test-reporter=tap', join(EXAMPLES, 'fake-kernel.test.mjs')];
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000, env });
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^# pass 2$/m);
  });
});
