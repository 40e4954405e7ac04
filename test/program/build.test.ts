import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SourceError } from '#src/error.js';
import type { Ruleset } from '#src/nftables/ruleset.js';
import { buildProgram, type Compilation, MarkerConflict } from '#src/program/build.js';
import type { FixedSlot } from '#src/program/slot.js';
import type { TemplateAttribute } from '#src/program/template.js';
import { attribute, concat, n32, text } from '../fixtures-support/bytes.js';
import { compilations, policyProgram } from './policy.js';

const CREATE = 0x400;
const APPEND = 0x800;

/** Every slot of a message: the path of types to it, and what it is. */
function slotsOf(attributes: readonly TemplateAttribute[], path = ''): [string, ...unknown[]][] {
  return attributes.flatMap((attribute): [string, ...unknown[]][] => {
    const here = path === '' ? `${attribute.type}` : `${path}.${attribute.type}`;
    if ('nested' in attribute) return slotsOf(attribute.nested, here);
    if ('text' in attribute) {
      return attribute.text.some((part) => 'slot' in part) ? [[here, ...attribute.text]] : [];
    }
    return (attribute.slots ?? []).map((slot) => [here, slot]);
  });
}

const tableName = (table: string): [string, ...unknown[]] => [
  '1',
  { text: 'tapwall.' },
  { slot: 'index' },
  { text: `.${table}` },
];
const index = (offset: number, order: 'host' | 'network', add: 0 | 1 = 0): FixedSlot => ({
  kind: 'index',
  offset,
  order,
  add,
});
const up0 = (offset: number) => ({ ...index(offset, 'host'), link: 'up0' });
const name = (offset: number): FixedSlot => ({ kind: 'name', offset });

test('a program is all of a policy, in the order in which the kernel wants it', () => {
  const { messages } = policyProgram();
  assert.deepEqual(
    messages.map(({ label, flags }) => [label, flags]),
    [
      ['NEWTABLE guard', CREATE],
      ['NEWTABLE extra', CREATE],
      ['NEWCHAIN tapwall.passed.ingress', CREATE],
      ['NEWCHAIN tapwall.passed.egress', CREATE],
      ['NEWCHAIN lan', CREATE],
      ['NEWCHAIN ingress', CREATE],
      ['NEWCHAIN egress', CREATE],
      ['NEWCHAIN late', CREATE],
      ['NEWOBJ seen', CREATE],
      ['NEWSET own', CREATE],
      ['NEWSET around', CREATE],
      ['NEWSET names', CREATE],
      ['NEWSET verdicts', CREATE],
      ['NEWSET __set0', CREATE],
      ['NEWSETELEM own', CREATE],
      ['NEWSETELEM around', CREATE],
      ['NEWSETELEM names', CREATE],
      ['NEWSETELEM verdicts', CREATE],
      ['NEWSETELEM __set0', CREATE],
      ['NEWRULE lan rule 1', CREATE | APPEND],
      ['NEWRULE lan rule 2', CREATE | APPEND],
      ['NEWRULE ingress rule 1', CREATE | APPEND],
      ['NEWRULE ingress rule 2', CREATE | APPEND],
      ['NEWRULE ingress rule 3', CREATE | APPEND],
      ['NEWRULE ingress rule 4', CREATE | APPEND],
      ['NEWRULE egress rule 1', CREATE | APPEND],
    ],
  );
  const words = ['NEWTABLE', 'NEWCHAIN', 'NEWRULE', 'NEWSET', 'NEWSETELEM', 'NEWOBJ'];
  const numbers = [0, 3, 6, 9, 12, 18];
  for (const { label, operation } of messages) {
    assert.equal(operation, numbers[words.indexOf(label.split(' ')[0] ?? '')], label);
  }
});

