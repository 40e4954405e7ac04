/** What other programs change in tables that nobody owns, and what the agent makes of it. */
import assert from 'node:assert/strict';
import { encodeAttributes, leaf } from '#src/netlink/attribute.js';
import { host32 } from '#src/netlink/bytes.js';
import { hookDevices } from '#src/nftables/chain.js';
import { DEVICE_POLICY } from '#src/policy/membership.js';
import { sharedTable } from './state.js';
import {
  addElement,
  appendRule,
  deleteChain,
  deleteElements,
  deleteRule,
  emptyChain,
  flushByOthers,
  insertRule,
  openChain,
  putToSleep,
  replaceRule,
  unhook,
} from './stranger.js';
import {
  addForeignTables,
  bind,
  type Case,
  deleteTables,
  fileSettings,
  inlineSettings,
  type Rig,
  underEach,
} from './support.js';

/** errno of a stale generation: include/linux/errno.h. */
const ERESTART = 85;
const ENOMEM = 12;

/** All that a kernel holds, less the order and the numbers in which it was made. */
function stateOf({ kernel }: Rig): unknown {
  const byName = (a: { name?: string }, b: { name?: string }) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1);
  return kernel
    .tables()
    .map(({ handle: _, chains, sets, ...table }) => ({
      ...table,
      chains: chains
        .map(({ handle: __, hook, rules, ...chain }) => ({
          ...chain,
          hook: hook && {
            ...hook,
            devices: hookDevices(hook)
              .map((device) => JSON.stringify(device))
              .sort(),
          },
          rules: rules.map(({ handle: ___, ...rule }) => rule),
        }))
        .sort(byName),
      sets: sets
        .map(({ handle: __, elements, ...set }) => ({
          ...set,
          elements: elements.map((element) => JSON.stringify(element)).sort(),
        }))
        .sort(byName),
    }))
    .sort(byName);
}

/** Two devices that are admitted, one of them with a name that has no hooks in advance, and one that is not. */
function threeDevices(the: Case): Rig {
  const policies = [the.policy('guard'), the.policy('web', { rules: 3 })];
  const rig = the.started(
    the.plan(policies, [bind('guard', { device: 'macvtap0' }), bind('web', { device: 'macvtap9' })]),
  );
  for (const name of ['macvtap0', 'macvtap9', 'macvtap1']) rig.addDevice(name);
  rig.step();
  rig.sendFrames(2);
  rig.sendFrames(4);
  rig.events();
  rig.transactions();
  return rig;
}

function firstBase(rig: Rig): string {
  const chain = sharedTable(rig.kernel)?.chains.find(({ hook }) => hook !== undefined);
  assert.ok(chain?.name !== undefined);
  return chain.name;
}

const mark = (number: number) => encodeAttributes([leaf(1, host32(number))]);

/** What makes somebody's change, which the agent is to undo. */
const CHANGES: [words: string, change: (rig: Rig) => void][] = [
  ['the ruleset flushed', ({ kernel }) => flushByOthers(kernel)],
  ['the table deleted', ({ kernel }) => deleteTables(kernel, 'tapwall')],
  ['the table put to sleep', ({ kernel }) => putToSleep(kernel, 'tapwall')],
  ['a rule deleted', ({ kernel }) => deleteRule(kernel, 'tapwall', 'ingress.door', 2)],
  ['the first rule deleted', ({ kernel }) => deleteRule(kernel, 'tapwall', 'egress.door', 0)],
  ['a rule put in front', ({ kernel }) => insertRule(kernel, 'tapwall', 'ingress.door')],
  ['a chain emptied', ({ kernel }) => emptyChain(kernel, 'tapwall', 'egress.dropped.policy')],
  ['a hook’s rule deleted', (rig) => deleteRule(rig.kernel, 'tapwall', firstBase(rig), 0)],
  ['a rule put in front of a hook’s', (rig) => insertRule(rig.kernel, 'tapwall', firstBase(rig))],
  ['a rule put behind a hook’s', (rig) => appendRule(rig.kernel, 'tapwall', firstBase(rig))],
  ['hooks deleted', (rig) => deleteChain(rig.kernel, 'tapwall', firstBase(rig))],
  ['one hook taken away', (rig) => unhook(rig.kernel, 'tapwall', firstBase(rig))],
  ['a hook’s policy changed to accept', (rig) => openChain(rig.kernel, 'tapwall', firstBase(rig))],
  [
    'a device admitted',
    ({ kernel }) => addElement(kernel, 'tapwall', DEVICE_POLICY, { key: mark(4), data: mark(1) }),
  ],
  [
    'a device admitted that is not there',
    ({ kernel }) => addElement(kernel, 'tapwall', DEVICE_POLICY, { key: mark(77), data: mark(1) }),
  ],
  ['all devices shut out', ({ kernel }) => deleteElements(kernel, 'tapwall', DEVICE_POLICY)],
  ['the policies’ chains forgotten', ({ kernel }) => deleteElements(kernel, 'tapwall', 'policy.egress')],
];

