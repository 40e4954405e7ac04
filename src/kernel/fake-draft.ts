import { equalBytes } from '../netlink/bytes.js';
import {
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
} from '../netlink/constants.js';
import type { Message } from '../netlink/message.js';
import { be64Field, schema, textField } from '../netlink/schema.js';
import { type Chain, chainSchema, type Hook, type HookDevice, hookDevices } from '../nftables/chain.js';
import * as nft from '../nftables/constants.js';
import { elementListSchema, type SetElement } from '../nftables/element.js';
import { parseNftablesMessage } from '../nftables/message.js';
import { objectSchema } from '../nftables/object.js';
import { ruleSchema } from '../nftables/rule.js';
import { setSchema } from '../nftables/set.js';
import { tableSchema } from '../nftables/table.js';
import { Refusal, tooLong } from './fake-answer.js';
import {
  type ChainState,
  copyTable,
  elementKey,
  newTable,
  objectKey,
  type SetState,
  type TableState,
  type Tables,
  tableKey,
} from './fake-table.js';

const tableReferenceSchema = schema<{ name?: string; handle?: bigint }>('table', {
  name: textField(nft.NFTA_TABLE_NAME),
  handle: be64Field(nft.NFTA_TABLE_HANDLE),
});

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
function checkName(name: string, attribute: number): string {
  if (Buffer.byteLength(name) >= nft.NFT_NAME_MAXLEN) throw tooLong(attribute);
  return name;
}

/**
 * The tables as a transaction would leave them, operation by operation. What it does not touch it shares with the
 * tables it began from, which never change. Each method answers as its namesake in net/netfilter/nf_tables_api.c.
 */
export class Draft {
  readonly tables: Map<string, TableState>;
  /** Whether a commit would raise the generation. */
  changed = false;
  readonly #host: DraftHost;
  readonly #owned = new Set<TableState>();
  /** Names of sets by the number that the transaction gave them. */
  readonly #setIds = new Map<number, string>();

  constructor(tables: Tables, host: DraftHost) {
    this.tables = new Map(tables);
    this.#host = host;
  }

  /** @throws Refusal, or TapwallError MALFORMED_MESSAGE. */
  apply(message: Message): void {
    const parsed = parseNftablesMessage(message);
    if (!parsed || !(message.flags & NLM_F_REQUEST)) throw new Refusal('EINVAL');
    const { operation, family, attributes } = parsed;
    const { flags } = message;
    switch (operation) {
      case nft.NFT_MSG_NEWTABLE:
        this.#newTable(family, attributes, flags);
        break;
      case nft.NFT_MSG_DELTABLE:
        this.#deleteTables(family, attributes);
        break;
      case nft.NFT_MSG_DESTROYTABLE:
        this.#destroyTable(family, attributes);
        break;
      case nft.NFT_MSG_NEWCHAIN:
        this.#newChain(family, attributes, flags);
        break;
      case nft.NFT_MSG_DELCHAIN:
        this.#deleteChain(family, attributes);
        break;
      case nft.NFT_MSG_NEWRULE:
        this.#newRule(family, attributes, flags);
        break;
      case nft.NFT_MSG_DELRULE:
        this.#deleteRules(family, attributes);
        break;
      case nft.NFT_MSG_NEWSET:
        this.#newSet(family, attributes, flags);
        break;
      case nft.NFT_MSG_DELSET:
        this.#deleteSet(family, attributes);
        break;
      case nft.NFT_MSG_NEWSETELEM:
        this.#newElements(family, attributes, flags);
        break;
      case nft.NFT_MSG_DELSETELEM:
        this.#deleteElements(family, attributes);
        break;
      case nft.NFT_MSG_NEWOBJ:
        this.#newObject(family, attributes, flags);
        break;
      case nft.NFT_MSG_DELOBJ:
        this.#deleteObject(family, attributes);
        break;
      default:
        throw new Refusal('EINVAL');
    }
  }

