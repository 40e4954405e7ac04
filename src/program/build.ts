import { type Problem, SourceError, TapwallError } from '../error.js';
import { NLM_F_APPEND, NLM_F_CREATE } from '../netlink/constants.js';
import { chainSchema, hookDevices } from '../nftables/chain.js';
import {
  familyNames,
  NF_NETDEV_EGRESS,
  NF_NETDEV_INGRESS,
  NFPROTO_NETDEV,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWOBJ,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFT_MSG_NEWTABLE,
  NFTA_TABLE_USERDATA,
} from '../nftables/constants.js';
import { objectSchema } from '../nftables/object.js';
import { ruleSchema } from '../nftables/rule.js';
import type { Ruleset } from '../nftables/ruleset.js';
import { setSchema } from '../nftables/set.js';
import { tableSchema } from '../nftables/table.js';
import { elementMessages } from './elements.js';
import { digestOf, firstDifference, linksIn } from './message.js';
import { MessageBuilder } from './message-builder.js';
import { deviceTableTemplate } from './name.js';
import { isKeptName, passedChains } from './passed.js';
import type { Program, ProgramMessage } from './program.js';
import { recordTemplate } from './record.js';
import {
  anonymousChainNames,
  type ChainNames,
  chainToInstall,
  elementToInstall,
  objectToInstall,
  ruleToInstall,
  setToInstall,
} from './replay.js';
import type { Markers } from './template.js';

/** One compilation of a policy: what a scratch namespace held, and what stood for the device in it. */
export interface Compilation {
  ruleset: Ruleset;
  markers: Markers;
  /** Milliseconds from before the policy was loaded to after it was dumped. */
  elapsedMs: number;
}

/** What a policy may hold and tapwall can't give to each device on its own. Refused, never dropped silently. */
function unportable(ruleset: Ruleset, markers: Markers): Problem[] {
  const problems: Problem[] = [];
  for (const { family, name } of ruleset.tables) {
    if (family === NFPROTO_NETDEV) continue;
    const words = familyNames.get(family) ?? `family ${family}`;
    problems.push({
      message: `table ${words} ${name} is not a netdev table`,
      hint: 'A policy is installed once for each device; load tables of other families by other means.',
    });
  }
  if (ruleset.flowtables > 0) {
    problems.push({
      message: 'flow tables cannot be given to each device on its own',
      hint: 'Remove the flowtable.',
    });
  }
  let hooked = false;
  for (const chain of ruleset.chains) {
    if (isKeptName(chain.name ?? '')) {
      problems.push({
        message: `the name of chain ${chain.name} is kept for tapwall, which counts there what has passed`,
        hint: 'Rename the chain.',
      });
    }
    if (!chain.hook || chain.family !== NFPROTO_NETDEV) continue;
    const [device, ...more] = hookDevices(chain.hook);
    if (device && 'name' in device && device.name === markers.name && more.length === 0) {
      hooked = true;
      continue;
    }
    const names = hookDevices(chain.hook).map((one) => {
      if ('prefix' in one) return `"${one.prefix}*"`;
      // In quotes $intf is no variable, and names a device that nobody has.
      return one.name === markers.name ? '$intf' : `"${one.name}"`;
    });
    problems.push({
      message: `base chain ${chain.name ?? ''} hooks ${names.join(', ') || 'no device'}`,
      hint: 'A policy may hook the device it is given to and no other: write device $intf, without quotes.',
    });
  }
  if (!hooked && problems.length === 0) {
    problems.push({
      message: 'no base chain hooks $intf, so the policy would filter nothing',
      hint: 'Give it a chain with: type filter hook ingress device $intf priority filter;',
    });
  }
  return problems;
}

/** An anonymous chain takes no more rules once a rule jumps to it, so its own come first (nf_tables_newrule()). */
function rulesInOrder({ rules }: Ruleset, names: ChainNames): Ruleset['rules'] {
  const isAnonymous = ({ chain }: { chain: string }) => names.has(chain);
  return [...rules.filter(isAnonymous), ...rules.filter((rule) => !isAnonymous(rule))];
}

