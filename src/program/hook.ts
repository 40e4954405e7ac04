import type { Placement } from '../config/configuration.js';
import { leaf } from '../netlink/attribute.js';
import { cString } from '../netlink/bytes.js';
import { NLM_F_APPEND, NLM_F_CREATE } from '../netlink/constants.js';
import type { Operation } from '../nftables/batch.js';
import { chainSchema, type HookDevice } from '../nftables/chain.js';
import {
  NF_ACCEPT,
  NF_NETDEV_EGRESS,
  NF_NETDEV_INGRESS,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELRULE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFTA_RULE_CHAIN,
  NFTA_RULE_TABLE,
} from '../nftables/constants.js';
import { nftablesRequest } from '../nftables/message.js';
import { ruleSchema } from '../nftables/rule.js';
import type { BlueprintBase } from './blueprint.js';
import { SHARED_TABLE } from './blueprint.js';

/** The words for a direction, in the names of chains too. */
export const DIRECTIONS = [
  { direction: NF_NETDEV_INGRESS, word: 'ingress' },
  { direction: NF_NETDEV_EGRESS, word: 'egress' },
] as const;

/** A base chain that stands before any device does. */
export interface StandingBase {
  name: string;
  direction: number;
  devices: HookDevice[];
}

/**
 * Devices in one message: the kernel takes 255 (NFT_NETDEVICE_MAX of net/netfilter/nf_tables_api.c). nft sends a chain
 * in one message, so for what it prints to load again a chain has no more either; and its dump stays far below the
 * 32 KB past which the kernel ends the dump without a word.
 */
const DEVICES_IN_MESSAGE = 250;

/** Names in as many lists as there must be chains. */
function split(names: readonly string[]): string[][] {
  const lists: string[][] = [];
  for (let at = 0; at < names.length; at += DEVICES_IN_MESSAGE) {
    lists.push(names.slice(at, at + DEVICES_IN_MESSAGE));
  }
  return lists;
}

/**
 * The chain that a device is added to, under `device`, and under `names` one with no name in the lists. Which it is
 * follows from the index, so that no chain ever has more devices than it may.
 */
export function moreChain(word: string, index: number): string {
  return `${word}.more.${Math.floor(index / DEVICES_IN_MESSAGE)}`;
}

/** Whether devices are added to a chain one by one. */
export function isMoreChain(name: string): boolean {
  return /^(?:ingress|egress)\.more\.\d+$/.test(name);
}

/** The base chain of one device, under `chain`. */
export function deviceChain(word: string, index: number): string {
  return `${word}.device.${index}`;
}

/** @returns the index in the name of a device's own base chain; undefined for any other chain. */
export function deviceOfChain(name: string): number | undefined {
  const [, index] = /^(?:ingress|egress)\.device\.(\d+)$/.exec(name) ?? [];
  return index === undefined ? undefined : Number(index);
}

/** The base chains that a placement needs whatever devices there are. */
export function standingBases(
  placement: Placement,
  { prefixes, names }: { prefixes: readonly string[]; names: readonly string[] },
  directions: readonly number[],
): StandingBase[] {
  const bases: StandingBase[] = [];
  for (const { direction, word } of DIRECTIONS) {
    if (!directions.includes(direction)) continue;
    if (placement === 'prefix') {
      bases.push({ name: word, direction, devices: prefixes.map((prefix) => ({ prefix })) });
    }
    if (placement === 'names') {
      split(names).forEach((list, at) => {
        bases.push({ name: `${word}.names.${at}`, direction, devices: list.map((name) => ({ name })) });
      });
    }
  }
  return bases;
}

/**
 * What a frame meets on a hook before the transaction that places it is in force. The kernel places hooks while it still
 * reads the transaction, and rules are in force only at its end: until then the chain's policy alone decides. `closed`
 * drops at once; `open` leaves devices that have been in use as they were, and whatever else filters them in charge.
 */
export type Meanwhile = 'closed' | 'open';

