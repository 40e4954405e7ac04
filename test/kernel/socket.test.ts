import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NetlinkSocket, type Transport } from '#src/kernel/socket.js';
import type { Request } from '#src/netlink/message.js';
import { encodeBatch, type Operation } from '#src/nftables/batch.js';
import { nftablesRequest } from '#src/nftables/message.js';
import { attribute, concat, h32, hex, message, text } from '../fixtures-support/bytes.js';
import { readFixture } from '../fixtures-support/hex.js';

const REQUEST = 0x1;
const MULTI = 0x2;
const ACK = 0x4;
const DUMP_INTR = 0x10;
const DUMP = 0x300;
const CAPPED = 0x100;
const ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NEWTABLE = 0x0a00;
const EBUSY = 16;
const LARGEST_SEQUENCE = 0x7fffffff;

/** Answers each request by a script; the sequence numbers it was sent are kept. */
class Script implements Transport {
  readonly portId = 4711;
  readonly sequences: number[] = [];
  readonly datagrams: (Uint8Array | Error)[] = [];
  closed = false;
  readonly #answer: (sequence: number, attempt: number) => Uint8Array;

  constructor(answer: (sequence: number, attempt: number) => Uint8Array) {
    this.#answer = answer;
  }

  transact(request: Uint8Array): Uint8Array {
    const sequence = new DataView(request.buffer, request.byteOffset).getUint32(8, true);
    this.sequences.push(sequence);
    return this.#answer(sequence, this.sequences.length);
  }

  confirm(request: Uint8Array): Uint8Array | undefined {
    const reply = this.transact(request);
    return reply.length === 0 ? undefined : reply;
  }

  dump(request: Uint8Array): Uint8Array {
    return this.transact(request);
  }

  receive(): Uint8Array | undefined {
    const datagram = this.datagrams.shift();
    if (datagram instanceof Error) throw datagram;
    return datagram;
  }

  listen(): void {}
  linkName(index: number): string | undefined {
    if (index > 1) throw systemCall('EBADF', 9, 'ioctl');
    return index === 1 ? 'lo' : undefined;
  }

  close(): void {
    this.closed = true;
  }
}

const get: Request = { type: 0x0a01, flags: REQUEST | DUMP, familyHeader: hex('05000000'), attributes: [] };
const change: Request = { ...get, type: NEWTABLE, flags: REQUEST | ACK };

const table = (sequence: number, name: string, flags = MULTI) =>
  message({ type: NEWTABLE, flags, sequence }, hex('05000000'), attribute(1, text(name)));
const done = (sequence: number, flags = MULTI, errno = 0, ...attributes: Uint8Array[]) =>
  message({ type: NLMSG_DONE, flags, sequence }, h32(-errno), ...attributes);
const ack = (sequence: number, errno = 0) =>
  message({ type: NLMSG_ERROR, flags: CAPPED, sequence }, h32(-errno), new Uint8Array(16));

const namesIn = (messages: readonly { payload: Uint8Array }[]) =>
  messages.map(({ payload }) => Buffer.from(payload.subarray(8)).toString().replaceAll('\0', ''));

/** As the addon throws it. */
function systemCall(code: string, errno: number, syscall: string): Error {
  return Object.assign(new Error(`${syscall}: ${code}`), { code, errno, syscall });
}

test('sequence numbers are handed out in a row, and never are 0', () => {
  const socket = new NetlinkSocket(new Script(() => hex('')));
  assert.equal(socket.reserveSequence(1), 1);
  assert.equal(socket.reserveSequence(5), 2);
  assert.equal(socket.reserveSequence(1), 7);
});

test('sequence numbers come round before 2³¹, and a range is never broken in two', () => {
  const socket = new NetlinkSocket(new Script(() => hex('')));
  assert.equal(socket.reserveSequence(LARGEST_SEQUENCE - 11), 1);
  const first = socket.reserveSequence(10);
  assert.equal(first, LARGEST_SEQUENCE - 10);
  assert.ok(first + 10 - 1 <= LARGEST_SEQUENCE);
  // One more would still fit, two would not.
  assert.equal(socket.reserveSequence(2), 1);
  assert.equal(socket.reserveSequence(1), 3);
});

