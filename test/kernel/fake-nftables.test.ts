/**
 * What nf_tables of the fake kernel takes and refuses. Unless a comment says otherwise, each answer here is the one
 * that Linux 6.18 gave to the same bytes: errno, sequence number, offset and handles.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Request } from '#src/netlink/message.js';
import * as ask from './fake-requests.js';
import { Subject } from './fake-subject.js';

const { EXCL, REPLACE, CREATE, APPEND } = ask;

/** One list of transactions on one kernel, each with its answer. */
function answers(...steps: [requests: Request[], ...answer: string[]][]): Subject {
  const subject = new Subject();
  steps.forEach(([requests, ...answer], index) => {
    assert.deepEqual(subject.send(requests), answer, `transaction ${index}`);
  });
  return subject;
}

test('tables', () => {
  const subject = answers(
    [[ask.newTable('a')], '1 ok'],
    [[ask.newTable('a')], '1 ok'],
    [[ask.newTable('a', EXCL)], '1 EEXIST@20'],
    [[ask.newTable('a', REPLACE)], '1 EOPNOTSUPP'],
    [[ask.deleteTable('b')], '1 ENOENT@20'],
    [[ask.destroyTable('b')], '1 ok'],
    [[ask.newTable('b'), ask.deleteTable('b')], '2 ok'],
    [[ask.newTable('x'.repeat(255))], '1 ok'],
    [[ask.newTable('x'.repeat(256))], '1 ERANGE@20'],
    [[ask.newTable('u', 0, { userdata: new Uint8Array(257) })], '1 ERANGE@28'],
    [[ask.newTable('y', 0, {}, 77)], '1 EOPNOTSUPP'],
    [[ask.unknown()], '1 EINVAL'],
  );
  assert.deepEqual(subject.tables(), ['a', 'x'.repeat(255)]);
});

test('a table that is made again comes last, and one message may delete them all', () => {
  const subject = answers(
    [[ask.newTable('z'), ask.newTable('b'), ask.newTable('m'), ask.newTable('i', 0, {}, 1)], '4 ok'],
    [[ask.deleteTable('b'), ask.newTable('b')], '2 ok'],
  );
  assert.deepEqual(subject.tables(), ['z', 'm', 'i', 'b']);
  assert.deepEqual(subject.send([ask.deleteTableByHandle(99n)]), ['1 ENOENT@20']);
  assert.deepEqual(subject.send([ask.deleteTableByHandle(1n)]), ['1 ok']);
  assert.deepEqual(subject.tables(), ['m', 'i', 'b']);
  assert.deepEqual(subject.send([ask.deleteTable()]), ['1 ok']);
  assert.deepEqual(subject.tables(), ['i']);
  assert.deepEqual(subject.send([ask.deleteTable(undefined, 0)]), ['1 ok']);
  assert.deepEqual(subject.tables(), []);
});

test('chains', () => {
  const subject = answers(
    [[ask.newChain('a', 'c')], '1 ENOENT@20'],
    [[ask.newTable('a'), ask.newChain('a', 'c')], '2 ok'],
    [[ask.newChain('a', 'c')], '1 ok'],
    [[ask.newChain('a', 'c', EXCL)], '1 EEXIST@28'],
    [[ask.newChain('a', undefined)], '1 EINVAL'],
    [[ask.newChain('a', 'p', CREATE, { policy: 0 })], '1 EOPNOTSUPP@36'],
    [[ask.deleteChain('a', 'd')], '1 ENOENT@28'],
    [[ask.newRule('a', 'c')], '1 ok'],
    [[ask.deleteChain('a', 'c')], '1 ok'],
  );
  assert.deepEqual(subject.kernel.tables()[0]?.chains, []);
});

