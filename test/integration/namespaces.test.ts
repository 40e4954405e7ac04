/** One agent, several network namespaces: who is filtered how, who comes and goes, and what is left of it. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Agent } from '#src/agent/agent.js';
import { readTables } from '#src/agent/attachment.js';
import { createConfiguration } from '#src/config/object.js';
import type { ConfigurationObject } from '#src/config/whole-schema.js';
import type { Lab } from '#src/demo/lab.js';
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import { listLinks } from '#src/links/query.js';
import { newLink } from '#src/links/request.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '#src/netlink/constants.js';
import { PLACEMENTS } from '../support/agent.js';
import { deviceStates } from '../support/devices.js';
import { kernel, openLab, runIn } from '../support/host.js';
import { NamedNamespaces } from '../support/named-namespaces.js';
import { EventLog, fates, packet, passes, until } from '../support/station.js';

const MAC = '52:54:00:00:00:01';
const LAN = { destination: '192.168.7.7' };
const POLICIES: ConfigurationObject['policies'] = {
  lan: { guards: [], egress: 'ip daddr 192.168.0.0/16 drop', default: 'accept' },
  open: { guards: [], default: 'accept' },
};

/** Some hosts and their names, for as long as an action runs. */
async function withHosts(
  count: number,
  action: (labs: Lab[], names: NamedNamespaces) => Promise<void>,
): Promise<void> {
  const names = new NamedNamespaces();
  const labs = Array.from({ length: count }, openLab);
  try {
    await action(labs, names);
  } finally {
    for (const lab of labs) lab.close();
    names.close();
  }
}

interface Serving {
  agent: Agent;
  log: EventLog;
}

/** Runs an agent whose own namespace is the first of the hosts. */
async function serve(
  own: NamespaceHandle,
  configuration: Partial<ConfigurationObject>,
  action: (serving: Serving) => Promise<void>,
): Promise<void> {
  const log = new EventLog();
  const bindings = [{ device: '*', policy: 'lan' }];
  const object = { placement: 'names' as const, policies: POLICIES, bindings, ...configuration };
  const agent = await Agent.start(createConfiguration(object), { namespace: own }, log.add);
  try {
    await action({ agent, log });
  } finally {
    await agent.stop();
  }
}

const attachedIn = ({ log }: Serving, namespace: string) =>
  log
    .of('attached')
    .filter((event) => event.namespace === namespace)
    .map(({ device }) => device);

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

for (const placement of PLACEMENTS)
  describe(`three namespaces, placement ${placement}`, () => {
    it('have devices of the same name, index and MAC behind different policies', async () => {
      await withHosts(3, async (labs, names) => {
        const [own, a, b] = labs as [Lab, Lab, Lab];
        const [nameA, nameB] = [names.add('a', a.host.namespace), names.add('b', b.host.namespace)];
        const bindings = [
          { namespace: nameB, policy: 'open' },
          { namespace: '{self,*/a}', policy: 'lan' },
        ];
        const guests = labs.map((lab) => lab.addGuest({ name: 'macvtap0', mac: MAC }));
        const [first, ...others] = guests.map(({ index }) => index);
        assert.ok(others.every((index) => index === first));
        const namespaces = ['self', names.glob];
        await serve(own.host.namespace, { placement, namespaces, bindings }, async ({ log, agent }) => {
          const shots = guests.flatMap((guest, at) => {
            const world = (labs[at] as Lab).world();
            return [packet(guest, world), packet(guest, world, LAN)];
          });
          assert.deepEqual(await fates(shots), [true, false, true, false, true, true]);
          assert.deepEqual(
            log.of('attached').map(({ namespace, policy }) => [namespace, policy]),
            [
              ['self', 'lan'],
              [nameA, 'lan'],
              [nameB, 'open'],
            ],
          );
          assert.equal(log.of('ready').length, 1);
          assert.deepEqual(
            agent.status().devices.map(({ namespace, device }) => [namespace, device]),
            [
              ['self', 'macvtap0'],
              [nameA, 'macvtap0'],
              [nameB, 'macvtap0'],
            ],
          );
          // What is done to one is done to no other.
          await agent.quarantine({ index: first }, nameB);
          assert.deepEqual(await fates([shots[0], shots[2], shots[4]].flatMap((shot) => again(shot))), [
            true,
            true,
            false,
          ]);
          // What comes after that, too.
          const late = b.addGuest({ name: 'macvtap7', mac: '52:54:00:00:00:07' });
          await until('it is attached', () => attachedIn({ agent, log }, nameB).includes('macvtap7'));
          assert.equal(await passes(packet(late, b.world(), LAN)), true);
        });
        for (const lab of [own, a]) assert.deepEqual(deviceStates(lab.host), ['macvtap0 attached lan']);
      });
    });
  });

