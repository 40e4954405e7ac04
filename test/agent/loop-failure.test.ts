/** System calls fail: for want of memory, by a signal, or because something on the host is wrong. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import type { Kernel } from '#src/kernel/kernel.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { probeKernel } from '#src/kernel/probe.js';
import { NetlinkSocket, type Transport } from '#src/kernel/socket.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { underEach } from './support.js';

const { ENOBUFS, ENOMEM } = constants.errno;
const CALLS = ['sendto', 'recvmsg'] as const;

underEach('a call that fails while devices are attached is nobody’s fault, and all is read again', (the) => {
  for (const call of CALLS) {
    const rig = the.started(the.guardAll());
    rig.kernel.failNext(call, 'ENOBUFS');
    rig.addDevice('macvtap0');
    rig.addDevice('macvtap1');
    rig.step();
    const [warning, ...more] = rig.events();
    assert.match(warning ?? '', /^warning .*reading everything again.*ENOBUFS/);
    assert.deepEqual(more.map((line) => line.replace(/ (new|kept|replaced)$/, '')).sort(), [
      'attached macvtap0 2 guard',
      'attached macvtap1 3 guard',
    ]);
    assert.deepEqual(rig.installed(), ['2 guard macvtap0', '3 guard macvtap1']);
    assert.deepEqual(rig.kernel.refusals, []);
  }
});

underEach('a call that fails while a device goes leaves nothing of it', (the) => {
  for (const call of CALLS) {
    const rig = the.started(the.guardAll());
    rig.addDevice('macvtap0');
    rig.step();
    rig.events();
    rig.kernel.failNext(call, 'EINTR');
    rig.kernel.removeLink('macvtap0');
    rig.step();
    assert.match(rig.events()[0] ?? '', /^warning .*reading everything again.*EINTR/);
    assert.deepEqual(rig.installed(), []);
    assert.deepEqual(rig.kernel.refusals, []);
  }
});

underEach('calls that go on failing are tried again, ever more seldom, and the agent lives on', (the) => {
  let now = 0;
  const rig = the.rig(the.guardAll(), undefined, undefined, () => now);
  rig.start();
  rig.events();
  for (let times = 0; times < 4; times++) rig.kernel.failNext('sendto', 'ENOMEM');
  rig.addDevice('macvtap0');
  rig.loop.step(0);
  assert.deepEqual(rig.installed(), []);
  for (now of [100, 300]) rig.loop.step(0);
  assert.deepEqual(rig.installed(), []);
  now = 699;
  rig.loop.step(0);
  assert.deepEqual(rig.installed(), []);
  now = 700;
  rig.step();
  assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
  assert.ok(rig.events().every((line) => !line.startsWith('failed')));
});

underEach('what the kernel has no memory for is closed, and tried again when it may have', (the) => {
  let now = 0;
  const rig = the.rig(the.guardAll(), undefined, undefined, () => now);
  rig.start();
  rig.events();
  rig.kernel.refuseNext(ENOMEM);
  rig.addDevice('macvtap0');
  rig.step();
  assert.deepEqual(rig.events(), ['failed macvtap0 2 guard ENOMEM closed']);
  now = 99;
  rig.step();
  assert.deepEqual(rig.installed(), []);
  now = 100;
  rig.step();
  assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
});

underEach(
  'a reload during which calls fail leaves the old plan in force, also when putting it back fails',
  (the) => {
    let now = 0;
    const rig = the.rig(the.guardAll(), undefined, undefined, () => now);
    rig.addDevice('macvtap0');
    rig.start();
    rig.events();
    const other = the.plan([the.policy('other', { rules: 3 })], []);
    for (let times = 0; times < 2; times++) rig.kernel.failNext('sendto', 'ENOBUFS');
    assert.throws(() => rig.loop.reload(other), { code: 'ENOBUFS' });
    now = 100;
    rig.step();
    assert.deepEqual(rig.installed(), ['2 guard macvtap0']);
    rig.check();
  },
);

/** A kernel whose netfilter sockets fail at once. */
function failing(errno: number): Kernel {
  const kernel = linuxKernel();
  const fail = () => {
    throw Object.assign(new Error('no'), { errno, code: 'ENOBUFS', syscall: 'sendto' });
  };
  return new Proxy(kernel, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'openSocket') return typeof value === 'function' ? value.bind(target) : value;
      return (options: Parameters<Kernel['openSocket']>[0]) => {
        const socket = target.openSocket(options);
        if (options.protocol !== NETLINK_NETFILTER) return socket;
        const transport: Transport = {
          portId: socket.portId,
          transact: fail,
          confirm: fail,
          dump: fail,
          receive: fail,
          listen: fail,
          linkName: fail,
          close: () => socket.close(),
        };
        return new NetlinkSocket(transport);
      };
    },
  });
}

test('a call that fails is not taken for something that the kernel cannot do', () => {
  assert.throws(() => probeKernel(failing(ENOBUFS)), { code: 'ENOBUFS' });
});
