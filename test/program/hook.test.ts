/** Hooks: names in chains, and chains as the real kernel takes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dumpRuleset } from '#src/compiler/scratch.js';
import { encodeAttributes } from '#src/netlink/attribute.js';
import { chainSchema, type HookDevice, hookDevices } from '#src/nftables/chain.js';
import { NF_ACCEPT, NF_DROP, NFT_MSG_NEWCHAIN } from '#src/nftables/constants.js';
import { messageType } from '#src/nftables/message.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import type { BlueprintBase } from '#src/program/blueprint.js';
import { deleteBase, sharedSegment } from '#src/program/change.js';
import {
  addDevices,
  createBase,
  deviceChain,
  deviceOfChain,
  isMoreChain,
  type Meanwhile,
  moreChain,
  removeDevices,
  reviveBase,
  standingBases,
  yieldBase,
} from '#src/program/hook.js';
import { blueprints, onStage, type Stage } from './shared.js';

const INGRESS = 0;
const EGRESS = 1;
const BOTH = [INGRESS, EGRESS];

const names = (count: number, from = 0) => Array.from({ length: count }, (_, at) => `macvtap${from + at}`);
const devices = (...list: string[]): HookDevice[] => list.map((name) => ({ name }));

test('a placement has its standing chains in each direction the kernel hooks', () => {
  const facts = { prefixes: ['macvtap', 'vm'], names: ['a', 'b'] };
  const words = (placement: Parameters<typeof standingBases>[0], directions: number[]) =>
    standingBases(placement, facts, directions).map(({ name, direction, devices: list }) => [
      name,
      direction,
      list.map((one) => ('name' in one ? one.name : `${one.prefix}*`)).join(),
    ]);
  assert.deepEqual(words('prefix', BOTH), [
    ['ingress', INGRESS, 'macvtap*,vm*'],
    ['egress', EGRESS, 'macvtap*,vm*'],
  ]);
  assert.deepEqual(words('names', [INGRESS]), [['ingress.names.0', INGRESS, 'a,b']]);
  assert.deepEqual(words('device', BOTH), []);
  assert.deepEqual(words('chain', BOTH), []);
});

test('many names are many chains, every name in one of them, none of more than 255', () => {
  const list = names(8192);
  const bases = standingBases('names', { prefixes: [], names: list }, [INGRESS]);
  assert.deepEqual(
    bases.flatMap((base) => base.devices),
    devices(...list),
  );
  assert.ok(bases.every((base) => base.devices.length <= 255 && base.devices.length > 0));
  assert.equal(new Set(bases.map(({ name }) => name)).size, bases.length);
  assert.deepEqual(standingBases('names', { prefixes: [], names: [] }, BOTH), []);
});

test('names of chains say whose they are', () => {
  assert.equal(deviceOfChain(deviceChain('ingress', 17)), 17);
  assert.equal(deviceOfChain(moreChain('ingress', 17)), undefined);
  assert.equal(deviceOfChain('ingress.device.x'), undefined);
  assert.ok(isMoreChain(moreChain('egress', 0)));
  assert.ok(!isMoreChain('egress.more') && !isMoreChain('policy.more.0'));
  // As many indexes to a chain as one message takes.
  const indexes = Array.from({ length: 5000 }, (_, index) => moreChain('ingress', index));
  for (const name of new Set(indexes)) assert.ok(indexes.filter((one) => one === name).length <= 255);
});

async function base(): Promise<BlueprintBase> {
  const [blueprint] = await blueprints(`table netdev tapwall {
  chain door { drop
  }
  chain in { type filter hook ingress device $intf priority -7; policy drop;
    goto door }
}
`);
  const found = blueprint?.bases.get(INGRESS);
  assert.ok(blueprint && found);
  return found;
}

async function withBase(action: (stage: Stage, base: BlueprintBase) => void): Promise<void> {
  const [blueprint] = await blueprints('table netdev tapwall {\n chain door { drop\n }\n}\n').catch(() => []);
  const found = await base();
  onStage((stage) => {
    assert.ok(blueprint);
    stage.put(blueprint);
    action(stage, found);
  });
}

/** Each base chain: its hook, policy, devices and how many rules it has. */
function chainsOf(stage: Stage) {
  const { chains, rules } = parseRuleset(dumpRuleset(stage.netfilter));
  return chains
    .filter(({ hook }) => hook)
    .map(({ name, hook, policy }) => ({
      name,
      number: hook?.number,
      priority: hook?.priority,
      policy,
      devices: hook
        ? hookDevices(hook)
            .map((one) => ('name' in one ? one.name : `${one.prefix}*`))
            .sort()
        : [],
      rules: rules.filter(({ chain }) => chain === name).length,
    }));
}