/** The same frame once more, under another id. */
function again(shot: ReturnType<typeof packet> | undefined): ReturnType<typeof packet>[] {
  return shot ? [packet(shot.from, shot.to)] : [];
}

describe('a namespace', () => {
  it('that comes later is served, is closed from then on, and stays filtered when it goes', async () => {
    await withHosts(2, async (labs, names) => {
      const [own, a] = labs as [Lab, Lab];
      const guest = a.addGuest({ name: 'macvtap0', mac: MAC });
      await serve(own.host.namespace, { namespaces: [names.glob] }, async (serving) => {
        const { log, agent } = serving;
        assert.deepEqual(agent.namespaces, []);
        const name = names.add('a', a.host.namespace);
        await until('it is served', () => log.of('namespace-ready').length === 1);
        assert.deepEqual(log.of('namespace-ready')[0]?.namespace, name);
        assert.deepEqual(agent.namespaces, [{ name, inode: a.host.namespace.inode }]);
        assert.deepEqual(await fates([packet(guest, a.world()), packet(guest, a.world(), LAN)]), [
          true,
          false,
        ]);
        names.remove('a');
        await until('it is let go of', () => log.of('namespace-gone').length === 1);
        assert.deepEqual(agent.namespaces, []);
        assert.equal(await passes(packet(guest, a.world(), LAN)), false);
        const late = a.addGuest({ name: 'macvtap1', mac: '52:54:00:00:00:02' });
        assert.equal(await passes(packet(late, a.world())), false);
        // Nobody owns its tables.
        const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: a.host.namespace });
        assert.deepEqual(
          readTables(netfilter).map(({ owner }) => owner),
          [undefined],
        );
        netfilter.close();
        // And when it comes back, what has happened meanwhile is made good.
        names.add('a', a.host.namespace);
        await until('it is served again', () => log.of('namespace-ready').length === 2);
        assert.equal(await passes(packet(late, a.world())), true);
        assert.deepEqual(
          log.of('attached').map(({ device, kept }) => [device, kept]),
          [
            ['macvtap0', false],
            ['macvtap0', true],
            ['macvtap1', false],
          ],
        );
      });
    });
  });

  it('whose name means another from now on makes place for that', async () => {
    await withHosts(3, async (labs, names) => {
      const [own, a, b] = labs as [Lab, Lab, Lab];
      const name = names.add('vm', a.host.namespace);
      const [inA, inB] = [a, b].map((lab) => lab.addGuest({ name: 'macvtap0', mac: MAC }));
      assert.ok(inA && inB);
      await serve(own.host.namespace, { namespaces: [names.glob] }, async ({ log, agent }) => {
        names.replace('vm', b.host.namespace);
        await until('the other is served', () => log.of('namespace-ready').length === 2);
        assert.deepEqual(
          log.events.filter(({ event }) => event.startsWith('namespace-')).map(({ event }) => event),
          ['namespace-ready', 'namespace-gone', 'namespace-ready'],
        );
        assert.deepEqual(agent.namespaces, [{ name, inode: b.host.namespace.inode }]);
        const fate = await fates([packet(inA, a.world(), LAN), packet(inB, b.world(), LAN)]);
        assert.deepEqual(fate, [false, false]);
        // From now on only the other one is looked after.
        b.addMacvtap({ name: 'macvtap3', mac: '52:54:00:00:00:03' });
        a.addMacvtap({ name: 'macvtap3', mac: '52:54:00:00:00:03' });
        await log.attached('macvtap3');
        assert.deepEqual(deviceStates(a.host)[1], 'macvtap3 closed -');
      });
    });
  });

  it('that is named by its path alone is served as well, and two names for one are one', async () => {
    await withHosts(1, async (labs, names) => {
      const [a] = labs as [Lab];
      const own = kernel.createNamespace();
      names.add('a', a.host.namespace);
      names.add('b', a.host.namespace);
      const namespaces = [a.host.namespace.path, names.glob];
      a.addMacvtap({ name: 'macvtap0', mac: MAC });
      await serve(own, { namespaces }, async ({ log, agent }) => {
        assert.deepEqual(
          agent.namespaces.map(({ name }) => name),
          [a.host.namespace.path],
        );
        assert.deepEqual(
          log.of('attached').map(({ namespace }) => namespace),
          [a.host.namespace.path],
        );
      });
      own.close();
    });
  });

  it('that belongs to another agent is told of, left alone, and taken over when that one has stopped', async () => {
    await withHosts(2, async (labs, names) => {
      const [own, a] = labs as [Lab, Lab];
      const name = names.add('a', a.host.namespace);
      names.add('own', own.host.namespace);
      await serve(a.host.namespace, {}, async (first) => {
        await serve(own.host.namespace, { namespaces: [names.glob] }, async ({ log, agent }) => {
          assert.deepEqual(
            log.of('namespace-failed').map(({ namespace, error }) => [namespace, error.code]),
            [[name, 'OWNED_BY_OTHER']],
          );
          own.addMacvtap({ name: 'macvtap1', mac: MAC });
          await log.attached('macvtap1');
          assert.equal(agent.namespaces.find((one) => one.name === name)?.error?.code, 'OWNED_BY_OTHER');
          await first.agent.stop();
          await until('it is taken over', () =>
            log.of('namespace-ready').some((one) => one.namespace === name),
          );
          a.addMacvtap({ name: 'macvtap0', mac: MAC });
          await log.attached('macvtap0');
        });
      });
    });
  });

  it('whose ruleset somebody flushes is put right, and the others are not touched', async () => {
    await withHosts(2, async (labs, names) => {
      const [a, b] = labs as [Lab, Lab];
      const name = names.add('a', a.host.namespace);
      const namespaces = ['self', names.glob];
      const guest = a.addGuest({ name: 'macvtap0', mac: MAC });
      await serve(b.host.namespace, { namespaces, owner: false }, async ({ log }) => {
        assert.equal(runIn(a.host.namespace, ['nft', 'flush', 'ruleset']).status, 0);
        await until('it is put right', () => log.of('repaired').length === 1);
        assert.deepEqual(
          log.of('repaired').map(({ namespace }) => namespace),
          [name],
        );
        assert.deepEqual(await fates([packet(guest, a.world()), packet(guest, a.world(), LAN)]), [
          true,
          false,
        ]);
      });
    });
  });
});

