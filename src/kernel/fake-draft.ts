import { equalBytes } from '../netlink/bytes.js';
import {
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_NONREC,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
} from '../netlink/constants.js';
import type { Message } from '../netlink/message.js';
import { be64Field, schema, textField } from '../netlink/schema.js';
import * as nft from '../nftables/constants.js';
import { elementListSchema, type SetElement } from '../nftables/element.js';
import { parseNftablesMessage } from '../nftables/message.js';
import { objectSchema } from '../nftables/object.js';
import { type SetDefinition, setSchema } from '../nftables/set.js';
import { tableSchema } from '../nftables/table.js';
import { Refusal, tooLong } from './fake-answer.js';
import { ChainDraft, checkName, checkPart, type DraftHost, type DraftTables } from './fake-chain-draft.js';
import { checkReference, isSetUsed } from './fake-reference.js';
import {
  copyTable,
  elementKey,
  newTable,
  objectKey,
  type SetState,
  type TableState,
  type Tables,
  tableKey,
} from './fake-table.js';

/** NFT_TABLE_F_MASK. */
const TABLE_FLAGS = nft.NFT_TABLE_F_DORMANT | nft.NFT_TABLE_F_OWNER | nft.NFT_TABLE_F_PERSIST;

const tableReferenceSchema = schema<{ name?: string; handle?: bigint }>('table', {
  name: textField(nft.NFTA_TABLE_NAME),
  handle: be64Field(nft.NFTA_TABLE_HANDLE),
});

/**
 * The tables as a transaction would leave them, operation by operation. What it does not touch it shares with the
 * tables it began from, which never change. Each method answers as its namesake in net/netfilter/nf_tables_api.c.
 */
export class Draft implements DraftTables {
  readonly tables: Map<string, TableState>;
  /** Whether a commit would raise the generation. */
  changed = false;
  readonly host: DraftHost;
  /** The port of the socket that sends the transaction. */
  readonly port: number;
  readonly #owned = new Set<TableState>();
  readonly #updated = new Set<string>();
  readonly #chains = new ChainDraft(this);
  /** Names of sets by the number that the transaction gave them. */
  readonly #setIds = new Map<number, string>();

