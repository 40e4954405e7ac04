/** Devices that get other names. */
import assert from 'node:assert/strict';
import { FIRST, inBoth, LAST, MOVED, REATTACH_2 } from './expected.js';
import { indexesBySet } from './state.js';
import { bind, fileSettings, inlineSettings, operations, underEach } from './support.js';

underEach(
  'a renamed device gets its own tables again under the new name, in one transaction',
  (the) => {
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0');
    rig.step();
    rig.events();
    rig.transactions();
    rig.kernel.updateLink('macvtap0', { name: 'macvtap1' });
    rig.step();
    assert.deepEqual(rig.events(), ['attached macvtap1 2 guard replaced']);
    const [first, ...late] = rig.transactions().map(operations);
    const isOfTable = (one: string) => one.includes('tapwall.2.guard');
    assert.deepEqual(first?.filter(isOfTable), REATTACH_2);
    // What the door has let through to them is counted anew.
    for (const set of ['ingress.admitted', 'egress.admitted'])
      assert.ok(
        first?.some((one) => /^(?:DESTROY|DEL)SETELEM /.test(one) && one.endsWith(` tapwall ${set}`)),
      );
    const { placement, namesInAdvance } = the.setting;
    assert.equal(late.length, placement === 'device' && namesInAdvance ? 1 : 0);
    assert.deepEqual(rig.installed(), ['2 guard macvtap1']);
  },
  fileSettings,
);

underEach(
  'a device of an inline policy that is renamed needs nothing but its own hooks',
  (the) => {
    const { placement, namesInAdvance } = the.setting;
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0');
    rig.step();
    rig.events();
    rig.transactions();
    const rename = (from: string, to: string) => {
      const elements = indexesBySet(rig.kernel);
      rig.kernel.updateLink(from, { name: to });
      rig.step();
      assert.deepEqual(indexesBySet(rig.kernel), elements);
      assert.deepEqual(rig.installed(), [`2 guard ${to}`]);
      rig.events();
      return rig.transactions().map(operations);
    };
    const hooks = (...moves: string[][]) => {
      if (placement === 'prefix') return [];
      if (placement === 'device') {
        return namesInAdvance ? MOVED : [];
      }
      if (placement === 'chain') {
        if (!namesInAdvance) return [];
        return [
          ['ingress', 'egress'].flatMap((word) =>
            ['DELRULE', 'DELCHAIN', 'NEWCHAIN', 'NEWRULE'].map((one) => `${one} tapwall ${word}.device.2`),
          ),
        ];
      }
      return moves;
    };
    // Among the names that are hooked in advance, out of them, outside, and back.
    assert.deepEqual(rename('macvtap0', 'macvtap1'), hooks());
    assert.deepEqual(rename('macvtap1', 'macvtap-web'), hooks(...inBoth(FIRST)));
    assert.deepEqual(rename('macvtap-web', 'macvtap-db'), hooks(...MOVED));
    assert.deepEqual(rename('macvtap-db', 'macvtap2'), hooks(...inBoth(LAST)));
  },
  inlineSettings,
);

underEach(
  'a name that was passed through is never filtered for: the device would stand open meanwhile',
  (the) => {
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0');
    rig.step();
    rig.events();
    rig.transactions();
    rig.kernel.updateLink('macvtap0', { name: 'macvtap1' });
    rig.kernel.updateLink('macvtap1', { name: 'macvtap2' });
    rig.step();
    assert.deepEqual(rig.installed(), ['2 guard macvtap2']);
    assert.deepEqual(rig.kernel.refusals, []);
    const moves = the.movesOnRename('macvtap0', 'macvtap2');
    assert.deepEqual(rig.events(), moves ? ['attached macvtap2 2 guard replaced'] : []);
    const second = the.setting.placement === 'device' && the.setting.namesInAdvance;
    assert.equal(rig.transactions().length, moves ? (second ? 2 : 1) : 0);
    rig.events();
    rig.kernel.updateLink('macvtap2', { name: 'macvtap3' });
    rig.kernel.removeLink('macvtap3');
    rig.step();
    assert.deepEqual(rig.events(), ['detached macvtap3 2 gone']);
    assert.deepEqual(rig.installed(), []);
  },
);

underEach('two devices that exchange their names end behind their own policies', (the) => {
  const policies = [the.policy('guard'), the.policy('web', { rules: 2 })];
  const rig = the.started(the.plan(policies, [bind('web', { mac: '02:00:00:00:00:02' }), bind('guard')]));
  rig.addDevice('macvtap0', { mac: '02:00:00:00:00:02' });
  rig.addDevice('macvtap1', { mac: '02:00:00:00:00:03' });
  rig.step();
  rig.kernel.updateLink('macvtap0', { name: 'macvtap9' });
  rig.kernel.updateLink('macvtap1', { name: 'macvtap0' });
  rig.kernel.updateLink('macvtap9', { name: 'macvtap1' });
  rig.step();
  assert.deepEqual(rig.installed(), ['2 web macvtap1', '3 guard macvtap0']);
});

underEach('a device renamed out of the prefixes is let go, and taken again when it comes back', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  rig.events();
  rig.kernel.updateLink('macvtap0', { name: 'mine0' });
  rig.step();
  assert.deepEqual(rig.events(), ['detached mine0 2 unbound']);
  assert.deepEqual(rig.installed(), []);
  rig.kernel.updateLink('mine0', { alias: 'mine', up: true });
  rig.step();
  assert.deepEqual(rig.events(), []);
  rig.kernel.updateLink('mine0', { name: 'macvtap7' });
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap7 2 guard new']);
});

underEach('an unmatched device that left the prefixes is told of again under its next name', (the) => {
  const rig = the.started(the.plan([the.policy('guard')], [bind('guard', { alias: 'web' })]));
  rig.addDevice('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['unmatched macvtap0 2 closed']);
  rig.kernel.updateLink('macvtap0', { name: 'mine0' });
  rig.step();
  assert.deepEqual(rig.events(), []);
  rig.kernel.updateLink('mine0', { name: 'macvtap1' });
  rig.step();
  assert.deepEqual(rig.events(), ['unmatched macvtap1 2 closed']);
});

underEach('a device renamed before the loop looked is no failure', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.kernel.updateLink('macvtap0', { name: 'macvtap1' });
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap1 2 guard new']);
  assert.deepEqual(rig.installed(), ['2 guard macvtap1']);
});

underEach('a device that leaves the prefixes before it was ever seen leaves no counters', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.sendFrames(2);
  rig.kernel.updateLink('macvtap0', { name: 'eth7' });
  rig.step();
  assert.deepEqual([...indexesBySet(rig.kernel).values()].flat(), []);
});
