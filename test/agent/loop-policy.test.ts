/** Another plan with other policies: what changes of the shared table, and that no device is touched for it. */
import assert from 'node:assert/strict';
import { COUNTERS } from './shared-plan.js';
import { indexesBySet } from './state.js';
import { bind, fileSettings, inline, inlineSettings, operations, underEach } from './support.js';

underEach(
  'an inline policy that changed is replaced in one transaction, and no device is touched',
  (the) => {
    const bindings = [bind('web', { alias: 'web' }), bind('guard')];
    const rig = the.started(the.plan([the.guard, the.policy('web')], bindings));
    for (let number = 0; number < 100; number++) {
      rig.addDevice(`macvtap${number}`, number % 2 === 0 ? {} : { alias: 'web' });
    }
    rig.step();
    rig.events();
    rig.transactions();
    const elements = indexesBySet(rig.kernel);
    const handles = () =>
      rig.kernel
        .tables()[0]
        ?.chains.flatMap(({ name = '', rules }) =>
          /^policy\.web\..*\.rules$/.test(name) ? [] : rules.map(({ handle }) => handle),
        );
    const untouched = handles();
    rig.reload(the.plan([the.guard, the.web], bindings));
    assert.deepEqual(rig.events(), ['reloaded']);
    assert.deepEqual(rig.transactions().map(operations), [
      [
        'DELRULE tapwall policy.web.ingress.rules',
        'DELRULE tapwall policy.web.egress.rules',
        'NEWRULE tapwall policy.web.ingress.rules',
        'NEWRULE tapwall policy.web.ingress.rules',
        'NEWRULE tapwall policy.web.egress.rules',
        'NEWRULE tapwall policy.web.egress.rules',
      ],
    ]);
    assert.deepEqual(indexesBySet(rig.kernel), elements);
    assert.deepEqual(handles(), untouched);
  },
  inlineSettings,
);

underEach(
  'what frames were counted for stays when a policy changes',
  (the) => {
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0');
    rig.step();
    rig.sendFrames(2);
    rig.reload(the.plan([the.policy('guard', { rules: 4 })], [bind('guard')]));
    for (const [set, indexes] of indexesBySet(rig.kernel)) assert.deepEqual(indexes, [2], set);
  },
  inlineSettings,
);

underEach('a policy that is new, and one that is no more, change the maps and nothing of devices', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  rig.transactions();
  rig.events();
  const elements = indexesBySet(rig.kernel);
  const touched = () => {
    const [transaction, ...more] = rig.transactions().map(operations);
    assert.deepEqual(more, []);
    return new Set(transaction?.map((word) => word.split(' ')[2]));
  };
  // Rules that use a set stand in the way of making it anew: those of the doors.
  const expected = new Set(
    ['ingress', 'egress'].flatMap((word) => [
      `policy.web.${word}`,
      `policy.${word}`,
      `${word}.door`,
      ...(the.setting.kind === 'inline' ? [`policy.web.${word}.rules`] : []),
    ]),
  );
  rig.reload(the.plan([the.guard, the.web], [bind('guard')]));
  assert.deepEqual(touched(), expected);
  assert.deepEqual(indexesBySet(rig.kernel), elements);
  rig.reload(the.guardAll());
  assert.deepEqual(touched(), expected);
  assert.deepEqual(indexesBySet(rig.kernel), elements);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
  assert.deepEqual(rig.kernel.refusals, []);
});

underEach(
  'a policy that comes to need facts of its devices gets them in the same transaction',
  (the) => {
    const plain = inline('guard', { facts: [] });
    const rig = the.started(the.plan([plain], [bind('guard')]));
    rig.addDevice('macvtap0');
    rig.addDevice('macvtap9');
    rig.step();
    rig.events();
    rig.transactions();
    rig.reload(the.guardAll());
    assert.deepEqual(rig.events(), [
      'attached macvtap0 2 guard replaced',
      'attached macvtap9 3 guard replaced',
      'reloaded',
    ]);
    assert.equal(rig.transactions().length, 1);
    assert.deepEqual(indexesBySet(rig.kernel).get('mac.assigned'), [2, 3]);
    rig.reload(the.plan([plain], [bind('guard')]));
    assert.equal(rig.transactions().length, 1);
    assert.equal(indexesBySet(rig.kernel).has('mac.assigned'), false);
    assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 guard macvtap9']);
    assert.deepEqual(rig.kernel.refusals, []);
  },
  inlineSettings,
);

