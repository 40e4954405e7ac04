/** An agent's loop on a fake kernel, under every placement. Nothing here reaches a real one. */
import { test } from 'node:test';
import type { AgentEvent } from '#src/agent/event.js';
import { AgentLoop } from '#src/agent/loop.js';
import { Hand } from '#src/agent/manual.js';
import type { Plan } from '#src/agent/plan.js';
import { Tally } from '#src/agent/tally.js';
import type { Binding, Placement } from '#src/config/configuration.js';
import { FakeKernel, type FakeTransaction } from '#src/kernel/fake.js';
import type { NamespaceHandle, Waker } from '#src/kernel/kernel.js';
import { leaf, parseAttributes } from '#src/netlink/attribute.js';
import { cString, host32 } from '#src/netlink/bytes.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { encodeBatch } from '#src/nftables/batch.js';
import { NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE, NFTA_TABLE_NAME } from '#src/nftables/constants.js';
import { nftablesRequest } from '#src/nftables/message.js';
import { encodeTransaction, transactionLength } from '#src/nftables/transaction.js';
import { memberSegment } from '#src/program/member.js';
import type { Program } from '#src/program/program.js';
import { program, type Sketch } from './program.js';
import { COUNTERS, inline, sharedPlan, type TestPolicy } from './shared-plan.js';
import { checkDoor, installed, numberIn, sharedTable } from './state.js';

export { program } from './program.js';
export { inline } from './shared-plan.js';

/** Under what a test runs. */
export interface Setting {
  label: string;
  placement: Placement;
  /** Before Linux 6.16 hooks stand on devices and go with them. */
  namesInAdvance: boolean;
  /** Before Linux 6.3 no element can be destroyed that may not be there. */
  destroys: boolean;
  /** Whether policies are installed once, or as tables of each device. */
  kind: 'inline' | 'file';
}

export const KERNELS = [
  { placement: 'prefix', namesInAdvance: true, destroys: true, words: 'prefix' },
  { placement: 'names', namesInAdvance: true, destroys: true, words: 'names' },
  { placement: 'device', namesInAdvance: true, destroys: true, words: 'device' },
  { placement: 'chain', namesInAdvance: true, destroys: true, words: 'chain' },
  { placement: 'device', namesInAdvance: false, destroys: true, words: 'device, old kernel' },
  { placement: 'chain', namesInAdvance: false, destroys: false, words: 'chain, old kernel' },
] as const;

const KINDS = ['inline', 'file'] as const;

export const SETTINGS: readonly Setting[] = KINDS.flatMap((kind) =>
  KERNELS.map(({ words, ...kernel }) => ({ ...kernel, kind, label: `${words}, ${kind}` })),
);

/** The names that are hooked in advance under placement `names`. */
const NAMES = new Set(['macvtap0', 'macvtap1', 'macvtap2', 'vm0']);

export function bind(policy: string, selectors: Omit<Binding, 'policy' | 'location'> = {}): Binding {
  return { ...selectors, policy, location: { file: 'tapwall.yaml', line: 1, column: 1 } };
}

/** Runs a test once for each setting. */
export function underEach(name: string, run: (the: Case) => void, settings = SETTINGS): void {
  for (const setting of settings) test(`${name} [${setting.label}]`, () => run(new Case(setting)));
}

export const inlineSettings = SETTINGS.filter(({ kind }) => kind === 'inline');
export const fileSettings = SETTINGS.filter(({ kind }) => kind === 'file');

/** One test under one setting: makes policies, plans and loops of its kind. */
export class Case {
  readonly setting: Setting;

  constructor(setting: Setting) {
    this.setting = setting;
  }

  policy(name: string, sketch: Sketch = {}): TestPolicy {
    return this.setting.kind === 'file' ? program(name, sketch) : inline(name, { rules: sketch.rules ?? 1 });
  }

  get guard(): TestPolicy {
    return this.policy('guard');
  }

  get web(): TestPolicy {
    return this.policy('web', { rules: 2 });
  }

  /** The policy `guard`, as a file under any setting. */
  readonly fileGuard = program('guard');

  /** A file that every kernel refuses. */
  get hopeless(): TestPolicy {
    return program('hopeless', { hopeless: true });
  }

