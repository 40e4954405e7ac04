/** What other programs do to tapwall's tables, on a fake kernel. */
import assert from 'node:assert/strict';
import type { FakeKernel, FakeTable } from '#src/kernel/fake.js';
import { type Attribute, leaf } from '#src/netlink/attribute.js';
import { be64, cString } from '#src/netlink/bytes.js';
import { NETLINK_NETFILTER, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE } from '#src/netlink/constants.js';
import { encodeBatch } from '#src/nftables/batch.js';
import { chainSchema, hookDevices } from '#src/nftables/chain.js';
import {
  NF_ACCEPT,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSETELEM,
  NFT_MSG_DELTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSETELEM,
  NFT_MSG_NEWTABLE,
  NFT_TABLE_F_DORMANT,
  NFTA_CHAIN_NAME,
  NFTA_RULE_CHAIN,
  NFTA_RULE_HANDLE,
  NFTA_TABLE_NAME,
} from '#src/nftables/constants.js';
import { elementListSchema, type SetElement } from '#src/nftables/element.js';
import { nftablesRequest } from '#src/nftables/message.js';
import { ruleSchema } from '#src/nftables/rule.js';
import { tableSchema } from '#src/nftables/table.js';

type Message = [operation: number, attributes: Attribute[], flags?: number];

/** One transaction of another process. */
export function byOthers(kernel: FakeKernel, ...messages: Message[]): void {
  const socket = kernel.openSocket({ protocol: NETLINK_NETFILTER });
  const steps = messages.map(([operation, attributes, flags = 0]) => ({
    request: nftablesRequest(operation, flags, attributes),
    label: String(operation),
  }));
  socket.commitWith(steps.length + 2, (sequence) => encodeBatch(steps, sequence));
  socket.close();
  kernel.transactions.length = 0;
}

/** What `nft flush ruleset` does. */
export function flushByOthers(kernel: FakeKernel): void {
  const socket = kernel.openSocket({ protocol: NETLINK_NETFILTER });
  const steps = [{ request: nftablesRequest(NFT_MSG_DELTABLE, 0, [], 0), label: 'flush' }];
  socket.commitWith(3, (sequence) => encodeBatch(steps, sequence));
  socket.close();
}

function tableOf(kernel: FakeKernel, name: string): FakeTable {
  const table = kernel.tables().find((one) => one.name === name);
  assert.ok(table, `there is no table ${name}`);
  return table;
}

function chainOf(kernel: FakeKernel, table: string, name: string) {
  const chain = tableOf(kernel, table).chains.find((one) => one.name === name);
  assert.ok(chain, `there is no chain ${name}`);
  return chain;
}

const ofTable = (name: string) => leaf(NFTA_TABLE_NAME, cString(name));

/** Puts a rule that does nothing in front of all others. */
export function insertRule(kernel: FakeKernel, table: string, chain: string): void {
  byOthers(kernel, [NFT_MSG_NEWRULE, ruleSchema.encode({ table, chain, expressions: [] }), NLM_F_CREATE]);
}

/** Puts a rule that does nothing behind all others. */
export function appendRule(kernel: FakeKernel, table: string, chain: string): void {
  const rule = ruleSchema.encode({ table, chain, expressions: [] });
  byOthers(kernel, [NFT_MSG_NEWRULE, rule, NLM_F_CREATE | NLM_F_APPEND]);
}

/** Puts a rule that does nothing in the place of the first. */
export function replaceRule(kernel: FakeKernel, table: string, chain: string): void {
  const handle = chainOf(kernel, table, chain).rules[0]?.handle;
  assert.ok(handle !== undefined);
  const rule = ruleSchema.encode({ table, chain, handle, expressions: [] });
  byOthers(kernel, [NFT_MSG_NEWRULE, rule, NLM_F_REPLACE]);
}

/** @param at counts from 0. */
export function deleteRule(kernel: FakeKernel, table: string, chain: string, at: number): void {
  const handle = chainOf(kernel, table, chain).rules[at]?.handle;
  assert.ok(handle !== undefined);
  const which = [ofTable(table), leaf(NFTA_RULE_CHAIN, cString(chain)), leaf(NFTA_RULE_HANDLE, be64(handle))];
  byOthers(kernel, [NFT_MSG_DELRULE, which]);
}

export function emptyChain(kernel: FakeKernel, table: string, chain: string): void {
  byOthers(kernel, [NFT_MSG_DELRULE, [ofTable(table), leaf(NFTA_RULE_CHAIN, cString(chain))]]);
}

export function deleteChain(kernel: FakeKernel, table: string, chain: string): void {
  const which = [ofTable(table), leaf(NFTA_CHAIN_NAME, cString(chain))];
  byOthers(
    kernel,
    [NFT_MSG_DELRULE, [ofTable(table), leaf(NFTA_RULE_CHAIN, cString(chain))]],
    [NFT_MSG_DELCHAIN, which],
  );
}

/** Lets a base chain accept what its rules leave to it. */
export function openChain(kernel: FakeKernel, table: string, name: string): void {
  byOthers(kernel, [NFT_MSG_NEWCHAIN, chainSchema.encode({ table, name, policy: NF_ACCEPT })]);
}

/** Takes the first hook from a base chain. */
export function unhook(kernel: FakeKernel, table: string, name: string): void {
  const { hook } = chainOf(kernel, table, name);
  assert.ok(hook);
  const place = { number: hook.number, priority: hook.priority, devices: hookDevices(hook).slice(0, 1) };
  byOthers(kernel, [NFT_MSG_DELCHAIN, chainSchema.encode({ table, name, hook: place })]);
}

function change(kernel: FakeKernel, operation: number, table: string, set: string, elements: SetElement[]) {
  byOthers(kernel, [operation, elementListSchema.encode({ table, set, elements }), NLM_F_CREATE]);
}

export function addElement(kernel: FakeKernel, table: string, set: string, element: SetElement): void {
  change(kernel, NFT_MSG_NEWSETELEM, table, set, [element]);
}

/** The first, or all that there are. */
export function deleteElements(kernel: FakeKernel, table: string, set: string): void {
  const elements = tableOf(kernel, table).sets.find(({ name }) => name === set)?.elements ?? [];
  assert.ok(elements.length > 0, `the set ${set} is empty`);
  change(
    kernel,
    NFT_MSG_DELSETELEM,
    table,
    set,
    elements.map(({ key = new Uint8Array() }) => ({ key })),
  );
}

/** Takes the hooks of a whole table out of force. */
export function putToSleep(kernel: FakeKernel, name: string): void {
  const { flags = 0 } = tableOf(kernel, name);
  byOthers(kernel, [NFT_MSG_NEWTABLE, tableSchema.encode({ name, flags: flags | NFT_TABLE_F_DORMANT })]);
}