test('devices of a base chain come and go', () => {
  const subject = new Subject();
  const devices = () => subject.kernel.tables()[0]?.chains.map(({ hook }) => hook?.devices);
  const c = (...names: string[]) => ask.newChain('a', 'c', CREATE, ask.base(names));
  assert.deepEqual(subject.send([ask.newTable('a'), c('lo')]), ['2 ok']);
  assert.deepEqual(subject.send([c('later0')]), ['1 ok']);
  assert.deepEqual(devices(), [[{ name: 'later0' }, { name: 'lo' }]]);
  assert.deepEqual(subject.send([c('lo')]), ['1 ok']);
  assert.deepEqual(subject.send([ask.newChain('a', 'c', CREATE, ask.base(['x'], { number: 1 }))]), [
    '1 EOPNOTSUPP',
  ]);
  const { hook } = ask.base(['lo']);
  assert.deepEqual(subject.send([ask.deleteChain('a', 'c', { hook })]), ['1 ok']);
  assert.deepEqual(subject.send([ask.deleteChain('a', 'c', { hook })]), ['1 ENOENT']);
  assert.deepEqual(devices(), [[{ name: 'later0' }]]);
  assert.deepEqual(subject.send([ask.newChain('a', 'c', CREATE, { policy: 1 })]), ['1 ok']);
  assert.equal(subject.kernel.tables()[0]?.chains[0]?.policy, 1);
});

test('a kernel that knows no names in advance wants the device there', () => {
  const subject = new Subject({ namesInAdvance: false });
  const chain = (devices: ask.Devices) => [
    ask.newTable('a'),
    ask.newChain('a', 'c', CREATE, ask.base(devices)),
  ];
  assert.deepEqual(subject.send(chain(['macvtap0'])), ['2 ENOENT']);
  assert.deepEqual(subject.send(chain([{ prefix: 'macvtap' }])), ['2 EINVAL']);
  subject.kernel.addLink({ name: 'macvtap0' });
  assert.deepEqual(subject.send(chain(['macvtap0'])), ['2 ok']);
  assert.deepEqual(new Subject().send(chain([{ prefix: 'macvtap' }])), ['2 ok']);
});

test('rules stand where they were put, and keep their handles', () => {
  const mark = (number: number) => ({ userdata: Uint8Array.of(number) });
  const subject = answers(
    [
      [
        ask.newTable('a'),
        ask.newChain('a', 'c'),
        ask.newRule('a', 'c', CREATE | APPEND, mark(1)),
        ask.newRule('a', 'c', CREATE | APPEND, mark(2)),
        ask.newRule('a', 'c', CREATE, mark(3)),
      ],
      '5 ok',
    ],
    [[ask.newRule('a', 'c', 0)], '1 EINVAL'],
    [[ask.newRule('a', 'c', CREATE, { ...mark(4), position: 2n })], '1 ok'],
    [[ask.newRule('a', 'c', CREATE | APPEND, { ...mark(5), position: 2n })], '1 ok'],
    [[ask.newRule('a', 'c', REPLACE, { ...mark(6), handle: 2n })], '1 ok'],
    [[ask.newRule('a', 'c', CREATE | APPEND, { position: 99n })], '1 ENOENT@36'],
    [[ask.newRule('b', 'c')], '1 ENOENT@20'],
    [[ask.newRule('a', 'd')], '1 ENOENT@28'],
  );
  const rules = () => subject.kernel.tables()[0]?.chains[0]?.rules ?? [];
  assert.deepEqual(
    rules().map(({ userdata, handle }) => [userdata?.[0], handle]),
    [
      [3, 4n],
      [4, 5n],
      [6, 2n],
      [5, 6n],
      [2, 3n],
    ],
  );
  assert.deepEqual(subject.send([ask.deleteRule('a', 'c', 99n)]), ['1 ENOENT@36']);
  assert.deepEqual(subject.send([ask.deleteRule('a', 'c', 2n)]), ['1 ok']);
  assert.equal(rules().length, 4);
  assert.deepEqual(subject.send([ask.deleteRule('a')]), ['1 ok']);
  assert.deepEqual(rules(), []);
  assert.deepEqual(subject.send([ask.deleteRule('a')]), ['1 ok']);
});

