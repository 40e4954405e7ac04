/** Large sets of the configuration: what is sent for them, and what becomes of what others do to them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan } from '#src/agent/plan.js';
import { Watch } from '#src/agent/watch.js';
import { FakeKernel } from '#src/kernel/fake.js';
import { encodeAttributes, leaf } from '#src/netlink/attribute.js';
import { NETLINK_NETFILTER, NLM_F_CREATE } from '#src/netlink/constants.js';
import { NFT_MSG_DELSETELEM, NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM } from '#src/nftables/constants.js';
import { elementListSchema } from '#src/nftables/element.js';
import { countElements, type PackedElements, packElements } from '#src/nftables/packed-elements.js';
import { setSchema } from '#src/nftables/set.js';
import { type BlueprintSet, SHARED_TABLE, withDigest } from '#src/program/blueprint.js';
import { HELD_SET, heldElements } from '#src/program/held.js';
import { sharedTable } from './state.js';
import { appendRule, byOthers } from './stranger.js';
import { type Case, inlineSettings, operations, type Rig, underEach } from './support.js';

const settings = inlineSettings.filter(({ placement }) => placement === 'names');

/** Of more than this many none is read; more than a few are read when others were there. */
const LARGE = 131_073;
const MEDIUM = 20_000;

/** As many keys from a first one on, and perhaps one more. */
function keys(first: number, count: number, more?: number): PackedElements {
  const bytes = Buffer.alloc(4 * (count + (more === undefined ? 0 : 1)));
  for (let at = 0; at < count; at++) bytes.writeUInt32BE(first + at, 4 * at);
  if (more !== undefined) bytes.writeUInt32BE(more, 4 * count);
  return packElements(4, false, bytes);
}

function setNamed(name: string, id: number, packed?: PackedElements): BlueprintSet {
  const digest = `of ${name}`;
  const set = {
    table: SHARED_TABLE,
    name,
    id,
    keyType: 7,
    keyLength: 4,
    userdata: withDigest(undefined, digest),
  };
  const create = {
    operation: NFT_MSG_NEWSET,
    flags: NLM_F_CREATE,
    label: `NEWSET ${name}`,
    attributes: setSchema.encode(set).map((attribute) => ('value' in attribute ? attribute : assert.fail())),
  };
  const held = packed && heldElements(packed, { isEditable: true, capacity: undefined });
  return { name, digest, create, elements: [], ...(held && { held }) };
}

function planWith(the: Case, packed: PackedElements): Plan {
  const plan = the.guardAll();
  const sets = [...plan.blueprint.sets, setNamed('blocked', 900, packed), setNamed(HELD_SET, 901)];
  return { ...plan, blueprint: { ...plan.blueprint, sets } };
}

/** What was sent for the sets, transaction by transaction. */
function sent(rig: Rig): string[][] {
  return rig
    .transactions()
    .map((one) => [...new Set(operations(one))].filter((line) => / blocked$| sets\.held$/.test(line)));
}

function blocked(rig: Rig): number {
  return sharedTable(rig.kernel)?.sets.find(({ name }) => name === 'blocked')?.elements.length ?? 0;
}

function elementOfOthers(kernel: FakeKernel, operation: number, number: number): void {
  const key = Buffer.alloc(4);
  key.writeUInt32BE(number);
  const list = { table: SHARED_TABLE, set: 'blocked', elements: [{ key: encodeAttributes([leaf(1, key)]) }] };
  byOthers(kernel, [operation, elementListSchema.encode(list), NLM_F_CREATE]);
}

const ADD = `NEWSETELEM ${SHARED_TABLE} blocked`;
const REMOVE = `DELSETELEM ${SHARED_TABLE} blocked`;
const TELL = [`DELSETELEM ${SHARED_TABLE} ${HELD_SET}`, `NEWSETELEM ${SHARED_TABLE} ${HELD_SET}`];

underEach(
  'a reload sends the elements that came and went',
  (the) => {
    for (const count of [3, MEDIUM]) {
      const rig = the.started(planWith(the, keys(10, count)));
      rig.reload(planWith(the, keys(10, count)));
      assert.deepEqual(sent(rig), []);
      rig.reload(planWith(the, keys(11, count)));
      assert.deepEqual(sent(rig), [[REMOVE, ADD, ...TELL]]);
      rig.reload(planWith(the, keys(11, count, 5)));
      assert.deepEqual(sent(rig), [[ADD, ...TELL]]);
      assert.equal(blocked(rig), count + 1);
    }
  },
  settings,
);

