/** What a service has of the agent, beyond what the command line uses. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Agent } from '#src/agent/agent.js';
import type { AgentEvent } from '#src/agent/event.js';
import { Compiler } from '#src/compiler/compiler.js';
import { createConfiguration } from '#src/config/object.js';
import { runIn, withLab } from '../support/host.js';
import { packet, passes } from '../support/station.js';

const DEVICE = { name: 'macvtap0', mac: '52:54:00:00:00:01' };
const configuration = (ingress: string) =>
  createConfiguration({
    policies: { web: { ingress, egress: 'accept\n', guards: ['ethertype'] } },
    bindings: [{ device: 'macvtap*', policy: 'web' }],
  });
const OPEN = configuration('accept\n');
const SHUT = configuration('ip saddr 198.51.100.1 drop\naccept\n');
const HANGING = { name: 'hang', file: 'hang.nft', text: 'monitor\n', directory: undefined, variables: {} };

describe('an agent inside a service', () => {
  it('applies configurations that the service makes, and tells of it in each way', async () => {
    await withLab(async (lab) => {
      const agent = await Agent.start(OPEN, { namespace: lab.host.namespace });
      try {
        const named: AgentEvent[] = [];
        agent.on('attached', (event) => named.push(event));
        const stream = agent.events();
        const attached = once(agent, 'attached');
        const guest = lab.addGuest(DEVICE);
        await attached;
        assert.equal(await passes(packet(lab.world(), guest)), true);
        const [device] = agent.status().devices;
        assert.deepEqual([device?.device, device?.state, device?.policy], ['macvtap0', 'attached', 'web']);
        assert.ok((device?.ingress.admitted.packets ?? 0) >= 1);

        await agent.apply(SHUT);
        assert.equal(await passes(packet(lab.world(), guest)), false);
        assert.ok((agent.status().devices[0]?.ingress.dropped['policy']?.packets ?? 0) >= 1);

        await agent.stop();
        const streamed: string[] = [];
        for await (const { event } of stream) streamed.push(event);
        assert.deepEqual(
          named.map(({ event }) => event),
          ['attached'],
        );
        const expected = ['attached', 'reloaded', 'stopped'];
        assert.deepEqual(
          streamed.filter((event) => expected.includes(event)),
          expected,
        );
        for await (const { event } of agent.events()) assert.fail(`${event} of an agent that has stopped`);
      } finally {
        await agent.stop();
      }
    });
  });

  it('gives up what is aborted while it compiles, and nothing changes', async () => {
    await withLab(async (lab) => {
      const { namespace } = lab.host;
      const reason = new Error('no longer wanted');
      const early = Agent.start(OPEN, { namespace, signal: AbortSignal.abort(reason) });
      await assert.rejects(early, reason);
      const controller = new AbortController();
      const starting = Agent.start(OPEN, { namespace, signal: controller.signal });
      setImmediate(() => controller.abort(reason));
      await assert.rejects(starting, reason);

      const agent = await Agent.start(OPEN, { namespace });
      try {
        const rules = () =>
          runIn(namespace, ['nft', 'list', 'chain', 'netdev', 'tapwall', 'policy.web.ingress']).stdout;
        const before = rules();
        assert.match(before, /policy\.web\.ingress/);
        const applying = new AbortController();
        const applied = agent.apply(SHUT, { signal: applying.signal });
        setImmediate(() => applying.abort(reason));
        await assert.rejects(applied, reason);
        assert.equal(rules(), before);
        await agent.apply(SHUT);
        assert.match(rules(), /198\.51\.100\.1/);
      } finally {
        await agent.stop({ signal: new AbortController().signal });
      }
    });
  });
});

describe('a compiler', () => {
  it('leaves a policy over which libnftables hangs when it is told to, and goes on', {
    timeout: 60_000,
  }, async () => {
    // Nothing but the signal ends it.
    const compiler = new Compiler({ timeLimitMs: 3_600_000 });
    try {
      const reason = new Error('enough');
      const controller = new AbortController();
      const first = compiler.compile(HANGING, { signal: controller.signal });
      const queued = compiler.compile(HANGING, { signal: controller.signal });
      setTimeout(() => controller.abort(reason), 200);
      await assert.rejects(first, reason);
      await assert.rejects(queued, reason);
      const text = 'table netdev x { chain in { type filter hook ingress device $intf priority 0;\n}\n}\n';
      const { program } = await compiler.compile({ ...HANGING, text });
      assert.equal(program.tables.length, 1);
    } finally {
      compiler.close();
    }
  });
});

describe('the package', () => {
  it('can be had with require() as well', () => {
    const folder = fileURLToPath(new URL('../../', import.meta.url));
    const script = `
      const { Agent, Compiler, FakeKernel, TapwallError, createConfiguration } = require('tapwall');
      for (const one of [Agent, Compiler, FakeKernel, TapwallError, createConfiguration])
        if (typeof one !== 'function') throw new Error('missing');
      console.log(require('tapwall/schema.json').title, require('tapwall/package.json').name);
    `;
    const args = ['--input-type=commonjs', '-e', script];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, 'Configuration of tapwall tapwall\n');
  });
});