test('a batch that comes round is numbered in a row from 1', () => {
  const script = new Script((sequence) => ack(sequence + 2));
  const socket = new NetlinkSocket(script);
  socket.reserveSequence(LARGEST_SEQUENCE - 3);
  const operations: Operation[] = ['a', 'b'].map((label) => ({ request: nftablesRequest(0, 0), label }));
  const batch = socket.commitWith(4, (first) => encodeBatch(operations, first));
  assert.equal(batch.firstSequence, 1);
  assert.deepEqual(script.sequences, [1]);
});

test('a request is answered by its acknowledgement, or by messages', () => {
  const acknowledged = new NetlinkSocket(new Script((sequence) => ack(sequence)));
  assert.deepEqual(acknowledged.request(change, 'NEWTABLE'), []);
  const answered = new NetlinkSocket(
    new Script((sequence) => concat([table(sequence, 'guard', 0), ack(sequence)])),
  );
  assert.deepEqual(namesIn(answered.request(change, 'GETTABLE')), ['guard']);
});

test('a request that is refused throws what the kernel said', () => {
  const socket = new NetlinkSocket(new Script((sequence) => ack(sequence, EBUSY)));
  socket.reserveSequence(6);
  assert.throws(() => socket.request(change, 'NEWTABLE guard'), {
    name: 'KernelError',
    code: 'EBUSY',
    errno: EBUSY,
    operation: 'NEWTABLE guard',
    sequence: 7,
  });
});

test('answers to other requests are passed over', () => {
  const script = new Script((sequence) =>
    concat([
      ack(sequence - 1, EBUSY),
      table(sequence - 1, 'old', 0),
      table(sequence, 'new', 0),
      ack(sequence),
    ]),
  );
  const socket = new NetlinkSocket(script);
  socket.reserveSequence(1);
  assert.deepEqual(namesIn(socket.request(change, 'GETTABLE')), ['new']);
});

test('a dump is its messages without its end', () => {
  const socket = new NetlinkSocket(
    new Script((sequence) => concat([table(sequence, 'a'), table(sequence, 'b'), done(sequence)])),
  );
  assert.deepEqual(namesIn(socket.dump(get, 'the tables')), ['a', 'b']);
  // Older kernels leave the error number away.
  const bare = new Script((sequence) =>
    concat([table(sequence, 'a'), message({ type: NLMSG_DONE, flags: MULTI, sequence })]),
  );
  assert.deepEqual(namesIn(new NetlinkSocket(bare).dump(get, 'the tables')), ['a']);
});

test('a dump that was disturbed is asked for again, under a new number, and nothing of the first is kept', () => {
  const script = new Script((sequence, attempt) =>
    attempt < 3
      ? concat([
          table(sequence, 'torn', attempt === 1 ? MULTI | DUMP_INTR : MULTI),
          done(sequence, MULTI | (attempt === 2 ? DUMP_INTR : 0)),
        ])
      : concat([table(sequence, 'whole'), done(sequence)]),
  );
  const socket = new NetlinkSocket(script);
  assert.deepEqual(namesIn(socket.dump(get, 'the tables')), ['whole']);
  assert.deepEqual(script.sequences, [1, 2, 3]);
});

test('a dump that was disturbed is asked for again also when the end of it is all there is', () => {
  const script = new Script((sequence, attempt) => done(sequence, attempt === 1 ? MULTI | DUMP_INTR : MULTI));
  assert.deepEqual(new NetlinkSocket(script).dump(get, 'the tables'), []);
  assert.equal(script.sequences.length, 2);
});

test('a dump that is disturbed again and again is given up', () => {
  const script = new Script((sequence) =>
    concat([table(sequence, 'torn'), done(sequence, MULTI | DUMP_INTR)]),
  );
  const socket = new NetlinkSocket(script);
  assert.throws(() => socket.dump(get, 'the tables'), {
    code: 'TIMEOUT',
    message: /^the tables: .* 16 dumps/,
  });
  assert.equal(script.sequences.length, 16);
});

test('a disturbance of somebody else is not one of ours', () => {
  const script = new Script((sequence) =>
    concat([done(sequence + 1, MULTI | DUMP_INTR), table(sequence, 'a'), done(sequence)]),
  );
  assert.deepEqual(namesIn(new NetlinkSocket(script).dump(get, 'the tables')), ['a']);
  assert.equal(script.sequences.length, 1);
});

test('the end of a dump may be an error, with words', () => {
  const words = attribute(1, text('Invalid values in header'));
  const script = new Script((sequence) =>
    concat([table(sequence, 'a'), done(sequence, MULTI | ACK_TLVS, 22, words)]),
  );
  assert.throws(() => new NetlinkSocket(script).dump(get, 'the links'), {
    name: 'KernelError',
    code: 'EINVAL',
    operation: 'the links',
    sequence: 1,
    extendedAck: { message: 'Invalid values in header' },
  });
});