  plan(policies: readonly TestPolicy[], bindings: readonly Binding[], more: Partial<Plan> = {}): Plan {
    const { placement, namesInAdvance, destroys } = this.setting;
    return {
      file: 'tapwall.yaml',
      prefixes: ['macvtap'],
      names: NAMES,
      placement,
      bindings,
      unmatched: { action: 'drop' },
      ...sharedPlan(policies),
      keepsHooks: namesInAdvance,
      destroys,
      ownership: 'none',
      reconcileMs: 0,
      warnings: [],
      ...more,
    };
  }

  /** Every macvtap gets the policy `guard`. */
  guardAll(more: Partial<Plan> = {}): Plan {
    return this.plan([this.policy('guard')], [bind('guard')], more);
  }

  kernel(): FakeKernel {
    return new FakeKernel({ namesInAdvance: this.setting.namesInAdvance });
  }

  rig(plan: Plan, kernel = this.kernel(), namespace?: NamespaceHandle, now?: () => number): Rig {
    return new Rig(plan, kernel, namespace, now);
  }

  /** A loop that has started, its first events and transactions forgotten. */
  started(plan: Plan, kernel?: FakeKernel): Rig {
    const rig = this.rig(plan, kernel);
    rig.start();
    rig.events();
    rig.transactions();
    return rig;
  }

  /** Whether a device of that name has hooks of its own, rather than any that stand for it in advance. */
  hasOwnHooks(name: string): boolean {
    const { placement } = this.setting;
    return placement === 'device' || placement === 'chain' || (placement === 'names' && !NAMES.has(name));
  }

  /** Whether a device that gets another name needs anything: tables of its own, or hooks that do not follow. */
  movesOnRename(from: string, to: string): boolean {
    const { kind, placement, namesInAdvance } = this.setting;
    if (kind === 'file') return true;
    if (!namesInAdvance || placement === 'prefix') return false;
    return this.hasOwnHooks(from) || this.hasOwnHooks(to);
  }

  /** The same for a device that is gone: before 6.16 its hooks have gone with it. */
  stepsToRemove(name: string): number {
    return this.setting.namesInAdvance ? this.stepsTo(name) : 1;
  }

  /**
   * In how many transactions a device of that name, or several, are put behind the door: hooks that are added to
   * chains which stand take one for each direction.
   */
  stepsTo(...names: string[]): number {
    const second = names.some((name) => this.setting.placement !== 'chain' && this.hasOwnHooks(name));
    return second ? 2 : 1;
  }
}

/** An event in a line: what the tests assert. */
export function brief(event: AgentEvent): string {
  switch (event.event) {
    case 'ready':
      return `ready ${event.attached}/${event.devices}`;
    case 'attached': {
      const how = event.kept ? 'kept' : event.replaced ? 'replaced' : 'new';
      return `attached ${event.device} ${event.index} ${event.policy} ${how}`;
    }
    case 'detached':
      return `detached ${event.device} ${event.index} ${event.reason}`;
    case 'unmatched':
      return `unmatched ${event.device} ${event.index} ${event.closed ? 'closed' : 'open'}`;
    case 'failed':
      return `failed ${event.device} ${event.index} ${event.policy} ${event.error.code} ${event.closed ? 'closed' : 'open'}`;
    case 'warning':
      return `warning ${event.message}`;
    case 'stopped':
      return `stopped ${event.detached}`;
    default:
      return event.event;
  }
}

/** One line for each operation: `NEWCHAIN tapwall.2.guard ingress`, `NEWSETELEM tapwall device.policy`. */
export function operations(transaction: FakeTransaction | undefined): string[] {
  return (transaction?.operations ?? []).map(({ operation, table, chain, set }) =>
    [operation, table, chain, set].filter((word) => word !== undefined).join(' '),
  );
}

/** An agent's loop on a fake kernel, and what it said. */
export class Rig {
  readonly kernel: FakeKernel;
  readonly namespace: NamespaceHandle | undefined;
  readonly waker: Waker;
  readonly tally = new Tally();
  readonly loop: AgentLoop;
  /** Called with each event, as it is told: for what happens in the middle. */
  onEvent: (event: AgentEvent) => void = () => undefined;
  #plan: Plan;
  readonly #events: AgentEvent[] = [];

