import { type Attribute, attributeSize, encodeAttributes } from '../netlink/attribute.js';
import { concatenate } from '../netlink/bytes.js';
import { NLM_F_APPEND, NLM_F_DUMP } from '../netlink/constants.js';
import type { Message } from '../netlink/message.js';
import { be32Field, schema, textField } from '../netlink/schema.js';
import { chainSchema, type Hook } from '../nftables/chain.js';
import * as nft from '../nftables/constants.js';
import { elementListSchema, elementSchema, type SetElement } from '../nftables/element.js';
import { generationSchema } from '../nftables/generation.js';
import { generalHeader, messageType, parseNftablesMessage } from '../nftables/message.js';
import { objectSchema } from '../nftables/object.js';
import { type Rule, ruleSchema } from '../nftables/rule.js';
import { type SetDefinition, setSchema } from '../nftables/set.js';
import { tableSchema } from '../nftables/table.js';
import { type Answer, Refusal } from './fake-answer.js';
import { usesOfChain } from './fake-reference.js';
import { type ChainState, type TableState, type Tables, tableKey } from './fake-table.js';

/** What a request may name. A message has its own numbers for everything but the table. */
const chainFilter = schema<{ table?: string; chain?: string }>('request', {
  table: textField(nft.NFTA_CHAIN_TABLE),
  chain: textField(nft.NFTA_CHAIN_NAME),
});
const ruleFilter = schema<{ table?: string; chain?: string }>('request', {
  table: textField(nft.NFTA_RULE_TABLE),
  chain: textField(nft.NFTA_RULE_CHAIN),
});
const setFilter = schema<{ table?: string }>('request', { table: textField(nft.NFTA_SET_TABLE) });
const objectFilter = schema<{ table?: string; type?: number }>('request', {
  table: textField(nft.NFTA_OBJ_TABLE),
  type: be32Field(nft.NFTA_OBJ_TYPE),
});

/** Bytes of elements in one message; the kernel fills a few pages. */
const ELEMENTS_LIMIT = 16_000;

/** A dump names a single device twice, for readers from before there could be several (nft_dump_basechain_hook()). */
function dumpedHook(hook: Hook): Hook {
  const [first, ...more] = hook.devices ?? [];
  return first && 'name' in first && more.length === 0 ? { ...hook, device: first.name } : hook;
}

/** Each rule names the one before it. */
function dumpedRules(rules: readonly Rule[]): Rule[] {
  return rules.map((rule, at) => {
    const before = rules[at - 1]?.handle;
    return before === undefined ? rule : { ...rule, position: before };
  });
}

function inMessages(elements: Iterable<SetElement>): SetElement[][] {
  const lists: SetElement[][] = [[]];
  let size = 0;
  for (const element of elements) {
    size += attributeSize({ type: nft.NFTA_LIST_ELEM, flags: 0, nested: elementSchema.encode(element) });
    if (size > ELEMENTS_LIMIT) {
      lists.push([]);
      size = 0;
    }
    lists.at(-1)?.push(element);
  }
  return lists;
}

/** Of intervals the kernel tells half of what they take (nft_rbtree_usize()), unless they have several parts. */
function countOf({ flags = 0 }: SetDefinition, elements: number): number {
  const halves = (flags & nft.NFT_SET_INTERVAL) !== 0 && (flags & nft.NFT_SET_CONCAT) === 0;
  return halves ? Math.floor(elements / 2) : elements;
}

/** Answers the GET requests of nf_tables from the tables of one moment. */
export class Dump {
  readonly #tables: Tables;
  readonly #generation: number;

  constructor(tables: Tables, generation: number) {
    this.#tables = tables;
    this.#generation = generation;
  }

  /** @throws Refusal, or TapwallError MALFORMED_MESSAGE. */
  answer(message: Message): Answer[] {
    const request = parseNftablesMessage(message);
    if (!request) throw new Refusal('EINVAL');
    const { operation, family, attributes } = request;
    const dump = (message.flags & NLM_F_DUMP) === NLM_F_DUMP;
    switch (operation) {
      case nft.NFT_MSG_GETGEN:
        return [this.#encode(nft.NFT_MSG_NEWGEN, 0, generationSchema.encode({ id: this.#generation }))];
      case nft.NFT_MSG_GETTABLE:
        if (!dump) return [this.#table(this.#named(family, tableSchema.parse(attributes).name))];
        return this.#inFamily(family).map((state) => this.#table(state));
      case nft.NFT_MSG_GETCHAIN:
        return dump ? this.#chains(family) : [this.#oneChain(family, attributes)];
      case nft.NFT_MSG_GETRULE:
      case nft.NFT_MSG_GETSET:
      case nft.NFT_MSG_GETSETELEM:
      case nft.NFT_MSG_GETOBJ:
      case nft.NFT_MSG_GETFLOWTABLE:
        if (!dump) throw new Refusal('EOPNOTSUPP');
        return this.#parts(operation, family, attributes);
      default:
        throw new Refusal('EINVAL');
    }
  }

  #parts(operation: number, family: number, attributes: Uint8Array): Answer[] {
    switch (operation) {
      case nft.NFT_MSG_GETRULE:
        return this.#rules(family, attributes);
      case nft.NFT_MSG_GETSET:
        return this.#sets(family, attributes);
      case nft.NFT_MSG_GETSETELEM:
        return this.#elements(family, attributes);
      case nft.NFT_MSG_GETOBJ:
        return this.#objects(family, attributes);
      default:
        return [];
    }
  }

  #encode(operation: number, family: number, attributes: Attribute[], flags = 0): Answer {
    const header = generalHeader(family, this.#generation & 0xffff);
    const payload = concatenate([header, encodeAttributes(attributes)]);
    return { type: messageType(operation), flags, payload };
  }

  /** Family 0 stands for every one. */
  #inFamily(family: number, name?: string): TableState[] {
    return [...this.#tables.values()].filter(
      (state) =>
        (family === 0 || state.family === family) && (name === undefined || state.table.name === name),
    );
  }

