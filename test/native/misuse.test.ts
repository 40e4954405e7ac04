/**
 * Whatever JavaScript passes, the answer is an exception and never a crash. TypeScript would not compile most
 * of this, hence `wrong`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addon,
  message,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_NOOP,
  nftablesDefaults,
  openSocket,
  scratchNamespace,
  socketDefaults,
} from './support.js';

// biome-ignore lint/suspicious/noExplicitAny: the subject of this file
type Wrong = any;
const wrong = addon as Wrong;

const notIntegers: Wrong[] = [
  undefined,
  null,
  '1',
  1n,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  -2,
  2 ** 31,
  {},
  [],
];
const notBytes: Wrong[] = [
  undefined,
  null,
  'text',
  1,
  [1, 2],
  {},
  new ArrayBuffer(16),
  new DataView(new ArrayBuffer(16)),
  new Uint16Array(16),
  new Int8Array(16),
  new Uint8ClampedArray(16),
];

/** Each change of the options alone must be refused by name. */
function refuses(call: (options: Wrong) => unknown, defaults: object, key: string, values: Wrong[]): void {
  for (const value of values) {
    assert.throws(
      () => call({ ...defaults, [key]: value }),
      { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: new RegExp(`^options\\.${key}\\b`) },
      key,
    );
  }
}

test('Socket refuses options of the wrong type', (t) => {
  const defaults = { ...socketDefaults, namespace: scratchNamespace(t).fd };
  const open = (options: Wrong) => new wrong.Socket(options);
  for (const options of [undefined, null, 1, 'text', true]) {
    assert.throws(() => open(options), { name: 'TypeError', message: 'options must be an object' });
  }
  refuses(open, defaults, 'protocol', [...notIntegers, -1]);
  refuses(open, defaults, 'namespace', notIntegers);
  refuses(open, defaults, 'receiveBuffer', [...notIntegers, -1]);
  refuses(open, defaults, 'groups', [
    undefined,
    null,
    1,
    {},
    [1.5],
    ['1'],
    [-1],
    [2 ** 32],
    new Array(2),
    { length: 1, 0: 1 },
  ]);
  refuses(open, defaults, 'groups', [new Array(70_000).fill(1), new Array(2 ** 32 - 1)]);
  refuses(
    open,
    defaults,
    'filter',
    notBytes.filter((value) => value !== null),
  );
  refuses(open, defaults, 'filter', [new Uint8Array(0), new Uint8Array(7), new Uint8Array(8 * 4097)]);
  refuses(open, defaults, 'strict', [undefined, null, 0, 1, 'true']);
});

test('runNftables refuses options of the wrong type', (t) => {
  const defaults = { ...nftablesDefaults, namespace: scratchNamespace(t).fd, input: 'list tables' };
  const run = wrong.runNftables;
  for (const options of [undefined, null, 1, 'text']) {
    assert.throws(() => run(options), { name: 'TypeError', message: 'options must be an object' });
  }
  refuses(run, defaults, 'namespace', notIntegers);
  refuses(run, defaults, 'input', [undefined, 1, {}, Buffer.from('list tables')]);
  refuses(run, { ...defaults, input: null }, 'file', [undefined, 1, {}]);
  refuses(run, defaults, 'variables', [['a=b'], undefined, null, 'a=b', [1], [null], new Array(2 ** 32 - 1)]);
  refuses(run, defaults, 'includePaths', [undefined, null, '/', [1]]);
  refuses(run, defaults, 'json', [undefined, null, 0, 'true']);
  refuses(run, defaults, 'dryRun', [undefined, null, 0, 'true']);
  refuses(run, defaults, 'outputFlags', [...notIntegers, -1]);
  for (const both of [
    { input: null, file: null },
    { input: 'list tables', file: '/dev/null' },
  ]) {
    assert.throws(() => run({ ...defaults, ...both }), { name: 'TypeError', message: /Exactly one of/ });
  }
});

