import { encodeAttributes, parseAttributes, readBe32 } from '../netlink/attribute.js';
import { concatenate } from '../netlink/bytes.js';
import { NLM_F_ACK } from '../netlink/constants.js';
import { errnoName } from '../netlink/error.js';
import type { Message } from '../netlink/message.js';
import type { HookDevice } from '../nftables/chain.js';
import {
  NFNL_BATCH_GENID,
  NFNL_MSG_BATCH_END,
  NFT_MSG_DELTABLE,
  NFT_MSG_DESTROYTABLE,
  NFT_MSG_NEWGEN,
  NFT_TABLE_F_OWNER,
  NFT_TABLE_F_PERSIST,
} from '../nftables/constants.js';
import { generationSchema } from '../nftables/generation.js';
import { generalHeader, messageType, NFGENMSG_LENGTH } from '../nftables/message.js';
import { tableSchema } from '../nftables/table.js';
import { type Answer, acknowledge, Refusal, refusalOf } from './fake-answer.js';
import { Draft } from './fake-draft.js';
import { Dump } from './fake-dump.js';
import { describeOperation, type FakeOperation } from './fake-operation.js';
import { releaseRule } from './fake-reference.js';
import type { FakeSocket } from './fake-socket.js';
import { copyTable, type FakeTable, snapshot, type TableState, type Tables } from './fake-table.js';

/** One transaction that the fake kernel was sent. */
export interface FakeTransaction {
  /** Inode of the network namespace it was for. */
  namespace: bigint;
  /** In the order in which they were sent, without BATCH_BEGIN and BATCH_END. */
  operations: FakeOperation[];
}

/** A transaction of which nothing came into force. */
export interface FakeRefusal extends FakeTransaction {
  /** The name of the first error: `ENOENT`, … */
  code: string;
  /** Which of the operations it was for; -1 for the transaction as a whole. */
  operation: number;
}

/** What all namespaces of a fake kernel share. */
export interface Journal {
  transactions: FakeTransaction[];
  refusals: FakeRefusal[];
  /** Called after each transaction that came into force. */
  onTransaction: (() => void) | undefined;
}

/** nf_tables in one network namespace of a fake kernel. */
export class FakeNftables {
  readonly #namespace: bigint;
  readonly #journal: Journal;
  readonly #canHook: (device: HookDevice) => boolean;
  /** The sockets that joined NFNLGRP_NFTABLES. */
  readonly listeners = new Set<FakeSocket>();
  /** What the next transactions are refused with, whatever is in them. */
  readonly injected: Refusal[] = [];
  /** How the system calls of the next transactions fail, and whether these come into force all the same. */
  readonly failures: { error: Error; isInForce: boolean }[] = [];
  #tables: Tables = new Map();
  /** A new namespace begins with 1. */
  #generation = 1;
  #tableHandles = 0n;

  constructor(namespace: bigint, journal: Journal, canHook: (device: HookDevice) => boolean) {
    this.#namespace = namespace;
    this.#journal = journal;
    this.#canHook = canHook;
  }

  get generation(): number {
    return this.#generation;
  }