  /** The table, and the right to change it. */
  #table(family: number, name: string): TableState {
    const key = tableKey(family, name);
    const state = this.tables.get(key);
    if (!state) throw new Refusal('ENOENT', nft.NFTA_TABLE_NAME);
    if (this.#owned.has(state)) return state;
    const copy = copyTable(state);
    this.tables.set(key, copy);
    this.#owned.add(copy);
    return copy;
  }

  #newTable(family: number, attributes: Uint8Array, flags: number): void {
    if (!nft.familyNames.has(family)) throw new Refusal('EOPNOTSUPP');
    const table = tableSchema.parse(attributes);
    const key = tableKey(family, checkName(table.name, nft.NFTA_TABLE_NAME));
    if ((table.userdata?.length ?? 0) > nft.NFT_USERDATA_MAXLEN) throw tooLong(nft.NFTA_TABLE_USERDATA);
    if (this.tables.has(key)) {
      if (flags & NLM_F_EXCL) throw new Refusal('EEXIST', nft.NFTA_TABLE_NAME);
      if (flags & NLM_F_REPLACE) throw new Refusal('EOPNOTSUPP');
      return;
    }
    const state = newTable(family, {
      ...table,
      flags: table.flags ?? 0,
      handle: this.#host.nextTableHandle(),
    });
    this.tables.set(key, state);
    this.#owned.add(state);
    this.changed = true;
  }

  /** Without a name or handle every table of the family goes, and without a family every table. */
  #deleteTables(family: number, attributes: Uint8Array): void {
    const { name, handle } = tableReferenceSchema.parse(attributes);
    const doomed = [...this.tables].filter(
      ([, state]) =>
        (family === 0 || state.family === family) &&
        (name === undefined || state.table.name === name) &&
        (handle === undefined || state.table.handle === handle),
    );
    if (doomed.length === 0 && family !== 0) {
      if (handle !== undefined) throw new Refusal('ENOENT', nft.NFTA_TABLE_HANDLE);
      if (name !== undefined) throw new Refusal('ENOENT', nft.NFTA_TABLE_NAME);
    }
    for (const [key] of doomed) this.tables.delete(key);
    if (doomed.length > 0) this.changed = true;
  }

  #destroyTable(family: number, attributes: Uint8Array): void {
    const { name } = tableSchema.parse(attributes);
    if (this.tables.delete(tableKey(family, name))) this.changed = true;
  }

  #newChain(family: number, attributes: Uint8Array, flags: number): void {
    const chain = chainSchema.parse(attributes);
    const state = this.#table(family, chain.table);
    if (chain.name === undefined) throw new Refusal('EINVAL');
    const known = state.chains.get(checkName(chain.name, nft.NFTA_CHAIN_NAME));
    const isBase = known ? known.chain.hook !== undefined : chain.hook !== undefined;
    if (chain.policy !== undefined && !isBase) throw new Refusal('EOPNOTSUPP', nft.NFTA_CHAIN_POLICY);
    if (known) {
      if (flags & NLM_F_EXCL) throw new Refusal('EEXIST', nft.NFTA_CHAIN_NAME);
      if (flags & NLM_F_REPLACE) throw new Refusal('EOPNOTSUPP');
      this.#updateChain(known, chain);
    } else {
      const { id: _, hook, ...kept } = chain;
      const added: Chain = { ...kept, handle: ++state.lastHandle };
      if (hook) {
        const { device: _device, ...placed } = hook;
        added.hook = { ...placed, devices: this.#hookable(hookDevices(hook)) };
        added.flags = (chain.flags ?? 0) | nft.NFT_CHAIN_BASE;
      }
      state.chains.set(chain.name, { chain: added, rules: [] });
    }
    this.changed = true;
  }

  /** Devices may be added to a base chain from Linux 6.4 on; the kernel puts them in front. */
  #updateChain(state: ChainState, { hook, policy }: Chain): void {
    const { chain } = state;
    let updated: Hook | undefined = chain.hook;
    if (hook) {
      if (!updated || hook.number !== updated.number || hook.priority !== updated.priority) {
        throw new Refusal('EOPNOTSUPP');
      }
      const known = updated.devices ?? [];
      const more = hookDevices(hook).filter((one) => !known.some((other) => sameDevice(one, other)));
      updated = { ...updated, devices: [...this.#hookable(more), ...known] };
    }
    state.chain = { ...chain, ...(updated && { hook: updated }), ...(policy !== undefined && { policy }) };
  }

  #hookable(devices: HookDevice[]): HookDevice[] {
    devices.forEach((device, index) => {
      if (devices.slice(0, index).some((other) => sameDevice(device, other))) throw new Refusal('EEXIST');
      if (!this.#host.canHook(device)) throw new Refusal('ENOENT');
    });
    return devices;
  }

  /** With a hook only the devices that it names leave the chain. */
  #deleteChain(family: number, attributes: Uint8Array): void {
    const { table, name = '', hook } = chainSchema.parse(attributes);
    const chain = this.#chain(this.#table(family, table), name, nft.NFTA_CHAIN_NAME);
    this.changed = true;
    if (!hook) {
      this.#table(family, table).chains.delete(name);
      return;
    }
    const known = chain.chain.hook?.devices ?? [];
    const leaving = hookDevices(hook);
    if (!leaving.every((one) => known.some((other) => sameDevice(one, other)))) throw new Refusal('ENOENT');
    const devices = known.filter((one) => !leaving.some((other) => sameDevice(one, other)));
    if (chain.chain.hook) chain.chain = { ...chain.chain, hook: { ...chain.chain.hook, devices } };
  }

  #chain(state: TableState, name: string, attribute: number): ChainState {
    const chain = state.chains.get(name);
    if (!chain) throw new Refusal('ENOENT', attribute);
    return chain;
  }

  #newRule(family: number, attributes: Uint8Array, flags: number): void {
    const rule = ruleSchema.parse(attributes);
    const state = this.#table(family, rule.table);
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
      rules[at] = kept;
    } else {
      if (!(flags & NLM_F_CREATE) || flags & NLM_F_REPLACE) throw new Refusal('EINVAL');
      const append = (flags & NLM_F_APPEND) !== 0;
      let at = append ? rules.length : 0;
      if (position !== undefined) at = place(position, nft.NFTA_RULE_POSITION) + (append ? 1 : 0);
      rules.splice(at, 0, { ...kept, handle: ++state.lastHandle });
    }
    this.changed = true;
  }

  #deleteRules(family: number, attributes: Uint8Array): void {
    const { table, chain, handle } = ruleReferenceSchema.parse(attributes);
    const state = this.#table(family, table);
    const chains =
      chain === undefined ? [...state.chains.values()] : [this.#chain(state, chain, nft.NFTA_RULE_CHAIN)];
    if (handle !== undefined && !chains.some(({ rules }) => rules.some((rule) => rule.handle === handle))) {
      throw new Refusal('ENOENT', nft.NFTA_RULE_HANDLE);
    }
    for (const one of chains) {
      const left = handle === undefined ? [] : one.rules.filter((rule) => rule.handle !== handle);
      if (left.length !== one.rules.length) this.changed = true;
      one.rules = left;
    }
  }

  #newSet(family: number, attributes: Uint8Array, flags: number): void {
    const { id, ...set } = setSchema.parse(attributes);
    if (set.keyLength === undefined || id === undefined) throw new Refusal('EINVAL');
    const state = this.#table(family, set.table);
    const known = state.sets.get(checkName(set.name, nft.NFTA_SET_NAME))?.set;
    if (known) {
      const same = known.keyLength === set.keyLength && (known.flags ?? 0) === (set.flags ?? 0);
      if (flags & NLM_F_EXCL || !same) throw new Refusal('EEXIST', nft.NFTA_SET_NAME);
      if (flags & NLM_F_REPLACE) throw new Refusal('EOPNOTSUPP');
    } else {
      if (!(flags & NLM_F_CREATE)) throw new Refusal('ENOENT');
      set.name = this.#setName(state, set.name);
      state.sets.set(set.name, { set: { ...set, handle: ++state.lastHandle }, elements: new Map() });
    }
    this.#setIds.set(id, set.name);
    this.changed = true;
  }

  /** `__set%d` asks for the first number that is free. */
  #setName({ sets }: TableState, name: string): string {
    if (!name.includes('%d')) return name;
    for (let number = 0; ; number++) {
      const candidate = name.replace('%d', String(number));
      if (!sets.has(candidate)) return candidate;
    }
  }

  #set(state: TableState, name: string, id?: number): SetState {
    const byId = id === undefined ? undefined : this.#setIds.get(id);
    const set = state.sets.get(name) ?? (byId === undefined ? undefined : state.sets.get(byId));
    if (!set) throw new Refusal('ENOENT', nft.NFTA_SET_NAME);
    return set;
  }

  #deleteSet(family: number, attributes: Uint8Array): void {
    const { table, name } = setSchema.parse(attributes);
    const state = this.#table(family, table);
    state.sets.delete(this.#set(state, name).set.name);
    this.changed = true;
  }

  #newElements(family: number, attributes: Uint8Array, flags: number): void {
    const { table, set: name, setId, elements } = elementListSchema.parse(attributes);
    if (!elements) throw new Refusal('EINVAL');
    const set = this.#set(this.#table(family, table), name, setId);
    elements.forEach((element, entry) => {
      const key = elementKey(element);
      const known = set.elements.get(key);
      if (!known) {
        set.elements.set(key, element);
        this.changed = true;
      } else if (flags & NLM_F_EXCL || !leadsToTheSame(known, element)) {
        throw new Refusal('EEXIST', nft.NFTA_SET_ELEM_LIST_ELEMENTS, { entry });
      }
    });
  }

  /** Without elements the set is emptied. */
  #deleteElements(family: number, attributes: Uint8Array): void {
    const { table, set: name, setId, elements } = elementListSchema.parse(attributes);
    const set = this.#set(this.#table(family, table), name, setId);
    if (!elements) set.elements.clear();
    elements?.forEach((element, entry) => {
      if (set.elements.delete(elementKey(element))) return;
      throw new Refusal('ENOENT', nft.NFTA_SET_ELEM_LIST_ELEMENTS, { entry });
    });
    this.changed = true;
  }

  #newObject(family: number, attributes: Uint8Array, flags: number): void {
    const object = objectSchema.parse(attributes);
    const state = this.#table(family, object.table);
    const key = objectKey(checkName(object.name, nft.NFTA_OBJ_NAME), object.type);
    if (state.objects.has(key)) {
      if (flags & NLM_F_EXCL) throw new Refusal('EEXIST', nft.NFTA_OBJ_NAME);
      if (flags & NLM_F_REPLACE) throw new Refusal('EOPNOTSUPP');
      return;
    }
    state.objects.set(key, { ...object, handle: ++state.lastHandle });
    this.changed = true;
  }

  #deleteObject(family: number, attributes: Uint8Array): void {
    const { table, name, type } = objectSchema.parse(attributes);
    const state = this.#table(family, table);
    if (!state.objects.delete(objectKey(name, type))) throw new Refusal('ENOENT', nft.NFTA_OBJ_NAME);
    this.changed = true;
  }
}

function leadsToTheSame(a: SetElement, b: SetElement): boolean {
  if (a.object !== b.object) return false;
  if (!a.data || !b.data) return a.data === b.data;
  return equalBytes(a.data, b.data);
}
