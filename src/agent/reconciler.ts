import { isDeepStrictEqual } from 'node:util';
import { TapwallError } from '../error.js';
import type { Link } from '../links/link.js';
import { ListedAdmission } from '../program/admission.js';
import { isNoChange } from '../program/change.js';
import type { Meanwhile } from '../program/hook.js';
import type { Member } from '../program/member.js';
import { admittedSets } from './admitted-sets.js';
import { type Attachment, attachmentsIn, readTables } from './attachment.js';
import type { Channel } from './channel.js';
import { isStale } from './committer.js';
import { adoptMembers, adoptTables, type Device, isRefused, newDevice } from './device.js';
import { type DoorState, movesHooks } from './door.js';
import { readGeneration } from './generation.js';
import type { Herald } from './herald.js';
import type { HostLinks } from './host-links.js';
import type { Keeper } from './keeper.js';
import { KnownElements } from './known-elements.js';
import { OwnTables } from './own-tables.js';
import { planClaim } from './ownership.js';
import type { Reference } from './reference.js';
import { countsAdmitted } from './shared-state.js';
import type { ForeignChange } from './watch.js';

/** A ruleset that changes under so many attempts in a row is left for later. */
const MOST_ATTEMPTS = 16;

/** What a round of reconciling goes by. */
export interface Round {
  /** What frames meet on hooks that are not yet in force. */
  meanwhile: Meanwhile;
  /** Whether what the kernel has refused before is tried again. */
  retries: boolean;
  /** Whether what stands in the tables is compared, and not only the digests that tell what was put there. */
  deep: boolean;
}

/** Devices that are there at a start or a reload have been in use: they lose no frame that their policies admit. */
export const IN_USE: Round = { meanwhile: 'open', retries: true, deep: true };
/** The VMs wait for this one: what takes longer comes when it is done. */
export const FIRST: Round = { ...IN_USE, deep: false };
/** Something is not as it should be, and what is not admitted must not pass meanwhile. */
export const AMISS: Round = { meanwhile: 'closed', retries: true, deep: true };
/** Just to be sure. What was refused would be refused again, and a refused batch stalls the host. */
export const ROUTINE: Round = { meanwhile: 'closed', retries: false, deep: true };

/** What a round has come to. */
export interface RoundResult {
  /** How many transactions were sent; 0 when all was as it should be. */
  transactions: number;
  /** Whether anything of it was not for a link that was made, changed or deleted since the last event that was read. */
  isRepair: boolean;
  /** Who had changed something since the round before; undefined where nobody had. */
  foreign: ForeignChange | undefined;
}

/** Makes the kernel's state what the plan says, from what it holds now. What matches is left alone. */
export class Reconciler {
  readonly #reference: Reference;
  readonly #keeper: Keeper;
  readonly #links: HostLinks;
  readonly #herald: Herald;
  readonly #elements = new KnownElements();
  /** Whether somebody was told of tables that cannot be owned. */
  #hasWarned = false;

  constructor(
    reference: Reference,
    { keeper, links, herald }: { keeper: Keeper; links: HostLinks; herald: Herald },
  ) {
    this.#reference = reference;
    this.#keeper = keeper;
    this.#links = links;
    this.#herald = herald;
  }