describe('a reload', () => {
  it('is in force in every namespace, and one that cannot be in one of them is in none', async () => {
    await withHosts(3, async (labs, names) => {
      const [own, a, b] = labs as [Lab, Lab, Lab];
      names.add('a', a.host.namespace);
      names.add('b', b.host.namespace);
      const guests = labs.map((lab) => lab.addGuest({ name: 'macvtap0', mac: MAC }));
      const shots = () => guests.map((guest, at) => packet(guest, (labs[at] as Lab).world(), LAN));
      const namespaces = ['self', names.glob];
      await serve(own.host.namespace, { namespaces }, async ({ agent, log }) => {
        const bindings = [{ device: '*', policy: 'open' }];
        const base = { placement: 'names' as const, namespaces, bindings, policies: POLICIES };
        await agent.apply(createConfiguration(base));
        assert.deepEqual(await fates(shots()), [true, true, true]);
        // A link that is in two of them and not in the third: the agent's own and `a` have taken it by then.
        for (const lab of [own, a]) {
          lab.host.route.request(
            newLink({ name: 'up0', kind: 'veth', peer: { name: 'up1', namespace: lab.host.namespace.fd } }),
            'up0',
          );
        }
        const rules = { guards: [], default: 'drop' as const, egress: 'oif "up0" drop' };
        const wrong = { ...base, policies: { ...POLICIES, open: rules } };
        await assert.rejects(agent.apply(createConfiguration(wrong)), (error: Error) =>
          error.message.includes(names.name('b')),
        );
        assert.deepEqual(await fates(shots()), [true, true, true]);
        assert.equal(log.of('reloaded').length, 1);
        assert.equal(agent.configuration.policies.get('open')?.kind, 'inline');
      });
    });
  });
});

