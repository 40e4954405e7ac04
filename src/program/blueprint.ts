import { TapwallError } from '../error.js';
import { concatenate, utf8 } from '../netlink/bytes.js';
import { NLM_F_APPEND, NLM_F_CREATE } from '../netlink/constants.js';
import { type Chain, chainSchema } from '../nftables/chain.js';
import {
  NFPROTO_NETDEV,
  NFT_CHAIN_BINDING,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFT_SET_ANONYMOUS,
} from '../nftables/constants.js';
import type { SetElement } from '../nftables/element.js';
import { type Rule, ruleSchema } from '../nftables/rule.js';
import type { Ruleset } from '../nftables/ruleset.js';
import { type SetDefinition, setSchema } from '../nftables/set.js';
import { encodeUserdata, readUserdata } from '../nftables/userdata.js';
import { type Compilation, MarkerConflict } from './build.js';
import { elementMessages } from './elements.js';
import type { HeldElements } from './held.js';
import { digestOf, firstDifference, linksIn } from './message.js';
import { MessageBuilder } from './message-builder.js';
import type { ProgramMessage } from './program.js';
import { chainToInstall, elementToInstall, ruleToInstall, setToInstall } from './replay.js';
import { renameSet, setReference } from './set-reference.js';
import { countElementVerdict, countVerdict, jumpTarget, type VerdictChains } from './verdict.js';

/** The one table that all devices share. */
export const SHARED_TABLE = 'tapwall';

/** What stands in the table's user data, in the place of a digest: that the table is tapwall's, and how it is made. */
export const SHARED_RECORD = 'shared 1';

/**
 * A user data type far from those libnftnl hands out upwards from 0. Under it stands what a set or a chain holds, as a
 * digest, so that the next agent can tell without reading it all. On a chain it is in the first rule: user data of
 * a chain cannot be changed.
 */
export const DIGEST_TYPE = 0xf7;

/** A chain, with the anonymous sets and chains that its rules need. */
export interface BlueprintChain {
  name: string;
  digest: string;
  /** Named sets that its rules use. */
  uses: string[];
  create: ProgramMessage;
  /** What has to be there before the rules. */
  sets: ProgramMessage[];
  chains: ProgramMessage[];
  elements: ProgramMessage[];
  rules: ProgramMessage[];
}

/** A named set or map. The elements are those of the policy; devices' own come and go later. */
export interface BlueprintSet {
  name: string;
  digest: string;
  create: ProgramMessage;
  elements: ProgramMessage[];
  /** What the configuration puts there that is not among `elements`. */
  held?: HeldElements;
}

/** What every base chain of one direction is made like. */
export interface BlueprintBase {
  chain: Chain;
  rules: Rule[];
  digest: string;
}

/** The shared table as it should be, but for hooks and devices. Plain data. */
export interface Blueprint {
  /** For whoever lists the table. */
  userdata: Uint8Array;
  sets: BlueprintSet[];
  chains: BlueprintChain[];
  /** By NF_NETDEV_INGRESS and NF_NETDEV_EGRESS. */
  bases: Map<number, BlueprintBase>;
  /** Other links that rules name. */
  links: string[];
}

/** For chains that match, where the final verdicts of their rules go. */
export type VerdictPlan = (chain: string) => VerdictChains | undefined;

const tableName = (table: string) => [{ text: table }];

/** User data with the digest behind what was there. */
export function withDigest(userdata: Uint8Array | undefined, digest: string): Uint8Array {
  return concatenate([
    userdata ?? new Uint8Array(),
    encodeUserdata([{ type: DIGEST_TYPE, value: utf8(digest) }]),
  ]);
}

/** The digest in user data; undefined when there is none. */
export function readDigest(userdata: Uint8Array | undefined): string | undefined {
  const value = readUserdata(userdata).find(({ type }) => type === DIGEST_TYPE)?.value;
  return value && Buffer.from(value).toString('latin1');
}

