import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TapwallError } from '#src/error.js';
import { errnoName, isKernelError, KernelError } from '#src/netlink/error.js';

test('an error number has the name it has in errno(3)', () => {
  const names: [number, string][] = [
    [1, 'EPERM'],
    [2, 'ENOENT'],
    [11, 'EAGAIN'],
    [17, 'EEXIST'],
    [19, 'ENODEV'],
    [71, 'EPROTO'],
    [95, 'EOPNOTSUPP'],
    [105, 'ENOBUFS'],
    // Of the kernel's own, and yet it gets out.
    [85, 'ERESTART'],
  ];
  for (const [errno, name] of names) assert.equal(errnoName(errno), name);
  assert.equal(errnoName(4242), 'E#4242');
});

test("a kernel error carries all there is to know, and its code is the errno's name", () => {
  const cause = new Error('sendmsg');
  const extendedAck = { message: 'No such device', offset: 36 };
  const error = new KernelError(
    'NEWCHAIN in',
    { errno: 19, sequence: 7, extendedAck },
    { cause, hint: 'Look.' },
  );
  assert.ok(error instanceof TapwallError && error instanceof Error);
  assert.equal(error.name, 'KernelError');
  assert.equal(error.code, 'ENODEV');
  assert.equal(error.errno, 19);
  assert.equal(error.operation, 'NEWCHAIN in');
  assert.equal(error.sequence, 7);
  assert.deepEqual(error.extendedAck, extendedAck);
  assert.equal(error.cause, cause);
  assert.equal(error.hint, 'Look.');
  assert.equal(
    error.message,
    'the kernel refused NEWCHAIN in: ENODEV, "No such device", at byte 36 of the request',
  );
  assert.deepEqual(JSON.parse(JSON.stringify(error)), {
    code: 'ENODEV',
    message: error.message,
    hint: 'Look.',
    errno: 19,
    operation: 'NEWCHAIN in',
    sequence: 7,
    extendedAck,
  });
});

test('the message says what is missing, and nothing of what is not known', () => {
  const { message } = new KernelError('NEWSET s', {
    errno: 22,
    sequence: 1,
    extendedAck: { missingType: 10 },
  });
  assert.equal(message, 'the kernel refused NEWSET s: EINVAL, attribute 10 is missing');
  const bare = new KernelError('NEWSET s', { errno: 22, sequence: 1, extendedAck: {} });
  assert.equal(bare.message, 'the kernel refused NEWSET s: EINVAL');
  assert.equal(bare.hint, undefined);
  assert.ok(!('hint' in bare.toJSON()));
});

test('an offset of 0 is an offset', () => {
  const { message } = new KernelError('x', { errno: 22, sequence: 1, extendedAck: { offset: 0 } });
  assert.equal(message, 'the kernel refused x: EINVAL, at byte 0 of the request');
});

test('kernel errors are told by their codes', () => {
  const error = new KernelError('x', { errno: 2, sequence: 1, extendedAck: {} });
  assert.ok(isKernelError(error));
  assert.ok(isKernelError(error, 'ENODEV', 'ENOENT'));
  assert.ok(!isKernelError(error, 'ENODEV'));
  assert.ok(!isKernelError(new TapwallError('ENOENT', 'not of the kernel'), 'ENOENT'));
  assert.ok(!isKernelError(undefined));
});
