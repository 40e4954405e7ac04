/** The kernel says no. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { indexesBySet } from './state.js';
import {
  addForeignTables,
  bind,
  deleteTables,
  fileSettings,
  inlineSettings,
  program,
  SETTINGS,
  underEach,
} from './support.js';

const { EBUSY, EINVAL, ENOMEM, EPERM } = constants.errno;

underEach('a device whose policy is refused is closed, and the event says what the kernel said', (the) => {
  const rig = the.started(the.guardAll());
  rig.kernel.refuseNext(EINVAL, 'Table has too many chains');
  rig.addDevice('macvtap0');
  rig.step();
  const [failed, ...more] = rig.take();
  assert.deepEqual(more, []);
  assert.ok(failed?.event === 'failed');
  // The refusal is of the last operation there was.
  const refused = rig.kernel.refusals[0]?.operations.at(-1);
  const last = the.hasOwnHooks('macvtap0')
    ? `NEWRULE ${refused?.chain} rule 1`
    : the.setting.kind === 'file'
      ? 'NEWRULE egress rule 1'
      : 'NEWSETELEM device.policy';
  assert.deepEqual(failed, {
    event: 'failed',
    device: 'macvtap0',
    index: 2,
    policy: 'guard',
    closed: true,
    error: {
      code: 'EINVAL',
      errno: EINVAL,
      message: `the kernel refused ${last}: EINVAL, "Table has too many chains"`,
      operation: last,
      sequence: failed.error['sequence'],
      extendedAck: { message: 'Table has too many chains' },
    },
  });
  // Behind the door, which the step sees to, and not admitted.
  assert.deepEqual(rig.installed(), []);
  assert.deepEqual(rig.transactions().length, the.hasOwnHooks('macvtap0') ? the.stepsTo('macvtap0') : 0);
});

underEach('refused twice: a device that needs hooks of its own is open, and the event says so', (the) => {
  const rig = the.started(the.guardAll());
  rig.kernel.refuseNext(EINVAL);
  rig.kernel.refuseNext(ENOMEM);
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  const own = the.hasOwnHooks('macvtap0');
  assert.deepEqual(rig.events(), [`failed macvtap0 2 guard EINVAL ${own ? 'open' : 'closed'}`]);
  assert.deepEqual(rig.installed(), []);
  // Where the door stands in advance, there is nothing that could be refused a second time.
  assert.equal(rig.kernel.refusals.length, own ? 2 : 1);
});

underEach(
  'refused in its second half: the device is closed in both directions, or the event says that it is not',
  (the) => {
    for (const closes of [true, false]) {
      const rig = the.started(the.guardAll());
      rig.addDevice('macvtap9');
      rig.kernel.onTransaction = () => {
        rig.kernel.onTransaction = undefined;
        // All together, and each alone; then the attempt to close.
        for (let count = closes ? 2 : 3; count > 0; count--) rig.kernel.refuseNext(EINVAL);
      };
      rig.loop.step(0);
      assert.deepEqual(rig.events(), [`failed macvtap9 2 guard EINVAL ${closes ? 'closed' : 'open'}`]);
      assert.equal(rig.installed().length, closes ? 0 : 1);
      if (closes) rig.check();
      rig.reload(the.guardAll());
      assert.deepEqual(rig.installed(), ['2 guard macvtap9']);
    }
  },
  SETTINGS.filter(({ placement }) => placement === 'device' || placement === 'names'),
);

underEach(
  'a policy that was refused is not tried again on every event, be the device closed or open',
  (the) => {
    for (const refusals of [[EINVAL], [EINVAL, EINVAL]]) {
      const rig = the.started(the.guardAll());
      for (const errno of refusals) rig.kernel.refuseNext(errno);
      rig.addDevice('macvtap0');
      rig.kernel.updateLink('macvtap0', { up: true });
      rig.kernel.updateLink('macvtap0', { alias: 'a', mac: '02:00:00:00:00:09' });
      rig.loop.step(0);
      rig.kernel.updateLink('macvtap0', { up: false });
      rig.loop.step(0);
      assert.equal(rig.events().length, 1);
      const own = the.hasOwnHooks('macvtap0');
      assert.equal(rig.kernel.refusals.length, own ? refusals.length : 1);
    }
  },
);

underEach(
  'what was refused is tried again under another name, with another policy, and when all is read again',
  (the) => {
    const rig = the.started(
      the.plan([the.guard, the.hopeless], [bind('guard', { alias: 'ok' }), bind('hopeless')]),
    );
    rig.addDevice('macvtap0');
    rig.step();
    rig.kernel.updateLink('macvtap0', { name: 'macvtap1' });
    rig.step();
    rig.kernel.loseEvents();
    rig.step();
    assert.deepEqual(rig.events(), [
      'failed macvtap0 2 hopeless ENOENT closed',
      'failed macvtap1 2 hopeless ENOENT closed',
      'overflow',
      'failed macvtap1 2 hopeless ENOENT closed',
    ]);
    assert.deepEqual(rig.installed(), []);
    rig.transactions();
    rig.kernel.updateLink('macvtap1', { alias: 'ok', up: true });
    rig.step();
    assert.deepEqual(rig.events(), ['attached macvtap1 2 guard new']);
    // Its hooks stand already.
    assert.equal(rig.transactions().length, 1);
  },
);

underEach('a device that was elsewhere when its next policy was tried gets it when it is back', (the) => {
  const bindings = [bind('guard', { alias: 'ok' }), bind('hopeless')];
  const rig = the.started(the.plan([the.guard, the.hopeless], bindings));
  rig.addDevice('macvtap0');
  rig.kernel.updateLink('macvtap0', { up: true });
  rig.kernel.refuseNext(EINVAL);
  if (the.hasOwnHooks('macvtap0')) rig.kernel.refuseNext(EINVAL);
  rig.loop.step(0);
  rig.events();
  rig.kernel.updateLink('macvtap0', { name: 'macvtap1' });
  rig.kernel.updateLink('macvtap1', { alias: 'ok' });
  rig.kernel.updateLink('macvtap1', { name: 'macvtap0' });
  rig.step();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new']);
});

underEach('a device that no binding matches and that cannot be closed is told of as open', (the) => {
  const rig = the.started(the.plan([the.guard], []));
  rig.kernel.refuseNext(EINVAL);
  rig.addDevice('macvtap9');
  rig.loop.step(0);
  if (!the.hasOwnHooks('macvtap9')) {
    assert.deepEqual(rig.events(), ['unmatched macvtap9 2 closed']);
    return;
  }
  const [warning, ...more] = rig.events();
  assert.match(warning ?? '', /^warning cannot close the door to macvtap9: .*EINVAL/);
  assert.deepEqual(more, ['unmatched macvtap9 2 open']);
  rig.kernel.updateLink('macvtap9', { up: true });
  rig.loop.step(0);
  assert.deepEqual([rig.events(), rig.kernel.refusals.length], [[], 1]);
  rig.reload(the.plan([the.guard], []));
  assert.deepEqual(rig.events(), ['unmatched macvtap9 2 closed', 'reloaded']);
});

underEach('a device that was closed goes as any other', (the) => {
  const rig = the.started(the.plan([the.hopeless], [bind('hopeless')]));
  rig.addDevice('macvtap0');
  rig.step();
  rig.events();
  rig.kernel.removeLink('macvtap0');
  rig.step();
  // It was never admitted.
  assert.deepEqual(rig.events(), []);
  assert.deepEqual(rig.installed(), []);
});

underEach('a closed device is opened at a start with a policy that the kernel takes', (the) => {
  const before = the.started(the.plan([the.hopeless], [bind('hopeless')]));
  before.addDevice('macvtap0');
  before.step();
  before.loop.stop({ detach: false });
  const rig = the.rig(the.guardAll(), before.kernel);
  rig.start();
  assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new', 'ready 1/1']);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
});

underEach('a policy that is refused where another was in force closes the device', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap0');
  rig.step();
  rig.events();
  rig.transactions();
  rig.reload(the.plan([the.hopeless], [bind('hopeless')]));
  assert.deepEqual(rig.events(), ['failed macvtap0 2 hopeless ENOENT closed', 'reloaded']);
  assert.deepEqual(rig.installed(), []);
});

underEach(
  'refused twice where another policy was in force: that one stays, and is still the agent’s',
  (the) => {
    const bindings = [bind('web', { alias: 'web' }), bind('guard')];
    const rig = the.started(the.plan([the.guard, the.web], bindings));
    rig.addDevice('macvtap0', { up: true });
    rig.step();
    rig.events();
    rig.kernel.refuseNext(EPERM);
    rig.kernel.refuseNext(EPERM);
    rig.kernel.updateLink('macvtap0', { alias: 'web' });
    rig.step();
    assert.deepEqual(rig.events(), ['failed macvtap0 2 web EPERM open']);
    assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
    rig.reload(the.plan([the.guard, the.web], bindings));
    assert.deepEqual(rig.events(), ['attached macvtap0 2 web replaced', 'reloaded']);
    rig.loop.stop({ detach: true });
    assert.deepEqual(rig.installed(), []);
  },
);

underEach('the failure of one device does not touch the others of its transaction', (the) => {
  const rig = the.started(
    the.plan([the.guard, the.hopeless], [bind('hopeless', { alias: 'x' }), bind('guard')]),
  );
  rig.addDevice('macvtap7', { alias: 'x' });
  for (const name of ['macvtap0', 'macvtap9']) rig.addDevice(name);
  rig.addDevice('macvtap8', { alias: 'x' });
  rig.step();
  assert.deepEqual(rig.events(), [
    'failed macvtap7 2 hopeless ENOENT closed',
    'attached macvtap0 3 guard new',
    'attached macvtap9 4 guard new',
    'failed macvtap8 5 hopeless ENOENT closed',
  ]);
  // What they share stays when those that were refused go.
  rig.kernel.removeLink('macvtap7');
  rig.kernel.removeLink('macvtap8');
  rig.step();
  assert.deepEqual(rig.installed(), ['3 guard macvtap0', '4 guard macvtap9']);
  rig.kernel.removeLink('macvtap9');
  rig.step();
});

underEach('a refusal that was for no device in particular: all are tried again, one by one', (the) => {
  const rig = the.started(the.guardAll());
  rig.kernel.refuseNext(ENOMEM);
  for (const name of ['macvtap7', 'macvtap8', 'macvtap9']) rig.addDevice(name);
  rig.step();
  assert.deepEqual(rig.events(), [
    'attached macvtap7 2 guard new',
    'attached macvtap8 3 guard new',
    'attached macvtap9 4 guard new',
  ]);
});

underEach('a policy that names a link which is not there closes the device until the link is', (the) => {
  const forward = program('forward', { link: 'mirror0' });
  assert.deepEqual(forward.links, ['mirror0']);
  const rig = the.started(the.plan([forward], [bind('forward')]));
  rig.addDevice('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['failed macvtap0 2 forward LINK_NOT_FOUND closed']);
  assert.deepEqual(rig.installed(), []);
  assert.deepEqual(rig.kernel.refusals, []);
  rig.kernel.addLink({ name: 'mirror0' });
  rig.addDevice('macvtap1');
  rig.step();
  rig.reload(the.plan([forward], [bind('forward')]));
  assert.deepEqual(rig.events(), [
    'attached macvtap1 4 forward new',
    'attached macvtap0 2 forward new',
    'reloaded',
  ]);
});

underEach('a name that is no text is refused where anything has to say it', (the) => {
  const rig = the.started(the.guardAll());
  rig.addDevice('macvtap\ufffd');
  rig.loop.step(0);
  const own = the.hasOwnHooks('macvtap\ufffd');
  const refused = own || the.setting.kind === 'file';
  assert.deepEqual(rig.events(), [
    refused
      ? `failed macvtap\ufffd 2 guard NOT_SUPPORTED ${own ? 'open' : 'closed'}`
      : 'attached macvtap\ufffd 2 guard new',
  ]);
  assert.equal(rig.transactions().length, refused ? 0 : 1);
  assert.deepEqual(rig.installed(), refused ? [] : ['2 guard macvtap\ufffd']);
});

underEach(
  'what a device that is gone has left and cannot be removed is a warning, and the loop goes on',
  (the) => {
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0');
    rig.step();
    rig.events();
    rig.kernel.refuseNext(EBUSY);
    rig.kernel.removeLink('macvtap0');
    rig.addDevice('macvtap1');
    rig.loop.step(0);
    const [warning, ...more] = rig.events();
    assert.match(warning ?? '', /^warning cannot detach macvtap0: the kernel refused .*: EBUSY$/);
    assert.deepEqual(more, ['attached macvtap1 3 guard new']);
    rig.reload(the.guardAll());
    const name = the.setting.kind === 'file' ? 'macvtap0' : 'interface 2';
    assert.deepEqual(rig.events(), [`detached ${name} 2 stale`, 'reloaded']);
    assert.deepEqual(rig.installed(), ['3 guard macvtap1']);
  },
);

underEach('what an unbound device could not be freed of goes when all is read again', (the) => {
  const rig = the.started(the.plan([the.guard], [bind('guard', { alias: 'vm' })]));
  rig.addDevice('macvtap0', { alias: 'vm', up: true });
  rig.step();
  rig.events();
  rig.kernel.refuseNext(EBUSY);
  rig.kernel.updateLink('macvtap0', { alias: '' });
  rig.step();
  rig.kernel.updateLink('macvtap0', { up: false });
  rig.step();
  const [warning, ...more] = rig.events();
  assert.match(warning ?? '', /^warning cannot detach macvtap0: .*EBUSY/);
  assert.deepEqual(more, []);
  assert.equal(rig.kernel.refusals.length, 1);
  assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
  rig.reload(the.plan([the.guard], []));
  assert.deepEqual(rig.events(), ['detached macvtap0 2 unbound', 'unmatched macvtap0 2 closed', 'reloaded']);
  assert.deepEqual(rig.installed(), []);
});

underEach(
  'tables that could not be removed are replaced with the rest when a binding matches again',
  (the) => {
    const other = the.policy('other', { tables: ['other'] });
    const rig = the.started(
      the.plan([the.guard, other], [bind('guard', { alias: 'a' }), bind('other', { alias: 'b' })]),
    );
    rig.addDevice('macvtap0', { alias: 'a' });
    rig.kernel.updateLink('macvtap0', { up: true });
    rig.step();
    rig.kernel.refuseNext(EBUSY);
    rig.kernel.updateLink('macvtap0', { alias: '' });
    rig.step();
    rig.kernel.updateLink('macvtap0', { alias: 'b' });
    rig.step();
    assert.deepEqual(rig.events().at(-1), 'attached macvtap0 2 other replaced');
    assert.deepEqual(rig.installed(), ['2 other macvtap0']);
  },
);

underEach(
  'tables that somebody else deleted are no reason to fail',
  (the) => {
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0');
    rig.addDevice('macvtap1');
    rig.step();
    rig.events();
    deleteTables(rig.kernel, 'tapwall.2.guard', 'tapwall.3.guard');
    addForeignTables(rig.kernel, 'filter');
    rig.kernel.removeLink('macvtap0');
    rig.step();
    rig.reload(the.guardAll());
    assert.deepEqual(rig.events(), [
      'attached macvtap1 3 guard replaced',
      'detached macvtap0 2 gone',
      'repaired',
      'reloaded',
    ]);
    assert.deepEqual(rig.kernel.refusals, []);
  },
  fileSettings,
);

underEach(
  'elements that somebody else deleted come back when all is read again',
  (the) => {
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0');
    rig.step();
    rig.events();
    rig.removeElements(2);
    rig.reload(the.guardAll());
    assert.deepEqual(rig.events(), ['attached macvtap0 2 guard new', 'reloaded']);
    assert.deepEqual(indexesBySet(rig.kernel).get('device.policy'), [2]);
  },
  inlineSettings,
);