  snapshot(): FakeTable[] {
    return [...this.#tables.values()].map(snapshot);
  }

  /**
   * What becomes of hooks before Linux 6.16, where they stand on devices and not on names: they follow a device to its
   * next name, and go with it. A chain goes with its last device (before 6.14; nft_netdev_event(),
   * net/netfilter/nft_chain_filter.c). Nothing of it is a transaction.
   * @param renamed undefined for a device that is gone.
   */
  followDevice(name: string, renamed: string | undefined): void {
    const tables = new Map(this.#tables);
    for (const [key, table] of this.#tables) {
      const state = copyTable(table);
      if (moveHooks(state, name, renamed)) tables.set(key, state);
    }
    this.#tables = tables;
  }

  /** Answers a GET request. Whatever changes something belongs into a batch. */
  answer(message: Message): Answer[] {
    return new Dump(this.#tables, this.#generation).answer(message);
  }

  /**
   * Runs a batch, as nfnetlink_rcv_batch() does (net/netfilter/nfnetlink.c): it reads on after an error, so that all
   * errors are told, and acknowledges also what went well in a batch that fails. Without its end, or with any error,
   * nothing of it comes into force.
   */
  transact(messages: readonly Message[], portId: number): Uint8Array[] {
    const failure = this.failures.shift();
    if (!failure) return this.#transact(messages, portId);
    if (failure.isInForce) this.#transact(messages, portId);
    throw failure.error;
  }

  #transact([begin, ...rest]: readonly Message[], portId: number): Uint8Array[] {
    if (!begin) return [];
    const end = rest.findIndex(({ type }) => type === NFNL_MSG_BATCH_END);
    const requests = end < 0 ? rest : rest.slice(0, end);
    const operations = requests.map(describeOperation);
    const refused = (code: string, operation: number) =>
      this.#journal.refusals.push({ namespace: this.#namespace, operations, code, operation });
    const unfit = refusalOf(() => this.#checkGeneration(begin));
    if (unfit) {
      refused(errnoName(unfit.errno), -1);
      return [acknowledge(begin, portId, unfit)];
    }
    const injected = requests.length > 0 ? this.injected.shift() : undefined;
    const host = { canHook: this.#canHook, nextTableHandle: () => ++this.#tableHandles };
    const draft = new Draft(this.#tables, host, portId);
    const answers: Uint8Array[] = [];
    const told: Answer[] = [];
    let failed = false;
    let changed = false;
    requests.forEach((request, index) => {
      const isLast = index === requests.length - 1;
      draft.changed = false;
      const before = new Map(draft.tables);
      const refusal = refusalOf(() => draft.apply(request)) ?? (isLast ? injected : undefined);
      if (draft.changed) told.push(...notificationsOf(request, before, draft.tables));
      changed ||= draft.changed;
      if (refusal || request.flags & NLM_F_ACK) answers.push(acknowledge(request, portId, refusal));
      if (refusal && !failed) refused(errnoName(refusal.errno), index);
      failed ||= refusal !== undefined;
    });
    if (!failed && end >= 0) {
      draft.changed = changed;
      this.#commit(draft, operations);
      if (changed) this.#tell(told, portId);
    }
    return answers;
  }

  /** What a transaction has done, and then whose it was (nf_tables_gen_notify()). */
  #tell(told: readonly Answer[], portId: number): void {
    const who = { id: this.#generation, processId: portId, processName: 'fake' };
    const payload = concatenate([
      generalHeader(0, this.#generation & 0xffff),
      encodeAttributes(generationSchema.encode(who)),
    ]);
    const end: Answer = { type: messageType(NFT_MSG_NEWGEN), flags: 0, payload };
    for (const listener of this.listeners) for (const one of [...told, end]) listener.notify(one, portId);
  }

  /** A socket was closed: its tables go, but for those that persist. Nothing tells of it (nft_rcv_nl_event()). */
  release(portId: number): void {
    const tables = new Map(this.#tables);
    for (const [key, state] of this.#tables) {
      const { owner, flags = 0, ...table } = state.table;
      if (owner !== portId) continue;
      if (flags & NFT_TABLE_F_PERSIST) {
        tables.set(key, { ...state, table: { ...table, flags: flags & ~NFT_TABLE_F_OWNER } });
      } else tables.delete(key);
    }
    this.#tables = tables;
  }

  /** A transaction may say which generation it was made for; 0 is any. */
  #checkGeneration({ payload }: Message): void {
    const attribute = parseAttributes(payload.subarray(NFGENMSG_LENGTH)).find(
      ({ type }) => type === NFNL_BATCH_GENID,
    );
    const wanted = attribute ? readBe32(attribute) : 0;
    if (wanted !== 0 && wanted !== this.#generation) throw new Refusal('ERESTART');
  }

  #commit(draft: Draft, operations: FakeOperation[]): void {
    if (operations.length > 0) this.#journal.transactions.push({ namespace: this.#namespace, operations });
    this.#tables = draft.tables;
    if (draft.changed) this.#generation++;
    this.#journal.onTransaction?.();
  }
}

/** A flush names no table, and is told of table by table. What goes with a table isn't told of here. */
function notificationsOf({ type, payload }: Message, before: Tables, after: Tables): Answer[] {
  const isDeletion = (type & 0xff) === NFT_MSG_DELTABLE || (type & 0xff) === NFT_MSG_DESTROYTABLE;
  if (!isDeletion) return [{ type, flags: 0, payload }];
  const gone = [...before].filter(([key]) => !after.has(key));
  return gone.map(([, { family, table }]) => ({
    type: messageType(NFT_MSG_DELTABLE),
    flags: 0,
    payload: concatenate([generalHeader(family), encodeAttributes(tableSchema.encode({ name: table.name }))]),
  }));
}

/** @returns whether a chain of the table hooked the device. */
function moveHooks(state: TableState, name: string, renamed: string | undefined): boolean {
  let moved = false;
  for (const [chainName, chainState] of [...state.chains]) {
    const { chain, rules } = chainState;
    const devices = chain.hook?.devices ?? [];
    if (!chain.hook || !devices.some((device) => 'name' in device && device.name === name)) continue;
    moved = true;
    const left = devices.flatMap((device) => {
      if (!('name' in device) || device.name !== name) return [device];
      return renamed === undefined ? [] : [{ name: renamed }];
    });
    chainState.chain = { ...chain, hook: { ...chain.hook, devices: left } };
    if (left.length > 0) continue;
    state.chains.delete(chainName);
    for (const rule of rules) releaseRule(state, rule);
  }
  return moved;
}
