import { TapwallError } from '../error.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import type { Link } from '../links/link.js';
import { isUncertain } from '../netlink/error.js';
import type { HookDevice } from '../nftables/chain.js';
import { NF_NETDEV_INGRESS } from '../nftables/constants.js';
import { encodeSegment, type Segment } from '../nftables/transaction.js';
import { detachSegment } from '../program/attach.js';
import { SHARED_TABLE } from '../program/blueprint.js';
import {
  type Change,
  changeSegments,
  deleteBase,
  emptySets,
  hasStrangers,
  planChange,
  sharedSegment,
} from '../program/change.js';
import type { Contents } from '../program/contents.js';
import { type HeldState, NOTHING_HELD, setsApart } from '../program/held.js';
import {
  createBase,
  DIRECTIONS,
  deviceChain,
  deviceOfChain,
  isMoreChain,
  type Meanwhile,
  moreChain,
  removeDevices,
  type StandingBase,
  standingBases,
  yieldBase,
} from '../program/hook.js';
import { distrust, type InstalledBase, type Inventory, NO_RULES } from '../program/inventory.js';
import type { Member } from '../program/member.js';
import { type Committer, isStale, type Outcome } from './committer.js';
import { isFirst } from './hook-plan.js';
import { KnownElements } from './known-elements.js';
import type { Plan } from './plan.js';
import { isPolicyMap, readMarks, readShared, type SharedState } from './shared-state.js';
import type { Step } from './step.js';
import { needsHook } from './target.js';

/** What the kernel holds of the door, and what is to be done about what all devices share. */
export interface DoorState {
  /** Whether there is a shared table. */
  stands: boolean;
  members: Map<number, Member[]>;
  counted: Map<number, Member[]>;
  /** Hooks that devices have for themselves: by interface index, then by direction, the name. */
  hooks: Map<number, Map<number, string>>;
  change: Change;
  /** Base chains to take away, and to make. */
  removed: { name: string; direction: number; hasRules: boolean }[];
  created: StandingBase[];
  /** How many devices each chain has that devices are added to one by one. */
  counts: Map<string, number>;
  /** Maps from marks to policies in which a mark leads to another policy than it will. */
  remarked: string[];
  /** Names that such a chain hooks and no device has. */
  forgotten: { chain: string; direction: number; devices: HookDevice[] }[];
}

/** What comes with putting the door in place. */
export interface DoorWork {
  /** The devices' own. */
  steps: readonly Step[];
  /** Indexes of the links that rules name. */
  links: ReadonlyMap<string, number>;
  /** `open` where devices have been in use: then they lose no frame that their policies admit. */
  meanwhile: Meanwhile;
}

/** How closely the shared table is looked at. */
export interface Look {
  /** Says what a table should hold that is there. */
  reference: () => Contents | undefined;
  /**
   * Whether it is asked; otherwise the digests in the table are believed, unless something is there that has none and is
   * none of the plan's: rules that no digest shows may lead to it.
   */
  deep: boolean;
  /** What is known of the elements of the configuration's sets. */
  elements: KnownElements;
}

function believing(): Look {
  return { reference: () => undefined, deep: false, elements: new KnownElements() };
}

/** The shared table: read, compared with what it should be, and put in place. */
export class Door {
  readonly #netfilter: NetlinkSocket;
  readonly #committer: Committer;

  constructor(netfilter: NetlinkSocket, committer: Committer) {
    this.#netfilter = netfilter;
    this.#committer = committer;
  }