/** Anonymous sets and chains of one chain, in the order in which its rules come upon them. */
interface Belongings {
  rules: Rule[];
  sets: string[];
  chains: string[];
  uses: string[];
}

class BlueprintBuilder {
  readonly #ruleset: Ruleset;
  readonly #compilation: Compilation;
  readonly #verdicts: VerdictPlan;
  readonly #anonymousSets: Set<string>;
  readonly #anonymousChains: Set<string>;
  #nextSetId = 1;

  constructor(compilation: Compilation, verdicts: VerdictPlan) {
    this.#compilation = compilation;
    this.#ruleset = compilation.ruleset;
    this.#verdicts = verdicts;
    const { sets, chains } = this.#ruleset;
    this.#anonymousSets = new Set(
      sets.filter(({ flags = 0 }) => flags & NFT_SET_ANONYMOUS).map(({ name }) => name),
    );
    this.#anonymousChains = new Set(
      chains.filter(({ flags = 0 }) => flags & NFT_CHAIN_BINDING).map(({ name = '' }) => name),
    );
  }

  build(): Blueprint {
    const { tables, chains, sets } = this.#ruleset;
    const blueprint: Blueprint = {
      userdata: withDigest(tables[0]?.userdata, SHARED_RECORD),
      sets: sets.filter(({ name }) => !this.#anonymousSets.has(name)).map((set) => this.#namedSet(set)),
      chains: [],
      bases: new Map(),
      links: [],
    };
    for (const chain of chains) {
      if (chain.name === undefined || this.#anonymousChains.has(chain.name)) continue;
      if (chain.hook) blueprint.bases.set(chain.hook.number, this.#base(chain));
      else blueprint.chains.push(this.#chain(chain, chain.name));
    }
    blueprint.links = linksIn(messagesOf(blueprint));
    return blueprint;
  }

  #newBuilder(): MessageBuilder {
    return new MessageBuilder(this.#compilation.markers, tableName);
  }

  #namedSet(dumped: SetDefinition & { family?: number }): BlueprintSet {
    const { family: _, ...definition } = dumped;
    const set = setToInstall(definition, this.#nextSetId++, new Map());
    const builder = this.#newBuilder();
    const { id, ...kept } = set;
    builder.add(NFT_MSG_NEWSET, NLM_F_CREATE, `NEWSET ${set.name}`, SHARED_TABLE, setSchema.encode(kept));
    const elements = this.#elements(builder, set.name, set.name, id ?? 0, (element) => element);
    const digest = digestOf([...builder.messages, ...elements.map(withoutId)]);
    const create = this.#newBuilder();
    const userdata = withDigest(set.userdata, digest);
    create.add(
      NFT_MSG_NEWSET,
      NLM_F_CREATE,
      `NEWSET ${set.name}`,
      SHARED_TABLE,
      setSchema.encode({ ...set, userdata }),
    );
    return { name: set.name, digest, create: only(create), elements };
  }

  #base({ family: _, ...dumped }: Chain & { family?: number }): BlueprintBase {
    const { hook, ...chain } = chainToInstall(dumped, new Map());
    if (!hook) throw new TapwallError('UNKNOWN', `the chain ${chain.name} has no hook`);
    const { device: _device, devices: _devices, ...place } = hook;
    const rules = this.#belongings(chain.name ?? '').rules.map((rule) => ruleToInstall(rule, new Map()));
    const builder = this.#newBuilder();
    builder.add(NFT_MSG_NEWCHAIN, 0, 'base', SHARED_TABLE, chainSchema.encode({ ...chain, hook: place }));
    for (const rule of rules) builder.add(NFT_MSG_NEWRULE, 0, 'rule', SHARED_TABLE, ruleSchema.encode(rule));
    const digest = digestOf(builder.messages);
    return { chain: { ...chain, hook: place }, rules: recorded(rules, digest), digest };
  }

  #belongings(chain: string): Belongings {
    const found: Belongings = { rules: [], sets: [], chains: [], uses: [] };
    const visit = (name: string): void => {
      const rules = this.#ruleset.rules.filter((rule) => rule.chain === name);
      for (const expression of rules.flatMap(({ expressions = [] }) => expressions)) {
        const set = setReference(expression);
        if (set !== undefined) {
          const list = this.#anonymousSets.has(set) ? found.sets : found.uses;
          if (!list.includes(set)) list.push(set);
        }
        const target = jumpTarget(expression);
        if (target !== undefined && this.#anonymousChains.has(target) && !found.chains.includes(target)) {
          found.chains.push(target);
          visit(target);
        }
      }
      // An anonymous chain takes no more rules once a rule jumps to it, so its own come first.
      found.rules.push(...rules.map(({ family: _, ...rule }) => rule));
    };
    visit(chain);
    return found;
  }

  #chain({ family: _, ...dumped }: Chain & { family?: number }, name: string): BlueprintChain {
    const belongings = this.#belongings(name);
    const draft = this.#fill(name, belongings, (kind, at) => `__${kind}.${at}`);
    const digest = digestOf([
      ...draft.sets,
      ...draft.chains,
      ...draft.elements.map(withoutId),
      ...draft.rules,
    ]);
    const create = this.#newBuilder();
    const chain = chainToInstall(dumped, new Map());
    create.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, `NEWCHAIN ${name}`, SHARED_TABLE, chainSchema.encode(chain));
    // While a chain's rules are replaced the old ones' sets are still there, so names must not repeat.
    const filled = this.#fill(name, belongings, (kind, at) => `__${kind}.${name}.${digest}.${at}`, digest);
    return { name, digest, uses: belongings.uses, create: only(create), ...filled };
  }

  #fill(
    owner: string,
    { rules, sets, chains }: Belongings,
    nameOf: (kind: 'set' | 'chain', at: number) => string,
    digest?: string,
  ): Pick<BlueprintChain, 'sets' | 'chains' | 'elements' | 'rules'> {
    const setNames = new Map(sets.map((name, at) => [name, nameOf('set', at)]));
    const chainNames = new Map(chains.map((name, at) => [name, nameOf('chain', at)]));
    const counted = this.#verdicts(owner);
    const final = digest !== undefined;
    const builders = [this.#newBuilder(), this.#newBuilder(), this.#newBuilder()] as const;
    const [setBuilder, chainBuilder, ruleBuilder] = builders;
    const elements: ProgramMessage[] = [];
    for (const dumped of this.#ruleset.sets) {
      const name = setNames.get(dumped.name);
      if (name === undefined) continue;
      const { family: _, ...definition } = dumped;
      const id = final ? this.#nextSetId++ : 0;
      const set = { ...setToInstall(definition, id, chainNames), name };
      setBuilder.add(NFT_MSG_NEWSET, NLM_F_CREATE, `NEWSET of ${owner}`, SHARED_TABLE, setSchema.encode(set));
      elements.push(
        ...this.#elements(setBuilder, dumped.name, name, id, (element) =>
          counted ? countElementVerdict(element, counted) : element,
        ),
      );
    }
    for (const dumped of this.#ruleset.chains) {
      if (dumped.name === undefined || !chainNames.has(dumped.name)) continue;
      const { family: _, ...chain } = dumped;
      const attributes = chainSchema.encode(chainToInstall(chain, chainNames));
      chainBuilder.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, `NEWCHAIN of ${owner}`, SHARED_TABLE, attributes);
    }
    const installable = rules.map((dumped) => {
      const rule = ruleToInstall(dumped, chainNames);
      const hasCounted = rule.expressions?.some((one) => setReference(one) === counted?.counter);
      const expressions = rule.expressions?.map((expression) => {
        const renamed = renameSet(expression, setNames);
        return counted && !hasCounted ? countVerdict(renamed, counted) : renamed;
      });
      return expressions ? { ...rule, expressions } : rule;
    });
    const own = installable.findIndex(({ chain }) => chain === owner);
    installable.forEach((rule, at) => {
      const marked = final && at === own ? { ...rule, userdata: withDigest(rule.userdata, digest) } : rule;
      ruleBuilder.add(
        NFT_MSG_NEWRULE,
        NLM_F_CREATE | NLM_F_APPEND,
        `NEWRULE ${owner} rule ${at + 1}`,
        SHARED_TABLE,
        ruleSchema.encode(marked),
      );
    });
    return {
      sets: setBuilder.messages,
      chains: chainBuilder.messages,
      elements,
      rules: ruleBuilder.messages,
    };
  }

  #elements(
    builder: MessageBuilder,
    dumpedName: string,
    name: string,
    id: number,
    change: (element: SetElement) => SetElement,
  ): ProgramMessage[] {
    const { elapsedMs } = this.#compilation;
    const timeout = this.#ruleset.sets.find((set) => set.name === dumpedName)?.timeout;
    const list = this.#ruleset.elements.find(({ set }) => set === dumpedName)?.elements ?? [];
    const elements = list.map((one) => change(elementToInstall(one, timeout, elapsedMs, new Map())));
    return elementMessages({ table: tableName(SHARED_TABLE), set: name, id }, elements, builder.marking).map(
      (attributes) => ({
        operation: NFT_MSG_NEWSETELEM,
        flags: NLM_F_CREATE,
        label: `NEWSETELEM ${name}`,
        attributes,
      }),
    );
  }
}