underEach('a plan that the kernel refuses is not put in force, and nothing changes', (the) => {
  const rig = the.started(the.guardAll());
  for (const name of ['macvtap0', 'macvtap8', 'macvtap9']) rig.addDevice(name);
  rig.step();
  rig.events();
  rig.transactions();
  const tables = rig.kernel.tables();
  for (const refused of [inline('web', { hopeless: true }), inline('web', { link: 'mirror0' })]) {
    assert.throws(() => rig.reload(the.plan([the.guard, refused], [bind('web')])), {
      code: refused.hopeless ? 'ENOENT' : 'LINK_NOT_FOUND',
    });
    assert.deepEqual(rig.kernel.tables(), tables);
    assert.deepEqual(rig.transactions(), []);
    assert.deepEqual(rig.events(), []);
  }
  // The old plan is in force, hooks and all.
  rig.kernel.removeLink('macvtap8');
  rig.addDevice('macvtap10');
  rig.step();
  assert.deepEqual(rig.installed(), ['2 guard macvtap0', '4 guard macvtap9', '5 guard macvtap10']);
});

underEach(
  'a plan that the kernel refuses at a start starts nothing, and a door that stands stays closed',
  (the) => {
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0');
    rig.step();
    rig.loop.stop({ detach: false });
    const tables = rig.kernel.tables();
    const next = the.rig(the.plan([inline('web', { hopeless: true })], [bind('web')]), rig.kernel);
    assert.throws(() => next.loop.start(), { code: 'ENOENT' });
    assert.deepEqual(rig.kernel.tables(), tables);
  },
);

underEach(
  'the tables of a policy that changed are replaced in one transaction, others are not touched',
  (the) => {
    const bindings = [bind('web', { alias: 'web' }), bind('guard')];
    const rig = the.started(the.plan([the.guard, the.policy('web')], bindings));
    rig.addDevice('macvtap0');
    rig.addDevice('macvtap1', { alias: 'web' });
    rig.addDevice('macvtap2', { alias: 'web' });
    rig.step();
    rig.events();
    rig.transactions();
    const untouched = () =>
      rig.kernel.tables().filter(({ name }) => name === 'tapwall.2.guard' || name === 'tapwall');
    const before = untouched();
    rig.reload(the.plan([the.guard, the.web], bindings));
    assert.deepEqual(rig.events(), [
      'attached macvtap1 3 web replaced',
      'attached macvtap2 4 web replaced',
      'reloaded',
    ]);
    const [transaction, ...more] = rig.transactions();
    assert.deepEqual(more, []);
    assert.deepEqual(
      new Set(transaction?.operations.map(({ table }) => table)),
      // In the shared table what the door has let through to them is counted anew.
      new Set(['tapwall', 'tapwall.3.guard', 'tapwall.4.guard']),
    );
    const counted = transaction?.operations.filter(({ table }) => table === 'tapwall').map(({ set }) => set);
    assert.deepEqual(new Set(counted), new Set(COUNTERS.filter((set) => set.includes('.admitted'))));
    assert.deepEqual(untouched(), before);
  },
  fileSettings,
);

underEach('a policy that was a file becomes inline, and a file again', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.addDevice('macvtap9');
  rig.step();
  const file = the.fileGuard;
  for (const guard of [inline('guard'), file, inline('guard', { rules: 3 }), file]) {
    rig.reload(the.plan([guard], [bind('guard')]));
    assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 guard macvtap9']);
    const own = rig.kernel.tables().filter(({ name }) => name !== 'tapwall');
    assert.equal(own.length, guard === file ? 2 : 0);
  }
  assert.deepEqual(rig.kernel.refusals, []);
});
