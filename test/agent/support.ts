/** Small programs and plans, and an agent's loop on a fake kernel. Nothing here reaches a real one. */
import type { AgentEvent } from '#src/agent/event.js';
import { AgentLoop } from '#src/agent/loop.js';
import { Hand } from '#src/agent/manual.js';
import type { Plan } from '#src/agent/plan.js';
import type { Binding } from '#src/config/configuration.js';
import { FakeKernel, type FakeTable, type FakeTransaction } from '#src/kernel/fake.js';
import type { NamespaceHandle, Waker } from '#src/kernel/kernel.js';
import { encodeAttributes, leaf } from '#src/netlink/attribute.js';
import { cString, host32 } from '#src/netlink/bytes.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { encodeBatch } from '#src/nftables/batch.js';
import { hookDevices } from '#src/nftables/chain.js';
import {
  NF_ACCEPT,
  NF_DROP,
  NF_NETDEV_EGRESS,
  NF_NETDEV_INGRESS,
  NFPROTO_NETDEV,
  NFT_CHAIN_BASE,
  NFT_MSG_DELTABLE,
  NFT_MSG_NEWTABLE,
  NFTA_TABLE_NAME,
} from '#src/nftables/constants.js';
import { nftablesRequest } from '#src/nftables/message.js';
import type { Ruleset } from '#src/nftables/ruleset.js';
import { buildProgram } from '#src/program/build.js';
import type { Program } from '#src/program/program.js';
import { parseRecord } from '#src/program/record.js';
import type { Markers } from '#src/program/template.js';

/** What a policy for tests is made of. */
export interface Sketch {
  /** One, named `guard`, unless given. */
  tables?: string[];
  /** Rules in each chain; another number is another version of the policy. */
  rules?: number;
  /** A link of the host that each rule names. */
  link?: string;
  /** A policy that every kernel refuses: it has a rule in a chain that it does not make. */
  hopeless?: boolean;
  /** What base chains do with what no rule decides. */
  verdict?: typeof NF_ACCEPT | typeof NF_DROP;
}

/** What a kernel would dump of the policy, loaded for the device of these markers. */
function rulesetOf(sketch: Sketch, markers: Markers): Ruleset {
  const { tables = ['guard'], rules = 1, hopeless = false, verdict = NF_ACCEPT } = sketch;
  const ruleset: Ruleset = {
    tables: [],
    chains: [],
    rules: [],
    sets: [],
    elements: [],
    objects: [],
    flowtables: 0,
  };
  const named = markers.links[0]?.index ?? markers.index;
  const data = encodeAttributes([leaf(1, host32(named))]);
  const family = NFPROTO_NETDEV;
  for (const table of tables) {
    ruleset.tables.push({ family, name: table, flags: 0, handle: 1n, use: 2 });
    for (const [chain, number] of [
      ['ingress', NF_NETDEV_INGRESS],
      ['egress', NF_NETDEV_EGRESS],
    ] as const) {
      const hook = { number, priority: 0, devices: [{ name: markers.name }], device: markers.name };
      const base = { type: 'filter', policy: verdict, flags: NFT_CHAIN_BASE, handle: 1n, use: 0 };
      ruleset.chains.push({ family, table, name: chain, hook, ...base });
      for (let count = 0; count < rules; count++) {
        ruleset.rules.push({ family, table, chain, handle: 2n, expressions: [{ name: 'cmp', data }] });
      }
    }
    if (hopeless) ruleset.rules.push({ family, table, chain: 'missing', expressions: [] });
  }
  return ruleset;
}

