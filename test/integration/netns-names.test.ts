/** Namespaces as ip-netns(8) makes them, and what the commands say of them. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { withFiles } from '../support/agent.js';
import { NetnsHost } from '../support/netns-host.js';

const YAML = `namespaces: ["vm-*"]
policies:
  web: { default: accept, guards: [] }
  db: { default: drop, guards: [] }
bindings:
  - { namespace: vm-db, policy: db }
  - { device: "*", policy: web }
`;

/** The objects that a command printed. */
function lines(text: string): Record<string, unknown>[] {
  return text
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

it('are served from the moment they have a name, told apart by every command, and kept over a kill', async () => {
  const host = await NetnsHost.open();
  const done = (...command: string[]) => {
    const { status, stderr } = host.run(...command);
    assert.deepEqual([status, stderr], [0, ''], command.join(' '));
  };
  const add = (name: string) => {
    done('ip', 'netns', 'add', name);
    done('ip', '-n', name, 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1');
  };
  const addDevice = (name: string) =>
    done(
      'ip',
      '-n',
      name,
      'link',
      'add',
      'link',
      'up0',
      'name',
      'macvtap0',
      'type',
      'macvtap',
      'mode',
      'bridge',
    );
  const json = (...args: string[]) => {
    const { status, stdout, stderr } = host.tapwall(...args, '--json');
    assert.deepEqual([status, stderr], [0, ''], args.join(' '));
    return lines(stdout);
  };
  try {
    await withFiles({ 'tapwall.yaml': YAML }, async (folder) => {
      const file = join(folder, 'tapwall.yaml');
      add('vm-web');
      addDevice('vm-web');
      add('other');
      const first = host.start(file);
      await first.saw('ready');
      assert.deepEqual(
        first.of('namespace-ready').map(({ namespace, attached }) => [namespace, attached]),
        [['vm-web', 1]],
      );
      add('vm-db');
      await first.saw('namespace-ready', 2);
      addDevice('vm-db');
      await first.saw('attached', 2);
      const attached = first.of('attached').map(({ namespace, policy, index }) => [namespace, policy, index]);
      const index = attached[0]?.[2];
      assert.deepEqual(attached, [
        ['vm-web', 'web', index],
        ['vm-db', 'db', index],
      ]);

      const served = json('status')[0]?.['namespaces'] as { name: string; devices: number }[];
      assert.deepEqual(
        served.map(({ name, devices }) => [name, devices]),
        [
          ['vm-web', 1],
          ['vm-db', 1],
        ],
      );
      const listed = (...args: string[]) =>
        json('list', ...args)
          .filter(({ event }) => event === 'device')
          .map(({ namespace, device, state }) => `${namespace} ${device} ${state}`);
      assert.deepEqual(listed(), ['vm-web macvtap0 attached', 'vm-db macvtap0 attached']);
      assert.deepEqual(listed('--namespace', 'vm-db'), ['vm-db macvtap0 attached']);
      assert.match(host.tapwall('list').stdout, /│ namespace │ device +│ index │/);
      assert.match(host.tapwall('status').stdout, /network namespace vm-db: 1 device\n/);
      assert.deepEqual(
        json('counters', 'macvtap0', '--namespace', 'vm-web').map(({ namespace }) => namespace),
        ['vm-web'],
      );
      assert.match(host.tapwall('counters').stdout, /│ namespace │ device +│ direction │/);
      // One that is not served is looked at all the same, by the command itself.
      assert.deepEqual(listed('--namespace', 'other'), []);

      // The agent's own is not served, so it has to be said which is meant.
      const vague = host.tapwall('quarantine', 'macvtap0', '--json');
      assert.notEqual(vague.status, 0);
      assert.equal((lines(vague.stdout)[0] as { code?: string } | undefined)?.code, 'ARGUMENT');
      json('quarantine', 'macvtap0', '--namespace', 'vm-db');
      assert.deepEqual(listed(), ['vm-web macvtap0 attached', 'vm-db macvtap0 quarantined']);
      const told = json('events', '--namespace', 'vm-db', '--recent', '50');
      assert.deepEqual(
        told.filter(({ event }) => event === 'quarantined').map(({ namespace }) => namespace),
        ['vm-db'],
      );
      assert.ok(told.every(({ namespace = 'vm-db' }) => namespace === 'vm-db'));
      const [admitted] = json('admit', 'macvtap0', '--namespace', 'vm-db');
      assert.deepEqual([admitted?.['namespace'], admitted?.['policy']], ['vm-db', 'db']);

      await first.kill('SIGKILL');
      // Made while no agent runs: closed by the door that stands there.
      done(
        'ip',
        '-n',
        'vm-web',
        'link',
        'add',
        'link',
        'up0',
        'name',
        'macvtap1',
        'type',
        'macvtap',
        'mode',
        'bridge',
      );
      assert.deepEqual(listed('--namespace', 'vm-web'), [
        'undefined macvtap0 attached',
        'undefined macvtap1 closed',
      ]);
      const second = host.start(file);
      await second.saw('ready');
      assert.deepEqual(
        second.of('attached').map(({ namespace, device, kept }) => [namespace, device, kept]),
        [
          ['vm-db', 'macvtap0', true],
          ['vm-web', 'macvtap0', true],
          ['vm-web', 'macvtap1', false],
        ],
      );
      done('ip', 'netns', 'delete', 'vm-db');
      await second.saw('namespace-gone');
      assert.deepEqual(
        second.of('namespace-gone').map(({ namespace }) => namespace),
        ['vm-db'],
      );
      assert.deepEqual(listed(), ['vm-web macvtap0 attached', 'vm-web macvtap1 attached']);
      await second.kill('SIGTERM');
      assert.equal(second.of('stopped').length, 1);
    });
  } finally {
    await host.close();
  }
});