underEach(
  'the next agent changes nothing, and of a small set that changed meanwhile only what differs',
  (the) => {
    for (const count of [3, LARGE]) {
      const { kernel, loop } = the.started(planWith(the, keys(10, count)));
      loop.stop({ detach: false });
      const same = the.rig(planWith(the, keys(10, count)), kernel);
      same.start();
      assert.deepEqual(sent(same), []);
      same.loop.stop({ detach: false });
      const other = the.rig(planWith(the, keys(11, count)), kernel);
      other.start();
      // Nobody knows what is in a set that is too large to be read.
      const lines =
        count === LARGE
          ? [`DELSET ${SHARED_TABLE} blocked`, `NEWSET ${SHARED_TABLE} blocked`, ADD]
          : [REMOVE, ADD];
      assert.deepEqual(sent(other), [[...lines, ...TELL]]);
      assert.equal(blocked(other), count);
    }
  },
  settings,
);

underEach(
  'an element of somebody else’s goes, and one that they took comes back',
  (the) => {
    for (const count of [MEDIUM, LARGE]) {
      const rig = the.started(planWith(the, keys(10, count)));
      const isLarge = count === LARGE;
      const anew = [`DELSET ${SHARED_TABLE} blocked`, `NEWSET ${SHARED_TABLE} blocked`, ADD];
      elementOfOthers(rig.kernel, NFT_MSG_NEWSETELEM, 5);
      rig.step();
      assert.deepEqual(sent(rig), [isLarge ? anew : [REMOVE]]);
      elementOfOthers(rig.kernel, NFT_MSG_DELSETELEM, 10);
      rig.step();
      assert.deepEqual(sent(rig), [isLarge ? anew : [ADD]]);
      assert.equal(blocked(rig), count);
      assert.deepEqual(rig.events(), ['repaired', 'repaired']);
    }
  },
  settings,
);

underEach(
  'a set that others did not touch is left alone when they touch the table',
  (the) => {
    for (const count of [3, MEDIUM]) {
      const rig = the.started(planWith(the, keys(10, count)));
      appendRule(rig.kernel, SHARED_TABLE, 'ingress.door');
      rig.step();
      assert.deepEqual(sent(rig), [[]]);
    }
  },
  settings,
);

underEach(
  'when so much was lost that nobody knows, the number of elements tells',
  (the) => {
    for (const count of [3, MEDIUM]) {
      const rig = the.started(planWith(the, keys(10, count)));
      rig.kernel.loseNotifications();
      rig.step();
      assert.deepEqual(sent(rig), []);
      elementOfOthers(rig.kernel, NFT_MSG_DELSETELEM, 10);
      rig.kernel.forgetNotifications();
      rig.kernel.loseNotifications();
      rig.step();
      assert.equal(sent(rig).length, 1);
      assert.equal(blocked(rig), count);
    }
  },
  settings,
);

underEach(
  'of a large transaction nobody is told, and that others changed something meanwhile is noticed',
  (the) => {
    const rig = the.started(planWith(the, keys(10, LARGE)));
    const { kernel } = rig;
    let others = 0;
    kernel.onTransaction = () => {
      // Not what is tried in a namespace that is thrown away.
      if (kernel.lastTransaction?.namespace !== kernel.inode()) return;
      kernel.onTransaction = undefined;
      others++;
      appendRule(kernel, SHARED_TABLE, 'ingress.door');
    };
    rig.reload(planWith(the, keys(500_000, LARGE)));
    assert.equal(others, 1);
    rig.events();
    rig.transactions();
    assert.equal(rig.loop.untilDue, 0);
    rig.step();
    assert.deepEqual(rig.events(), ['repaired']);
    assert.equal(rig.transactions().length, 1);
    assert.notEqual(rig.loop.untilDue, 0);
  },
  settings,
);

test('who is deaf hears nothing, and says so only if somebody else was there', () => {
  const kernel = new FakeKernel();
  const other = kernel.openSocket({ protocol: NETLINK_NETFILTER });
  const watch = new Watch(kernel, undefined, 4711);
  const isDone: boolean[] = [];
  const note = (undisturbed: boolean) => (done: boolean) => {
    isDone.push(done);
    return undisturbed;
  };
  watch.deafTo(() => undefined, note(true));
  assert.equal(watch.drain(), undefined);
  watch.deafTo(() => undefined, note(false));
  assert.deepEqual([watch.isLost, watch.drain()?.lost, watch.isLost], [true, true, false]);
  assert.throws(() => watch.deafTo(() => assert.fail('refused'), note(true)), /refused/);
  assert.deepEqual(isDone, [true, true, false]);
  assert.equal(watch.isLost, false);
  assert.equal(countElements(keys(1, 3)), 3);
  watch.close();
  other.close();
});