/** A program as the compiler makes it: from two compilations with different markers. */
export function program(policy: string, sketch: Sketch = {}): Program {
  const link = sketch.link;
  const [first, second] = [
    { name: 'aaaaaaaaaaaaaaa', index: 0x01020304, other: 0x21222324 },
    { name: 'bbbbbbbbbbbbbbb', index: 0x51525354, other: 0x61626364 },
  ].map(({ name, index, other }) => {
    const markers: Markers = { name, index, links: link === undefined ? [] : [{ name: link, index: other }] };
    return { ruleset: rulesetOf(sketch, markers), markers, elapsedMs: 0 };
  });
  if (!first || !second) throw new Error('two compilations are what a program is made of');
  return buildProgram(policy, `${policy}.nft`, first, second);
}

export function bind(policy: string, selectors: Omit<Binding, 'policy' | 'location'> = {}): Binding {
  return { ...selectors, policy, location: { file: 'tapwall.yaml', line: 1, column: 1 } };
}

export const CLOSED = program('closed', { tables: ['closed'], verdict: NF_DROP });

/** A plan with the programs of its bindings, each by its policy's name. */
export function plan(
  programs: readonly Program[],
  bindings: readonly Binding[],
  more: Partial<Plan> = {},
): Plan {
  return {
    file: 'tapwall.yaml',
    prefixes: ['macvtap'],
    bindings,
    programs: new Map(programs.map((one) => [one.policy, one])),
    closed: CLOSED,
    warnings: [],
    ...more,
  };
}

export const guard = program('guard');

/** Every macvtap gets the policy `guard`. */
export function guardAll(more: Partial<Plan> = {}): Plan {
  return plan([guard], [bind('guard')], more);
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
      return `detached ${event.device} ${event.index} ${event.reason} ${event.tables.join(',')}`;
    case 'unmatched':
      return `unmatched ${event.device} ${event.index}`;
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

/** One line for each operation: `NEWCHAIN tapwall.2.guard ingress`. */
export function operations(transaction: FakeTransaction | undefined): string[] {
  return (transaction?.operations ?? []).map(({ operation, table, chain }) =>
    [operation, table, chain].filter((word) => word !== undefined).join(' '),
  );
}

/** One line for each table, sorted: `tapwall.2.guard guard macvtap0`; without a record only its name. */
export function installed(tables: readonly FakeTable[]): string[] {
  return tables
    .map(({ name, userdata, chains }) => {
      const record = parseRecord(userdata);
      if (!record) return name;
      const devices = chains.flatMap(({ hook }) => (hook ? hookDevices(hook) : []));
      const names = new Set(devices.map((device) => ('name' in device ? device.name : `${device.prefix}*`)));
      return [name, record.policy, ...names].join(' ');
    })
    .sort();
}

/** An agent's loop on a fake kernel, and what it said. */
export class Rig {
  readonly kernel: FakeKernel;
  readonly namespace: NamespaceHandle | undefined;
  readonly waker: Waker;
  readonly loop: AgentLoop;
  /** Called with each event, as it is told: for what happens in the middle. */
  onEvent: (event: AgentEvent) => void = () => undefined;
  readonly #events: AgentEvent[] = [];

  constructor(plan: Plan, kernel = new FakeKernel(), namespace?: NamespaceHandle) {
    this.kernel = kernel;
    this.namespace = namespace;
    this.waker = kernel.createWaker();
    this.loop = new AgentLoop(plan, {
      kernel,
      namespace,
      wakerFd: this.waker.fd,
      emit: (event) => {
        this.#events.push(event);
        this.onEvent(event);
      },
    });
  }

  /** A loop that has started, its first events and transactions forgotten. */
  static started(plan: Plan, kernel?: FakeKernel): Rig {
    const rig = new Rig(plan, kernel);
    rig.loop.start();
    rig.events();
    rig.transactions();
    return rig;
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
    return this.kernel.transactions.splice(0);
  }

  installed(): string[] {
    return installed(this.kernel.tables(this.namespace));
  }

  addDevice(
    name: string,
    more: { mac?: string; alias?: string; parent?: string; index?: number } = {},
  ): number {
    return this.kernel.addLink({ name, kind: 'macvtap', ...more }, this.namespace).index;
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