  #named(family: number, name: string): TableState {
    const state = this.#tables.get(tableKey(family, name));
    if (!state) throw new Refusal('ENOENT', nft.NFTA_TABLE_NAME);
    return state;
  }

  #table({ family, table, chains, sets, objects }: TableState): Answer {
    // An anonymous set belongs to its rule (nf_tables_commit()).
    const named = [...sets.values()].filter(({ set: { flags = 0 } }) => !(flags & nft.NFT_SET_ANONYMOUS));
    const use = chains.size + named.length + objects.size;
    return this.#encode(nft.NFT_MSG_NEWTABLE, family, tableSchema.encode({ ...table, use }));
  }

  #chain(state: TableState, { chain: { hook, ...chain }, rules }: ChainState): Answer {
    // Nothing leads into a base chain; an anonymous one is held by its rule once more.
    const own = rules.length + ((chain.flags ?? 0) & nft.NFT_CHAIN_BINDING ? 1 : 0);
    const use = own + (hook ? 0 : usesOfChain(state, chain.name ?? ''));
    const dumped = { ...chain, ...(hook && { hook: dumpedHook(hook) }), use };
    return this.#encode(nft.NFT_MSG_NEWCHAIN, state.family, chainSchema.encode(dumped));
  }

  #chains(family: number): Answer[] {
    return this.#inFamily(family).flatMap((state) =>
      [...state.chains.values()].map((chain) => this.#chain(state, chain)),
    );
  }

  #oneChain(family: number, attributes: Uint8Array): Answer {
    const { table = '', chain: name = '' } = chainFilter.parse(attributes);
    const state = this.#named(family, table);
    const chain = state.chains.get(name);
    if (!chain) throw new Refusal('ENOENT', nft.NFTA_CHAIN_NAME);
    return this.#chain(state, chain);
  }

  #rules(family: number, attributes: Uint8Array): Answer[] {
    const wanted = ruleFilter.parse(attributes);
    return this.#inFamily(family, wanted.table).flatMap((state) =>
      [...state.chains.values()]
        .filter(({ chain }) => wanted.chain === undefined || chain.name === wanted.chain)
        .flatMap(({ rules }) => dumpedRules(rules))
        .map((rule) =>
          this.#encode(nft.NFT_MSG_NEWRULE, state.family, ruleSchema.encode(rule), NLM_F_APPEND),
        ),
    );
  }

  #sets(family: number, attributes: Uint8Array): Answer[] {
    const { table } = setFilter.parse(attributes);
    if (table !== undefined && family !== 0) this.#named(family, table);
    return this.#inFamily(family, table).flatMap((state) =>
      [...state.sets.values()].map(({ set, elements }) =>
        this.#encode(
          nft.NFT_MSG_NEWSET,
          state.family,
          setSchema.encode({ ...set, count: countOf(set, elements.size) }),
        ),
      ),
    );
  }

  #elements(family: number, attributes: Uint8Array): Answer[] {
    const { table, set } = elementListSchema.parse(attributes);
    const state = this.#named(family, table).sets.get(set);
    if (!state) throw new Refusal('ENOENT', nft.NFTA_SET_ELEM_LIST_SET);
    return inMessages(state.elements.values()).map((elements) =>
      this.#encode(nft.NFT_MSG_NEWSETELEM, family, elementListSchema.encode({ table, set, elements })),
    );
  }

  #objects(family: number, attributes: Uint8Array): Answer[] {
    const { table, type } = objectFilter.parse(attributes);
    return this.#inFamily(family, table).flatMap((state) =>
      [...state.objects.values()]
        .filter((object) => type === undefined || object.type === type)
        .map((object) =>
          this.#encode(
            nft.NFT_MSG_NEWOBJ,
            state.family,
            objectSchema.encode({ ...object, use: 0 }),
            NLM_F_APPEND,
          ),
        ),
    );
  }
}
