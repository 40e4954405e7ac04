/**
 * Whatever happens to the devices, in whatever order: once the loop has read its events, those are admitted that the
 * bindings name a policy for, each to its own and under the name it has, and every other is behind a closed door.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Plan } from '#src/agent/plan.js';
import { matchBinding } from '#src/config/binding.js';
import type { FakeKernel } from '#src/kernel/fake.js';
import { program } from './program.js';
import { inline } from './shared-plan.js';
import { installed } from './state.js';
import { addForeignTables, bind, Case, KERNELS, Rig } from './support.js';

const PARENTS = ['enp1s0', 'enp2s0'];
const NAMES = ['macvtap0', 'macvtap1', 'macvtap10', 'vm0', 'other0'];
const ALIASES = ['', 'web', 'web-2', 'db'];
/** The second looks like tapwall's, and is not: it has no record. */
const FOREIGN = ['filter', 'tapwall.4.guard-of-mine'];

/** Both kinds of policies side by side, and one that no kernel takes. */
const guard = inline('guard');
const web = program('web', { tables: ['in', 'out'] });
const plain = inline('plain', { facts: [] });
const hopeless = program('hopeless', { tables: ['guard', 'more'], hopeless: true });

/** `other` is another placement that the kernel can do. */
function plansOf(the: Case, other: Plan['placement']): Plan[] {
  return [
    the.plan([guard, web], [bind('web', { alias: 'web*' }), bind('guard', { parent: 'enp1s0' })]),
    the.plan([inline('guard', { rules: 2 }), web, plain], [bind('web', { alias: 'web*' }), bind('plain')], {
      prefixes: ['macvtap1', 'vm'],
      names: new Set(['macvtap10', 'vm0']),
      unmatched: { action: 'accept' },
    }),
    the.plan(
      [guard, web, hopeless],
      [
        bind('hopeless', { alias: 'db' }),
        bind('web', { device: 'macvtap[12]*' }),
        bind('guard', { device: 'vm?', parent: 'enp2s0' }),
      ],
      { prefixes: ['macvtap', 'vm'] },
    ),
    the.plan([program('guard'), plain], [bind('guard', { alias: 'web*' })], {
      unmatched: { action: 'policy', policy: 'plain' },
      placement: other,
    }),
    the.plan([], [], { names: new Set() }),
  ];
}

const PLAN_COUNT = 5;

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
        plan: fc.nat(PLAN_COUNT - 1),
      }),
    },
  ),
  { maxLength: 40 },
);

/** One line for each device that should be admitted, as `installed` says it. */
function expected(kernel: FakeKernel, { prefixes, bindings, unmatched }: Plan): string[] {
  const names = new Map(kernel.links().map((link) => [link.index, link.name]));
  return kernel.links().flatMap((link): string[] => {
    if (link.kind !== 'macvtap' || !prefixes.some((prefix) => link.name.startsWith(prefix))) return [];
    const { parentIndex, parentElsewhere } = link;
    const parentName = parentIndex === undefined || parentElsewhere ? undefined : names.get(parentIndex);
    const binding = matchBinding(bindings, { ...link, parentName });
    const otherwise = {
      accept: 'by-hand',
      policy: unmatched.action === 'policy' ? unmatched.policy : '',
      drop: '',
    };
    const policy = binding?.policy ?? otherwise[unmatched.action];
    return policy === '' || policy === 'hopeless' ? [] : [`${link.index} ${policy} ${link.name}`];
  });
}

/** Runs the steps; those that make no sense where the links are do nothing. */
class Run {
  readonly kernel: FakeKernel;
  readonly #plans: Plan[];
  #plan: Plan;
  #rig: Rig;

  constructor(the: Case) {
    this.kernel = the.kernel();
    const { namesInAdvance, placement } = the.setting;
    const others = namesInAdvance
      ? (['prefix', 'names', 'device', 'chain'] as const)
      : (['device', 'chain'] as const);
    const at = others.map(String).indexOf(placement);
    this.#plans = plansOf(the, others[(at + 1) % others.length] ?? placement);
    this.#plan = this.#planAt(0);
    addForeignTables(this.kernel, ...FOREIGN);
    for (const parent of PARENTS) this.kernel.addLink({ name: parent, up: true });
    this.#rig = new Rig(this.#plan, this.kernel);
    this.#rig.start();
  }

  #planAt(number: number): Plan {
    return this.#plans[number] ?? assert.fail();
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
        this.#plan = this.#planAt(step.plan);
        this.#rig = new Rig(this.#plan, this.kernel);
        this.#rig.start();
        break;
      case 'reload':
        this.#plan = this.#planAt(step.plan);
        this.#rig.reload(this.#plan);
        break;
      default:
        if (this.#has(step.name)) this.#change(step);
    }
  }

  /** The invariant. Then, that a loop at rest sends nothing. */
  check(): void {
    this.#rig.step();
    this.#countFrames();
    assert.deepEqual(installed(this.kernel), [...expected(this.kernel, this.#plan), ...FOREIGN]);
    const refusals = this.kernel.refusals.length;
    this.#rig.transactions();
    this.#rig.step();
    this.#rig.reload(this.#plan);
    assert.deepEqual(this.#rig.transactions(), []);
    // Every reload tries anew what the kernel refuses.
    this.kernel.refusals.length = refusals;
    const next = new Rig(this.#plan, this.kernel);
    next.start();
    assert.deepEqual(next.transactions(), []);
    next.loop.stop({ detach: false });
    this.kernel.refusals.length = refusals;
  }

  /** Of every device that is behind the door. */
  #countFrames(): void {
    for (const { index, kind, name } of this.kernel.links()) {
      const isCovered = this.#plan.prefixes.some((prefix) => name.startsWith(prefix));
      if (kind === 'macvtap' && isCovered) this.#rig.sendFrames(index);
    }
  }

  /** What stop({detach: true}) leaves behind: nothing of tapwall's. */
  end(): void {
    this.check();
    this.#rig.loop.stop({ detach: true });
    assert.deepEqual(
      this.kernel.tables().map(({ name }) => name),
      FOREIGN,
    );
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

for (const { words, ...kernel } of KERNELS) {
  test(`those are admitted that a binding names, and every other is behind a closed door [${words}]`, () => {
    fc.assert(
      fc.property(steps, (steps) => {
        const run = new Run(new Case({ ...kernel, label: words, kind: 'inline' }));
        for (const step of steps) run.do(step);
        run.end();
        // Nothing was tried that the kernel could not take, but for the policy that none can.
        for (const { code, operations, operation } of run.kernel.refusals) {
          const refused = operations[operation];
          if (kernel.namesInAdvance) assert.deepEqual([code, refused?.chain], ['ENOENT', 'missing']);
        }
      }),
      { numRuns: 40 },
    );
  });
}
