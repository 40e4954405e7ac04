/**
 * Whatever happens to the devices, in whatever order: once the loop has read its events, the tables in the kernel are
 * those that the bindings name for the devices that are there, and no others.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Plan } from '#src/agent/plan.js';
import { matchBinding } from '#src/config/binding.js';
import { FakeKernel } from '#src/kernel/fake.js';
import { hookDevices } from '#src/nftables/chain.js';
import { deviceTableName } from '#src/program/name.js';
import { parseRecord } from '#src/program/record.js';
import { addForeignTables, bind, plan, program, Rig } from './support.js';

const PARENTS = ['enp1s0', 'enp2s0'];
const NAMES = ['macvtap0', 'macvtap1', 'macvtap10', 'vm0', 'other0'];
const ALIASES = ['', 'web', 'web-2', 'db'];
/** The second looks like tapwall's, and is not: it has no record. */
const FOREIGN = ['filter', 'tapwall.4.guard-of-mine'];

const guard = program('guard');
const web = program('web', { tables: ['in', 'out'] });
const hopeless = program('hopeless', { tables: ['guard', 'more'], hopeless: true });

const PLANS: Plan[] = [
  plan([guard, web], [bind('web', { alias: 'web*' }), bind('guard', { parent: 'enp1s0' })]),
  plan([program('guard', { rules: 2 }), web], [bind('web', { alias: 'web*' }), bind('guard')], {
    prefixes: ['macvtap1', 'vm'],
  }),
  plan(
    [guard, web, hopeless],
    [
      bind('hopeless', { alias: 'db' }),
      bind('web', { device: 'macvtap[12]*' }),
      bind('guard', { device: 'vm?', parent: 'enp2s0' }),
    ],
  ),
  plan([], []),
];

type Step =
  | { step: 'add'; name: string; alias: string; parent: string; up: boolean }
  | { step: 'remove' | 'up' | 'down' | 'mac'; name: string }
  | { step: 'rename'; name: string; to: string }
  | { step: 'alias'; name: string; alias: string }
  | { step: 'cable'; parent: string }
  | { step: 'lose' | 'read' }
  | { step: 'reload' | 'restart'; plan: number };

const name = fc.constantFrom(...NAMES);
const alias = fc.constantFrom(...ALIASES);
const parent = fc.constantFrom(...PARENTS);

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        step: fc.constant('add' as const),
        name,
        alias,
        parent: fc.constantFrom(...PARENTS, 'elsewhere', ''),
        up: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ step: fc.constant('remove' as const), name }) },
    { weight: 3, arbitrary: fc.record({ step: fc.constant('rename' as const), name, to: name }) },
    { weight: 3, arbitrary: fc.record({ step: fc.constant('alias' as const), name, alias }) },
    { weight: 1, arbitrary: fc.record({ step: fc.constantFrom('up' as const, 'down', 'mac'), name }) },
    { weight: 1, arbitrary: fc.record({ step: fc.constant('cable' as const), parent }) },
    { weight: 2, arbitrary: fc.record({ step: fc.constantFrom('lose' as const, 'read') }) },
    {
      weight: 3,
      arbitrary: fc.record({
        step: fc.constantFrom('reload' as const, 'restart'),
        plan: fc.nat(PLANS.length - 1),
      }),
    },
  ),
  { maxLength: 40 },
);

/** A table as the test compares it: what it is of, and what it filters for. */
type Line = [table: string, policy: string, digest: string, device: string];

function expectedTables(kernel: FakeKernel, { prefixes, bindings, programs, closed }: Plan): Line[] {
  const names = new Map(kernel.links().map((link) => [link.index, link.name]));
  return kernel.links().flatMap((link): Line[] => {
    if (link.kind !== 'macvtap' || !prefixes.some((prefix) => link.name.startsWith(prefix))) return [];
    const { parentIndex, parentElsewhere } = link;
    const parentName = parentIndex === undefined || parentElsewhere ? undefined : names.get(parentIndex);
    const binding = matchBinding(bindings, { ...link, parentName });
    if (!binding) return [];
    const wanted = programs.get(binding.policy);
    assert.ok(wanted);
    const { tables, policy, digest } = wanted.policy === 'hopeless' ? closed : wanted;
    return tables.map((table) => [deviceTableName(link.index, table), policy, digest, link.name]);
  });
}