  /**
   * @param foreign what is known already of changes by others.
   * @throws TapwallError BUSY when the ruleset never stood still; nothing is wrong with it then.
   * @throws TapwallError OWNED_BY_OTHER when the tables belong to another agent.
   */
  run(channel: Channel, round: Round, foreign?: ForeignChange): RoundResult {
    const before = channel.committer.count;
    let known = foreign;
    let isRepair = false;
    const note = () => {
      isRepair = true;
    };
    try {
      for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
        // What was told of until now is in what is read next.
        known = mergeChanges(known, channel.watch.drain());
        if (this.#once(channel, round, known, note)) {
          return { transactions: channel.committer.count - before, isRepair, foreign: known };
        }
      }
    } finally {
      channel.committer.abandon();
    }
    throw new TapwallError(
      'BUSY',
      `the ruleset changed under ${MOST_ATTEMPTS} attempts to compare it in a row`,
      {
        hint: 'Some other program changes nf_tables without a pause: nft monitor shows what.',
      },
    );
  }

  /**
   * @param onRepair is called when something has to be done that goes back to no link.
   * @returns false when the ruleset changed between what was read and what was sent.
   */
  #once(
    { netfilter, committer, door }: Channel,
    round: Round,
    foreign: ForeignChange | undefined,
    onRepair: () => void,
  ): boolean {
    const { plan } = this.#keeper;
    const generation = readGeneration(netfilter);
    const macvtaps = this.#links.macvtaps();
    const tables = readTables(netfilter);
    const claim = planClaim(tables, netfilter.portId, plan.ownership === 'own');
    const links = this.#links.indexes(plan.blueprint.links);
    const { meanwhile, retries, deep } = round;
    this.#elements.suspect(foreign);
    const reference = () => this.#reference.contents(plan.blueprint, links);
    const state = door.read(plan, macvtaps, { reference, deep, elements: this.#elements });
    const attachments = new Map(attachmentsIn(tables).map((one) => [one.index, one]));
    const own = new OwnTables(netfilter, deep ? [...attachments.values()] : []);
    if (readGeneration(netfilter) !== generation) return false;
    this.#warnOfUnowned(claim.unowned);
    const { gone, stale, fresh } = this.#takeOver(macvtaps, state, attachments);
    // What the door lets through to a device's own tables and what passes those is counted from one moment on.
    const countsAnew = !state.stands || state.change.emptied.some(countsAdmitted);
    for (const device of this.#keeper.devices.values()) {
      if (countsAnew) device.hasCounters = false;
      const touched = device.tables.some((table) => foreign?.tables.has(table));
      if (touched || countsAnew || (deep && !own.match(device, plan))) device.digest = undefined;
    }
    committer.begin(claim.segment ? [claim.segment] : [], generation);
    try {
      const devices = [...this.#keeper.devices.values()];
      const steps = this.#keeper.steps(devices, { verified: retries, meanwhile });
      // No hook comes or goes in a transaction that takes a table over (EINVAL, EOPNOTSUPP: __NFT_TABLE_F_UPDATE in
      // nf_tables_addchain() and nft_delchain_hook()).
      const moves = movesHooks(state) || steps.some((step) => step.movesHooks);
      if (claim.segment && moves) committer.end();
      const { change, created, removed, members } = state;
      // Counters may be those of a device that was made after links were read.
      const isOfLinks =
        steps.every(({ device }) => fresh.has(device)) &&
        [...stale].every(
          (index) =>
            gone.some(({ link }) => link.index === index) || !(members.has(index) || attachments.has(index)),
        );
      if (!isOfLinks || !isNoChange(change) || created.length + removed.length > 0) onRepair();
      door.put(plan, state, { steps, links, meanwhile }, (outcomes) => this.#keeper.conclude(outcomes));
      for (const index of stale) {
        const device = gone.find(({ link }) => link.index === index);
        this.#removeStale(device, attachments.get(index), index, state.members.get(index) ?? []);
      }
      committer.end();
      this.#elements.trust(plan.blueprint);
      return true;
    } catch (error) {
      if (isStale(error)) return false;
      throw error;
    }
  }

  /**
   * Notes of each device what the kernel has of it.
   * @returns what is not there any more, and which devices are new or have become others.
   */
  #takeOver(
    macvtaps: readonly Link[],
    state: DoorState,
    attachments: Map<number, Attachment>,
  ): { gone: Device[]; stale: Set<number>; fresh: Set<Device> } {
    const keeper = this.#keeper;
    const { made } = admittedSets(keeper.plan);
    const fresh = new Set<Device>();
    keeper.roster.reset(state.counts);
    const present = new Map(macvtaps.map((link) => [link.index, link]));
    const gone: Device[] = [];
    for (const [index, device] of keeper.devices) {
      const link = present.get(index);
      if (link && !isAnother(device.link, link)) continue;
      keeper.devices.delete(index);
      gone.push(device);
    }
    const replaced = new Set(gone.map(({ link }) => link.index));
    for (const link of macvtaps) {
      const attachment = attachments.get(link.index);
      const isKnown = [state.members, state.hooks, state.counted].some((one) => one.has(link.index));
      const linkBefore = keeper.devices.get(link.index)?.link;
      const device = keeper.note(link, attachment, isKnown);
      if (!device) continue;
      if (!linkBefore || !isDeepStrictEqual(linkBefore, link)) fresh.add(device);
      const { attachedName } = device;
      adoptTables(device, attachment ?? null);
      // The name under which its policy was refused, which is not tried again under it.
      if (!attachment && isRefused(device)) device.attachedName = attachedName;
      attachments.delete(link.index);
      adoptMembers(device, state.members.get(link.index) ?? []);
      // What was noted of the MAC was another device's, which had the index.
      if (replaced.has(link.index)) device.assignedMac = link.mac ?? '';
      device.hooks = state.hooks.get(link.index) ?? new Map();
      const counted = state.counted.get(link.index);
      device.isCounted = counted !== undefined;
      device.hasCounters = made.every((set) => counted?.some((one) => one.set === set));
    }
    const stale = new Set([...state.members.keys(), ...state.counted.keys(), ...attachments.keys()]);
    for (const { link } of gone) stale.add(link.index);
    for (const { index } of macvtaps) stale.delete(index);
    return { gone, stale, fresh };
  }

  /** Takes away what a device left behind that went while nobody listened. */
  #removeStale(
    known: Device | undefined,
    attachment: Attachment | undefined,
    index: number,
    members: readonly Member[],
  ): void {
    const name = known?.link.name ?? attachment?.record.device ?? `interface ${index}`;
    const device = known ?? newDevice({ ...GONE_LINK, index, name });
    adoptTables(device, attachment ?? null);
    device.admission = new ListedAdmission(members);
    device.hooks = new Map();
    this.#keeper.forget(device, known ? 'gone' : 'stale');
  }

  #warnOfUnowned(tables: readonly string[]): void {
    if (this.#keeper.plan.ownership !== 'own' || tables.length === 0 || this.#hasWarned) return;
    this.#hasWarned = true;
    this.#herald.warn(
      `${tables.length === 1 ? `the table ${tables[0]} was` : `${tables.length} tables were`} made to belong to ` +
        'nobody (owner: false, or an older version), which the kernel does not let anybody change: what others change ' +
        'there is put right instead. Tables that are made from now on are owned',
    );
  }
}

/** Both together. */
export function mergeChanges(
  a: ForeignChange | undefined,
  b: ForeignChange | undefined,
): ForeignChange | undefined {
  if (!a || !b) return a ?? b;
  const more = b.by.filter(({ port }) => !a.by.some((one) => one.port === port));
  return {
    by: [...a.by, ...more],
    tables: new Set([...a.tables, ...b.tables]),
    sets: new Set([...a.sets, ...b.sets]),
    lost: a.lost || b.lost,
    isMuch: a.isMuch || b.isMuch,
  };
}

/**
 * Whether a link is another one than that which had its index: who makes a link may ask for an index that was used. A
 * device never changes its parent, and not its name and its MAC at once, as far as anybody can tell.
 */
function isAnother(before: Link, now: Link): boolean {
  if (before.parentElsewhere === now.parentElsewhere && before.parentIndex !== now.parentIndex) return true;
  return before.name !== now.name && before.mac !== now.mac;
}

/** What is known of a link that is not there. */
const GONE_LINK: Omit<Link, 'index' | 'name'> = {
  up: false,
  kind: 'macvtap',
  mac: undefined,
  alias: undefined,
  parentIndex: undefined,
  parentElsewhere: false,
};
