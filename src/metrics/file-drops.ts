import type { Count } from '../agent/counters.js';
import { whatBecame } from '../agent/passed.js';

/** What was said last of one device in one direction. */
interface Known {
  handed: Count;
  passed: Count;
  dropped: Count;
  reading: number;
}

/**
 * What the chains of nft files have dropped, as counts that never go back while those go on from which they are taken: these are
 * not of one moment, and frames that pass between the two make their difference smaller.
 */
export class FileDrops {
  readonly #known = new Map<string, Known>();
  #reading = 0;

  /**
   * @param key names a device and a direction.
   * @param handed what the door has let through to the device's own tables.
   * @param passed what those have let through.
   */
  settle(key: string, handed: Count, passed: Count): Count {
    const { dropped } = whatBecame(handed, passed);
    const before = this.#known.get(key);
    // Tables that were made anew count from 0, and so does the door then.
    if (before && !isBack(before.handed, handed) && !isBack(before.passed, passed)) {
      dropped.packets = Math.max(dropped.packets, before.dropped.packets);
      dropped.bytes = Math.max(dropped.bytes, before.dropped.bytes);
    }
    this.#known.set(key, { handed, passed, dropped, reading: this.#reading });
    return dropped;
  }

  /** Forgets whom the reading did not find. */
  end(): void {
    for (const [key, { reading }] of this.#known) if (reading !== this.#reading) this.#known.delete(key);
    this.#reading++;
  }
}

function isBack(before: Count, now: Count): boolean {
  return now.packets < before.packets || now.bytes < before.bytes;
}