function actualTables(kernel: FakeKernel): Line[] {
  return kernel.tables().flatMap(({ name, userdata, chains }): Line[] => {
    if (FOREIGN.includes(name)) return [];
    const record = parseRecord(userdata);
    assert.ok(record, name);
    for (const { hook } of chains) assert.deepEqual(hook && hookDevices(hook), [{ name: record.device }]);
    return [[name, record.policy, record.digest, record.device]];
  });
}

/** Runs the steps; those that make no sense where the links are do nothing. */
class Run {
  readonly kernel: FakeKernel;
  #plan = PLANS[0] ?? assert.fail();
  #rig: Rig;

  constructor(namesInAdvance: boolean) {
    this.kernel = new FakeKernel({ namesInAdvance });
    addForeignTables(this.kernel, ...FOREIGN);
    for (const parent of PARENTS) this.kernel.addLink({ name: parent, up: true });
    this.#rig = new Rig(this.#plan, this.kernel);
    this.#rig.loop.start();
  }

  do(step: Step): void {
    switch (step.step) {
      case 'add':
        this.#add(step);
        break;
      case 'cable':
        if (this.#has(step.parent)) this.kernel.removeLink(step.parent);
        else this.kernel.addLink({ name: step.parent });
        break;
      case 'lose':
        this.kernel.loseEvents();
        break;
      case 'read':
        this.check();
        break;
      case 'restart':
        this.#rig.loop.stop({ detach: false });
        this.#plan = PLANS[step.plan] ?? assert.fail();
        this.#rig = new Rig(this.#plan, this.kernel);
        this.#rig.loop.start();
        break;
      case 'reload':
        this.#plan = PLANS[step.plan] ?? assert.fail();
        this.#rig.loop.reload(this.#plan);
        break;
      default:
        if (this.#has(step.name)) this.#change(step);
    }
  }

  /** The invariant. Then, that a loop at rest sends nothing. */
  check(): void {
    this.#rig.loop.step(0);
    const expected = expectedTables(this.kernel, this.#plan);
    assert.deepEqual(actualTables(this.kernel).sort(), expected.sort());
    assert.deepEqual(
      this.kernel.tables().filter(({ name }) => FOREIGN.includes(name)).length,
      FOREIGN.length,
    );
    this.#rig.transactions();
    this.#rig.loop.step(0);
    if (!expected.some(([, policy]) => policy === 'closed')) this.#rig.loop.reload(this.#plan);
    assert.deepEqual(this.#rig.transactions(), []);
  }

  /** What stop({detach: true}) leaves behind: nothing of tapwall's. */
  end(): void {
    this.check();
    this.#rig.loop.stop({ detach: true });
    assert.deepEqual(actualTables(this.kernel), []);
  }

  #has(name: string): boolean {
    return this.kernel.links().some((link) => link.name === name);
  }

  #add({ name, alias, parent, up }: Step & { step: 'add' }): void {
    if (this.#has(name) || (PARENTS.includes(parent) && !this.#has(parent))) return;
    const on = parent === '' ? {} : parent === 'elsewhere' ? { parentElsewhere: 2 } : { parent };
    this.kernel.addLink({ name, kind: 'macvtap', alias, up, ...on });
  }

  #change(step: Exclude<Step, { step: 'add' | 'cable' | 'lose' | 'read' | 'restart' | 'reload' }>): void {
    switch (step.step) {
      case 'remove':
        this.kernel.removeLink(step.name);
        break;
      case 'rename':
        if (!this.#has(step.to)) this.kernel.updateLink(step.name, { name: step.to });
        break;
      case 'alias':
        // Of a link that is down the kernel tells no new alias.
        this.kernel.updateLink(step.name, { alias: step.alias, up: true });
        break;
      case 'mac':
        this.kernel.updateLink(step.name, { mac: '02:aa:aa:aa:aa:aa' });
        break;
      default:
        this.kernel.updateLink(step.name, { up: step.step === 'up' });
    }
  }
}

test('the tables are those that the bindings name for the devices that are there', () => {
  fc.assert(
    fc.property(steps, fc.boolean(), (steps, namesInAdvance) => {
      const run = new Run(namesInAdvance);
      for (const step of steps) run.do(step);
      run.end();
      // Nothing was tried that the kernel could not take, but for the policy that none can.
      for (const { code, operations, operation } of run.kernel.refusals) {
        const refused = operations[operation];
        if (namesInAdvance) assert.deepEqual([code, refused?.chain], ['ENOENT', 'missing']);
      }
    }),
    { numRuns: 500 },
  );
});