  /** @param now the loop's clock, in milliseconds. */
  constructor(plan: Plan, kernel: FakeKernel, namespace?: NamespaceHandle, now: () => number = () => 0) {
    this.kernel = kernel;
    this.namespace = namespace;
    this.waker = kernel.createWaker();
    this.#plan = plan;
    this.loop = new AgentLoop(plan, {
      kernel,
      namespace,
      wakerFd: this.waker.fd,
      tally: this.tally,
      now,
      emit: (event) => {
        this.#events.push(event);
        this.onEvent(event);
      },
    });
  }

  start(): void {
    this.loop.start();
    this.check();
  }

  /** Lets the loop handle what has happened, and sees to it that every device is behind the door then. */
  step(): boolean {
    const woken = this.loop.step(0);
    this.check();
    return woken;
  }

  reload(plan: Plan): void {
    this.loop.reload(plan);
    this.#plan = plan;
    this.check();
  }

  check(): void {
    checkDoor(this.kernel, this.#plan, this.namespace);
  }

  /** What was said since the last call. */
  take(): AgentEvent[] {
    return this.#events.splice(0);
  }

  /** The same, a line for each. */
  events(): string[] {
    return this.take().map(brief);
  }

  /** What came into force since the last call. */
  transactions(): FakeTransaction[] {
    // What was tried in a namespace that is thrown away is nobody's filter.
    const inode = this.kernel.inode(this.namespace);
    return this.kernel.transactions.splice(0).filter(({ namespace }) => namespace === inode);
  }

  /** How many operations each has. */
  lengths(): number[] {
    return this.transactions().map((one) => one.operations.length);
  }

  /** One line for each device that is admitted or has tables: see `installed` of `state.ts`. */
  installed(): string[] {
    return installed(this.kernel, this.namespace);
  }

  addDevice(
    name: string,
    more: { mac?: string; alias?: string; parent?: string; index?: number; up?: boolean } = {},
  ): number {
    return this.kernel.addLink({ name, kind: 'macvtap', ...more }, this.namespace).index;
  }

  /** What frames of a device do: each counter has an element for it then. */
  sendFrames(index: number): void {
    this.#changeElements('join', COUNTERS, index);
    this.kernel.forgetNotifications(this.namespace);
  }

  /** What somebody does who takes from a device what admits it. */
  removeElements(index: number): void {
    this.#changeElements('leave', ['device.policy', 'mac.assigned'], index);
  }

  #changeElements(kind: 'join' | 'leave', sets: readonly string[], index: number): void {
    const elements = (set: string) =>
      sharedTable(this.kernel, this.namespace)?.sets.find((one) => one.name === set)?.elements ?? [];
    const members = sets.map((set) => {
      const known = elements(set).find(({ key }) => numberIn(key) === index)?.key;
      const value = known && parseAttributes(known)[0]?.value;
      return { set, key: value ?? new Uint8Array(host32(index)) };
    });
    const socket = this.kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: this.namespace });
    const segments = [memberSegment(kind, members)];
    socket.commitWith(transactionLength(segments), (sequence) => encodeTransaction(segments, sequence));
    socket.close();
    this.kernel.transactions.pop();
  }

  /** What `nft flush ruleset` does. */
  flushRuleset(): void {
    deleteTables(this.kernel, ...this.kernel.tables().map(({ name }) => name));
  }
}

/** What `tapwall attach` does. */
export function attachByHand(kernel: FakeKernel, device: string, policy: Program): void {
  const hand = new Hand(kernel, undefined);
  hand.attach(hand.findDevice(device), policy);
  hand.close();
  kernel.transactions.length = 0;
}

/** Makes or deletes tables that are none of tapwall's, as any other program may. */
function tablesByOthers(kernel: FakeKernel, operation: number, names: readonly string[]): void {
  const socket = kernel.openSocket({ protocol: NETLINK_NETFILTER });
  const steps = names.map((name) => ({
    request: nftablesRequest(operation, 0, [leaf(NFTA_TABLE_NAME, cString(name))]),
    label: name,
  }));
  socket.commitWith(steps.length + 2, (sequence) => encodeBatch(steps, sequence));
  socket.close();
  kernel.transactions.length = 0;
}

export function addForeignTables(kernel: FakeKernel, ...names: string[]): void {
  tablesByOthers(kernel, NFT_MSG_NEWTABLE, names);
}

export function deleteTables(kernel: FakeKernel, ...names: string[]): void {
  tablesByOthers(kernel, NFT_MSG_DELTABLE, names);
}
