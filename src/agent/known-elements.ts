import type { NetlinkSocket } from '../kernel/socket.js';
import { countElements, type PackedElements } from '../nftables/packed-elements.js';
import { countTold } from '../nftables/packed-messages.js';
import type { Blueprint, BlueprintSet } from '../program/blueprint.js';
import type { HeldState } from '../program/held.js';
import { readHeld, type SharedState } from './shared-state.js';
import type { ForeignChange } from './watch.js';

/**
 * To read the elements of so many costs some milliseconds, in which the agent does nothing else: sets that are no larger are
 * read in every round that compares everything.
 */
const FEW_ELEMENTS = 1 << 14;
/**
 * More are not read at all: for each part of a dump the kernel walks the set from its beginning (nft_rhash_walk(),
 * nft_hash_walk(), nft_rbtree_walk()), so that 100,000 elements took 0.3 s and 1,000,000 took 8 s. To make such a set anew takes one.
 */
const MANY_ELEMENTS = 1 << 17;

/** What the configuration's sets hold in the kernel, as far as somebody knows. */
export class KnownElements {
  /** By the digest that tells of them. */
  #trusted = new Map<string, PackedElements>();
  /** Sets that others have put something into, or may have. */
  readonly #suspects = new Set<string>();
  #suspectsAll = false;

  /** Others have changed something. */
  suspect(foreign: ForeignChange | undefined): void {
    for (const set of foreign?.sets ?? []) this.#suspects.add(set);
    if (foreign?.isMuch) this.#suspectsAll = true;
  }

  /** What a blueprint says is in force. */
  trust({ sets }: Blueprint): void {
    this.#suspects.clear();
    this.#suspectsAll = false;
    this.#trusted = new Map(sets.flatMap(({ held }) => (held ? [[held.digest, held.packed]] : [])));
  }

  /**
   * What there is to know of the elements of a table's sets before they are changed.
   * @param deep whether sets whose digest says that they hold what they should are looked at.
   */
  read(netfilter: NetlinkSocket, blueprint: Blueprint, shared: SharedState, deep: boolean): HeldState {
    const { inventory, digests } = shared;
    const present = new Map<string, PackedElements | undefined>();
    for (const set of blueprint.sets) {
      // A set that is made anew is not asked what was in it, nor one whose elements packets put there as well.
      if (!set.held?.isEditable || inventory.sets.get(set.name) !== set.digest) continue;
      const { packed } = set.held;
      const digest = digests.get(set.name);
      const isAmiss = deep && this.#isAmiss(set, shared);
      const isFew = countElements(packed) <= FEW_ELEMENTS;
      if (digest === set.held.digest && !isAmiss && !(deep && isFew)) continue;
      const trusted = isAmiss || digest === undefined ? undefined : this.#trusted.get(digest);
      const count = Math.max(countElements(packed), inventory.counts.get(set.name) ?? 0);
      if (trusted && !isFew) present.set(set.name, trusted);
      else present.set(set.name, count > MANY_ELEMENTS ? undefined : readHeld(netfilter, set.name, packed));
    }
    return { digests, present };
  }

  /** Whether a set may hold something else than its digest says. */
  #isAmiss({ name, held }: BlueprintSet, { inventory, digests }: SharedState): boolean {
    if (this.#suspects.has(name)) return true;
    const count = inventory.counts.get(name);
    // Before 6.17 nobody tells how many there are.
    if (count === undefined) return this.#suspectsAll;
    const known =
      held?.digest === digests.get(name) ? held?.packed : this.#trusted.get(digests.get(name) ?? '');
    return known !== undefined && count !== countTold(known);
  }
}