test('dumps that failed, as the kernel wrote it', () => {
  const outcomes = readFixture('answers/dump').messages.map(({ bytes }) => {
    const socket = new NetlinkSocket(new Script(() => bytes));
    socket.reserveSequence(999);
    try {
      socket.dump(get, 'the dump');
    } catch (error) {
      return error;
    }
    return undefined;
  });
  assert.deepEqual(
    outcomes.map((error) => error instanceof Error && 'code' in error && [error.name, error.code]),
    [
      ['KernelError', 'EINVAL'],
      ['KernelError', 'ENOENT'],
    ],
  );
});

test('a dump may be refused before it begins', () => {
  const script = new Script((sequence) => ack(sequence, EBUSY));
  assert.throws(() => new NetlinkSocket(script).dump(get, 'the tables'), {
    code: 'EBUSY',
    operation: 'the tables',
  });
});

test('a batch that uses more numbers than were reserved is refused before it is sent', () => {
  const script = new Script(() => hex(''));
  const operations: Operation[] = [{ request: nftablesRequest(0, 0), label: 'NEWTABLE' }];
  const socket = new NetlinkSocket(script);
  assert.throws(() => socket.commitWith(2, (first) => encodeBatch(operations, first)), { code: 'ARGUMENT' });
  assert.deepEqual(script.sequences, []);
});

test('a system call that fails is a kernel error that names what was done', () => {
  const failure = systemCall('ENOBUFS', 105, 'sendto');
  const socket = new NetlinkSocket(
    new Script(() => {
      throw failure;
    }),
  );
  const expected = { name: 'KernelError', code: 'ENOBUFS', errno: 105, sequence: 0, cause: failure };
  assert.throws(() => socket.request(change, 'NEWTABLE'), { ...expected, operation: 'NEWTABLE' });
  assert.throws(() => socket.dump(get, 'the tables'), { ...expected, operation: 'the tables' });
  const batch = encodeBatch([], 1);
  assert.throws(() => socket.commit(batch), {
    ...expected,
    operation: 'the transaction',
    extendedAck: { message: 'sendto failed' },
  });
});

test('an error that is no failure of a system call is passed on', () => {
  const failure = new TypeError('a mistake');
  const socket = new NetlinkSocket(
    new Script(() => {
      throw failure;
    }),
  );
  assert.throws(() => socket.request(change, 'NEWTABLE'), failure);
});

test('an answer that is malformed is refused', () => {
  const socket = new NetlinkSocket(new Script((sequence) => ack(sequence).subarray(0, 30)));
  assert.throws(() => socket.request(change, 'NEWTABLE'), { code: 'MALFORMED_MESSAGE' });
  assert.throws(() => socket.dump(get, 'the tables'), { code: 'MALFORMED_MESSAGE' });
  assert.throws(() => socket.commit(encodeBatch([], 1)), { code: 'MALFORMED_MESSAGE' });
});

test('events are received datagram by datagram, and a loss is told', () => {
  const script = new Script(() => hex(''));
  const socket = new NetlinkSocket(script);
  script.datagrams.push(
    concat([table(0, 'a', 0), table(0, 'b', 0)]),
    systemCall('ENOBUFS', 105, 'recvmsg'),
    table(0, 'c', 0),
  );
  assert.deepEqual(namesIn(socket.receive() ?? []), ['a', 'b']);
  assert.throws(() => socket.receive(), { name: 'KernelError', code: 'ENOBUFS', operation: 'receive' });
  assert.deepEqual(namesIn(socket.receive() ?? []), ['c']);
  assert.equal(socket.receive(), undefined);
});

test('the name of a link is asked of the transport, and what goes wrong is an error of the kernel’s', () => {
  const socket = new NetlinkSocket(new Script(() => hex('')));
  assert.equal(socket.linkName(1), 'lo');
  assert.equal(socket.linkName(0), undefined);
  assert.throws(() => socket.linkName(2), { name: 'KernelError', code: 'EBADF', operation: 'SIOCGIFNAME' });
});

test('the port id is that of the transport, and closing closes it', () => {
  const script = new Script(() => hex(''));
  const socket = new NetlinkSocket(script);
  assert.equal(socket.portId, 4711);
  socket.close();
  assert.ok(script.closed);
});
