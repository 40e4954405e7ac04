import { readFileSync } from 'node:fs';
import { TapwallError } from '../error.js';
import { NFT_TABLE_F_DORMANT } from '../nftables/constants.js';
import type { Table } from '../nftables/table.js';
import { encodeSegment, type Segment } from '../nftables/transaction.js';
import { visibleLine } from '../observe/visible.js';
import { readDigest, SHARED_RECORD, SHARED_TABLE } from '../program/blueprint.js';
import { parseDeviceTableName } from '../program/name.js';
import { claimTable, isOrphan, OWNED } from '../program/ownership.js';
import { parseRecord } from '../program/record.js';

/** What an agent finds out about the owners of its tables. */
export interface Claim {
  /** Takes over what is nobody's, and wakes what sleeps; absent when there is nothing to do. */
  segment: Segment | undefined;
  /** Tables that were made to belong to nobody, which cannot be changed afterwards. */
  unowned: string[];
}

/** A table of an agent's: the shared one, or that of a policy which is a file. A hand's tables stay the hand's. */
function isAgents({ name, userdata }: Table): boolean {
  if (name === SHARED_TABLE) return readDigest(userdata) === SHARED_RECORD;
  return parseDeviceTableName(name) !== undefined && parseRecord(userdata)?.origin === 'agent';
}

/** Who has a port, in words. A process's first netlink socket of a protocol has its process id for a port. */
export function portWords(port: number): string {
  try {
    return `port ${port}, process ${port} (${visibleLine(readFileSync(`/proc/${port}/comm`, 'utf8').trim())})`;
  } catch {
    return `port ${port}`;
  }
}

/** That tables belong to another socket than one's own. */
export function ownedByOther(tables: readonly string[], port: number): TapwallError {
  return new TapwallError(
    'OWNED_BY_OTHER',
    `the tables of tapwall in this network namespace belong to another process (netlink ${portWords(port)}): ` +
      `${tables.slice(0, 3).join(', ')}${tables.length > 3 ? ', …' : ''}`,
    {
      hint:
        'An agent runs there, and what its devices get is for its configuration to say. Stop it, or let it give its ' +
        'tables up: tapwall release',
    },
  );
}

/** The tables of tapwall's that are owned, and by which port: that of the first, should there be several. */
export function ownersOf(tables: readonly Table[]): { tables: string[]; port: number | undefined } {
  const owned = tables.filter((table) => isAgents(table) && table.owner !== undefined);
  return { tables: owned.map(({ name }) => name), port: owned[0]?.owner };
}

/** @throws TapwallError OWNED_BY_OTHER when a table of tapwall's belongs to another socket. */
export function checkOwners(tables: readonly Table[], port: number | undefined): void {
  const taken = tables.filter(
    (table) => isAgents(table) && table.owner !== undefined && table.owner !== port,
  );
  const owner = taken[0]?.owner;
  if (owner !== undefined)
    throw ownedByOther(
      taken.map(({ name }) => name),
      owner,
    );
}

/**
 * Says how to make the tables that are there one's own.
 * @param owns whether tables should be owned at all.
 * @throws TapwallError OWNED_BY_OTHER
 */
export function planClaim(tables: readonly Table[], port: number, owns: boolean): Claim {
  checkOwners(tables, port);
  const own = tables.filter(isAgents);
  const claimed = own.filter(
    ({ flags = 0, owner }) =>
      // What has an owner keeps its flags; nobody else could have put it to sleep.
      owner === undefined && ((owns && isOrphan(flags)) || (flags & NFT_TABLE_F_DORMANT) !== 0),
  );
  const operations = claimed.map((table) => claimTable(table, owns && isOrphan(table.flags ?? 0)));
  return {
    segment: operations.length > 0 ? encodeSegment(operations) : undefined,
    unowned: own.filter(({ flags = 0 }) => (flags & OWNED) === 0).map(({ name }) => name),
  };
}
