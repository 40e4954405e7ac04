/** A fleet on a fake kernel whose namespaces have names, and what it said. */
import type { AgentEvent } from '#src/agent/event.js';
import { Fleet, type NamespaceState } from '#src/agent/fleet.js';
import type { FoundNamespace } from '#src/agent/namespace-finder.js';
import type { Plan } from '#src/agent/plan.js';
import { compileGlob, parseGlob } from '#src/config/glob.js';
import type { FakeKernel } from '#src/kernel/fake.js';
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import { brief } from './support.js';

export class FleetRig {
  readonly kernel: FakeKernel;
  readonly fleet: Fleet;
  readonly states = new Map<string, NamespaceState>();
  now = 0;
  /** Told by the next looks. */
  problems: string[] = [];
  /** How often it was looked. */
  looks = 0;
  /** Called with each event. */
  onEvent: (event: AgentEvent) => void = () => undefined;
  readonly #named: Map<string, NamespaceHandle>;
  readonly #events: AgentEvent[] = [];

  /** @param named shared by rigs that stand for agents on one host. */
  constructor(plan: Plan, kernel: FakeKernel, named = new Map<string, NamespaceHandle>()) {
    this.kernel = kernel;
    this.#named = named;
    this.fleet = new Fleet(plan, {
      kernel,
      wakerFd: -1,
      now: () => this.now,
      find: (patterns) => ({ found: this.#find(patterns), problems: this.problems }),
      onChange: (state, isGone) => {
        if (isGone) this.states.delete(state.name);
        else this.states.set(state.name, state);
      },
      emit: (event) => {
        this.#events.push(event);
        this.onEvent(event);
      },
    });
  }

  /** `ip netns add`, and optionally the namespace that the name is for. */
  add(name: string): NamespaceHandle {
    const handle = this.kernel.addNamespace(name);
    this.#named.set(name, handle);
    return handle;
  }

  /** `ip netns delete` */
  remove(name: string): void {
    this.kernel.removeNamespace(name);
    this.#named.delete(name);
  }

  /** Another name for a namespace, as `ip netns attach` gives it: found, though the fake kernel knows the first alone. */
  alias(name: string, of: string): void {
    const handle = this.#named.get(of);
    if (handle) this.#named.set(name, handle);
  }

  addDevice(namespace: string | undefined, name: string, mac?: string): number {
    const handle = namespace === undefined ? undefined : this.#named.get(namespace);
    return this.kernel.addLink({ name, kind: 'macvtap', ...(mac !== undefined && { mac }) }, handle).index;
  }

  /** Steps until nothing is left to do at once. */
  settle(most = 50): void {
    for (let step = 0; step < most; step++) this.fleet.step(0);
  }

  /** What was said since the last call, a line for each, behind the namespace. */
  events(): string[] {
    return this.#events.splice(0).map(lineOf);
  }

  take(): AgentEvent[] {
    return this.#events.splice(0);
  }

  #find(patterns: readonly string[]): FoundNamespace[] {
    this.looks++;
    const found: FoundNamespace[] = [];
    const add = (one: FoundNamespace) => {
      if (!found.some(({ inode }) => inode === one.inode)) found.push(one);
    };
    for (const pattern of patterns) {
      if (pattern === 'self') {
        add({ name: 'self', path: undefined, inode: this.kernel.inode() });
        continue;
      }
      const glob = parseGlob(pattern);
      const matches = 'flaw' in glob ? () => false : compileGlob(glob);
      for (const [name, { inode }] of [...this.#named].sort(([a], [b]) => (a < b ? -1 : 1))) {
        if (matches(name)) add({ name, path: `/run/netns/${name}`, inode });
      }
    }
    return found;
  }
}

function lineOf(event: AgentEvent): string {
  const { namespace } = event;
  const words =
    event.event === 'namespace-ready'
      ? `${event.event} ${event.attached}/${event.devices}`
      : event.event === 'namespace-failed'
        ? `${event.event} ${event.error.code}`
        : brief(event);
  return namespace === undefined ? words : `${namespace}: ${words}`;
}
