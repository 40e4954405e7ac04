/** Many devices: how many transactions and messages they take. */
import assert from 'node:assert/strict';
import { ATTACH_2 } from './expected.js';
import { inlineSettings, underEach } from './support.js';

underEach(
  'how many messages a device takes does not depend on how many there are',
  (the) => {
    const rig = the.started(the.guardAll());
    const attach = (number: number) => {
      rig.addDevice(`macvtap${number}`);
      rig.loop.step(0);
      return rig.lengths();
    };
    // The first one brings its chain along.
    attach(100);
    const first = attach(101);
    for (let number = 102; number < 200; number++) assert.deepEqual(attach(number), first);
    rig.check();
    assert.equal(rig.installed().length, 100);
    assert.ok(first.length <= 2 && first.reduce((sum, one) => sum + one) <= 8, String(first));
    if (!the.hasOwnHooks('macvtap100')) assert.deepEqual(first, [2]);
  },
  inlineSettings,
);

/** 1,000 devices are four transactions of at most 256; those with hooks of their own have a second half each. */
const AT_ONCE = 1000;
const MOST = 4;

underEach('1,000 devices at once: few transactions, and none is lost', (the) => {
  const rig = the.started(the.guardAll());
  const names = Array.from({ length: AT_ONCE }, (_, number) => `macvtap${number}`);
  for (const name of names) rig.addDevice(name);
  rig.step();
  const own = the.hasOwnHooks('macvtap999') && the.setting.placement !== 'chain' ? 2 : 1;
  const lengths = rig.lengths();
  assert.equal(lengths.length, MOST * own);
  const messages = lengths.reduce((sum, one) => sum + one);
  const perDevice = the.setting.kind === 'inline' ? 2 : 1 + ATTACH_2.length;
  // At most: each hook is a message, and where its chain is not known to stand, the rest of the chain as well.
  const hooks = the.setting.placement === 'chain' ? 4 : 6;
  const hooked = names.filter((name) => the.hasOwnHooks(name)).length;
  const most = AT_ONCE * perDevice + hooked * hooks;
  if (the.setting.placement === 'prefix' || the.setting.placement === 'chain') assert.equal(messages, most);
  else assert.ok(messages <= most, `${messages} messages`);
  assert.deepEqual(
    rig.take().map((event) => event.event === 'attached' && event.device),
    names,
  );
  assert.equal(rig.installed().length, AT_ONCE);
  const leaving = names.slice(0, 100);
  for (const name of leaving) rig.kernel.removeLink(name);
  rig.step();
  assert.equal(rig.installed().length, AT_ONCE - leaving.length);
});

underEach(
  '1,000 devices that are there at the start are as few transactions',
  (the) => {
    const rig = the.rig(the.guardAll());
    for (let number = 0; number < AT_ONCE; number++) rig.addDevice(`macvtap${number}`);
    rig.start();
    const own = the.hasOwnHooks('macvtap999') && the.setting.placement !== 'chain' ? 2 : 1;
    const standing = the.setting.placement === 'prefix' || the.setting.placement === 'names' ? 2 : 0;
    // Admitted first, where the chain that they are added to may be in force by then.
    const admitted = the.setting.placement === 'device' ? MOST : 0;
    assert.equal(rig.transactions().length, 1 + admitted + MOST * own + standing);
    assert.equal(rig.installed().length, AT_ONCE);
    // The next agent has nothing to do.
    rig.loop.stop({ detach: false });
    const next = the.rig(the.guardAll(), rig.kernel);
    next.start();
    assert.deepEqual(next.transactions(), []);
    assert.equal(next.events().at(-1), `ready ${AT_ONCE}/${AT_ONCE}`);
  },
  inlineSettings,
);