function recorded(rules: Rule[], digest: string): Rule[] {
  return rules.map((rule, at) =>
    at === 0 ? { ...rule, userdata: withDigest(rule.userdata, digest) } : rule,
  );
}

function only({ messages }: MessageBuilder): ProgramMessage {
  const [message] = messages;
  if (!message) throw new TapwallError('UNKNOWN', 'a message was built and is not there');
  return message;
}

/** NFTA_SET_ELEM_LIST_SET_ID: a number for one transaction, no part of what a set is. */
const SET_ID = 4;

function withoutId(message: ProgramMessage): ProgramMessage {
  return { ...message, attributes: message.attributes.filter(({ type }) => type !== SET_ID) };
}

function messagesOf({ sets, chains }: Blueprint): ProgramMessage[] {
  return [
    ...sets.flatMap(({ create, elements }) => [create, ...elements]),
    ...chains.flatMap((chain) => [
      chain.create,
      ...chain.sets,
      ...chain.chains,
      ...chain.elements,
      ...chain.rules,
    ]),
  ];
}

/**
 * Builds the shared table from two compilations with different markers, as `buildProgram` does for a device's own.
 * @param verdicts says for which chains frames are counted where they are accepted or dropped.
 * @throws TapwallError POLICY_NOT_PORTABLE when the text made anything but the one table.
 * @throws MarkerConflict when the compilations differ in more than their markers.
 */
export function buildBlueprint(
  file: string,
  first: Compilation,
  second: Compilation,
  verdicts: VerdictPlan,
): Blueprint {
  const { tables, objects, flowtables } = first.ruleset;
  const [table, ...others] = tables;
  if (table?.name !== SHARED_TABLE || table.family !== NFPROTO_NETDEV || others.length > 0) {
    throw new TapwallError('POLICY_NOT_PORTABLE', `${file}: the rules made a table of their own`);
  }
  if (objects.length > 0 || flowtables > 0) {
    throw new TapwallError('POLICY_NOT_PORTABLE', `${file}: the rules made objects of their own`);
  }
  const blueprint = new BlueprintBuilder(first, verdicts).build();
  const other = new BlueprintBuilder(second, verdicts).build();
  const difference = firstDifference(messagesOf(blueprint), messagesOf(other));
  if (difference !== undefined) throw new MarkerConflict(`${file}: ${difference}`);
  return blueprint;
}