function chainMessage(
  name: string,
  base: BlueprintBase,
  devices: HookDevice[],
  meanwhile: Meanwhile,
): Operation {
  const { hook, ...chain } = base.chain;
  const place = { number: hook?.number ?? 0, priority: hook?.priority ?? 0, devices };
  const policy = meanwhile === 'open' ? { policy: NF_ACCEPT } : {};
  const attributes = chainSchema.encode({ ...chain, ...policy, name, hook: place });
  return {
    request: nftablesRequest(NFT_MSG_NEWCHAIN, NLM_F_CREATE, attributes),
    label: `NEWCHAIN ${name}`,
  };
}

function policyMessage(name: string, policy: number): Operation {
  const attributes = chainSchema.encode({ table: SHARED_TABLE, name, policy });
  return { request: nftablesRequest(NFT_MSG_NEWCHAIN, 0, attributes), label: `policy of ${name}` };
}

/**
 * Makes a base chain with its rules and hooks, as many as one message takes. One that is open meanwhile gets its policy
 * last, which takes nothing from the door: the rules leave no frame to the policy.
 */
export function createBase(
  name: string,
  base: BlueprintBase,
  devices: readonly HookDevice[],
  meanwhile: Meanwhile,
): Operation[] {
  const operations: Operation[] = [chainMessage(name, base, [...devices], meanwhile)];
  base.rules.forEach((rule, at) => {
    const attributes = ruleSchema.encode({ ...rule, chain: name });
    operations.push({
      request: nftablesRequest(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, attributes),
      label: `NEWRULE ${name} rule ${at + 1}`,
    });
  });
  const { policy } = base.chain;
  if (meanwhile === 'open' && policy !== undefined) operations.push(policyMessage(name, policy));
  return operations;
}

/**
 * What a base chain needs in a transaction before the one that takes it away, lest it drop what the chain admits that
 * takes its place: rules end before hooks do, and then, too, the policy alone decides. The rules still drop.
 */
export function yieldBase(name: string): Operation {
  return policyMessage(name, NF_ACCEPT);
}

/**
 * Adds devices to a base chain that may or may not be there, with all its rules: before 6.14 a chain goes with its last
 * device (nft_netdev_event(), net/netfilter/nft_chain_filter.c). A message that only adds devices would make such a
 * chain anew without a rule.
 */
export function reviveBase(
  name: string,
  base: BlueprintBase,
  devices: readonly HookDevice[],
  meanwhile: Meanwhile,
): Operation[] {
  const [chain, ...rules] = createBase(name, base, devices, meanwhile);
  const attributes = [leaf(NFTA_RULE_TABLE, cString(SHARED_TABLE)), leaf(NFTA_RULE_CHAIN, cString(name))];
  const empty = { request: nftablesRequest(NFT_MSG_DELRULE, 0, attributes), label: `DELRULE of ${name}` };
  return chain ? [chain, empty, ...rules] : [];
}

/** The hook of a message that only adds or removes devices. */
function hookMessage(
  operation: number,
  word: string,
  name: string,
  base: BlueprintBase,
  devices: readonly HookDevice[],
): Operation {
  const { hook } = base.chain;
  const place = { number: hook?.number ?? 0, priority: hook?.priority ?? 0, devices: [...devices] };
  return {
    request: nftablesRequest(operation, 0, chainSchema.encode({ table: SHARED_TABLE, name, hook: place })),
    label: `${word} ${name}`,
  };
}

/** Adds devices to a base chain (6.4), as many as one message takes. */
export function addDevices(name: string, base: BlueprintBase, devices: readonly HookDevice[]): Operation {
  return hookMessage(NFT_MSG_NEWCHAIN, 'NEWCHAIN', name, base, devices);
}

/** Takes devices from a base chain, which keeps its rules. */
export function removeDevices(name: string, base: BlueprintBase, devices: readonly HookDevice[]): Operation {
  return hookMessage(NFT_MSG_DELCHAIN, 'DELCHAIN', name, base, devices);
}
