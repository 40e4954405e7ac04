/** Whose the tables are: the agent's while it runs, nobody's afterwards. */
import assert from 'node:assert/strict';
import { NFT_TABLE_F_OWNER, NFT_TABLE_F_PERSIST } from '#src/nftables/constants.js';
import { flushByOthers } from './stranger.js';
import { attachByHand, bind, inline, operations, program, type Rig, underEach } from './support.js';

const OWNED = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST;
const OWNS = { ownership: 'own' } as const;

function flagsOf({ kernel }: Rig): (number | undefined)[] {
  return kernel.tables().map(({ flags }) => flags);
}

function stateOf({ kernel }: Rig): unknown {
  return kernel.tables().map(({ flags: _, owner: __, ...table }) => table);
}

underEach('all that the agent makes belongs to its socket, and outlives it', (the) => {
  const rig = the.rig(the.guardAll(OWNS));
  rig.addDevice('macvtap0');
  rig.start();
  rig.addDevice('macvtap1');
  rig.step();
  const tables = rig.kernel.tables();
  assert.equal(tables.length, the.setting.kind === 'file' ? 3 : 1);
  assert.ok(tables.every(({ flags, owner }) => flags === OWNED && owner === tables[0]?.owner));
  rig.loop.stop({ detach: false });
  assert.ok(
    rig.kernel.tables().every(({ flags, owner }) => flags === NFT_TABLE_F_PERSIST && owner === undefined),
  );
  assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 guard macvtap1']);
});

underEach('a start takes over what is up to date in one transaction that changes nothing else', (the) => {
  const before = the.started(the.guardAll(OWNS));
  before.addDevice('macvtap0');
  before.addDevice('macvtap1');
  before.step();
  before.loop.stop({ detach: false });
  const state = stateOf(before);
  const rig = the.rig(the.guardAll(OWNS), before.kernel);
  rig.transactions();
  rig.start();
  assert.deepEqual(rig.events(), [
    'attached macvtap0 2 guard kept',
    'attached macvtap1 3 guard kept',
    'ready 2/2',
  ]);
  const own = the.setting.kind === 'file' ? ['NEWTABLE tapwall.2.guard', 'NEWTABLE tapwall.3.guard'] : [];
  assert.deepEqual(rig.transactions().map(operations), [['NEWTABLE tapwall', ...own]]);
  assert.deepEqual(stateOf(rig), state);
  assert.ok(flagsOf(rig).every((flags) => flags === OWNED));
});

underEach('what is taken over is changed in the transaction that takes it over', (the) => {
  const before = the.started(the.plan([the.policy('guard', { rules: 3 })], [bind('guard')], OWNS));
  before.addDevice('macvtap0');
  before.step();
  before.loop.stop({ detach: false });
  const rig = the.rig(the.guardAll(OWNS), before.kernel);
  rig.transactions();
  rig.start();
  const [first, ...more] = rig.transactions().map(operations);
  assert.equal(first?.[0], 'NEWTABLE tapwall');
  assert.ok((first?.length ?? 0) > 2);
  assert.deepEqual(more, []);
});

underEach('what is taken over is so before hooks move, which the kernel refuses together', (the) => {
  const before = the.started(the.guardAll(OWNS));
  for (const name of ['macvtap0', 'macvtap1']) before.addDevice(name);
  before.step();
  before.loop.stop({ detach: false });
  before.kernel.removeLink('macvtap0');
  before.addDevice('macvtap9');
  const rig = the.rig(the.guardAll(OWNS), before.kernel);
  rig.start();
  assert.deepEqual(rig.kernel.refusals, []);
  assert.deepEqual(rig.installed(), ['3 guard macvtap1', '4 guard macvtap9']);
  assert.ok(flagsOf(rig).every((flags) => flags === OWNED));
});

underEach('a second agent says whose the tables are, and changes nothing', (the) => {
  const first = the.started(the.guardAll(OWNS));
  first.addDevice('macvtap0');
  first.step();
  const tables = first.kernel.tables();
  first.transactions();
  for (const plan of [the.guardAll(OWNS), the.guardAll(), the.plan([the.web], [bind('web')], OWNS)]) {
    const second = the.rig(plan, first.kernel);
    assert.throws(() => second.start(), {
      code: 'OWNED_BY_OTHER',
      message: new RegExp(`${tables[0]?.owner}`),
    });
    assert.deepEqual(second.transactions(), []);
    second.loop.stop({ detach: false });
  }
  assert.deepEqual(first.kernel.tables(), tables);
  assert.deepEqual(first.kernel.refusals, []);
  first.addDevice('macvtap1');
  first.step();
  assert.deepEqual(first.installed(), ['2 guard macvtap0', '3 guard macvtap1']);
});

underEach('a flush by others passes by what is owned', (the) => {
  const rig = the.started(the.guardAll(OWNS));
  rig.addDevice('macvtap0');
  rig.step();
  rig.events();
  const tables = rig.kernel.tables();
  flushByOthers(rig.kernel);
  rig.transactions();
  rig.step();
  assert.deepEqual(rig.kernel.tables(), tables);
  assert.deepEqual([rig.events(), rig.transactions()], [[], []]);
});

