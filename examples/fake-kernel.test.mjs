// A test of your configuration and of what your service makes of events, without root, devices or a kernel that would do it:
//
//   node --test examples/fake-kernel.test.mjs
//
// The policies are compiled by the real libnftables, in a namespace that is thrown away (root, or unprivileged user
// namespaces). Everything after that happens in memory.
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { after, test } from 'node:test';
import { AgentLoop, Compiler, compilePlan, createConfiguration, FakeKernel } from 'tapwall';

const compiler = new Compiler();
after(() => compiler.close());

const configuration = createConfiguration({
  policies: {
    web: { ingress: 'tcp dport { 80, 443 } accept\n', egress: 'accept\n', guards: ['mac', 'ethertype'] },
  },
  bindings: [{ device: 'macvtap*', parent: 'eth1', policy: 'web' }],
});

/** An agent's loop on a kernel in memory. It runs in this thread, and only when it is told to. */
async function startLoop() {
  const plan = await compilePlan(configuration, compiler, {
    placement: 'names',
    capabilities: { egress: true },
    keepsHooks: true,
    destroys: true,
    ownerPersist: true,
  });
  const kernel = new FakeKernel();
  const events = [];
  const emit = (event) => events.push(event);
  const loop = new AgentLoop(plan, { kernel, namespace: undefined, wakerFd: kernel.createWaker().fd, emit });
  loop.start();
  return { kernel, loop, events };
}

test('a VM on eth1 gets its policy in one transaction, and one on another link stays closed', async () => {
  const { kernel, loop, events } = await startLoop();
  kernel.addLink({ name: 'eth1', kind: 'veth' });
  kernel.addLink({ name: 'eth2', kind: 'veth' });
  events.length = 0;
  kernel.transactions.length = 0;

  kernel.addLink({ name: 'macvtap0', kind: 'macvtap', parent: 'eth1' });
  loop.step(0);
  assert.equal(kernel.transactions.length, 1);
  assert.deepEqual(
    events.map(({ event, device, policy }) => [event, device, policy]),
    [['attached', 'macvtap0', 'web']],
  );

  kernel.addLink({ name: 'macvtap1', kind: 'macvtap', parent: 'eth2' });
  loop.step(0);
  const last = events.at(-1);
  assert.deepEqual([last.event, last.device, last.closed], ['unmatched', 'macvtap1', true]);
  loop.stop({ detach: false });
});

test('what the kernel refuses leaves the device closed, and is told', async () => {
  const { kernel, loop, events } = await startLoop();
  kernel.addLink({ name: 'eth1', kind: 'veth' });
  kernel.refuseNext(constants.errno.ENOMEM);
  kernel.addLink({ name: 'macvtap0', kind: 'macvtap', parent: 'eth1' });
  loop.step(0);
  const failed = events.find(({ event }) => event === 'failed');
  assert.equal(failed?.error.code, 'ENOMEM');
  assert.equal(failed.closed, true);
  loop.stop({ detach: false });
});