  /**
   * @param links the macvtap devices that are there.
   * @throws TapwallError FOREIGN_TABLE when somebody else's table has the name.
   */
  read(plan: Plan, links: readonly Link[], look: Look = believing()): DoorState {
    const { reference, deep, elements } = look;
    const apart = setsApart(plan.blueprint);
    let shared = readShared(this.#netfilter, { deep, apart });
    const distrusts = deep || (shared !== undefined && hasStrangers(shared.inventory, plan.blueprint));
    if (distrusts && !deep) shared = readShared(this.#netfilter, { deep: true, apart });
    const wanted = shared && distrusts ? reference() : undefined;
    if (shared?.contents && wanted) distrust(shared.inventory, shared.contents, wanted);
    const held = shared ? elements.read(this.#netfilter, plan.blueprint, shared, deep) : NOTHING_HELD;
    const state = planDoor(plan, shared, links, held);
    if (shared && this.#remarks(shared.inventory, plan)) {
      state.remarked = [...shared.inventory.sets.keys()].filter(isPolicyMap);
    }
    const emptied = new Set(state.change.emptied);
    if (emptied.size > 0) forget(state, emptied);
    return state;
  }

  /**
   * Puts the shared part in place and devices in line. A door that stands is changed in one transaction, with all the
   * devices that the change concerns; hooks come before those that go. One that is new comes when the devices that are
   * there have been admitted, so that none is cut off.
   */
  put(
    plan: Plan,
    state: DoorState,
    { steps, links, meanwhile }: DoorWork,
    conclude: (outcomes: Outcome[]) => void,
  ): void {
    const change = segmentsBefore(plan, state, links);
    if (!state.stands) {
      this.#committer.transact(change);
      if (plan.placement === 'device' && meanwhile === 'open') this.#committer.admitInAdvance(steps);
      conclude(this.#committer.commit(steps));
      this.#createBases(plan, state.created, meanwhile);
      return;
    }
    const isChanged = change.length + state.change.afterwards.length > 0;
    if (!isChanged && state.created.length === 0 && state.removed.length === 0) {
      conclude(this.#committer.commit(steps));
      return;
    }
    // Until all is changed a frame finds no policy, rather than another's, also where the change comes in pieces.
    if (state.remarked.length > 0) this.#committer.transact([sharedSegment(emptySets(state.remarked))]);
    if (meanwhile === 'open') this.#committer.transact(yieldSegments(state));
    const [now, late] = replaceSegments(plan, state, meanwhile);
    try {
      this.#committer.transact([...now, ...change, ...steps.flatMap(({ segments }) => segments)]);
    } catch (error) {
      if (!(error instanceof TapwallError) || steps.length === 0 || isStale(error) || isUncertain(error))
        throw error;
      // It may be one device's own tables that are refused; that must not hold the rest.
      this.#committer.transact([...now, ...change]);
      this.#committer.transact(late);
      conclude(this.#committer.commit(steps));
      this.#committer.transact(removalSegments(plan, state));
      return;
    }
    conclude(this.#committer.commitLate(steps, late));
    this.#committer.transact(removalSegments(plan, state));
  }

  /**
   * Whether a mark that devices have leads to another policy in the plan, as in a table that another agent has left. One
   * agent keeps its marks, so that this is asked only where the maps differ.
   */
  #remarks({ sets }: Inventory, { blueprint, policies }: Plan): boolean {
    const differ = blueprint.sets.some(({ name, digest }) => isPolicyMap(name) && sets.get(name) !== digest);
    if (!differ) return false;
    const names = new Map([...policies.values()].map(({ name, mark }) => [mark, name]));
    return [...readMarks(this.#netfilter)].some(([policy, mark]) => (names.get(mark) ?? policy) !== policy);
  }

  /** Takes the door away, and every policy with it. */
  remove(): void {
    this.#committer.transact([detachSegment([SHARED_TABLE])]);
  }

  /**
   * One chain to a transaction: a hook on a device that is there costs the kernel a third of a millisecond, and
   * thousands of them at once would keep links from being made for seconds.
   */
  #createBases(plan: Plan, created: readonly StandingBase[], meanwhile: Meanwhile): void {
    for (const base of created) this.#committer.transact(baseSegments(plan, base, meanwhile));
  }
}

/** Whether putting it in place moves hooks. */
export function movesHooks({ created, removed, forgotten }: DoorState): boolean {
  return created.length > 0 || removed.length > 0 || forgotten.length > 0;
}

/** Leaves out the elements of sets that are made anew, which have none yet, and of those that go with all they have. */
function forget({ members, counted }: DoorState, emptied: ReadonlySet<string>): void {
  for (const byDevice of [members, counted]) {
    for (const [index, elements] of byDevice) {
      const left = elements.filter(({ set }) => !emptied.has(set));
      if (left.length > 0) byDevice.set(index, left);
      else byDevice.delete(index);
    }
  }
}

/** Everything that comes before the devices' own steps. */
function segmentsBefore(plan: Plan, state: DoorState, links: ReadonlyMap<string, number>): Segment[] {
  const segments = changeSegments(state.change, links);
  for (const { chain, direction, devices } of state.forgotten) {
    const base = plan.blueprint.bases.get(direction);
    if (base) segments.push(encodeSegment([removeDevices(chain, base, devices)]));
  }
  return segments;
}

/**
 * Base chains that take the place of others, in two transactions, one for each direction: the kernel refuses to add one
 * name to two chains of a table in one (EEXIST, nft_chain_update()). What is replaced leaves in the transaction in which
 * the new one comes, so that no device is without a hook in between.
 */
function replaceSegments(
  plan: Plan,
  state: DoorState,
  meanwhile: Meanwhile,
): [now: Segment[], late: Segment[]] {
  const segments: [Segment[], Segment[]] = [[], []];
  const listFor = (direction: number) => segments[direction === NF_NETDEV_INGRESS ? 0 : 1];
  for (const { name, direction } of state.removed) {
    if (!isRemade(plan, state, name)) continue;
    const list = isFirst(plan, direction) ? segments[0] : segments[1];
    list.push(sharedSegment(deleteBase(name)));
  }
  for (const base of state.created) listFor(base.direction).push(...baseSegments(plan, base, meanwhile));
  return segments;
}

/** Prepares the removal of chains, in whose place others come. One without its rules goes on dropping everything. */
function yieldSegments({ removed }: DoorState): Segment[] {
  const names = removed.filter(({ hasRules }) => hasRules).map(({ name }) => name);
  return names.length === 0 ? [] : [encodeSegment(names.map(yieldBase))];
}

/**
 * Takes away what hooked devices that hang on other chains by now, which until then frames pass both, and what
 * somebody else has put there.
 */
function removalSegments(plan: Plan, state: DoorState): Segment[] {
  const names = state.removed.map(({ name }) => name).filter((name) => !isRemade(plan, state, name));
  const messages = [...names.flatMap(deleteBase), ...state.change.afterwards];
  return messages.length === 0 ? [] : [sharedSegment(messages)];
}

/** Whether a chain of that name is made again: as one that stands, or with the hooks of single devices. */
function isRemade({ placement }: Plan, { created }: DoorState, chain: string): boolean {
  if (created.some(({ name }) => name === chain)) return true;
  return placement === 'chain' ? deviceOfChain(chain) !== undefined : isMoreChain(chain);
}

function baseSegments(
  plan: Plan,
  { name, direction, devices }: StandingBase,
  meanwhile: Meanwhile,
): Segment[] {
  const base = plan.blueprint.bases.get(direction);
  return base ? [encodeSegment(createBase(name, base, devices, meanwhile))] : [];
}

function planDoor(
  plan: Plan,
  shared: SharedState | undefined,
  links: readonly Link[],
  held: HeldState,
): DoorState {
  const directions = [...plan.blueprint.bases.keys()];
  const wanted = standingBases(plan.placement, { ...plan, names: [...plan.names] }, directions);
  const state: DoorState = {
    stands: shared !== undefined,
    members: shared?.members ?? new Map(),
    counted: shared?.counted ?? new Map(),
    hooks: new Map(),
    change: planChange(shared?.inventory, plan.blueprint, plan.ownership, held),
    removed: [],
    created: [],
    counts: new Map(),
    remarked: [],
    forgotten: [],
  };
  const bases: Inventory['bases'] = shared?.inventory.bases ?? new Map();
  for (const base of wanted) {
    const installed = bases.get(base.name);
    if (installed && isCurrent(plan, installed) && holds(installed, base)) continue;
    if (installed) state.removed.push(removalOf(base.name, installed));
    state.created.push(base);
  }
  const names = new Set(wanted.map(({ name }) => name));
  const owners = linksByChain(plan, links);
  for (const [name, base] of bases) {
    if (!names.has(name) && !keepOwn(plan, state, name, base, owners.get(name) ?? [])) {
      state.removed.push(removalOf(name, base));
    }
  }
  return state;
}

function removalOf(name: string, { direction, digest }: InstalledBase): DoorState['removed'][number] {
  return { name, direction, hasRules: digest !== undefined && digest !== NO_RULES };
}

function isCurrent({ blueprint }: Plan, { digest, direction, drops }: InstalledBase): boolean {
  return drops && digest !== undefined && digest === blueprint.bases.get(direction)?.digest;
}

/** True when a base chain hooks what it should. */
function holds(installed: InstalledBase, wanted: StandingBase): boolean {
  if (installed.direction !== wanted.direction) return false;
  const words = (devices: readonly HookDevice[]) =>
    devices.map((device) => ('name' in device ? device.name : `${device.prefix}*`)).sort();
  const [present, expected] = [words(installed.devices), words(wanted.devices)];
  return present.length === expected.length && present.every((word, at) => word === expected[at]);
}

/** The links that need a hook of their own, by the chains that it should be in. */
function linksByChain(plan: Plan, links: readonly Link[]): Map<string, Link[]> {
  const chains = new Map<string, Link[]>();
  const nameChain = plan.placement === 'chain' ? deviceChain : moreChain;
  for (const link of links) {
    if (!needsHook(plan, link.name)) continue;
    for (const { word } of DIRECTIONS) {
      const chain = nameChain(word, link.index);
      const known = chains.get(chain);
      if (known) known.push(link);
      else chains.set(chain, [link]);
    }
  }
  return chains;
}

/**
 * Notes the hooks in a chain that is there for single devices.
 * @param links those whose hooks should be in it.
 * @returns false for a chain that is no longer wanted.
 */
function keepOwn(
  plan: Plan,
  state: DoorState,
  chain: string,
  base: InstalledBase,
  links: readonly Link[],
): boolean {
  if (!isCurrent(plan, base)) return false;
  // Under `chain` the name may be one that the device had; it is hooked anew then.
  const hooked = new Map(
    links.map((link) => [plan.placement === 'chain' ? hookedName(base) : link.name, link]),
  );
  const note = (name: string) => {
    const link = hooked.get(name);
    if (!link) return false;
    const known = state.hooks.get(link.index) ?? new Map<number, string>();
    state.hooks.set(link.index, known.set(base.direction, name));
    return true;
  };
  const kept = base.devices.filter((device) => 'name' in device && note(device.name));
  if (kept.length === 0) return false;
  const forgotten = base.devices.filter((device) => !kept.includes(device));
  if (forgotten.length > 0 && plan.keepsHooks) {
    state.forgotten.push({ chain, direction: base.direction, devices: forgotten });
  }
  if (isMoreChain(chain)) state.counts.set(chain, kept.length);
  return true;
}

function hookedName({ devices: [device] }: InstalledBase): string {
  return device && 'name' in device ? device.name : '';
}
