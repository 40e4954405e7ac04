import { encodeSegment, type Segment } from '../nftables/transaction.js';
import type { BlueprintBase } from '../program/blueprint.js';
import { deleteBase, sharedSegment } from '../program/change.js';
import { addDevices, type Meanwhile, removeDevices, reviveBase } from '../program/hook.js';

/**
 * How many devices each base chain has that devices are added to one by one. A chain is made with its first device and
 * goes with its last: nft cannot load a base chain without a device.
 */
export class Roster {
  readonly #counts = new Map<string, number>();
  /** Chains that the kernel is known to have. */
  readonly #standing = new Set<string>();

  /** Begins anew, from what the kernel has. */
  reset(counts: ReadonlyMap<string, number>): void {
    this.#counts.clear();
    this.#standing.clear();
    for (const [chain, count] of counts) {
      this.#counts.set(chain, count);
      this.#standing.add(chain);
    }
  }

  /**
   * Counts a device that is planned to join, and says what makes it so. Unless the chain is known to stand, all of it is
   * said: the transaction that was to make it may be refused, and this one sent alone.
   * @param staysAlone false where a chain goes with its last device, before anybody has heard of it.
   */
  join(
    chain: string,
    base: BlueprintBase,
    name: string,
    { staysAlone, meanwhile }: { staysAlone: boolean; meanwhile: Meanwhile },
  ): Segment {
    this.#counts.set(chain, (this.#counts.get(chain) ?? 0) + 1);
    const devices = [{ name }];
    if (staysAlone && this.#standing.has(chain)) return encodeSegment([addDevices(chain, base, devices)]);
    return encodeSegment(reviveBase(chain, base, devices, meanwhile));
  }

  /** Notes that the kernel has taken a device that joined. */
  confirm(chain: string): void {
    if (this.#counts.has(chain)) this.#standing.add(chain);
  }

  /**
   * Discounts a device that is planned to leave, and says what makes it so.
   * @param isTaken whether another device of the chain has the name by now: then the hook is that one's.
   */
  leave(chain: string, base: BlueprintBase, name: string, isTaken: boolean): Segment | undefined {
    if (this.forget(chain) === 0) return sharedSegment(deleteBase(chain));
    return isTaken ? undefined : encodeSegment([removeDevices(chain, base, [{ name }])]);
  }

  /** Counts a device that was to leave and has not. */
  restore(chain: string): void {
    this.#counts.set(chain, (this.#counts.get(chain) ?? 0) + 1);
  }

  /** Discounts a device that is gone, or that was not taken. @returns how many are left. */
  forget(chain: string): number {
    const left = Math.max(0, (this.#counts.get(chain) ?? 0) - 1);
    if (left > 0) this.#counts.set(chain, left);
    else {
      this.#counts.delete(chain);
      this.#standing.delete(chain);
    }
    return left;
  }
}
