import type { NetlinkSocket } from '../kernel/socket.js';
import type { Link } from '../links/link.js';
import { findLink, listLinks } from '../links/query.js';

/**
 * What the agent asks about the links of its namespace. What it asks for a device that has just appeared waits for no lock:
 * its maker is about to make the next one, or is still at this one.
 */
export class HostLinks {
  readonly #route: NetlinkSocket;

  constructor(route: NetlinkSocket) {
    this.#route = route;
  }

  /** Every macvtap device. */
  macvtaps(): Link[] {
    return listLinks(this.#route).filter(({ kind }) => kind === 'macvtap');
  }

  /** The parent's name as it is now: it may be renamed, and no event tells of it. Undefined when it is in another namespace, where its index means nothing here. */
  parentName({ parentIndex, parentElsewhere }: Link): string | undefined {
    return parentIndex === undefined || parentElsewhere ? undefined : this.#route.linkName(parentIndex);
  }

  /** False for a device that went away or was renamed meanwhile: the event that says so is on its way. */
  hasName({ index, name }: Link): boolean {
    return this.#route.linkName(index) === name;
  }

  /** Indexes of the links that have these names. */
  indexes(names: readonly string[]): ReadonlyMap<string, number> {
    if (names.length === 0) return NO_LINKS;
    const indexes = new Map<string, number>();
    for (const name of names) {
      const link = findLink(this.#route, { name });
      if (link) indexes.set(name, link.index);
    }
    return indexes;
  }

  close(): void {
    this.#route.close();
  }
}

export const NO_LINKS: ReadonlyMap<string, number> = new Map();