describe('a storm in one namespace', () => {
  it('does not keep a device of another waiting for its end', async () => {
    const STORM = 1_500;
    await withHosts(2, async (labs, names) => {
      const [a, b] = labs as [Lab, Lab];
      names.add('a', a.host.namespace);
      await serve(b.host.namespace, { namespaces: ['self', names.glob] }, async ({ log }) => {
        // This thread makes links as fast as the kernel can; the one of the other namespace in the middle of them.
        for (let number = 0; number < STORM; number++) {
          const mac = `52:54:00:01:${hex(number >> 8)}:${hex(number & 255)}`;
          a.addMacvtap({ name: `macvtap${number}`, mac, up: false });
          if (number === STORM / 2) b.addMacvtap({ name: 'macvtap0', mac: MAC });
        }
        const attached = () => log.of('attached');
        await until('all are attached', () => attached().length === STORM + 1);
        const at = attached().findIndex(({ namespace }) => namespace === 'self');
        const before = attached()
          .slice(0, at)
          .map(({ device }) => Number(device.slice('macvtap'.length)));
        // Of those that were made after it, no more than go into one turn came first.
        assert.ok(before.filter((number) => number > STORM / 2).length <= 256, `${at} came first`);
        assert.deepEqual(log.of('failed'), []);
      });
    });
  });
});

const hex = (number: number) => number.toString(16).padStart(2, '0');

describe('a hundred namespaces', () => {
  it('hold five descriptors each, and when they go the kernel frees them', async () => {
    const COUNT = 100;
    const names = new NamedNamespaces();
    const own = kernel.createNamespace();
    // A cable leads into each of them. It goes with the namespace, and with nothing else.
    const route = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace: own });
    const cables = () => listLinks(route).filter(({ name }) => name.startsWith('cable')).length;
    const handles = Array.from({ length: COUNT }, (_, number) => {
      const handle = kernel.createNamespace();
      const peer = { name: 'end', namespace: handle.fd };
      route.request(newLink({ name: `cable${number}`, kind: 'veth', peer }), 'RTM_NEWLINK');
      return handle;
    });
    try {
      await serve(own, { namespaces: ['self', names.glob], placement: 'prefix' }, async ({ log, agent }) => {
        const before = descriptors();
        handles.forEach((handle, number) => void names.add(`n${number}`, handle));
        const isServed = () => log.of('namespace-ready').length === COUNT + 1;
        await until('all are served', isServed, 60_000);
        // Reading everything opens others for a moment.
        await until(`${descriptors()} descriptors`, () => descriptors() === before + 5 * COUNT);
        assert.equal(agent.namespaces.length, COUNT + 1);
        // One of them is as good as any.
        const last = handles.at(-1) as NamespaceHandle;
        const inside = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace: last });
        const end = listLinks(inside).find(({ name }) => name === 'end');
        const peer = { name: 'macvtap0', kind: 'macvtap', parentIndex: end?.index ?? 0 };
        inside.request(newLink(peer), 'RTM_NEWLINK macvtap0');
        inside.close();
        await log.attached('macvtap0');
        const base = { placement: 'prefix' as const, policies: POLICIES, namespaces: ['self', names.glob] };
        await agent.apply(createConfiguration({ ...base, bindings: [{ device: '*', policy: 'open' }] }));
        await until('it has the other policy', () => log.attachments('macvtap0').length === 2);
        assert.equal(cables(), COUNT);
        for (const handle of handles) handle.close();
        assert.equal(cables(), COUNT);
        names.clear();
        await until('all are let go of', () => log.of('namespace-gone').length === COUNT);
        await until('the kernel has freed them', () => cables() === 0);
        await until('no descriptor is left', () => descriptors() === before - COUNT);
      });
    } finally {
      for (const handle of handles) handle.close();
      route.close();
      own.close();
      names.close();
    }
  });
});
