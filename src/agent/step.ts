import { TapwallError } from '../error.js';
import type { Segment } from '../nftables/transaction.js';
import { attachSegment, detachSegment } from '../program/attach.js';
import type { Meanwhile } from '../program/hook.js';
import { indexSegment } from '../program/member.js';
import type { Ownership } from '../program/slot.js';
import { admittedSets } from './admitted-sets.js';
import type { Device } from './device.js';
import { type HookMove, type HookOptions, isFirst, planHooks } from './hook-plan.js';
import type { Plan } from './plan.js';
import type { Roster } from './roster.js';
import { admissionSegments, hasProgram, type Target, tablesFor } from './target.js';

/** What brings one device in line: pieces of transactions, and what is so when they are in force. */
export interface Step {
  device: Device;
  target: Target;
  /** Belongs into one transaction. */
  segments: Segment[];
  /** What of it admits the device; may be sent on its own before. */
  join: Segment | undefined;
  /**
   * Belongs into the next one: the kernel refuses a transaction that adds one device to two chains of one table
   * (EEXIST, nft_chain_update() of net/netfilter/nf_tables_api.c).
   */
  late: Segment[];
  /** Whether hooks come or go with it. */
  readonly movesHooks: boolean;
  /** Notes what is in force with the first transaction, and with the next one. */
  apply(): void;
  applyLate(): void;
  /** Notes that the kernel has refused all of it, or what belongs into the next transaction. */
  revert(): void;
  revertLate(): void;
}

export interface StepOptions {
  /** The device is gone. */
  gone?: boolean;
  /** Its counters go too. */
  forgets?: boolean;
  /** What the device's frames meet until its own hooks are in force; `closed` unless it has been in use. */
  meanwhile?: Meanwhile;
  /** Indexes of the links that programs name. */
  links: ReadonlyMap<string, number>;
  roster: Roster;
  /** Whether another device has a name by now, and its hooks in the same chain. */
  isTaken?: HookOptions['isTaken'];
}

/** @throws TapwallError NOT_SUPPORTED for a name that is not valid UTF-8, where anything has to say it. */
export function planStep(plan: Plan, device: Device, target: Target, options: StepOptions): Step {
  const { gone = false, meanwhile = 'closed', roster, isTaken = () => false } = options;
  // Such a name cannot be written back: a hook on what it was read as stands on nothing.
  if ((target.program || target.hook !== undefined) && device.link.name.includes('\ufffd')) {
    throw new TapwallError('NOT_SUPPORTED', `the name of interface ${device.link.index} is not valid UTF-8`, {
      hint: 'Rename the device.',
    });
  }
  const segments: Segment[] = [];
  const { leave, join } = admissionSegments(device.admission, target.admission);
  if (leave) segments.push(leave);
  if (join) segments.push(join);
  const program = tablesSegment(device, target, options.links, plan.ownership);
  // Own tables begin to count what passes them with 0; so must what the door lets through to them.
  const recounts = program !== undefined && device.admission.admits && target.admission.admits;
  if (options.forgets) segments.push(...counterSegments(plan, device.link.index));
  else if (recounts) segments.push(...recountSegments(plan, device.link.index));
  if (options.forgets || recounts) device.hasCounters = false;
  if (program) segments.push(program);
  const moves = planHooks(plan, device, target.hook, { gone, meanwhile, roster, isTaken });
  if (moves.length === 0) return new PlannedStep(device, target, segments, join, [], []);
  const now = moves.filter(({ direction }) => isFirst(plan, direction));
  const late = moves.filter(({ direction }) => !isFirst(plan, direction));
  for (const move of now) segments.push(...move.segments);
  return new PlannedStep(device, target, segments, join, now, late);
}

/** A class, since nearly all steps move no hooks, and four closures for each would be a good part of their cost. */
class PlannedStep implements Step {
  readonly device: Device;
  readonly target: Target;
  readonly segments: Segment[];
  readonly join: Segment | undefined;
  readonly late: Segment[];
  readonly #now: readonly HookMove[];
  readonly #late: readonly HookMove[];

  constructor(
    device: Device,
    target: Target,
    segments: Segment[],
    join: Segment | undefined,
    now: readonly HookMove[],
    late: readonly HookMove[],
  ) {
    this.device = device;
    this.target = target;
    this.segments = segments;
    this.join = join;
    this.late = late.flatMap((move) => move.segments);
    this.#now = now;
    this.#late = late;
  }

  get movesHooks(): boolean {
    return this.#now.length > 0 || this.#late.length > 0;
  }

  apply(): void {
    const { device, target } = this;
    device.admission = target.admission;
    if (!target.keepsTables) applyTables(device, target);
    for (const move of this.#now) move.apply();
  }

  applyLate(): void {
    for (const move of this.#late) move.apply();
  }

  revert(): void {
    for (const move of this.#now) move.revert();
    this.revertLate();
  }

  revertLate(): void {
    for (const move of this.#late) move.revert();
  }
}

/** Has what the door lets through to a device counted anew. */
function recountSegments(plan: Plan, index: number): Segment[] {
  return counterSegments({ counters: admittedSets(plan).all, destroys: plan.destroys }, index);
}

/** Removes the counters that packets may have made for a device. */
function counterSegments(
  { counters, destroys }: Pick<Plan, 'counters' | 'destroys'>,
  index: number,
): Segment[] {
  if (counters.length === 0) return [];
  if (destroys) return [indexSegment('destroy', counters, index)];
  // An element is put there if it is not, and then deleted: nothing is tried to see if it fails.
  return [indexSegment('join', counters, index), indexSegment('leave', counters, index)];
}

function tablesSegment(
  device: Device,
  { program, keepsTables }: Target,
  links: ReadonlyMap<string, number>,
  ownership: Ownership,
): Segment | undefined {
  if (keepsTables) return undefined;
  if (!program) return device.tables.length > 0 ? detachSegment(device.tables) : undefined;
  // Behind a door that was closed they have gone on counting, and the door begins with 0 when it is opened.
  if (hasProgram(device, program) && device.admission.admits) return undefined;
  const { link, assignedMac, tables } = device;
  // Of what was decided before, nobody knows whether it left something under a name that was meant for it.
  const isFirst = device.state === 'new' && tables.length === 0;
  const { index, name } = link;
  const facts = { index, name, mac: assignedMac, origin: 'agent' as const, links, ownership };
  return attachSegment(program, facts, tables, isFirst);
}

function applyTables(device: Device, { program }: Target): void {
  device.tables = program ? tablesFor(program, device.link.index) : [];
  device.origin = program ? 'agent' : undefined;
  device.digest = program?.digest;
  device.attachedName = program ? device.link.name : undefined;
}
