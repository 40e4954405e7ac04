import { TapwallError } from '../error.js';
import { type Chain, type HookDevice, hookDevices } from '../nftables/chain.js';
import { NF_DROP } from '../nftables/constants.js';
import type { NamedObject } from '../nftables/object.js';
import type { Rule } from '../nftables/rule.js';
import type { Ruleset } from '../nftables/ruleset.js';
import { type Blueprint, readDigest, SHARED_RECORD, SHARED_TABLE } from './blueprint.js';
import { type Contents, sameRules } from './contents.js';

/** A base chain as the kernel has it. */
export interface InstalledBase {
  digest: string | undefined;
  /** NF_NETDEV_INGRESS or NF_NETDEV_EGRESS. */
  direction: number;
  devices: HookDevice[];
  /** Whether its policy is `drop`. */
  drops: boolean;
}

/** What the kernel holds of the shared table, by the digests that stand in it. */
export interface Inventory {
  sets: Map<string, string | undefined>;
  /** All but base chains and anonymous ones. */
  chains: Map<string, string | undefined>;
  bases: Map<string, InstalledBase>;
  /** Named counters, limits and the like, which only somebody else can have put there. */
  objects: readonly Pick<NamedObject, 'name' | 'type'>[];
  /** How many elements each set has, where the kernel tells it (6.17). */
  counts: Map<string, number>;
}

/** Digest of a chain without rules, where there is no rule to keep one. */
export const NO_RULES = 'no rules';

/**
 * @param ruleset tables, chains, rules, sets and named objects; elements are not looked at.
 * @throws TapwallError FOREIGN_TABLE when the table of that name is somebody else's.
 */
export function takeInventory({ tables, chains, rules, sets, objects }: Ruleset): Inventory | undefined {
  const table = tables.find(({ name }) => name === SHARED_TABLE);
  if (!table) return undefined;
  if (readDigest(table.userdata) !== SHARED_RECORD) {
    throw new TapwallError(
      'FOREIGN_TABLE',
      `there is a table netdev ${SHARED_TABLE} that tapwall has not made`,
      {
        hint: `Rename it, or delete it: nft delete table netdev ${SHARED_TABLE}`,
      },
    );
  }
  const firstRules = new Map<string, Rule>();
  for (const rule of rules) {
    if (rule.table === SHARED_TABLE && !firstRules.has(rule.chain)) firstRules.set(rule.chain, rule);
  }
  const inventory: Inventory = {
    sets: new Map(),
    chains: new Map(),
    bases: new Map(),
    objects: objects.filter(({ table: own }) => own === SHARED_TABLE),
    counts: new Map(),
  };
  for (const set of sets) {
    if (set.table !== SHARED_TABLE || isAnonymous(set.name)) continue;
    inventory.sets.set(set.name, readDigest(set.userdata));
    if (set.count !== undefined) inventory.counts.set(set.name, set.count);
  }
  for (const chain of chains) {
    if (chain.table !== SHARED_TABLE || chain.name === undefined || isAnonymous(chain.name)) continue;
    const first = firstRules.get(chain.name);
    const digest = first ? readDigest(first.userdata) : NO_RULES;
    if (chain.hook) inventory.bases.set(chain.name, installedBase(chain, digest));
    else inventory.chains.set(chain.name, digest);
  }
  return inventory;
}

function installedBase({ hook, policy }: Chain, digest: string | undefined): InstalledBase {
  return {
    digest,
    direction: hook?.number ?? -1,
    devices: hook ? hookDevices(hook) : [],
    drops: policy === NF_DROP,
  };
}

/** In place of the digest of what does not hold what its digest says. */
const CHANGED = 'changed';

/** The chain of a reference that has the rules of one direction's base chains. */
export function referenceChain(direction: number): string {
  return `reference.${direction}`;
}

/**
 * Takes the digests from what holds something else than it should, whoever changed it: it is made anew then.
 * @param present what the kernel holds.
 * @param wanted what the same kernel says of the blueprint where nobody else can reach it.
 */
export function distrust({ chains, sets, bases }: Inventory, present: Contents, wanted: Contents): void {
  for (const name of chains.keys()) {
    const rules = wanted.chains.get(name);
    if (rules && !sameRules(present.chains.get(name), rules)) chains.set(name, CHANGED);
  }
  for (const name of sets.keys()) {
    const set = wanted.sets.get(name);
    if (set !== undefined && present.sets.get(name) !== set) sets.set(name, CHANGED);
  }
  for (const [name, base] of bases) {
    const rules = wanted.chains.get(referenceChain(base.direction));
    if (rules && !sameRules(present.chains.get(name), rules)) base.digest = CHANGED;
  }
}

/** Names of the kernel's making, and those that a blueprint gives instead. */
function isAnonymous(name: string): boolean {
  return name.startsWith('__');
}

/** What there will be when a blueprint is in force. */
export function inventoryOf(blueprint: Blueprint): Pick<Inventory, 'sets' | 'chains' | 'objects'> {
  return {
    objects: [],
    sets: new Map(blueprint.sets.map(({ name, digest }) => [name, digest])),
    chains: new Map(
      blueprint.chains.map(({ name, digest, rules }) => [name, rules.length > 0 ? digest : NO_RULES]),
    ),
  };
}
