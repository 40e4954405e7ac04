import { addStandIn, Scratch } from '../compiler/scratch.js';
import { TapwallError } from '../error.js';
import type { Kernel } from '../kernel/kernel.js';
import type { Link } from '../links/link.js';
import { findLink } from '../links/query.js';
import { NO_ADMISSION } from '../program/admission.js';
import { withoutElements } from '../program/held.js';
import { Committer } from './committer.js';
import { newDevice } from './device.js';
import { Door } from './door.js';
import type { Plan } from './plan.js';
import { Roster } from './roster.js';
import { planStep } from './step.js';
import { targetOf } from './target.js';

/** Attachments per policy: V8 has compiled what runs by then. */
const ROUNDS = 40;
/** Policies beyond these are much like them; a host with hundreds must not wait for all. */
const POLICIES = 8;
/** A policy with a large set would rehearse for seconds. */
const LARGEST_PROGRAM = 200;

const DEVICE: Link = {
  name: 'macvtap0',
  index: 1000,
  up: false,
  kind: 'macvtap',
  mac: '52:54:00:00:00:01',
  alias: undefined,
  parentIndex: undefined,
  parentElsewhere: false,
};

/**
 * Goes through attachments in a namespace of its own, before there is anything to attach. Code that runs for the
 * first time takes a hundred times as long; and the first hook of the host makes the kernel patch its own code
 * (static_branch_inc() of ingress_needed_key, egress_needed_key and nf_hooks_needed), which takes milliseconds. The
 * first VM should wait for neither, so the stage keeps its hooks until it is closed.
 */
export class Rehearsal {
  readonly #scratch: Scratch | undefined;

  constructor(kernel: Kernel, plan: Plan) {
    try {
      this.#scratch = new Scratch(kernel);
      addStandIn(this.#scratch.route, DEVICE.name, DEVICE.index);
      // One name stands for thousands, which would take the kernel a while.
      const blueprint = withoutElements(plan.blueprint);
      this.#play(this.#scratch, { ...plan, blueprint, names: new Set([DEVICE.name]) });
    } catch (error) {
      // Only time is lost: without the right to make namespaces, say.
      if (!(error instanceof TapwallError) && !isSystemError(error)) throw error;
    }
  }

  close(): void {
    this.#scratch?.close();
  }

  #play({ route, netfilter }: Scratch, plan: Plan): void {
    const committer = new Committer(netfilter);
    const door = new Door(netfilter, committer);
    const roster = new Roster();
    const links = (names: readonly string[]) => new Map(names.map((name) => [name, DEVICE.index]));
    const work = { steps: [], links: links(plan.blueprint.links), meanwhile: 'closed' as const };
    door.put(plan, door.read(plan, []), work, () => undefined);
    const policies = [...plan.policies.values()].filter(
      ({ program }) => (program?.messages.length ?? 0) <= LARGEST_PROGRAM,
    );
    for (const { name, program } of policies.slice(0, POLICIES)) {
      const binding = { policy: name, location: { file: plan.file, line: 1, column: 1 } };
      const known = { links: links(program?.links ?? []), roster };
      for (let round = 0; round < ROUNDS; round++) {
        const device = newDevice(DEVICE);
        findLink(route, { index: DEVICE.index });
        const target = targetOf(plan, device, binding);
        committer.commit([planStep(plan, device, target, known)]);
        const nothing = { policy: undefined, admission: NO_ADMISSION, program: undefined, hook: undefined };
        committer.commit([planStep(plan, device, nothing, { ...known, gone: true, forgets: true })]);
      }
    }
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