test('a slot is wherever the device is meant, and nowhere else', () => {
  const found = policyProgram().messages.map(({ label, attributes }) => [label, ...slotsOf(attributes)]);
  const record = (at: number) => [
    ['6', { kind: 'origin', offset: at + 1 }],
    ['6', { kind: 'digest', offset: at + 2 }],
    ['6', name(at + 18)],
    ['6', { kind: 'mac', offset: at + 33 }],
  ];
  const guard = tableName('guard');
  assert.deepEqual(found, [
    ['NEWTABLE guard', guard, ['6', name(31)], ...record(49)],
    // The user's own comment is not followed by the device's name.
    ['NEWTABLE extra', tableName('extra'), ...record(25)],
    // tapwall's own, by which it counts, are in no chain of the user's.
    ['NEWCHAIN tapwall.passed.ingress', guard, ['4.3', { slot: 'name' }]],
    ['NEWCHAIN tapwall.passed.egress', guard, ['4.3', { slot: 'name' }]],
    ['NEWCHAIN lan', guard],
    // NFTA_CHAIN_HOOK, NFTA_HOOK_DEV
    ['NEWCHAIN ingress', guard, ['4.3', { slot: 'name' }]],
    ['NEWCHAIN egress', guard, ['4.3', { slot: 'name' }]],
    ['NEWCHAIN late', tableName('extra'), ['4.3', { slot: 'name' }]],
    ['NEWOBJ seen', guard],
    ['NEWSET own', guard],
    ['NEWSET around', guard],
    ['NEWSET names', guard],
    ['NEWSET verdicts', guard],
    ['NEWSET __set0', guard],
    // NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY; the key begins with the header of NFTA_DATA_VALUE.
    ['NEWSETELEM own', guard, ['3.1.1', index(4, 'host')]],
    ['NEWSETELEM around', guard, ['3.1.1', index(4, 'network')], ['3.1.1', index(4, 'network', 1)]],
    ['NEWSETELEM names', guard, ['3.1.1', name(4)]],
    ['NEWSETELEM verdicts', guard, ['3.1.1', index(4, 'host')], ['3.1.1', up0(4)]],
    ['NEWSETELEM __set0', guard],
    ['NEWRULE lan rule 1', guard],
    ['NEWRULE lan rule 2', guard],
    // NFTA_RULE_EXPRESSIONS, NFTA_LIST_ELEM, NFTA_EXPR_DATA: a comparison, behind two numbers and two headers.
    ['NEWRULE ingress rule 1', guard, ['4.1.2', index(24, 'host')]],
    ['NEWRULE ingress rule 2', guard, ['4.1.2', name(24)]],
    ['NEWRULE ingress rule 3', guard],
    // NFTA_LOG_PREFIX
    ['NEWRULE ingress rule 4', guard, ['4.1.2.2', { slot: 'name' }, { text: ': ' }]],
    ['NEWRULE egress rule 1', guard],
  ]);
});

test('what a program tells of itself', () => {
  const program = policyProgram();
  assert.equal(program.policy, 'lan-guard');
  assert.deepEqual(program.tables, ['guard', 'extra']);
  assert.deepEqual(program.hooks, { ingress: true, egress: true });
  assert.deepEqual(program.links, ['up0']);
  assert.match(program.digest, /^[0-9a-f]{16}$/);
});

test('a program is plain data, and arrives whole in a worker', () => {
  const program = policyProgram();
  assert.deepEqual(structuredClone(program), program);
});