  constructor(tables: Tables, host: DraftHost, port: number) {
    this.tables = new Map(tables);
    this.port = port;
    this.host = host;
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
        this.#chains.newChain(family, attributes, flags);
        break;
      case nft.NFT_MSG_DELCHAIN:
        this.#chains.deleteChain(family, attributes, flags);
        break;
      case nft.NFT_MSG_NEWRULE:
        this.#chains.newRule(family, attributes, flags);
        break;
      case nft.NFT_MSG_DELRULE:
        this.#chains.deleteRules(family, attributes);
        break;
      case nft.NFT_MSG_NEWSET:
        this.#newSet(family, attributes, flags);
        break;
      case nft.NFT_MSG_DELSET:
        this.#deleteSet(family, attributes, flags);
        break;
      case nft.NFT_MSG_NEWSETELEM:
        this.#newElements(family, attributes, flags);
        break;
      case nft.NFT_MSG_DELSETELEM:
        this.#deleteElements(family, attributes);
        break;
      case nft.NFT_MSG_DESTROYSETELEM:
        this.#deleteElements(family, attributes, { mayBeGone: true });
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
  table(family: number, name: string): TableState {
    const key = tableKey(family, name);
    const state = this.tables.get(key);
    if (!state) throw new Refusal('ENOENT', nft.NFTA_TABLE_NAME);
    if (this.#isOthers(state)) throw new Refusal('EPERM', nft.NFTA_TABLE_NAME);
    if (this.#owned.has(state)) return state;
    const copy = copyTable(state);
    this.tables.set(key, copy);
    this.#owned.add(copy);
    return copy;
  }

  #isOthers({ table }: TableState): boolean {
    return table.owner !== undefined && table.owner !== this.port;
  }

  #newTable(family: number, attributes: Uint8Array, flags: number): void {
    if (!nft.familyNames.has(family)) throw new Refusal('EOPNOTSUPP');
    const table = tableSchema.parse(attributes);
    const key = tableKey(family, checkName(table.name, nft.NFTA_TABLE_NAME));
    if ((table.userdata?.length ?? 0) > nft.NFT_USERDATA_MAXLEN) throw tooLong(nft.NFTA_TABLE_USERDATA);
    const known = this.tables.get(key);
    if (known) {
      if (this.#isOthers(known)) throw new Refusal('EPERM');
      if (flags & NLM_F_EXCL) throw new Refusal('EEXIST', nft.NFTA_TABLE_NAME);
      if (flags & NLM_F_REPLACE) throw new Refusal('EOPNOTSUPP');
      if (table.flags !== undefined) this.#updateTable(key, known, table.flags);
      return;
    }
    if ((table.flags ?? 0) & ~TABLE_FLAGS) throw new Refusal('EOPNOTSUPP');
    const { owner: _, ...given } = table;
    const state = newTable(family, {
      ...given,
      ...((table.flags ?? 0) & nft.NFT_TABLE_F_OWNER && { owner: this.port }),
      flags: table.flags ?? 0,
      handle: this.host.nextTableHandle(),
    });
    this.tables.set(key, state);
    this.#owned.add(state);
    this.changed = true;
  }

  /**
   * What may become of a table's flags (nf_tables_updtable()): an orphan gets an owner, and those of a table that has
   * one stay as they are.
   */
  #updateTable(key: string, state: TableState, flags: number): void {
    const before = state.table.flags ?? 0;
    if (flags & ~TABLE_FLAGS) throw new Refusal('EOPNOTSUPP');
    if (flags === before) return;
    const { NFT_TABLE_F_OWNER: OWNER, NFT_TABLE_F_PERSIST: PERSIST } = nft;
    const isOwned = (before & OWNER) !== 0;
    const adopts = (flags & OWNER) !== 0;
    const isOrphan = !isOwned && (before & PERSIST) !== 0;
    if (isOwned || (adopts && !isOrphan) || (flags ^ before) & PERSIST) {
      throw new Refusal('EOPNOTSUPP');
    }
    const owner = flags & nft.NFT_TABLE_F_OWNER ? { owner: this.port } : {};
    const copy = { ...copyTable(state), table: { ...state.table, flags, ...owner } };
    this.tables.set(key, copy);
    this.#owned.add(copy);
    this.#updated.add(key);
    this.changed = true;
  }

  isUpdated({ family, table: { name } }: TableState): boolean {
    return this.#updated.has(tableKey(family, name));
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
    // A flush passes by what belongs to others (nft_flush()).
    const isNamed = name !== undefined || handle !== undefined;
    const others = doomed.filter(([, state]) => this.#isOthers(state));
    if (isNamed && others.length > 0) {
      throw new Refusal('EPERM', handle === undefined ? nft.NFTA_TABLE_NAME : nft.NFTA_TABLE_HANDLE);
    }
    for (const [key, state] of doomed) {
      if (this.#isOthers(state)) continue;
      this.tables.delete(key);
      this.changed = true;
    }
  }

  #destroyTable(family: number, attributes: Uint8Array): void {
    const { name } = tableSchema.parse(attributes);
    const state = this.tables.get(tableKey(family, name));
    if (state && this.#isOthers(state)) throw new Refusal('EPERM', nft.NFTA_TABLE_NAME);
    if (this.tables.delete(tableKey(family, name))) this.changed = true;
  }

  #newSet(family: number, attributes: Uint8Array, flags: number): void {
    const { id, ...set } = setSchema.parse(attributes);
    if (set.keyLength === undefined || id === undefined) throw new Refusal('EINVAL');
    const state = this.table(family, set.table);
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

  #deleteSet(family: number, attributes: Uint8Array, flags: number): void {
    const { table, name } = setSchema.parse(attributes);
    const state = this.table(family, table);
    const { set, elements } = this.#set(state, name);
    if (isSetUsed(state, set.name) || (flags & NLM_F_NONREC && elements.size > 0)) {
      throw new Refusal('EBUSY', nft.NFTA_SET_NAME);
    }
    state.sets.delete(set.name);
    this.changed = true;
  }

  #newElements(family: number, attributes: Uint8Array, flags: number): void {
    const { table, set: name, setId, elements } = elementListSchema.parse(attributes);
    if (!elements) throw new Refusal('EINVAL');
    const state = this.table(family, table);
    const { set, elements: present } = this.#set(state, name, setId);
    elements.forEach((element, entry) => {
      const key = elementKey(element);
      const known = present.get(key);
      if (!known) {
        checkPart(nft.NFTA_SET_ELEM_LIST_ELEMENTS, entry, () => checkReference(state, element));
        present.set(key, withExpressions(element, set));
        this.changed = true;
      } else if (flags & NLM_F_EXCL || !leadsToTheSame(known, element)) {
        throw new Refusal('EEXIST', nft.NFTA_SET_ELEM_LIST_ELEMENTS, { entry });
      }
    });
  }

  /** Without elements the set is emptied. */
  #deleteElements(family: number, attributes: Uint8Array, { mayBeGone = false } = {}): void {
    const { table, set: name, setId, elements } = elementListSchema.parse(attributes);
    const set = this.#set(this.table(family, table), name, setId);
    if (!elements) {
      set.elements.clear();
      this.changed = true;
    }
    elements?.forEach((element, entry) => {
      if (set.elements.delete(elementKey(element))) this.changed = true;
      else if (!mayBeGone) throw new Refusal('ENOENT', nft.NFTA_SET_ELEM_LIST_ELEMENTS, { entry });
    });
  }

  #newObject(family: number, attributes: Uint8Array, flags: number): void {
    const object = objectSchema.parse(attributes);
    const state = this.table(family, object.table);
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
    const state = this.table(family, table);
    if (!state.objects.delete(objectKey(name, type))) throw new Refusal('ENOENT', nft.NFTA_OBJ_NAME);
    this.changed = true;
  }
}

function leadsToTheSame(a: SetElement, b: SetElement): boolean {
  if (a.object !== b.object) return false;
  if (!a.data || !b.data) return a.data === b.data;
  return equalBytes(a.data, b.data);
}

/** An element has the expressions that its set gives to each, unless it brings its own (nft_set_elem_expr_clone()). */
function withExpressions(element: SetElement, { expression, expressions }: SetDefinition): SetElement {
  if (element.expression || element.expressions) return element;
  return { ...element, ...(expression && { expression }), ...(expressions && { expressions }) };
}