const made = (name: string, ...list: string[]) => ({
  name,
  number: INGRESS,
  priority: -7,
  policy: 0,
  devices: list.sort(),
  rules: 1,
});

test('a chain is made, takes devices, gives them away and goes', async () => {
  await withBase((stage, from) => {
    stage.operate(createBase('c', from, devices(...names(250)), 'open'));
    assert.deepEqual(chainsOf(stage), [made('c', ...names(250))]);
    stage.operate([addDevices('c', from, devices('x', 'y'))]);
    stage.operate([addDevices('c', from, devices('x'))]);
    stage.operate([removeDevices('c', from, devices(...names(250)))]);
    assert.deepEqual(chainsOf(stage), [made('c', 'x', 'y')]);
    stage.operate(createBase('p', from, [{ prefix: 'macvtap' }], 'open'));
    assert.deepEqual(chainsOf(stage), [made('c', 'x', 'y'), made('p', 'macvtap*')]);
    stage.send(sharedSegment([...deleteBase('c'), ...deleteBase('p')], new Map()));
    assert.deepEqual(chainsOf(stage), []);
  });
});

test('a chain that is open until its rules are in force leaves nothing to its policy then', async () => {
  const from = await base();
  const policies = (meanwhile: Meanwhile) =>
    createBase('c', from, devices('x'), meanwhile).map(({ request }) =>
      request.type === messageType(NFT_MSG_NEWCHAIN)
        ? chainSchema.parse(encodeAttributes([...request.attributes])).policy
        : 'rule',
    );
  assert.deepEqual(policies('closed'), [NF_DROP, 'rule']);
  assert.deepEqual(policies('open'), [NF_ACCEPT, 'rule', NF_DROP]);
  await withBase((stage) => {
    stage.operate(createBase('c', from, devices('x'), 'open'));
    stage.operate([yieldBase('c')]);
    // The rules are there, and leave nothing to the policy.
    assert.deepEqual(chainsOf(stage), [{ ...made('c', 'x'), policy: NF_ACCEPT }]);
  });
});

test('a chain is whole after it was revived, whether it was there, without its rules, or gone', async () => {
  await withBase((stage, from) => {
    const revive = (name: string) => stage.operate(reviveBase('c', from, devices(name), 'open'));
    revive('x');
    assert.deepEqual(chainsOf(stage), [made('c', 'x')]);
    revive('y');
    revive('x');
    assert.deepEqual(chainsOf(stage), [made('c', 'x', 'y')]);
    stage.send(sharedSegment(deleteBase('c'), new Map()));
    // What a message does that only adds a device, where the chain is gone: it lets everything pass.
    stage.operate([addDevices('c', from, devices('z'))]);
    const [open] = chainsOf(stage);
    assert.deepEqual([open?.policy, open?.rules], [1, 0]);
    revive('x');
    assert.deepEqual(chainsOf(stage), [made('c', 'x', 'z')]);
    // Many in one transaction, as when many devices appear at once.
    stage.operate(['u', 'v', 'w'].flatMap((name) => reviveBase('d', from, devices(name), 'closed')));
    assert.deepEqual(chainsOf(stage), [made('c', 'x', 'z'), made('d', 'u', 'v', 'w')]);
  });
});
