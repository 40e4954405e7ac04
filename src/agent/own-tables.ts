import type { NetlinkSocket } from '../kernel/socket.js';
import { readBe32 } from '../netlink/attribute.js';
import {
  NF_DROP,
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETRULE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFTA_CHAIN_POLICY,
} from '../nftables/constants.js';
import { dumpRequest } from '../nftables/message.js';
import { parseRuleset } from '../nftables/ruleset.js';
import type { Program } from '../program/program.js';
import type { Attachment } from './attachment.js';
import type { Device } from './device.js';
import type { Plan } from './plan.js';

/** How much a device's own tables hold, all together. */
interface Tally {
  chains: number;
  /** Base chains whose policy is `drop`. */
  drops: number;
  rules: number;
}

/**
 * Whether devices' own tables hold as much as their policies put there. A rule that was added or deleted while nobody
 * listened shows in that; one that was replaced by another does not.
 */
export class OwnTables {
  readonly #tallies = new Map<string, Tally>();

  /** Reads the kernel's chains and rules, if any device has tables of its own. */
  constructor(netfilter: NetlinkSocket, attachments: readonly Attachment[]) {
    if (attachments.length === 0) return;
    const { chains, rules } = parseRuleset([
      ...netfilter.dump(dumpRequest(NFT_MSG_GETCHAIN), 'the dump of the chains'),
      ...netfilter.dump(dumpRequest(NFT_MSG_GETRULE), 'the dump of the rules'),
    ]);
    for (const { table } of [...chains, ...rules]) {
      if (!this.#tallies.has(table)) this.#tallies.set(table, { chains: 0, drops: 0, rules: 0 });
    }
    for (const { table, policy } of chains) {
      const tally = this.#tallies.get(table);
      if (!tally) continue;
      tally.chains++;
      if (policy === NF_DROP) tally.drops++;
    }
    for (const { table } of rules) {
      const tally = this.#tallies.get(table);
      if (tally) tally.rules++;
    }
  }

  /** True for a device that has no tables, or some that no policy of the plan's has put there. */
  match({ tables, digest }: Device, plan: Plan): boolean {
    if (tables.length === 0 || digest === undefined) return true;
    const program = programOf(plan, digest);
    if (!program) return true;
    const present: Tally = { chains: 0, drops: 0, rules: 0 };
    for (const table of tables) {
      const tally = this.#tallies.get(table);
      present.chains += tally?.chains ?? 0;
      present.drops += tally?.drops ?? 0;
      present.rules += tally?.rules ?? 0;
    }
    const wanted = tallyOf(program);
    return (
      present.chains === wanted.chains && present.drops === wanted.drops && present.rules === wanted.rules
    );
  }
}

function programOf({ policies }: Plan, digest: string): Program | undefined {
  for (const { program } of policies.values()) if (program?.digest === digest) return program;
  return undefined;
}

const tallies = new WeakMap<Program, Tally>();

function tallyOf(program: Program): Tally {
  const known = tallies.get(program);
  if (known) return known;
  const tally: Tally = { chains: 0, drops: 0, rules: 0 };
  for (const { operation, attributes } of program.messages) {
    if (operation === NFT_MSG_NEWRULE) tally.rules++;
    if (operation !== NFT_MSG_NEWCHAIN) continue;
    tally.chains++;
    for (const { type, ...rest } of attributes) {
      if (type !== NFTA_CHAIN_POLICY || !('value' in rest)) continue;
      if (readBe32({ type, flags: rest.flags, value: rest.value }) === NF_DROP) tally.drops++;
    }
  }
  tallies.set(program, tally);
  return tally;
}
