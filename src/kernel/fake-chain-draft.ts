import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_NONREC, NLM_F_REPLACE } from '../netlink/constants.js';
import { be64Field, schema, textField } from '../netlink/schema.js';
import { type Chain, chainSchema, type Hook, type HookDevice, hookDevices } from '../nftables/chain.js';
import * as nft from '../nftables/constants.js';
import { type Rule, ruleSchema } from '../nftables/rule.js';
import { Refusal, tooLong } from './fake-answer.js';
import { checkReference, releaseRule, usesOfChain } from './fake-reference.js';
import { type ChainState, type TableState, tableKey } from './fake-table.js';

/** What a DELRULE may leave away: without a handle all rules of the chain go, without a chain all of the table. */
const ruleReferenceSchema = schema<{ table: string; chain?: string; handle?: bigint }>(
  'rule',
  {
    table: textField(nft.NFTA_RULE_TABLE),
    chain: textField(nft.NFTA_RULE_CHAIN),
    handle: be64Field(nft.NFTA_RULE_HANDLE),
  },
  ['table'],
);

/** What a draft asks of the rest of the fake kernel. */
export interface DraftHost {
  /** False for a hook that cannot be placed, because there is no such device and it has to be there. */
  canHook(device: HookDevice): boolean;
  nextTableHandle(): bigint;
}

function sameDevice(a: HookDevice, b: HookDevice): boolean {
  if ('name' in a) return 'name' in b && a.name === b.name;
  return 'prefix' in b && a.prefix === b.prefix;
}

/** A name with the kernel's limit; its attribute's type tells where the refusal points. */
export function checkName(name: string, attribute: number): string {
  if (Buffer.byteLength(name) >= nft.NFT_NAME_MAXLEN) throw tooLong(attribute);
  return name;
}

/** What the parts of a draft share. */
export interface DraftTables {
  readonly host: DraftHost;
  /** Whether a commit would raise the generation. */
  changed: boolean;
  /** A table that may be changed. @throws Refusal ENOENT */
  table(family: number, name: string): TableState;
  /** Whether the transaction changes the table's flags: no hook comes or goes in it then (__NFT_TABLE_F_UPDATE). */
  isUpdated(table: TableState): boolean;
}

/** Chains and rules in one transaction of the fake kernel. */
export class ChainDraft {
  readonly #draft: DraftTables;
  /** Devices that the transaction has added to chains which were there, by table. */
  readonly #added = new Map<string, { chain: string; device: HookDevice }[]>();

  constructor(draft: DraftTables) {
    this.#draft = draft;
  }

  newChain(family: number, attributes: Uint8Array, flags: number): void {
    const chain = chainSchema.parse(attributes);
    const state = this.#draft.table(family, chain.table);
    if (chain.name === undefined) throw new Refusal('EINVAL');
    const known = state.chains.get(checkName(chain.name, nft.NFTA_CHAIN_NAME));
    const isBase = known ? known.chain.hook !== undefined : chain.hook !== undefined;
    if (chain.policy !== undefined && !isBase) throw new Refusal('EOPNOTSUPP', nft.NFTA_CHAIN_POLICY);
    if (known) {
      if (flags & NLM_F_EXCL) throw new Refusal('EEXIST', nft.NFTA_CHAIN_NAME);
      if (flags & NLM_F_REPLACE) throw new Refusal('EOPNOTSUPP');
      this.#updateChain(state, known, chain);
    } else {
      const { id: _, hook, ...kept } = chain;
      const added: Chain = { ...kept, handle: ++state.lastHandle };
      if (hook) {
        if (this.#draft.isUpdated(state)) throw new Refusal('EINVAL');
        const { device: _device, ...placed } = hook;
        added.hook = { ...placed, devices: this.#hookable(hookDevices(hook)) };
        added.flags = (chain.flags ?? 0) | nft.NFT_CHAIN_BASE;
      }
      state.chains.set(chain.name, { chain: added, rules: [] });
    }
    this.#draft.changed = true;
  }

  /** Devices may be added to a base chain from Linux 6.4 on; the kernel puts them in front. */
  #updateChain(table: TableState, state: ChainState, { hook, policy }: Chain): void {
    const { chain } = state;
    let updated: Hook | undefined = chain.hook;
    if (hook) {
      if (!updated || hook.number !== updated.number || hook.priority !== updated.priority) {
        throw new Refusal('EOPNOTSUPP');
      }
      if (this.#draft.isUpdated(table)) throw new Refusal('EOPNOTSUPP', nft.NFTA_CHAIN_NAME);
      const known = updated.devices ?? [];
      const more = this.#hookable(hookDevices(hook)).filter(
        (one) => !known.some((other) => sameDevice(one, other)) || this.#isAdded(table, one),
      );
      // Once in a transaction, whichever chain it is (nft_chain_update()).
      if (more.some((one) => this.#isAdded(table, one))) throw new Refusal('EEXIST');
      for (const device of more) this.#addedTo(table).push({ chain: chain.name ?? '', device });
      updated = { ...updated, devices: [...more, ...known] };
    }
    state.chain = { ...chain, ...(updated && { hook: updated }), ...(policy !== undefined && { policy }) };
  }

  #addedTo({ family, table: { name } }: TableState): { chain: string; device: HookDevice }[] {
    const key = tableKey(family, name);
    const known = this.#added.get(key) ?? [];
    this.#added.set(key, known);
    return known;
  }

  #isAdded(table: TableState, device: HookDevice, name?: string): boolean {
    return this.#addedTo(table).some(
      (one) => (name === undefined || one.chain === name) && sameDevice(one.device, device),
    );
  }