function buildMessages(policy: string, { ruleset, markers, elapsedMs }: Compilation): ProgramMessage[] {
  const builder = new MessageBuilder(markers, deviceTableTemplate);
  const names = anonymousChainNames(ruleset.chains);
  for (const { family: _, use: _use, handle: _handle, owner: _owner, userdata, ...table } of ruleset.tables) {
    builder.add(
      NFT_MSG_NEWTABLE,
      NLM_F_CREATE,
      `NEWTABLE ${table.name}`,
      table.name,
      tableSchema.encode(table),
    );
    builder.messages.at(-1)?.attributes.push({
      type: NFTA_TABLE_USERDATA,
      flags: 0,
      ...recordTemplate(userdata, policy),
    });
  }
  const chains = ruleset.chains.map(({ family: _, ...dumped }) => chainToInstall(dumped, names));
  for (const chain of [...passedChains(ruleset, markers.name), ...chains]) {
    const attributes = chainSchema.encode(chain);
    builder.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, `NEWCHAIN ${chain.name}`, chain.table, attributes);
  }
  for (const { family: _, ...dumped } of ruleset.objects) {
    const object = objectToInstall(dumped);
    const attributes = objectSchema.encode(object);
    builder.add(NFT_MSG_NEWOBJ, NLM_F_CREATE, `NEWOBJ ${object.name}`, object.table, attributes);
  }
  ruleset.sets.forEach(({ family: _, ...dumped }, index) => {
    const set = setToInstall(dumped, index + 1, names);
    builder.add(NFT_MSG_NEWSET, NLM_F_CREATE, `NEWSET ${set.name}`, set.table, setSchema.encode(set));
  });
  ruleset.sets.forEach(({ family, table, name, timeout }, index) => {
    const list = ruleset.elements.find(
      (one) => one.family === family && one.table === table && one.set === name,
    );
    const elements = (list?.elements ?? []).map((element) =>
      elementToInstall(element, timeout, elapsedMs, names),
    );
    for (const attributes of elementMessages(
      { table: deviceTableTemplate(table), set: name, id: index + 1 },
      elements,
      builder.marking,
    )) {
      builder.messages.push({
        operation: NFT_MSG_NEWSETELEM,
        flags: NLM_F_CREATE,
        label: `NEWSETELEM ${name}`,
        attributes,
      });
    }
  });
  const counts = new Map<string, number>();
  for (const { family: _, ...dumped } of rulesInOrder(ruleset, names)) {
    const rule = ruleToInstall(dumped, names);
    const number = (counts.get(`${rule.table} ${rule.chain}`) ?? 0) + 1;
    counts.set(`${rule.table} ${rule.chain}`, number);
    const label = `NEWRULE ${rule.chain} rule ${number}`;
    builder.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, label, rule.table, ruleSchema.encode(rule));
  }
  return builder.messages;
}

/** Where two compilations with different markers differ in more than the markers. */
export class MarkerConflict extends TapwallError {
  constructor(label: string) {
    super('POLICY_NOT_PORTABLE', `${label} depends on the device in a way that tapwall cannot carry over`, {
      hint: 'Use $intf as a whole name; an expression computed from its index cannot be filled in per device.',
    });
  }
}

/**
 * Builds a program from two compilations of one policy with different markers. What differs between them, and only
 * that, depends on the device: so no byte of the user's text can be taken for a slot, and no place that depends on
 * the device can be missed.
 * @param file names the policy in problems.
 * @throws SourceError POLICY_NOT_PORTABLE for what cannot be carried over.
 * @throws MarkerConflict when the compilations differ in more than their markers.
 */
export function buildProgram(policy: string, file: string, first: Compilation, second: Compilation): Program {
  const problems = unportable(first.ruleset, first.markers);
  if (problems.length > 0) {
    throw new SourceError(
      'POLICY_NOT_PORTABLE',
      problems.map((problem) => ({ ...problem, message: `${file}: ${problem.message}` })),
    );
  }
  const messages = buildMessages(policy, first);
  const difference = firstDifference(messages, buildMessages(policy, second));
  if (difference !== undefined) throw new MarkerConflict(`${file}: ${difference}`);
  const hooks = first.ruleset.chains.flatMap(({ hook }) => (hook ? [hook.number] : []));
  return {
    policy,
    digest: digestOf(messages),
    tables: first.ruleset.tables.map(({ name }) => name),
    messages,
    hooks: { ingress: hooks.includes(NF_NETDEV_INGRESS), egress: hooks.includes(NF_NETDEV_EGRESS) },
    links: linksIn(messages),
  };
}