for (const [words, change] of CHANGES) {
  underEach(`${words}: put right, and told of once with who it was`, (the) => {
    const rig = threeDevices(the);
    const before = stateOf(rig);
    change(rig);
    rig.transactions();
    assert.notDeepEqual(stateOf(rig), before, 'nothing was changed');
    rig.step();
    const repairs = rig.take().filter(({ event }) => event === 'repaired');
    assert.equal(repairs.length, 1);
    const [repaired] = repairs;
    assert.ok(repaired?.event === 'repaired' && repaired.by.length === 1);
    assert.deepEqual([repaired.by[0]?.processName, repaired.tables.includes('tapwall')], ['fake', true]);
    assert.ok(repaired.transactions >= 1);
    rig.sendFrames(2);
    rig.sendFrames(4);
    assert.deepEqual(stateOf(rig), before);
    rig.transactions();
    rig.step();
    assert.deepEqual([rig.take(), rig.transactions(), rig.kernel.refusals], [[], [], []]);
  });
}

for (const [words, change] of [
  ['a rule deleted', (rig) => deleteRule(rig.kernel, 'tapwall.3.guard', 'egress', 1)],
  ['a rule put in front', (rig) => insertRule(rig.kernel, 'tapwall.3.guard', 'ingress')],
  ['a chain opened', (rig) => deleteChain(rig.kernel, 'tapwall.3.guard', 'ingress')],
  ['deleted', (rig) => deleteTables(rig.kernel, 'tapwall.3.guard')],
] as [string, (rig: Rig) => void][]) {
  underEach(
    `a device’s own table, ${words}: made anew, and the next device’s left alone`,
    (the) => {
      const rig = threeDevices(the);
      const before = stateOf(rig);
      const other = rig.kernel.tables().find(({ name }) => name === 'tapwall.2.guard');
      change(rig);
      rig.step();
      assert.deepEqual(rig.events(), ['attached macvtap9 3 web replaced', 'repaired']);
      assert.deepEqual(stateOf(rig), before);
      assert.deepEqual(
        rig.kernel.tables().find(({ name }) => name === 'tapwall.2.guard'),
        other,
      );
    },
    fileSettings,
  );

  underEach(
    `a device’s own table, ${words} while no agent ran: made anew at the start`,
    (the) => {
      const rig = threeDevices(the);
      const before = stateOf(rig);
      rig.loop.stop({ detach: false });
      change(rig);
      const policies = [the.policy('guard'), the.policy('web', { rules: 3 })];
      const bindings = [bind('guard', { device: 'macvtap0' }), bind('web', { device: 'macvtap9' })];
      const next = the.rig(the.plan(policies, bindings), rig.kernel);
      next.start();
      assert.deepEqual(stateOf(next), before);
    },
    fileSettings,
  );
}

underEach(
  'a rule of a device’s own table that was replaced by another is put back',
  (the) => {
    const rig = threeDevices(the);
    const before = stateOf(rig);
    replaceRule(rig.kernel, 'tapwall.3.guard', 'ingress');
    rig.step();
    assert.deepEqual(rig.events(), ['attached macvtap9 3 web replaced', 'repaired']);
    assert.deepEqual(stateOf(rig), before);
  },
  fileSettings,
);

