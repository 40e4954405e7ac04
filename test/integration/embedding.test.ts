import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Lab } from '#src/demo/lab.js';
import { GUARD, ONE_POLICY, withFiles } from '../support/agent.js';
import { runIn, withLab } from '../support/host.js';

const FILES = { 'tapwall.yaml': ONE_POLICY, 'guard.nft': GUARD };
const INDEX = new URL('../../dist/index.js', import.meta.url).href;

/** Runs a service of its own that embeds the agent and, once it is ready, does `action`. */
function embed(lab: Lab, folder: string, action: string, flags: readonly string[] = []) {
  const script = `
    import { Agent, linuxKernel, loadConfiguration } from ${JSON.stringify(INDEX)};
    const namespace = linuxKernel().openNamespace(${JSON.stringify(lab.namespacePath)});
    const configuration = loadConfiguration(${JSON.stringify(join(folder, 'tapwall.yaml'))});
    const agent = await Agent.start(configuration, { namespace });
    ${action}
  `;
  return spawnSync(process.execPath, [...flags, '--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 30_000,
  });
}

async function afterwards(
  action: string,
  flags: readonly string[] = [],
): Promise<{ status: number | null; stderr: string; ruleset: string }> {
  return await withFiles(FILES, (folder) =>
    withLab((lab) => {
      lab.addMacvtap({ name: 'macvtap0', mac: '52:54:00:00:00:01' });
      const { status, stderr } = embed(lab, folder, action, flags);
      return { status, stderr, ruleset: runIn(lab.host.namespace, ['nft', 'list', 'ruleset']).stdout };
    }),
  );
}

describe('a service that embeds the agent', () => {
  it('may call process.exit() while the agent waits, and the filters stay', async () => {
    const { status, stderr, ruleset } = await afterwards('process.exit(7);');
    assert.equal(status, 7, stderr);
    assert.match(ruleset, /table netdev tapwall\.\d+\.guard/);
  });

  it('may run with flags of Node’s and V8’s that a worker is refused for', async () => {
    const flags = ['--max-semi-space-size=1', '--expose-gc', '--enable-source-maps'];
    const { status, stderr, ruleset } = await afterwards('process.exit(7);', flags);
    assert.equal(status, 7, stderr);
    assert.match(ruleset, /table netdev tapwall\.\d+\.guard/);
  });

  it('may die of an exception, and the filters stay', async () => {
    const { status, stderr, ruleset } = await afterwards("throw new Error('a bug of the service');");
    assert.equal(status, 1);
    assert.match(stderr, /a bug of the service/);
    assert.match(ruleset, /table netdev tapwall\.\d+\.guard/);
  });

  it('ends by itself once it has stopped the agent: no handle is left', async () => {
    const { status, stderr, ruleset } = await afterwards(
      'await agent.stop({ detach: true }); await agent.stop();',
    );
    assert.equal(status, 0, stderr);
    assert.equal(ruleset, '');
  });

  it('may run the agent in a worker of its own, and terminate that', async () => {
    const inner = `
      const { Agent, linuxKernel, loadConfiguration } = await import(${JSON.stringify(INDEX)});
      const { parentPort, workerData } = await import('node:worker_threads');
      const namespace = linuxKernel().openNamespace(workerData.path);
      await Agent.start(loadConfiguration(workerData.file), { namespace });
      parentPort.postMessage('ready');
    `;
    const action = `
      await agent.stop();
      const { Worker } = await import('node:worker_threads');
      const code = 'data:text/javascript,' + encodeURIComponent(${JSON.stringify(inner)});
      const workerData = { path: namespace.path, file: configuration.file };
      const worker = new Worker(new URL(code), { workerData });
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      await worker.terminate();
      console.error('terminated');
    `;
    const { status, stderr } = await afterwards(action);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /terminated/);
  });
});