underEach('tables that are given up are put right until a reload takes them back', (the) => {
  const rig = the.started(the.guardAll(OWNS));
  rig.addDevice('macvtap0');
  rig.step();
  rig.events();
  const state = stateOf(rig);
  rig.transactions();
  rig.loop.release();
  assert.deepEqual(rig.events(), ['released']);
  assert.deepEqual([stateOf(rig), rig.transactions()], [state, []]);
  assert.ok(flagsOf(rig).every((flags) => flags === NFT_TABLE_F_PERSIST));
  flushByOthers(rig.kernel);
  assert.deepEqual(rig.kernel.tables(), []);
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new', 'repaired']);
  rig.addDevice('macvtap1');
  rig.step();
  assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 guard macvtap1']);
  // What was made meanwhile can be taken over, too.
  assert.ok(flagsOf(rig).every((flags) => flags === NFT_TABLE_F_PERSIST));
  rig.transactions();
  rig.reload(the.guardAll(OWNS));
  assert.ok(flagsOf(rig).every((flags) => flags === OWNED));
  const words = rig.transactions().flatMap(operations);
  assert.ok(words.length > 0 && words.every((word) => word.startsWith('NEWTABLE ')));
});

underEach('owner: false gives tables up at a reload, and true takes them back', (the) => {
  const rig = the.started(the.guardAll(OWNS));
  rig.addDevice('macvtap0');
  rig.step();
  rig.transactions();
  const state = stateOf(rig);
  rig.reload(the.guardAll());
  assert.ok(flagsOf(rig).every((flags) => flags === NFT_TABLE_F_PERSIST));
  assert.deepEqual(rig.transactions(), []);
  rig.reload(the.guardAll(OWNS));
  assert.ok(flagsOf(rig).every((flags) => flags === OWNED));
  assert.equal(rig.transactions().length, 1);
  assert.deepEqual(stateOf(rig), state);
});

underEach('a reload that is refused leaves the tables owned', (the) => {
  const rig = the.started(the.guardAll(OWNS));
  rig.addDevice('macvtap0');
  rig.step();
  const state = rig.kernel.tables();
  // Its policies lead to chains that are not there, with which no shared table can be made.
  const hopeless = the.plan([inline('hopeless', { hopeless: true })], [bind('hopeless')]);
  assert.throws(() => rig.reload(hopeless), { code: 'ENOENT' });
  const held = (tables: typeof state) => tables.map(({ name, flags, chains }) => [name, flags, chains]);
  assert.deepEqual(held(rig.kernel.tables()), held(state));
});

underEach('tables that were never owned are said to be so once, and filter', (the) => {
  const before = the.started(the.guardAll());
  before.addDevice('macvtap0');
  before.step();
  before.loop.stop({ detach: false });
  const rig = the.rig(the.guardAll(OWNS), before.kernel);
  rig.transactions();
  rig.start();
  const [warning, ...more] = rig.events();
  assert.match(warning ?? '', /^warning .*made to belong to nobody/);
  assert.deepEqual(more, ['attached macvtap0 2 guard kept', 'ready 1/1']);
  assert.deepEqual(rig.transactions(), []);
  rig.reload(the.guardAll(OWNS));
  assert.deepEqual(rig.events(), ['reloaded']);
});

underEach('an agent whose tables another one has taken over ends, and says so', (the) => {
  const first = the.started(the.guardAll(OWNS));
  first.addDevice('macvtap0');
  first.step();
  first.loop.release();
  const second = the.rig(the.guardAll(OWNS), first.kernel);
  second.start();
  assert.throws(() => first.step(), { code: 'OWNED_BY_OTHER' });
  assert.deepEqual(first.kernel.refusals, []);
  assert.deepEqual(second.installed(), ['2 guard macvtap0']);
});

underEach('what is attached by hand is refused before anything is sent', (the) => {
  const rig = the.started(the.plan([the.guard], [], OWNS));
  rig.addDevice('macvtap0');
  rig.step();
  rig.transactions();
  assert.throws(() => attachByHand(rig.kernel, 'macvtap0', program('mine')), { code: 'OWNED_BY_OTHER' });
  assert.deepEqual([rig.transactions(), rig.kernel.refusals], [[], []]);
  rig.loop.stop({ detach: false });
  attachByHand(rig.kernel, 'macvtap0', program('mine'));
  assert.deepEqual(rig.installed(), ['2 by-hand/mine macvtap0']);
  // A hand's tables stay a hand's.
  const next = the.rig(the.plan([the.guard], [], OWNS), rig.kernel);
  next.start();
  assert.deepEqual(
    next.kernel.tables().map(({ name, flags }) => [name, flags]),
    [
      ['tapwall', OWNED],
      ['tapwall.2.guard', 0],
    ],
  );
  assert.deepEqual(next.installed(), ['2 by-hand/mine macvtap0']);
});
