import { Committer } from '#src/agent/committer.js';
import { type Device, newDevice } from '#src/agent/device.js';
import { Door } from '#src/agent/door.js';
import type { Plan } from '#src/agent/plan.js';
import { Roster } from '#src/agent/roster.js';
import { planStep, type StepOptions } from '#src/agent/step.js';
import { type Target, targetOf } from '#src/agent/target.js';
import { matchBinding } from '#src/config/binding.js';
import type { Kernel } from '#src/kernel/kernel.js';
import { NetlinkSocket, type Transport } from '#src/kernel/socket.js';
import { listLinks } from '#src/links/query.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '#src/netlink/constants.js';
import { ListedAdmission, NO_ADMISSION } from '#src/program/admission.js';

const NOTHING: Target = { policy: undefined, admission: NO_ADMISSION, program: undefined, hook: undefined };

/** Passes everything on, and remembers what was sent. */
class Recorder implements Transport {
  readonly #transport: Transport;
  readonly #sent: Uint8Array[] = [];

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get portId(): number {
    return this.#transport.portId;
  }

  transact(request: Uint8Array): Uint8Array {
    this.#sent.push(Uint8Array.from(request));
    return this.#transport.transact(request);
  }

  confirm(request: Uint8Array): Uint8Array | undefined {
    this.#sent.push(Uint8Array.from(request));
    return this.#transport.confirm(request);
  }

  dump(request: Uint8Array, timeoutMs: number): Uint8Array {
    return this.#transport.dump(request, timeoutMs);
  }

  receive(): Uint8Array | undefined {
    return this.#transport.receive();
  }

  listen(on: boolean): void {
    this.#transport.listen(on);
  }

  linkName(index: number): string | undefined {
    return this.#transport.linkName(index);
  }

  close(): void {}

  /** What was sent since it was last taken. */
  take(): Uint8Array {
    return Buffer.concat(this.#sent.splice(0));
  }
}

/** What a link event, or the end of one, has the agent's loop do to devices: its own code, without the event. */
export class Hand {
  readonly #plan: Plan;
  readonly #devices: readonly Device[];
  readonly #known: StepOptions;
  readonly #socket: NetlinkSocket;
  #committer: Committer;

  /** @param indexes of devices that the agent has attached; they are detached first. */
  constructor(kernel: Kernel, namespacePath: string, plan: Plan, indexes: readonly number[]) {
    const namespace = kernel.openNamespace(namespacePath);
    const route = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace });
    this.#socket = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
    this.#committer = new Committer(this.#socket);
    this.#plan = plan;
    const links = listLinks(route);
    const state = new Door(this.#socket, this.#committer).read(plan, links);
    const roster = new Roster();
    roster.reset(state.counts);
    this.#known = { links: new Map(), roster };
    const wanted = new Set(indexes);
    this.#devices = links
      .filter(({ index }) => wanted.has(index))
      .map((link) => ({
        ...newDevice(link),
        admission: new ListedAdmission(state.members.get(link.index) ?? []),
        hooks: state.hooks.get(link.index) ?? new Map(),
      }));
    this.detach();
  }

  attach(): bigint {
    const start = process.hrtime.bigint();
    const steps = this.#devices.map((device) => {
      const { link, assignedMac } = device;
      const binding = matchBinding(this.#plan.bindings, {
        name: link.name,
        kind: link.kind ?? '',
        mac: assignedMac,
        alias: link.alias,
      });
      return planStep(this.#plan, device, targetOf(this.#plan, device, binding), this.#known);
    });
    this.#check(this.#committer.commit(steps));
    return process.hrtime.bigint() - start;
  }

  detach(): bigint {
    const start = process.hrtime.bigint();
    const gone = { ...this.#known, gone: true };
    const steps = this.#devices.map((device) => planStep(this.#plan, device, NOTHING, gone));
    this.#check(this.#committer.commit(steps));
    return process.hrtime.bigint() - start;
  }

  /** Attaches and detaches once; gives the transactions of both. */
  record(): { attach: Uint8Array; detach: Uint8Array } {
    const recorder = new Recorder(this.#socket.transport);
    const committer = this.#committer;
    this.#committer = new Committer(new NetlinkSocket(recorder));
    this.attach();
    const attach = recorder.take();
    this.detach();
    this.#committer = committer;
    return { attach, detach: recorder.take() };
  }

  #check(outcomes: ReturnType<Committer['commit']>): void {
    for (const { error } of outcomes) if (error) throw error;
  }
}
