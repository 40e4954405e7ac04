import { AgentLoop } from '#src/agent/loop.js';
import type { Plan } from '#src/agent/plan.js';
import type { Binding, Placement } from '#src/config/configuration.js';
import { Lab } from '#src/demo/lab.js';
import type { Kernel, Waker } from '#src/kernel/kernel.js';
import type { Link } from '#src/links/link.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { encodeTransaction, type Segment, transactionLength } from '#src/nftables/transaction.js';
import { detachSegment } from '#src/program/attach.js';
import { SHARED_TABLE } from '#src/program/blueprint.js';
import { indexSegment } from '#src/program/member.js';
import { numberedDevice } from '../crowd.js';
import { bindingFor } from './policy.js';

/** What nearly every VM has some of: it is admitted, and something that it sends or receives is dropped. */
const USUAL_COUNTERS = [
  'ingress.admitted',
  'ingress.dropped.policy',
  'egress.admitted',
  'egress.dropped.policy',
];
const IN_TRANSACTION = 256;

/** A throw-away host with a number of macvtap devices, and one more that contenders attach and detach. */
export class Field {
  /** How many devices there are beside the one more. */
  readonly devices: number;
  readonly links: readonly Link[];
  readonly #bindings: readonly Binding[];
  readonly #lab: Lab;
  readonly #kernel: Kernel;
  readonly #waker: Waker;

  constructor(kernel: Kernel, devices: number) {
    this.devices = devices;
    this.#kernel = kernel;
    this.#waker = kernel.createWaker();
    this.#lab = new Lab(kernel);
    this.links = Array.from({ length: devices + 1 }, (_, number) => this.#addDevice(number));
    // Those that are attached and detached come last, after the bindings of all others.
    this.#bindings = this.links.map(bindingFor).reverse();
  }

  /** The host's network namespace, for other processes. */
  get namespacePath(): string {
    return this.#lab.namespacePath;
  }

  /** The plan for this host: a binding for each of its VMs. */
  planFor(plan: Plan, placement: Placement): Plan {
    return { ...plan, placement, bindings: this.#bindings };
  }

  /** Starts the agent's loop, and ends it again, which leaves its state in the kernel. @returns nanoseconds. */
  startAgent(plan: Plan): number {
    const failures: string[] = [];
    let attached = 0;
    const loop = new AgentLoop(plan, {
      kernel: this.#kernel,
      namespace: this.#lab.host.namespace,
      wakerFd: this.#waker.fd,
      emit: (event) => {
        if (event.event === 'failed') failures.push(event.error.message);
        if (event.event === 'ready') attached = event.attached;
      },
    });
    const start = process.hrtime.bigint();
    loop.start();
    const elapsed = process.hrtime.bigint() - start;
    loop.stop({ detach: false });
    if (attached !== this.links.length) {
      throw new Error(`${attached} of ${this.links.length} devices are attached: ${failures[0] ?? ''}`);
    }
    return Number(elapsed);
  }

  /** Puts the counters there that every device has once it has sent and received. */
  count(): void {
    for (let at = 0; at < this.links.length; at += IN_TRANSACTION) {
      this.#commit(
        this.links
          .slice(at, at + IN_TRANSACTION)
          .map(({ index }) => indexSegment('join', USUAL_COUNTERS, index)),
      );
    }
  }

  /** Takes everything of tapwall's out of the kernel. */
  clear(): void {
    this.#commit([detachSegment([SHARED_TABLE])]);
  }

  #commit(segments: readonly Segment[]): void {
    const socket = this.#kernel.openSocket({
      protocol: NETLINK_NETFILTER,
      namespace: this.#lab.host.namespace,
    });
    socket.commitWith(transactionLength(segments), (sequence) => encodeTransaction(segments, sequence));
    socket.close();
  }

  close(): void {
    // With their parent go all the devices, and before this returns; left to the end of the namespace they would go
    // some time later, in the way of what is measured next.
    this.#lab.remove(this.#lab.host.link(this.#lab.parent).index);
    this.#lab.close();
    this.#waker.close();
  }

  #addDevice(number: number): Link {
    return this.#lab.addMacvtap(numberedDevice(number));
  }
}