underEach('nothing is sent for a ruleset that has changed since it was read', (the) => {
  const before = the.started(the.plan([the.policy('guard'), the.policy('web')], [bind('guard')]));
  before.addDevice('macvtap0');
  before.step();
  before.loop.stop({ detach: false });
  const changed = the.plan([the.policy('guard'), the.policy('web', { rules: 3 })], [bind('guard')]);
  const rig = the.rig(changed, before.kernel);
  rig.addDevice('macvtap1');
  // Told of when all is read and nothing is sent.
  rig.onEvent = ({ event }) => {
    rig.onEvent = () => undefined;
    assert.equal(event, 'attached');
    deleteElements(rig.kernel, 'tapwall', DEVICE_POLICY);
  };
  rig.start();
  assert.deepEqual(
    rig.kernel.refusals.map(({ code, operation }) => [code, operation]),
    [['ERESTART', -1]],
  );
  assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 guard macvtap1']);
});

underEach('what was changed while no agent ran is put right at the start', (the) => {
  for (const [words, change] of CHANGES) {
    const rig = threeDevices(the);
    const before = stateOf(rig);
    rig.loop.stop({ detach: false });
    change(rig);
    const policies = [the.policy('guard'), the.policy('web', { rules: 3 })];
    const bindings = [bind('guard', { device: 'macvtap0' }), bind('web', { device: 'macvtap9' })];
    const next = the.rig(the.plan(policies, bindings), rig.kernel);
    next.start();
    next.sendFrames(2);
    next.sendFrames(4);
    assert.deepEqual(stateOf(next), before, words);
  }
});

underEach(
  'what somebody has added to a policy’s rules goes, and counters elsewhere stay',
  (the) => {
    const rig = threeDevices(the);
    const admitted = () =>
      sharedTable(rig.kernel)?.sets.find(({ name }) => name === 'ingress.admitted')?.elements;
    const counted = admitted();
    assert.equal(counted?.length, 2);
    const before = stateOf(rig);
    insertRule(rig.kernel, 'tapwall', 'policy.guard.ingress.rules');
    rig.step();
    assert.deepEqual([stateOf(rig), admitted()], [before, counted]);
    const [words] = rig.transactions().map((one) => one.operations.map(({ chain }) => chain));
    assert.deepEqual([...new Set(words)], ['policy.guard.ingress.rules']);
  },
  inlineSettings,
);

underEach('what others do with their own tables is none of the agent’s business', (the) => {
  const rig = threeDevices(the);
  addForeignTables(rig.kernel, 'filter', 'tapwalls', 'tapwall.x.y');
  deleteTables(rig.kernel, 'filter');
  rig.onEvent = (event) => assert.fail(event.event);
  rig.step();
  assert.deepEqual(rig.transactions(), []);
});

underEach('two that change something are both told of', (the) => {
  const rig = threeDevices(the);
  openChain(rig.kernel, 'tapwall', firstBase(rig));
  deleteElements(rig.kernel, 'tapwall', DEVICE_POLICY);
  rig.step();
  const repaired = rig.take().find(({ event }) => event === 'repaired');
  assert.ok(repaired?.event === 'repaired');
  assert.equal(new Set(repaired.by.map(({ port }) => port)).size, 2);
});

underEach('notifications that were lost may have been about anything', (the) => {
  const rig = threeDevices(the);
  const before = stateOf(rig);
  flushByOthers(rig.kernel);
  rig.kernel.forgetNotifications();
  rig.kernel.loseNotifications();
  rig.step();
  rig.sendFrames(2);
  rig.sendFrames(4);
  assert.deepEqual(stateOf(rig), before);
  const repaired = rig.take().find(({ event }) => event === 'repaired');
  assert.ok(repaired?.event === 'repaired');
  assert.deepEqual(repaired.by, []);
});

underEach('a device that appears while its table is gone joins what is put back', (the) => {
  const rig = threeDevices(the);
  rig.addDevice('macvtap9x');
  flushByOthers(rig.kernel);
  rig.addDevice('macvtap8');
  rig.step();
  assert.equal(rig.events().filter((line) => line === 'repaired').length, 1);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 web macvtap9']);
  assert.deepEqual(rig.kernel.refusals, []);
});

