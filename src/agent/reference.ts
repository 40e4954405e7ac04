import { Scratch } from '../compiler/scratch.js';
import { isExpected } from '../error.js';
import type { Kernel } from '../kernel/kernel.js';
import { leaf } from '../netlink/attribute.js';
import { cString } from '../netlink/bytes.js';
import { NLM_F_APPEND, NLM_F_CREATE } from '../netlink/constants.js';
import type { Operation } from '../nftables/batch.js';
import {
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFTA_CHAIN_NAME,
  NFTA_CHAIN_TABLE,
} from '../nftables/constants.js';
import { nftablesRequest } from '../nftables/message.js';
import { ruleSchema } from '../nftables/rule.js';
import { encodeSegment } from '../nftables/transaction.js';
import { type Blueprint, SHARED_TABLE } from '../program/blueprint.js';
import { planChange, sharedSegment } from '../program/change.js';
import type { Contents } from '../program/contents.js';
import { setsApart, withoutElements } from '../program/held.js';
import { referenceChain } from '../program/inventory.js';
import { Committer } from './committer.js';
import { readContents } from './shared-state.js';

/** Links that rules name have few indexes, but new ones whenever they are made anew. */
const MOST_CONTENTS = 64;

/**
 * What this kernel says of a blueprint where nobody else can reach it: in a namespace that is thrown away. To compare
 * with it needs no knowledge of how a kernel's words differ from what it was sent.
 */
export class Reference {
  readonly #kernel: Kernel;
  #blueprint: Blueprint | undefined;
  /** By the indexes of links that rules name, which in each namespace may be others. */
  readonly #contents = new Map<string, Contents | undefined>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /**
   * @param links indexes of the links that rules name.
   * @returns undefined where no namespace can be made: then the digests alone have to do.
   */
  contents(blueprint: Blueprint, links: ReadonlyMap<string, number>): Contents | undefined {
    const key = JSON.stringify([...links]);
    if (this.#blueprint !== blueprint) this.#contents.clear();
    this.#blueprint = blueprint;
    if (!this.#contents.has(key)) {
      if (this.#contents.size >= MOST_CONTENTS) this.#contents.clear();
      this.#contents.set(key, this.#make(blueprint, links));
    }
    return this.#contents.get(key);
  }

  #make(blueprint: Blueprint, links: ReadonlyMap<string, number>): Contents | undefined {
    let scratch: Scratch | undefined;
    try {
      scratch = new Scratch(this.#kernel);
      // Of elements that may be a million the digests and the kernel's own words are enough.
      const shared = sharedSegment(planChange(undefined, withoutElements(blueprint)).messages, links);
      new Committer(scratch.netfilter).transact([shared, encodeSegment(baseRules(blueprint))]);
      return readContents(scratch.netfilter, setsApart(blueprint));
    } catch (error) {
      if (isExpected(error)) return undefined;
      throw error;
    } finally {
      scratch?.close();
    }
  }
}

/** The rules of base chains, in chains that hook nothing. */
function baseRules({ bases }: Blueprint): Operation[] {
  return [...bases].flatMap(([direction, { rules }]) => {
    const name = referenceChain(direction);
    const chain = [leaf(NFTA_CHAIN_TABLE, cString(SHARED_TABLE)), leaf(NFTA_CHAIN_NAME, cString(name))];
    return [
      { request: nftablesRequest(NFT_MSG_NEWCHAIN, NLM_F_CREATE, chain), label: `NEWCHAIN ${name}` },
      ...rules.map((rule) => ({
        request: nftablesRequest(
          NFT_MSG_NEWRULE,
          NLM_F_CREATE | NLM_F_APPEND,
          ruleSchema.encode({ ...rule, chain: name }),
        ),
        label: `NEWRULE ${name}`,
      })),
    ];
  });
}
