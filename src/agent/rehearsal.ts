import { addStandIn, Scratch } from '../compiler/scratch.js';
import { TapwallError } from '../error.js';
import type { Kernel } from '../kernel/kernel.js';
import { findLink } from '../links/query.js';
import { attachBatch, attachLength } from '../program/attach.js';
import type { Program } from '../program/program.js';
import type { Plan } from './plan.js';

/** Attachments per program: V8 has compiled what runs by then. Each takes the kernel about 0.2 ms. */
const ROUNDS = 40;
/** Programs beyond these are much like them; a host with hundreds must not wait for all. */
const PROGRAMS = 8;
/** A policy with a large set would rehearse for seconds. */
const LARGEST_PROGRAM = 200;

const DEVICE = { name: 'macvtap0', index: 1000 };

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
      const programs = [...plan.programs.values()].filter(
        ({ messages }) => messages.length <= LARGEST_PROGRAM,
      );
      for (const program of [...programs.slice(0, PROGRAMS), plan.closed])
        this.#attach(this.#scratch, program);
    } catch (error) {
      // Only time is lost: without the right to make namespaces, say.
      if (!(error instanceof TapwallError) && !isSystemError(error)) throw error;
    }
  }

  close(): void {
    this.#scratch?.close();
  }

  #attach({ route, netfilter }: Scratch, program: Program): void {
    const links = new Map(program.links.map((name) => [name, DEVICE.index]));
    const facts = { ...DEVICE, mac: '00:00:00:00:00:00', origin: 'agent' as const, links };
    for (let round = 0; round < ROUNDS; round++) {
      findLink(route, { index: DEVICE.index });
      netfilter.commitWith(attachLength(program, []), (sequence) => attachBatch(program, facts, sequence));
    }
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
