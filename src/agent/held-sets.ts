import type { NetlinkSocket } from '../kernel/socket.js';
import { countElements, type PackedElements } from '../nftables/packed-elements.js';
import { countTold } from '../nftables/packed-messages.js';
import type { Blueprint } from '../program/blueprint.js';
import type { HeldState } from '../program/held.js';
import { readHeld, type SharedState } from './shared-state.js';

/**
 * Of which sets the elements are read, to be compared with those they should have. `told`: of those alone whose digest
 * says that they have others. `few`: also of small ones, and of those that have not as many as they should. `all`: of all.
 */
export type ElementScope = 'told' | 'few' | 'all';

/** To read so many takes some milliseconds, in which the agent does nothing else; of a million, a second or two. */
const FEW_ELEMENTS = 1 << 14;

/** What there is to know of the elements of a table's sets before they are changed. */
export function readElements(
  netfilter: NetlinkSocket,
  blueprint: Blueprint,
  { inventory, digests }: SharedState,
  scope: ElementScope,
): HeldState {
  const present = new Map<string, PackedElements | undefined>();
  for (const { name, digest, held } of blueprint.sets) {
    // A set that is made anew is not asked what was in it, nor one whose elements packets put there as well.
    if (!held?.isEditable || inventory.sets.get(name) !== digest) continue;
    const isTold = digests.get(name) === held.digest;
    const isOff = (inventory.counts.get(name) ?? countTold(held.packed)) !== countTold(held.packed);
    const isFew = countElements(held.packed) <= FEW_ELEMENTS;
    if (!isTold || scope === 'all' || (scope === 'few' && (isFew || isOff))) {
      present.set(name, readHeld(netfilter, name, held.packed));
    }
  }
  return { digests, present };
}