  #hookable(devices: HookDevice[]): HookDevice[] {
    devices.forEach((device, index) => {
      if (devices.slice(0, index).some((other) => sameDevice(device, other))) throw new Refusal('EEXIST');
      if (!this.#draft.host.canHook(device)) throw new Refusal('ENOENT');
    });
    return devices;
  }

  /** With a hook only the devices that it names leave the chain; without, its rules go with it. */
  deleteChain(family: number, attributes: Uint8Array, flags: number): void {
    const { table, name = '', hook } = chainSchema.parse(attributes);
    const state = this.#draft.table(family, table);
    const chain = this.#chain(state, name, nft.NFTA_CHAIN_NAME);
    this.#draft.changed = true;
    if (hook) {
      this.#removeDevices(state, chain, hookDevices(hook));
      return;
    }
    if (flags & NLM_F_NONREC && chain.rules.length > 0) throw new Refusal('EBUSY');
    if (usesOfChain(state, name) > 0) throw new Refusal('EBUSY', nft.NFTA_CHAIN_NAME);
    state.chains.delete(name);
    for (const rule of chain.rules) releaseRule(state, rule);
  }

  #removeDevices(table: TableState, state: ChainState, leaving: HookDevice[]): void {
    const { hook, name } = state.chain;
    const known = hook?.devices ?? [];
    if (this.#draft.isUpdated(table)) throw new Refusal('EOPNOTSUPP');
    for (const one of leaving) {
      // What the transaction itself has added is in the chain only when it is in force (nft_delchain_hook()).
      const there = known.some((other) => sameDevice(one, other)) && !this.#isAdded(table, one, name);
      if (!there) throw new Refusal('ENOENT');
    }
    const devices = known.filter((one) => !leaving.some((other) => sameDevice(one, other)));
    if (hook) state.chain = { ...state.chain, hook: { ...hook, devices } };
  }

  #chain(state: TableState, name: string, attribute: number): ChainState {
    const chain = state.chains.get(name);
    if (!chain) throw new Refusal('ENOENT', attribute);
    return chain;
  }

  newRule(family: number, attributes: Uint8Array, flags: number): void {
    const rule = ruleSchema.parse(attributes);
    const state = this.#draft.table(family, rule.table);
    const { rules } = this.#chain(state, rule.chain, nft.NFTA_RULE_CHAIN);
    const { position, ...kept } = rule;
    const place = (handle: bigint, attribute: number) => {
      const at = rules.findIndex((one) => one.handle === handle);
      if (at < 0) throw new Refusal('ENOENT', attribute);
      return at;
    };
    if (rule.handle !== undefined) {
      const at = place(rule.handle, nft.NFTA_RULE_HANDLE);
      if (flags & NLM_F_EXCL) throw new Refusal('EEXIST', nft.NFTA_RULE_HANDLE);
      if (!(flags & NLM_F_REPLACE)) throw new Refusal('EOPNOTSUPP');
      checkRule(state, kept);
      const [replaced] = rules.splice(at, 1, kept);
      if (replaced) releaseRule(state, replaced);
    } else {
      if (!(flags & NLM_F_CREATE) || flags & NLM_F_REPLACE) throw new Refusal('EINVAL');
      const append = (flags & NLM_F_APPEND) !== 0;
      let at = append ? rules.length : 0;
      if (position !== undefined) at = place(position, nft.NFTA_RULE_POSITION) + (append ? 1 : 0);
      checkRule(state, kept);
      rules.splice(at, 0, { ...kept, handle: ++state.lastHandle });
    }
    this.#draft.changed = true;
  }

  deleteRules(family: number, attributes: Uint8Array): void {
    const { table, chain, handle } = ruleReferenceSchema.parse(attributes);
    const state = this.#draft.table(family, table);
    const chains =
      chain === undefined ? [...state.chains.values()] : [this.#chain(state, chain, nft.NFTA_RULE_CHAIN)];
    if (handle !== undefined && !chains.some(({ rules }) => rules.some((rule) => rule.handle === handle))) {
      throw new Refusal('ENOENT', nft.NFTA_RULE_HANDLE);
    }
    for (const one of chains) {
      const gone = handle === undefined ? one.rules : one.rules.filter((rule) => rule.handle === handle);
      if (gone.length > 0) this.#draft.changed = true;
      one.rules = one.rules.filter((rule) => !gone.includes(rule));
      for (const rule of gone) releaseRule(state, rule);
    }
  }
}

function checkRule(state: TableState, { expressions = [] }: Rule): void {
  expressions.forEach((expression, entry) => {
    checkPart(nft.NFTA_RULE_EXPRESSIONS, entry, () => checkReference(state, expression));
  });
}

/** A refusal of one entry of a list points at that entry. */
export function checkPart(attribute: number, entry: number, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (error instanceof Refusal) throw new Refusal(error.errno, attribute, { entry, text: error.text });
    throw error;
  }
}
