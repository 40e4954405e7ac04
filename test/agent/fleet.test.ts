/** Several network namespaces in one thread, on a fake kernel: who comes, who goes, and whose turn it is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { leaf } from '#src/netlink/attribute.js';
import { cString } from '#src/netlink/bytes.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { encodeBatch } from '#src/nftables/batch.js';
import { NFT_MSG_DELTABLE, NFTA_TABLE_NAME } from '#src/nftables/constants.js';
import { nftablesRequest } from '#src/nftables/message.js';
import { FleetRig } from './fleet-rig.js';
import { installed, sharedTable } from './state.js';
import { bind, Case, type inline, SETTINGS } from './support.js';

const PREFIX = SETTINGS.filter(({ label }) => label === 'prefix, inline');
const the = () => new Case(PREFIX[0] as (typeof SETTINGS)[number]);
const SEVERAL = { namespaces: ['self', '*'] };

function started(more = SEVERAL, setUp: (rig: FleetRig) => void = () => undefined): FleetRig {
  const rig = new FleetRig(the().guardAll(more), the().kernel());
  setUp(rig);
  rig.fleet.start();
  rig.settle();
  return rig;
}

describe('the agent’s own namespace alone', () => {
  test('is served as ever: nothing is said of namespaces, and nothing is looked for', () => {
    const rig = new FleetRig(the().guardAll(), the().kernel());
    rig.addDevice(undefined, 'macvtap0');
    rig.fleet.start();
    rig.addDevice(undefined, 'macvtap1');
    rig.settle();
    rig.add('a');
    rig.now += 100_000;
    rig.settle();
    assert.equal(rig.looks, 1);
    rig.fleet.reload(the().guardAll());
    rig.fleet.release();
    rig.fleet.stop({ detach: true });
    assert.deepEqual(rig.events(), [
      'attached macvtap0 2 guard new',
      'ready 1/1',
      'attached macvtap1 3 guard new',
      'reloaded',
      'released',
      'detached macvtap0 2 exit',
      'detached macvtap1 3 exit',
      'stopped 2',
    ]);
  });
});

describe('several namespaces', () => {
  test('are each dealt with before the agent is ready, and each device where it is', () => {
    const rig = started(SEVERAL, (rig) => {
      rig.add('b');
      rig.add('a');
      rig.addDevice('a', 'macvtap0');
      rig.addDevice('b', 'macvtap0');
      rig.addDevice('b', 'macvtap1');
    });
    assert.deepEqual(rig.events(), [
      'self: namespace-ready 0/0',
      'a: attached macvtap0 2 guard new',
      'a: namespace-ready 1/1',
      'b: attached macvtap0 2 guard new',
      'b: attached macvtap1 3 guard new',
      'b: namespace-ready 2/2',
      'ready 3/3',
    ]);
    rig.addDevice('a', 'macvtap5');
    rig.addDevice(undefined, 'macvtap6');
    rig.settle();
    assert.deepEqual(rig.events().sort(), [
      'a: attached macvtap5 3 guard new',
      'self: attached macvtap6 2 guard new',
    ]);
  });

  test('have devices of one index behind different policies', () => {
    const plan = the().plan(
      [the().guard, the().web],
      [bind('web', { namespace: 'b*' }), bind('guard', { namespace: '{self,a}' })],
      SEVERAL,
    );
    const rig = new FleetRig(plan, the().kernel());
    const [a, b] = [rig.add('a'), rig.add('b')];
    for (const namespace of ['a', 'b', undefined]) assert.equal(rig.addDevice(namespace, 'macvtap0'), 2);
    rig.fleet.start();
    const at = (handle?: typeof a) => installed(rig.kernel, handle);
    assert.deepEqual([at(a), at(b), at()], [['2 guard macvtap0'], ['2 web macvtap0'], ['2 guard macvtap0']]);
  });

  test('are one where they have two names, by the first of them', () => {
    const rig = started({ namespaces: ['z', '*'] }, (rig) => {
      rig.add('a');
      rig.add('z');
      rig.alias('b', 'a');
      rig.alias('c', 'z');
    });
    assert.deepEqual(rig.events(), ['z: namespace-ready 0/0', 'a: namespace-ready 0/0', 'ready 0/0']);
    rig.remove('a');
    rig.settle();
    // Known by another name from now on, which is the name of another.
    assert.deepEqual(rig.events().slice(0, 1), ['a: namespace-gone']);
  });
});

describe('a namespace that comes', () => {
  test('is entered as soon as it is mounted, and its devices are attached', () => {
    const rig = started();
    rig.events();
    const handle = rig.add('late');
    rig.addDevice('late', 'macvtap0');
    rig.fleet.step(0);
    assert.deepEqual(rig.events(), ['late: attached macvtap0 2 guard new', 'late: namespace-ready 1/1']);
    rig.addDevice('late', 'macvtap1');
    rig.settle();
    assert.deepEqual(rig.events(), ['late: attached macvtap1 3 guard new']);
    assert.deepEqual(installed(rig.kernel, handle), ['2 guard macvtap0', '3 guard macvtap1']);
    assert.deepEqual([...rig.states.keys()], ['self', 'late']);
  });

  test('is found within a second where nothing tells of it', () => {
    const rig = started();
    rig.settle();
    rig.events();
    const looks = rig.looks;
    rig.now += 999;
    rig.settle();
    assert.equal(rig.looks, looks);
    rig.now += 1;
    rig.settle();
    assert.equal(rig.looks, looks + 1);
  });

  test('waits no longer than the others’ turns: one is entered at a time', () => {
    const rig = started();
    rig.events();
    for (const name of ['a', 'b', 'c']) rig.add(name);
    rig.fleet.step(0);
    assert.deepEqual(rig.events(), ['a: namespace-ready 0/0']);
    rig.addDevice('a', 'macvtap0');
    rig.fleet.step(0);
    assert.deepEqual(rig.events(), ['a: attached macvtap0 2 guard new', 'b: namespace-ready 0/0']);
    rig.fleet.step(0);
    assert.deepEqual(rig.events(), ['c: namespace-ready 0/0']);
  });
});

describe('a namespace that goes', () => {
  test('is let go of, and its filters stay as they are', () => {
    const rig = started(SEVERAL, (rig) => rig.add('a'));
    const handle = rig.kernel.openNamespace('a');
    rig.addDevice('a', 'macvtap0');
    rig.settle();
    rig.events();
    rig.remove('a');
    rig.settle();
    assert.deepEqual(rig.events(), ['a: namespace-gone']);
    assert.deepEqual(installed(rig.kernel, handle), ['2 guard macvtap0']);
    assert.deepEqual([...rig.states.keys()], ['self']);
    rig.kernel.addLink({ name: 'macvtap1', kind: 'macvtap' }, handle);
    rig.settle();
    assert.deepEqual(rig.events(), []);
  });

  test('and whose name means another from now on, makes place for that', () => {
    const rig = started(SEVERAL, (rig) => rig.add('a'));
    rig.addDevice('a', 'macvtap0');
    rig.settle();
    rig.events();
    rig.remove('a');
    const second = rig.add('a');
    rig.addDevice('a', 'macvtap7');
    rig.settle();
    assert.deepEqual(rig.events(), [
      'a: namespace-gone',
      'a: attached macvtap7 2 guard new',
      'a: namespace-ready 1/1',
    ]);
    assert.equal(rig.states.get('a')?.inode, second.inode);
  });
});

describe('turns', () => {
  test('a storm in one namespace does not keep a device of another from its filter', () => {
    const rig = started(SEVERAL, (rig) => {
      rig.add('a');
      rig.add('b');
    });
    rig.events();
    const STORM = 1_000;
    for (let number = 0; number < STORM; number++) rig.addDevice('a', `macvtap${number}`);
    rig.addDevice('b', 'macvtap0');
    const attached: string[] = [];
    let made = STORM;
    // And it goes on, as long as the first of them are dealt with.
    rig.onEvent = (event) => {
      if (event.event !== 'attached') return;
      attached.push(event.namespace ?? '');
      if (event.namespace === 'a' && made < 2 * STORM) rig.addDevice('a', `macvtap${made++}`);
    };
    rig.fleet.step(0);
    const at = attached.indexOf('b');
    assert.ok(at >= 0 && at <= 256, `behind ${at} devices of the other`);
    rig.settle();
    assert.equal(attached.filter((name) => name === 'a').length, 2 * STORM);
  });

  test('comparing everything is one namespace’s turn at a time, and everybody has one', () => {
    const rig = new FleetRig(the().guardAll({ ...SEVERAL, reconcileMs: 10_000 }), the().kernel());
    for (const name of ['a', 'b', 'c']) rig.add(name);
    rig.fleet.start();
    rig.settle();
    rig.events();
    // What somebody has changed in each of them, and nobody was told of.
    for (const name of ['a', 'b', 'c']) {
      const namespace = rig.kernel.openNamespace(name);
      const socket = rig.kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
      const table = [leaf(NFTA_TABLE_NAME, cString('tapwall'))];
      const steps = [{ request: nftablesRequest(NFT_MSG_DELTABLE, 0, table), label: name }];
      socket.commitWith(steps.length + 2, (sequence) => encodeBatch(steps, sequence));
      socket.close();
      rig.kernel.forgetNotifications(namespace);
    }
    rig.settle();
    assert.deepEqual(rig.events(), []);
    rig.now += 10_000;
    const perStep = Array.from({ length: 6 }, (_, step) => {
      // All of them have something to do, and all but one no more than that.
      for (const name of ['a', 'b', 'c']) rig.addDevice(name, `macvtap1${step}`);
      rig.fleet.step(0);
      return rig.events().filter((line) => line.endsWith('repaired')).length;
    });
    assert.ok(perStep.every((count) => count <= 1));
    assert.equal(
      perStep.reduce((sum, count) => sum + count),
      3,
    );
  });

  test('lost events of one namespace are its own', () => {
    const rig = started(SEVERAL, (rig) => {
      rig.add('a');
      rig.add('b');
    });
    rig.events();
    rig.kernel.loseEvents(rig.kernel.openNamespace('a'));
    rig.addDevice('a', 'macvtap0');
    rig.addDevice('b', 'macvtap0');
    rig.settle();
    assert.deepEqual(rig.events().sort(), [
      'a: attached macvtap0 2 guard new',
      'a: overflow',
      'b: attached macvtap0 2 guard new',
    ]);
  });
});

describe('trouble in one namespace', () => {
  test('is told once, tried again ever more seldom, and holds up nobody', () => {
    const rig = new FleetRig(the().guardAll(SEVERAL), the().kernel());
    const handle = rig.add('a');
    rig.add('b');
    rig.kernel.refuseNext(12, undefined, handle);
    rig.fleet.start();
    assert.deepEqual(rig.events(), [
      'self: namespace-ready 0/0',
      'a: namespace-failed ENOMEM',
      'b: namespace-ready 0/0',
      'ready 0/0',
    ]);
    assert.equal(rig.states.get('a')?.error?.code, 'ENOMEM');
    rig.kernel.refuseNext(12, undefined, handle);
    rig.now += 1_000;
    rig.settle();
    assert.deepEqual(rig.events(), []);
    rig.now += 1_999;
    rig.settle();
    assert.deepEqual(rig.events(), []);
    rig.now += 1_001;
    rig.settle();
    assert.deepEqual(rig.events(), ['a: namespace-ready 0/0']);
    assert.equal(rig.states.get('a')?.error, undefined);
  });

  test('another agent that owns its tables is told of, and the others are served', () => {
    const kernel = the().kernel();
    const named = new Map();
    const own = { ownership: 'own' as const };
    const first = new FleetRig(the().guardAll({ ...own, namespaces: ['a'] }), kernel, named);
    first.add('a');
    first.add('b');
    first.fleet.start();
    first.addDevice('a', 'macvtap0');
    first.settle();
    const second = new FleetRig(the().guardAll({ ...own, namespaces: ['*'] }), kernel, named);
    const before = kernel.generation(named.get('a'));
    second.fleet.start();
    assert.deepEqual(second.events(), [
      'a: namespace-failed OWNED_BY_OTHER',
      'b: namespace-ready 0/0',
      'ready 0/0',
    ]);
    assert.equal(kernel.generation(named.get('a')), before);
    first.fleet.stop({ detach: false });
    second.now += 60_000;
    second.settle();
    assert.deepEqual(second.events(), ['a: attached macvtap0 2 guard kept', 'a: namespace-ready 1/1']);
  });

  test('what cannot be looked at is told once', () => {
    const rig = started();
    rig.events();
    rig.problems = ['cannot look for network namespaces at /x: EACCES'];
    for (let times = 0; times < 3; times++) {
      rig.now += 2_000;
      rig.settle();
    }
    assert.deepEqual(rig.events(), ['warning cannot look for network namespaces at /x: EACCES']);
  });
});

describe('a reload', () => {
  const one = (policy: ReturnType<typeof inline>, more: object) =>
    the().plan([policy], [bind(policy.name)], { ...SEVERAL, ...more });

  test('is in force in all namespaces, and the list of them too', () => {
    const rig = started(SEVERAL, (rig) => {
      rig.add('a');
      rig.add('b');
      rig.addDevice('a', 'macvtap0');
      rig.addDevice('b', 'macvtap0');
    });
    rig.events();
    rig.fleet.reload(one(the().web as ReturnType<typeof inline>, { namespaces: ['b', 'self'] }));
    assert.deepEqual(rig.events(), [
      'a: attached macvtap0 2 web replaced',
      'b: attached macvtap0 2 web replaced',
      'a: namespace-gone',
      'reloaded',
    ]);
    rig.fleet.reload(one(the().guard as ReturnType<typeof inline>, { namespaces: ['self'] }));
    assert.deepEqual(rig.events().slice(0, 1), ['b: attached macvtap0 2 guard replaced']);
    rig.addDevice(undefined, 'macvtap1');
    rig.settle();
    assert.deepEqual(rig.events(), ['attached macvtap1 2 guard new']);
  });

  test('that one namespace refuses changes none', () => {
    const rig = started(SEVERAL, (rig) => {
      rig.add('a');
      rig.add('b');
      rig.addDevice('a', 'macvtap0');
    });
    rig.events();
    const [a, b] = [rig.kernel.openNamespace('a'), rig.kernel.openNamespace('b')];
    const chains = (handle: typeof a) =>
      sharedTable(rig.kernel, handle)
        ?.chains.map(({ name }) => name)
        .sort();
    const before = [chains(a), chains(b)];
    rig.kernel.refuseNext(12, undefined, b);
    assert.throws(() => rig.fleet.reload(one(the().web as ReturnType<typeof inline>, {})), {
      code: 'ENOMEM',
      message: /in the network namespace b: /,
    });
    assert.deepEqual([chains(a), chains(b)], before);
    assert.deepEqual(installed(rig.kernel, a), ['2 guard macvtap0']);
    assert.ok(!rig.events().includes('reloaded'));
    rig.addDevice('b', 'macvtap0');
    rig.settle();
    assert.deepEqual(rig.events(), ['b: attached macvtap0 2 guard new']);
  });
});

describe('what is asked', () => {
  const rigOf = () =>
    started(SEVERAL, (rig) => {
      rig.add('a');
      rig.addDevice('a', 'macvtap0');
      rig.addDevice(undefined, 'macvtap0');
    });

  test('of all devices is answered with their namespaces', () => {
    const rig = rigOf();
    const words = (namespace?: string) =>
      rig.fleet.answer({ request: 'devices', namespace }).map((one) => `${one.namespace} ${one.device}`);
    assert.deepEqual(words(), ['self macvtap0', 'a macvtap0']);
    assert.deepEqual(words('a'), ['a macvtap0']);
    assert.throws(() => words('b'), { code: 'NAMESPACE_NOT_FOUND' });
  });

  test('for one device is done in the namespace that is named, else in the agent’s own', () => {
    const rig = rigOf();
    rig.events();
    const quarantine = (namespace?: string) =>
      rig.fleet.answer({ request: 'quarantine', device: { name: 'macvtap0' }, on: true, namespace });
    quarantine('a');
    assert.deepEqual(rig.events(), ['a: quarantined']);
    quarantine();
    assert.deepEqual(rig.events(), ['self: quarantined']);
  });

  test('without a name is refused where the agent’s own is not served', () => {
    const rig = started({ namespaces: ['a'] }, (rig) => rig.add('a'));
    const device = { name: 'macvtap0' };
    assert.throws(() => rig.fleet.answer({ request: 'quarantine', device, on: true }), { code: 'ARGUMENT' });
  });
});

test('releasing and stopping is said once for all', () => {
  const rig = started({ ...SEVERAL, ...{ ownership: 'own' } }, (rig) => {
    rig.add('a');
    rig.addDevice('a', 'macvtap0');
    rig.addDevice(undefined, 'macvtap1');
  });
  rig.events();
  rig.fleet.release();
  rig.settle();
  assert.deepEqual(rig.events(), ['released']);
  rig.addDevice('a', 'macvtap2');
  rig.settle();
  assert.deepEqual(rig.events(), ['a: attached macvtap2 3 guard new']);
  rig.fleet.stop({ detach: true });
  assert.equal(rig.events().at(-1), 'stopped 3');
  assert.deepEqual(rig.kernel.tables(rig.kernel.openNamespace('a')), []);
});
