import type { NetlinkSocket } from '../kernel/socket.js';
import type { Link } from '../links/link.js';
import { findLink, listLinks } from '../links/query.js';

/** What the agent asks about the links of its namespace. */
export class HostLinks {
  readonly #route: NetlinkSocket;
  /** Names of parents, by interface index, as they were when the agent last woke: hundreds of devices have one. */
  readonly #parents = new Map<number, string>();

  constructor(route: NetlinkSocket) {
    this.#route = route;
  }

  /** Every macvtap device. */
  macvtaps(): Link[] {
    return listLinks(this.#route).filter(({ kind }) => kind === 'macvtap');
  }

  /** A parent may be renamed, and no event tells of it: the next question is asked of the kernel again. */
  forgetParents(): void {
    this.#parents.clear();
  }

  /** The parent's name as it is now; undefined when it is in another namespace, where its index means nothing here. */
  parentName({ parentIndex, parentElsewhere }: Link): string | undefined {
    if (parentIndex === undefined || parentElsewhere) return undefined;
    const known = this.#parents.get(parentIndex);
    if (known !== undefined) return known;
    const name = findLink(this.#route, { index: parentIndex })?.name;
    if (name !== undefined) this.#parents.set(parentIndex, name);
    return name;
  }

  /** False for a device that went away or was renamed meanwhile: the event that says so is on its way. */
  hasName({ index, name }: Link): boolean {
    return findLink(this.#route, { index })?.name === name;
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
