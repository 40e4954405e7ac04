import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { Agent } from '#src/agent/agent.js';
import { AgentThread } from '#src/agent/agent-thread.js';
import { parseConfiguration } from '#src/config/load.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { withLab } from '../support/host.js';

const threads = () => readdirSync('/proc/self/task').length;

test('a thread that never got a plan ends when it is told to, and again without a word', async () => {
  const before = threads();
  const thread = new AgentThread(linuxKernel(), undefined);
  assert.equal(thread.hasEnded, false);
  await thread.stop({ detach: false });
  assert.ok(thread.hasEnded);
  await thread.stop({ detach: false });
  thread.send({ command: 'release' });
  assert.ok(threads() <= before);
});

test('a thread that has ended before it got its plan says so', async () => {
  const thread = new AgentThread(linuxKernel(), undefined);
  await thread.stop({ detach: false });
  const heard: string[] = [];
  thread.begin({} as Agent['plan'], {
    onMessage: () => heard.push('message'),
    onError: () => heard.push('error'),
    onExit: () => heard.push('exit'),
  });
  assert.deepEqual(heard, ['exit']);
});

test('a start that fails leaves no thread behind', async () => {
  await withLab(async (lab) => {
    const before = threads();
    const configuration = parseConfiguration(
      'policies: { web: { ingress: "meta nonsense accept", default: drop } }\nbindings: []\n',
      'tapwall.yaml',
    );
    await assert.rejects(
      Agent.start(configuration, { namespace: linuxKernel().openNamespace(lab.namespacePath) }),
      { code: 'POLICY' },
    );
    assert.ok(threads() <= before, `${threads()} threads after ${before}`);
  });
});