test('a NUL does not cut a text short', (t) => {
  const { fd: namespace } = scratchNamespace(t);
  const nul = /must not contain a NUL character/;
  const run = (options: object) =>
    wrong.runNftables({ ...nftablesDefaults, namespace, input: 'list tables', ...options });
  assert.throws(() => run({ input: 'add table netdev a\n\0add table netdev b' }), {
    name: 'TypeError',
    message: nul,
  });
  assert.throws(() => run({ input: null, file: '/dev/null\0' }), { name: 'TypeError', message: nul });
  assert.throws(() => run({ input: null, file: '/dev/null', variables: ['a=b\0'] }), {
    name: 'TypeError',
    message: nul,
  });
  assert.throws(() => run({ includePaths: ['/\0'] }), { name: 'TypeError', message: nul });
  assert.throws(() => addon.Namespace.open('/proc/self/ns/net\0'), { name: 'TypeError', message: nul });
});

test('methods refuse arguments of the wrong type', (t) => {
  const socket = openSocket(t, scratchNamespace(t)) as Wrong;
  const request = message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 1);
  for (const value of notBytes) {
    assert.throws(() => socket.transact(value), {
      name: 'TypeError',
      message: 'request must be a Uint8Array',
    });
    assert.throws(() => socket.dump(value, 0), {
      name: 'TypeError',
      message: 'request must be a Uint8Array',
    });
  }
  for (const value of [...notIntegers, -1]) {
    assert.throws(() => socket.dump(request, value), { name: 'TypeError', message: /^timeoutMs/ });
  }
  assert.throws(() => socket.dump(new Uint8Array(15), 0), {
    name: 'TypeError',
    message: /header of 16 bytes/,
  });
  for (const value of [undefined, null, 1, {}]) {
    assert.throws(() => wrong.Namespace.open(value), { name: 'TypeError', message: 'path must be a string' });
  }
});

test('wait refuses arguments of the wrong type', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  const waker = new addon.Waker();
  t.after(() => waker.close());
  for (const value of [undefined, null, 1, socket, { length: 0 }, Array.from({ length: 32 }, () => socket)]) {
    assert.throws(() => wrong.wait(value, waker.fd, 0), { name: 'TypeError', message: /^sockets/ });
  }
  for (const value of [undefined, null, 1, {}, waker, Object.create(socket), new Proxy(socket, {})]) {
    assert.throws(() => wrong.wait([socket, value], waker.fd, 0), {
      name: 'TypeError',
      message: 'Each element of sockets must be a Socket',
    });
  }
  for (const value of notIntegers) {
    assert.throws(() => wrong.wait([], value, 0), { name: 'TypeError', message: /^waker/ });
  }
  for (const value of [...notIntegers, -1]) {
    assert.throws(() => wrong.wait([], -1, value), { name: 'TypeError', message: /^timeoutMs/ });
  }
});

test('methods and accessors refuse a foreign this', (t) => {
  const namespace = scratchNamespace(t);
  const socket = openSocket(t, namespace);
  const waker = new addon.Waker();
  t.after(() => waker.close());
  const request = message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 1);
  const objects: Wrong[] = [socket, waker, namespace];
  for (const [owner, object] of [
    [wrong.Socket, socket],
    [wrong.Waker, waker],
    [wrong.Namespace, namespace],
  ]) {
    const others = [undefined, null, 1, {}, owner.prototype, Object.create(object), new Proxy(object, {})];
    for (const [key, member] of Object.entries(Object.getOwnPropertyDescriptors<Wrong>(owner.prototype))) {
      if (key === 'constructor') continue;
      const call: Wrong = member.get ?? member.value;
      for (const other of [...others, ...objects.filter((each) => each !== object)]) {
        assert.throws(() => call.call(other, request, 0), { name: 'TypeError' }, `${owner.name} ${key}`);
      }
    }
  }
  assert.equal(addon.wait([socket], waker.fd, 0), 0);
});