test('sets and their elements', () => {
  const subject = answers(
    [[ask.newTable('a'), ask.newSet('a', 's', 0)], '2 ENOENT'],
    [[ask.newTable('a'), ask.newSet('a', 's')], '2 ok'],
    [[ask.newSet('a', 's')], '1 ok'],
    [[ask.newSet('a', 's', CREATE | EXCL)], '1 EEXIST@28'],
    [[ask.newSet('a', 's', CREATE, { keyLength: 8 })], '1 EEXIST@28'],
    [[ask.newSet('b', 's')], '1 ENOENT@20'],
    [[ask.newElements('a', 's', [1, 2])], '1 ok'],
    [[ask.newElements('a', 's', [2])], '1 ok'],
    [[ask.newElements('a', 's', [])], '1 ok'],
    [[ask.newElements('a', 's')], '1 EINVAL'],
    [[ask.newElements('a', 't', [1])], '1 ENOENT@28'],
    [[ask.newElements('b', 's', [1])], '1 ENOENT@20'],
    [[ask.newElements('a', 's', [3, 2], CREATE | EXCL)], '1 EEXIST@56'],
    [[ask.deleteElements('a', 's', [9])], '1 ENOENT@40'],
    [[ask.deleteElements('a', 's', [1])], '1 ok'],
  );
  const sets = () => subject.kernel.tables()[0]?.sets ?? [];
  assert.equal(sets()[0]?.elements.length, 1);
  assert.deepEqual(subject.send([ask.deleteElements('a', 's')]), ['1 ok']);
  assert.equal(sets()[0]?.elements.length, 0);
  assert.deepEqual(subject.send([ask.deleteSet('a', 't')]), ['1 ENOENT@28']);
  assert.deepEqual(subject.send([ask.deleteSet('a', 's')]), ['1 ok']);
  assert.deepEqual(sets(), []);
});

test('a set may ask for a number in its name, and is known by its id in its own transaction', () => {
  const subject = answers([
    [
      ask.newTable('a'),
      ask.newSet('a', 'g%d'),
      ask.newSet('a', 'g%d', CREATE, { id: 2 }),
      ask.newElements('a', 'g%d', [1], CREATE, 2),
    ],
    '4 ok',
  ]);
  assert.deepEqual(
    subject.kernel.tables()[0]?.sets.map(({ name, elements }) => [name, elements.length]),
    [
      ['g0', 0],
      ['g1', 1],
    ],
  );
  assert.deepEqual(subject.send([ask.newElements('a', 'g%d', [2], CREATE, 2)]), ['1 ENOENT@28']);
});

test('an element of a map leads to one thing only', () => {
  answers(
    [[ask.newTable('a'), ask.newMap('a', 'm'), ask.newMapElement('a', 'm', 1, 10)], '3 ok'],
    [[ask.newMapElement('a', 'm', 1, 10)], '1 ok'],
    [[ask.newMapElement('a', 'm', 1, 11)], '1 EEXIST@40'],
  );
});

test('objects', () => {
  const subject = answers(
    [[ask.newTable('a'), ask.newObject('a', 'o')], '2 ok'],
    [[ask.newObject('a', 'o')], '1 ok'],
    [[ask.newObject('a', 'o', CREATE | EXCL)], '1 EEXIST@28'],
    [[ask.newObject('a', 'o', REPLACE)], '1 EOPNOTSUPP'],
    [[ask.newObject('b', 'o')], '1 ENOENT@20'],
    [[ask.newObject('a', 'p', 0)], '1 ok'],
    [[ask.deleteObject('a', 'q')], '1 ENOENT@28'],
    [[ask.deleteObject('a', 'o')], '1 ok'],
  );
  assert.deepEqual(
    subject.kernel.tables()[0]?.objects.map(({ name, handle }) => [name, handle]),
    [['p', 2n]],
  );
});
