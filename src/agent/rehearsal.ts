import { isExpected } from '../error.js';
import type { Kernel } from '../kernel/kernel.js';
import { MAXIMUM_NAME_LENGTH } from '../links/constants.js';
import { withoutElements } from '../program/held.js';
import { AgentLoop, type Ready } from './loop.js';
import type { Plan, PlannedPolicy } from './plan.js';
import { Stage } from './stage.js';

/** Rounds of each loop before the first VM may come; all take some tens of milliseconds. */
const BEFORE = 30;
/** V8 has compiled what runs by then. */
const ROUNDS = 3000;
/** Policies beyond these are much like them; a host with hundreds must not wait for all. */
const POLICIES = 8;
const DEVICES = 8;
/** A policy with a large set would rehearse for seconds. */
const LARGEST_PROGRAM = 200;
/** Every so many rounds all devices appear and go together. */
const CROWD = 8;

const EVENTS: Ready = { links: true, changes: false };

/**
 * Goes through attachments in a namespace of its own, where devices appear and go by script. Code that runs for the
 * first time takes a hundred times as long; and the first hook of the host makes the kernel patch its own code
 * (static_branch_inc() of ingress_needed_key, egress_needed_key and nf_hooks_needed), which takes milliseconds. A VM
 * should wait for neither, so the stage keeps its hooks until it is closed.
 */
export class Rehearsal {
  #stage: Stage | undefined;
  #loop: AgentLoop | undefined;
  #rounds = 0;

  /** Begins it, and goes through as many rounds as the first VM should find behind it. */
  constructor(kernel: Kernel, plan: Plan) {
    this.#attempt(() => {
      const policies = [...plan.policies.values()]
        .filter(({ program }) => (program?.messages.length ?? 0) <= LARGEST_PROGRAM)
        .slice(0, POLICIES);
      // Long ones leave no room for a number.
      const prefix = plan.prefixes.find((one) => Buffer.byteLength(one) < MAXIMUM_NAME_LENGTH);
      if (policies.length === 0 || prefix === undefined) return;
      const parts = Array.from({ length: DEVICES }, (_, number) => {
        const { name: policy } = policies[number % policies.length] as PlannedPolicy;
        const binding = plan.bindings.find((one) => one.policy === policy);
        return { name: `${prefix}${number}`, mac: binding?.mac, policy, addresses: binding?.addresses };
      });
      const stage = new Stage(kernel, parts);
      this.#stage = stage;
      const location = { file: plan.file, line: 1, column: 1 };
      const byName = parts.map(({ name: device, policy, addresses }) => ({
        device,
        policy,
        addresses,
        location,
      }));
      // A few names stand for thousands, which would take the kernel a while.
      const names = new Set(parts.map(({ name }) => name));
      // A second one: V8 takes for constant what it has seen one of, and the loop that counts is yet another.
      for (const bindings of [byName, [...plan.bindings, ...byName]]) {
        const blueprint = withoutElements(plan.blueprint);
        const staged = structuredClone({ ...plan, blueprint, names, bindings, warnings: [], reconcileMs: 0 });
        this.#loop?.stop({ detach: false });
        this.#loop = new AgentLoop(staged, { kernel: stage, wakerFd: -1, emit: () => undefined });
        // Whoever listens in any namespace has the kernel make a message for each element of a large set.
        const [, changes] = this.#loop.sockets;
        changes.listen(false);
        this.#loop.start();
        for (let round = 0; round < BEFORE; round++) this.#play(stage, this.#loop);
      }
    });
  }

  /** Whether no more is to be won by going on. */
  get isOver(): boolean {
    return this.#loop === undefined || this.#rounds >= ROUNDS;
  }

  /** Goes through one more round, which takes less than a millisecond: a VM may be waiting. */
  goOn(): void {
    const [stage, loop] = [this.#stage, this.#loop];
    if (stage && loop) this.#attempt(() => this.#play(stage, loop));
  }

  close(): void {
    this.#loop?.stop({ detach: false });
    this.#stage?.close();
    this.#loop = undefined;
    this.#stage = undefined;
  }

  #play(stage: Stage, loop: AgentLoop): void {
    const round = this.#rounds++;
    const together = round % CROWD === CROWD - 1 ? DEVICES : 1;
    // The second time as when a device is brought up, which changes nothing.
    for (const what of ['appears', 'appears', 'goes'] as const) {
      for (let device = 0; device < together; device++) stage.tell(what, (round + device) % DEVICES);
      loop.handle(EVENTS);
    }
  }

  #attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      // Only time is lost: without the right to make namespaces, say.
      if (!isExpected(error)) throw error;
      this.close();
    }
  }
}