test('classes are made with new, and a Namespace by its functions only', () => {
  assert.throws(() => wrong.Socket(socketDefaults), TypeError);
  assert.throws(() => wrong.Waker(), TypeError);
  assert.throws(() => wrong.Socket.call(new addon.Waker(), socketDefaults), TypeError);
  assert.throws(() => new wrong.Namespace(), { name: 'TypeError', message: /Namespace\.create\(\)/ });
  assert.throws(() => Reflect.construct(wrong.Namespace, [3], Object), { name: 'TypeError' });
  // The constructor belongs to the functions only while they run.
  addon.Namespace.create().close();
  assert.throws(() => new wrong.Namespace(), TypeError);
});

test('classes can be extended', (t) => {
  class Named extends wrong.Socket {
    name = 'named';
  }
  const socket = new (Named as Wrong)({ ...socketDefaults, namespace: scratchNamespace(t).fd });
  t.after(() => socket.close());
  assert.equal(addon.wait([socket], -1, 0), 0);
  assert.equal(socket.name, 'named');
});

test('what an accessor throws comes out, and what it closes is closed', (t) => {
  const namespace = scratchNamespace(t);
  const thrown = new Error('from an accessor');
  const throwing = {
    get protocol(): number {
      throw thrown;
    },
  };
  assert.throws(
    () => new wrong.Socket(throwing),
    (error) => error === thrown,
  );
  const elements = Object.defineProperty([1], 0, {
    get() {
      throw thrown;
    },
  });
  const options = { ...socketDefaults, namespace: namespace.fd, groups: elements };
  assert.throws(
    () => new wrong.Socket(options),
    (error) => error === thrown,
  );

  const first = openSocket(t, namespace);
  const second = openSocket(t, namespace);
  const closing = Object.defineProperty([first, second], 1, {
    get() {
      first.close();
      return second;
    },
  });
  assert.throws(() => addon.wait(closing, -1, 0), { code: 'EBADF', syscall: 'poll' });
});

test('bytes that vanish while the options are read were copied', (t) => {
  // ret 0xffffffff, many times over, so that a freed buffer would be seen by a sanitizer
  const filter = new Uint8Array(new Array(4096).fill([6, 0, 0, 0, 255, 255, 255, 255]).flat());
  const options = {
    ...socketDefaults,
    namespace: scratchNamespace(t).fd,
    filter,
    get strict() {
      structuredClone(filter.buffer, { transfer: [filter.buffer] });
      return false;
    },
  };
  const socket = new addon.Socket(options);
  assert.equal(filter.length, 0);
  assert.equal(socket.receive(), undefined);
  socket.close();
});

test('a request without bytes is for the kernel to judge', (t) => {
  const socket = openSocket(t, scratchNamespace(t));
  const detached = new Uint8Array(32);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  for (const request of [new Uint8Array(), detached]) {
    let failure: Wrong;
    let answer: Uint8Array | undefined;
    try {
      answer = socket.transact(request);
    } catch (error) {
      failure = error;
    }
    // ENODATA since Linux 5.16; accepted before.
    assert.ok(failure?.code === 'ENODATA' || answer?.length === 0, `${failure}`);
    assert.throws(() => socket.dump(request, 0), { name: 'TypeError' });
  }
});

test('too many arguments are ignored, as everywhere in JavaScript', (t) => {
  const socket = openSocket(t, scratchNamespace(t)) as Wrong;
  assert.equal(socket.receive(1, 2, 3), undefined);
  assert.equal(wrong.wait([], -1, 0, 'more'), 0);
});

test('sendDatagram refuses a path that no socket can have', () => {
  for (const path of [undefined, null, 1, {}]) {
    assert.throws(() => wrong.sendDatagram(path, 'text'), { name: 'TypeError' });
  }
  for (const path of ['', 'x'.repeat(108), `/run/\0`]) {
    assert.throws(() => addon.sendDatagram(path, 'text'), { name: 'TypeError', message: /^path / });
  }
  assert.throws(() => wrong.sendDatagram('/run/x', 1), { name: 'TypeError', message: /^text / });
  assert.throws(() => addon.sendDatagram('/nowhere/at/all', 'text'), { code: 'ENOENT', syscall: 'sendto' });
  assert.throws(() => addon.sendDatagram(`@${'x'.repeat(106)}`, 'text'), { code: 'ECONNREFUSED' });
});