test('the markers leave no trace', () => {
  const program = JSON.stringify(policyProgram(), (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
  );
  for (const { markers } of compilations()) {
    assert.ok(!program.includes(markers.name));
    assert.ok(!program.includes(Buffer.from(markers.name).toString('hex')));
    for (const { index: number } of [markers, ...markers.links]) {
      assert.ok(!program.includes(Buffer.from(n32(number)).toString('hex')));
      assert.ok(!program.includes(Buffer.from(n32(number)).reverse().toString('hex')));
    }
  }
});

test('equal policies have equal digests, whatever stood for the device', () => {
  const [first, second] = compilations();
  const program = policyProgram();
  assert.equal(policyProgram().digest, program.digest);
  assert.deepEqual(buildProgram('lan-guard', 'lan-guard.nft', second, first), program);
  assert.equal(buildProgram('lan-guard', 'other.nft', first, second).digest, program.digest);
});

/** Changes both compilations alike. */
function changed(change: (ruleset: Ruleset) => void): [Compilation, Compilation] {
  const both = compilations();
  for (const { ruleset } of both) change(ruleset);
  return both;
}

const changes: [string, (ruleset: Ruleset) => void][] = [
  ['a rule less', ({ rules }) => rules.pop()],
  ['rules in another order', ({ rules }) => rules.push(...rules.splice(0, 1))],
  [
    'another policy of a chain',
    ({ chains }) => {
      const chain = chains.find(({ name: chainName }) => chainName === 'ingress');
      if (chain) chain.policy = 0;
    },
  ],
  [
    'another priority',
    ({ chains }) => {
      const hook = chains.find(({ name: chainName }) => chainName === 'late')?.hook;
      if (hook) hook.priority++;
    },
  ],
  ['an element less', ({ elements }) => elements[0]?.elements.pop()],
  [
    'another comment',
    ({ tables }) => {
      const table = tables.find(({ name: table }) => table === 'extra');
      if (table) delete table.userdata;
    },
  ],
];

for (const [what, change] of changes) {
  test(`another policy has another digest: ${what}`, () => {
    const program = buildProgram('lan-guard', 'lan-guard.nft', ...changed(change));
    assert.notEqual(program.digest, policyProgram().digest);
  });
}

test('what only the kernel says changes nothing', () => {
  const program = buildProgram(
    'lan-guard',
    'lan-guard.nft',
    ...changed(({ tables, chains, rules, sets, objects }) => {
      for (const one of [...tables, ...chains, ...rules, ...sets, ...objects]) one.handle = 4711n;
      for (const one of [...tables, ...chains, ...objects]) one.use = 99;
      for (const set of sets) {
        set.backend = text('another address');
        set.count = 99;
      }
      for (const rule of rules) rule.position = 4711n;
    }),
  );
  assert.equal(program.digest, policyProgram().digest);
});

function problemsOf(change: (ruleset: Ruleset) => void): string[] {
  try {
    buildProgram('lan-guard', 'lan-guard.nft', ...changed(change));
  } catch (error) {
    assert.ok(error instanceof SourceError);
    assert.equal(error.code, 'POLICY_NOT_PORTABLE');
    assert.ok(error.problems.every(({ hint }) => hint !== undefined));
    return error.problems.map(({ message }) => message);
  }
  return assert.fail('the policy was taken');
}

test('tables of other families are refused, each by name', () => {
  const problems = problemsOf(({ tables }) => {
    tables.push({ family: 2, name: 'nat' }, { family: 1, name: 'filter' }, { family: 44, name: 'new' });
  });
  assert.deepEqual(problems, [
    'lan-guard.nft: table ip nat is not a netdev table',
    'lan-guard.nft: table inet filter is not a netdev table',
    'lan-guard.nft: table family 44 new is not a netdev table',
  ]);
});

test('flow tables are refused', () => {
  const problems = problemsOf((ruleset) => {
    ruleset.flowtables = 1;
  });
  assert.deepEqual(problems, ['lan-guard.nft: flow tables cannot be given to each device on its own']);
});

test('base chains on any device but the one meant are refused', () => {
  const hook = { number: 0, priority: 0 };
  const [{ markers }] = compilations();
  const own = { name: markers.name };
  const problems = problemsOf(({ chains }) => {
    const chain = { family: 5, table: 'guard', type: 'filter', policy: 1 };
    chains.push(
      { ...chain, name: 'a', hook: { ...hook, device: 'eth0' } },
      { ...chain, name: 'b', hook: { ...hook, devices: [{ name: 'eth0' }, own] } },
      { ...chain, name: 'b2', hook: { ...hook, devices: [own, { name: 'eth0' }] } },
      { ...chain, name: 'c', hook: { ...hook, devices: [{ prefix: 'macvtap' }] } },
      { ...chain, name: 'd', hook },
      // The name of the device as a prefix is not the device.
      { ...chain, name: 'e', hook: { ...hook, devices: [{ prefix: markers.name }] } },
    );
  });
  assert.deepEqual(problems, [
    'lan-guard.nft: base chain a hooks "eth0"',
    'lan-guard.nft: base chain b hooks "eth0", $intf',
    'lan-guard.nft: base chain b2 hooks $intf, "eth0"',
    'lan-guard.nft: base chain c hooks "macvtap*"',
    'lan-guard.nft: base chain d hooks no device',
    `lan-guard.nft: base chain e hooks "${markers.name}*"`,
  ]);
});

test('a chain with a name that is kept for tapwall is refused', () => {
  const problems = problemsOf(({ chains }) => {
    for (const chain of chains) if (chain.name === 'lan') chain.name = 'tapwall.passed.ingress';
  });
  assert.deepEqual(problems, [
    'lan-guard.nft: the name of chain tapwall.passed.ingress is kept for tapwall, which counts there what has passed',
  ]);
});

/** The tables of the chains that count what passes, and the directions. */
function passedBy(change: (ruleset: Ruleset) => void): unknown[] {
  const both = compilations();
  for (const { ruleset } of both) change(ruleset);
  const { messages } = buildProgram('lan-guard', 'lan-guard.nft', ...both);
  return messages
    .filter(({ label }) => label.startsWith('NEWCHAIN tapwall.'))
    .map(({ label, attributes }) => {
      const [table] = attributes;
      return [label, table && 'text' in table && table.text.at(-1)];
    });
}

test('what passes is counted in each direction that a table hooks which does not sleep', () => {
  const [ingress, egress] = ['NEWCHAIN tapwall.passed.ingress', 'NEWCHAIN tapwall.passed.egress'];
  const [guard, extra] = [{ text: '.guard' }, { text: '.extra' }];
  assert.deepEqual(
    passedBy(() => undefined),
    [
      [ingress, guard],
      [egress, guard],
    ],
  );
  const asleep = passedBy(({ tables }) => {
    for (const table of tables) if (table.name === 'guard') table.flags = 1;
  });
  assert.deepEqual(asleep, [[ingress, extra]]);
  const oneWay = passedBy((ruleset) => {
    ruleset.chains = ruleset.chains.filter(({ name }) => name !== 'egress');
    ruleset.rules = ruleset.rules.filter(({ chain }) => chain !== 'egress');
  });
  assert.deepEqual(oneWay, [[ingress, guard]]);
});

test('a policy that hooks nothing is refused: it would filter nothing', () => {
  const problems = problemsOf((ruleset) => {
    ruleset.chains = ruleset.chains.filter(({ hook }) => !hook);
  });
  assert.deepEqual(problems, [
    'lan-guard.nft: no base chain hooks $intf, so the policy would filter nothing',
  ]);
});

test('all problems are told at once', () => {
  const problems = problemsOf((ruleset) => {
    ruleset.tables.push({ family: 10, name: 'six' });
    ruleset.flowtables = 2;
    ruleset.chains.push({
      family: 5,
      table: 'guard',
      name: 'a',
      hook: { number: 0, priority: 0, device: 'eth0' },
    });
  });
  assert.equal(problems.length, 3);
});

/** Changes one compilation only. */
function conflict(change: (ruleset: Ruleset) => void): MarkerConflict {
  for (const which of [0, 1]) {
    const both = compilations();
    change(both[which as 0 | 1].ruleset);
    assert.throws(
      () => buildProgram('lan-guard', 'lan-guard.nft', ...both),
      MarkerConflict,
      `compilation ${which}`,
    );
  }
  const both = compilations();
  change(both[1].ruleset);
  try {
    buildProgram('lan-guard', 'lan-guard.nft', ...both);
  } catch (error) {
    if (error instanceof MarkerConflict) return error;
  }
  return assert.fail('there was no conflict');
}

test('compilations that differ in more than their markers are a conflict, which says where', () => {
  const value = attribute(1, n32(0x12345600));
  const data = concat([attribute(1, n32(1)), attribute(2, n32(0)), attribute(3, value)]);
  const error = conflict(({ rules }) => {
    const rule = rules.find(({ chain }) => chain === 'egress');
    rule?.expressions?.push({ name: 'cmp', data });
  });
  assert.equal(error.code, 'POLICY_NOT_PORTABLE');
  assert.equal(
    error.message,
    'lan-guard.nft: NEWRULE egress rule 1 depends on the device in a way that tapwall cannot carry over',
  );
  assert.match(error.hint ?? '', /\$intf/);
});

test('whatever one compilation has and the other has not is a conflict', () => {
  const messages = [
    conflict(({ rules }) => rules.pop()),
    conflict(({ sets }) => sets.pop()),
    conflict(({ tables }) => tables.reverse()),
    conflict(({ elements }) => elements[1]?.elements.pop()),
    conflict(({ objects }) => {
      for (const object of objects) object.name = 'unseen';
    }),
    conflict(({ chains }) => {
      for (const { hook } of chains) if (hook) hook.priority++;
    }),
    conflict(({ sets }) => {
      for (const set of sets) set.flags = (set.flags ?? 0) ^ 0x20;
    }),
  ].map(({ message }) => /lan-guard\.nft: (.*) depends/.exec(message)?.[1]);
  assert.deepEqual(messages, [
    'NEWRULE egress rule 1',
    'NEWSET __set0',
    'NEWTABLE guard',
    'NEWSETELEM around',
    'NEWOBJ seen',
    'NEWCHAIN ingress',
    'NEWSET own',
  ]);
});

test('a constant of the user that equals a marker is a conflict, not a slot', () => {
  const [{ markers }] = compilations();
  const error = conflict(({ elements }) => {
    const own = elements.find(({ set }) => set === '__set0')?.elements[0];
    if (own) own.key = attribute(1, n32(markers.index));
  });
  assert.match(error.message, /NEWSETELEM __set0/);
});