underEach('what nobody has told of is found in time, and what was refused is not tried again then', (the) => {
  let now = 0;
  const policies = [the.policy('guard'), the.hopeless];
  const bindings = [bind('hopeless', { device: 'macvtap1' }), bind('guard')];
  const rig = the.rig(the.plan(policies, bindings, { reconcileMs: 60_000 }), undefined, undefined, () => now);
  for (const name of ['macvtap0', 'macvtap1']) rig.addDevice(name);
  rig.start();
  assert.deepEqual(rig.events(), [
    'attached macvtap0 2 guard new',
    'failed macvtap1 3 hopeless ENOENT closed',
    'ready 1/2',
  ]);
  rig.kernel.refusals.length = 0;
  // The counters of what passes are made first, half a second after the last event.
  for (now of [500, 1_000]) rig.step();
  rig.transactions();
  const before = stateOf(rig);
  deleteRule(rig.kernel, 'tapwall', 'ingress.door', 2);
  rig.kernel.forgetNotifications();
  now = 59_999;
  rig.step();
  assert.deepEqual([rig.events(), rig.transactions()], [[], []]);
  now = 60_000;
  rig.step();
  assert.deepEqual(rig.events(), ['repaired']);
  assert.deepEqual(stateOf(rig), before);
  assert.equal(rig.transactions().length, 1);
  for (now of [120_000, 180_000]) rig.step();
  assert.deepEqual([rig.events(), rig.transactions(), rig.kernel.refusals], [[], [], []]);
});

underEach('a device that a round finds before its event is read was nobody’s change', (the) => {
  const rig = the.rig(the.guardAll());
  rig.onEvent = ({ event }) => {
    if (event === 'ready') rig.addDevice('macvtap0');
  };
  rig.start();
  rig.step();
  assert.deepEqual(rig.events(), ['ready 0/0', 'attached macvtap0 2 guard new']);
});

underEach('a ruleset that changed after it was read is read again', (the) => {
  const rig = threeDevices(the);
  const before = stateOf(rig);
  openChain(rig.kernel, 'tapwall', firstBase(rig));
  for (let times = 0; times < 5; times++) rig.kernel.refuseNext(ERESTART);
  rig.step();
  assert.deepEqual(
    [stateOf(rig), rig.events().filter((line) => line === 'repaired')],
    [before, ['repaired']],
  );
  assert.equal(rig.kernel.refusals.length, 5);
});

underEach('a ruleset that never stands still is told of, and tried again in a while', (the) => {
  let now = 0;
  const rig = the.rig(the.guardAll(), undefined, undefined, () => now);
  rig.addDevice('macvtap0');
  rig.start();
  rig.events();
  const before = stateOf(rig);
  flushByOthers(rig.kernel);
  for (let times = 0; times < 16; times++) rig.kernel.refuseNext(ERESTART);
  rig.loop.step(0);
  const [warning, ...more] = rig.events();
  assert.match(warning ?? '', /^warning cannot bring the filters in line.*16 attempts/);
  assert.deepEqual(more, []);
  now = 99;
  rig.loop.step(0);
  assert.deepEqual(rig.events(), []);
  now = 100;
  rig.step();
  assert.ok(rig.events().includes('attached macvtap0 2 guard new'));
  assert.deepEqual(stateOf(rig), before);
});

underEach('a repair that the kernel refuses is told of, and tried again ever more seldom', (the) => {
  let now = 0;
  const rig = the.rig(the.guardAll(), undefined, undefined, () => now);
  rig.start();
  rig.events();
  flushByOthers(rig.kernel);
  rig.kernel.refuseNext(ENOMEM);
  rig.loop.step(0);
  rig.kernel.refuseNext(ENOMEM);
  now = 100;
  rig.loop.step(0);
  assert.equal(rig.events().filter((line) => /^warning .*ENOMEM/.test(line)).length, 2);
  now = 299;
  rig.loop.step(0);
  assert.deepEqual(rig.kernel.tables(), []);
  now = 300;
  rig.step();
  assert.deepEqual(rig.events(), ['repaired']);
});
