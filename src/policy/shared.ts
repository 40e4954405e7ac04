import type { GuardName, InlinePolicy, NamedSet, Policy, PolicyText } from '../config/configuration.js';
import { SourceError } from '../error.js';
import { HELD_SET } from '../program/held.js';
import { checkChainText } from './chain-text.js';
import { type FactKind, factSets, type PrefixLengths } from './fact.js';
import { type Direction, guardChains, guardFacts, guardRules, INDEX } from './guard.js';
import { GUARD_NAMES } from './guard-name.js';
import { type Lane, laneOf, MOST_LANES } from './lane.js';
import { LIMITS, type LimitReason, limitDefinition, limitExpression, limitMatch, limitSet } from './limit.js';
import {
  ADMITTED_SETS,
  BY_HAND_MARK,
  DEVICE_POLICY,
  EARLY_SETS,
  type PlainMembership,
  type PolicyMembership,
} from './membership.js';
import { addNamedSet } from './named-set-text.js';
import { mayReadMark, mayReturn, type Plan, planOf, rulesOf } from './policy-plan.js';
import { MappedText, type SourceMap } from './source-map.js';
import { DEVICE_VARIABLE } from './variable.js';

/** What the text of a policy that is none is called: a device's own tables filter it, or nothing does. */
export const BY_HAND = 'by-hand';

/** The marks of policies begin here. */
export const FIRST_MARK = BY_HAND_MARK + 1;

export interface SharedInput {
  policies: readonly { policy: Policy; mark: number }[];
  /** The configuration's own sets. */
  sets: readonly NamedSet[];
  /** All that any binding uses. */
  prefixLengths: PrefixLengths;
  /**
   * How many devices a network namespace can have: the size of the sets with one element for each. With a size the
   * kernel takes its hash table that does not grow, in which a frame's lookup takes half the time
   * (nft_hash_select_ops() of net/netfilter/nft_set_hash.c), and makes a bucket of eight bytes for each three quarters
   * of an element.
   */
  mostDevices: number;
  /** Which hooks the kernel has. Every kernel with netdev chains has ingress. */
  hooks: { egress: boolean };
}

/** The table that all devices share, as one nft file. */
export interface SharedSource {
  /** Takes the variable `$intf`, the device of its base chains, which stand for all that will be. */
  text: string;
  sourceMap: SourceMap;
  /** By name. */
  policies: Map<string, PolicyMembership>;
  byHand: PolicyMembership;
  /** The sets in which frames are counted by device: `ingress.admitted`, `egress.dropped.REASON`. */
  counters: string[];
}

/** Why the door drops a frame; the last part of the name of the set that counts it. */
export type DropReason = 'unmatched' | 'policy' | GuardName | LimitReason;

/**
 * Renders the shared table: only what some policy uses.
 * @throws SourceError POLICY when rules reach beyond their chain.
 */
export function renderShared(input: SharedInput): SharedSource {
  const setNames = new Set(input.sets.map(({ name }) => name));
  const problems = input.policies.flatMap(({ policy }) =>
    DIRECTIONS.flatMap((direction) => {
      const rules = rulesOf(policy, direction);
      return rules ? checkChainText(rules, setNames) : [];
    }),
  );
  if (problems.length > 0) throw new SourceError('POLICY', problems);
  return new Renderer(input).render();
}

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** The least size of a map of policies: it need not be made anew for a few policies more. */
const FEWEST_MARKS = 64;

/**
 * The earliest priority there is. What a file's own chains drop is counted by what the door has let through to them, and no
 * guard is behind a rule of the user's.
 */
const FIRST = -(2 ** 31);

const WORDS = { ingress: 'to the VM', egress: 'from the VM' } as const;

const HELD_COMMENT = 'an element for each set of the configuration, with a digest of what that holds';

const TABLE_COMMENT =
  'tapwall: the filters of VMs on macvtap devices. ingress: to the VM, egress: from the VM';

/** What the name of a chain ends in that holds nothing but a policy's rules. */
const RULES_APART = '.rules';

/** What the name of a chain ends in that leads to a policy which has a lane. */
const BY_MARK = '.marked';

/** A mark that found the policy must not leave the host with the frame; none must be there for rules that ask for it. */
const FORGET_MARK = 'meta mark set 0';

/** The chains whose final verdicts are the user's, as a pattern that finds the direction. */
export const POLICY_CHAIN = /^policy\..+\.(ingress|egress)(?:\.rules)?$/;

function chainOf({ name }: Policy, direction: Direction): string {
  return `policy.${name}.${direction}`;
}

function countAndAccept(direction: Direction): string {
  return `${INDEX[direction]} @${ADMITTED_SETS[direction]} accept`;
}

class Renderer {
  readonly #input: SharedInput;
  readonly #directions: readonly Direction[];
  readonly #hasLanes: boolean;
  readonly #text = new MappedText();

  constructor(input: SharedInput) {
    this.#input = input;
    this.#directions = input.hooks.egress ? DIRECTIONS : ['ingress'];
    this.#hasLanes = input.policies.length <= MOST_LANES;
  }

  render(): SharedSource {
    this.#text.add('table netdev tapwall {', `\tcomment "${TABLE_COMMENT}"`);
    for (const set of this.#input.sets) addNamedSet(this.#text, set);
    if (this.#input.sets.length > 0) {
      this.#text.add(`\tset ${HELD_SET} {`, '\t\ttype mark', `\t\tcomment "${HELD_COMMENT}"`, '\t}');
    }
    this.#factSets();
    for (const { policy } of this.#input.policies) this.#laneSets(policy);
    this.#text.add(
      `\tmap ${DEVICE_POLICY} {`,
      `\t\ttype iface_index : mark; size ${this.#input.mostDevices}`,
      '\t\tcomment "the policy of each device, by its mark"',
      '\t}',
    );
    const counters = this.#directions.flatMap((direction) => this.#direction(direction));
    this.#text.add('}');
    return {
      text: this.#text.text,
      sourceMap: this.#text.sourceMap,
      policies: new Map(
        this.#input.policies.map(({ policy, mark }) => [policy.name, this.#membership(policy, mark)]),
      ),
      byHand: { mark: BY_HAND_MARK, facts: [], limits: [], plain: [] },
      counters,
    };
  }

  #membership(policy: Policy, mark: number): PolicyMembership {
    const plans = this.#directions.map((direction) => ({ direction, ...planOf(policy, direction) }));
    return {
      mark,
      facts: this.#factsOf([policy]),
      plain: this.#lanes(policy).map(
        ({ set, withMac }): PlainMembership => (withMac ? { set, withMac } : { set }),
      ),
      limits: plans.flatMap(({ limits }) =>
        limits.flatMap((limit) => {
          const rate = policy.limits[limit.key];
          return rate ? [{ set: limitSet(limit), expression: limitExpression(rate) }] : [];
        }),
      ),
    };
  }

  #factsOf(policies: readonly Policy[]): FactKind[] {
    const facts = policies.flatMap((policy) =>
      this.#directions.flatMap((direction) =>
        this.#guardsInside(planOf(policy, direction)).flatMap((guard) => guardFacts(guard, direction)),
      ),
    );
    return [...new Set(facts)];
  }

  /** The guards of a policy that are none of its lane's. */
  #guardsInside({ guards }: Plan): GuardName[] {
    return this.#hasLanes ? guards.filter((guard) => guard !== 'mac') : guards;
  }

  #lane(policy: Policy, direction: Direction): Lane {
    const checksMac = planOf(policy, direction).guards.includes('mac');
    return laneOf(policy.name, direction, { checksMac, mostDevices: this.#input.mostDevices });
  }

  /** Each set once. */
  #lanes(policy: Policy): Lane[] {
    if (!this.#hasLanes) return [];
    const lanes = this.#directions.map((direction) => this.#lane(policy, direction));
    return [...new Map(lanes.map((lane) => [lane.set, lane])).values()];
  }

  #laneSets(policy: Policy): void {
    for (const { set, type, comment } of this.#lanes(policy)) {
      this.#set(set, type, comment);
    }
  }

  /** Of all policies. */
  #plans(direction: Direction): { policy: Policy; plan: Plan }[] {
    return this.#input.policies.map(({ policy }) => ({ policy, plan: planOf(policy, direction) }));
  }

  #factSets(): void {
    const facts = this.#factsOf(this.#input.policies.map(({ policy }) => policy));
    for (const { name, type, comment } of facts.flatMap((kind) =>
      factSets(kind, this.#input.prefixLengths, this.#input.mostDevices),
    )) {
      this.#set(name, type, comment);
    }
  }

  #set(name: string, type: string, comment: string): void {
    this.#text.add(`\tset ${name} {`, `\t\t${type}`, `\t\tcomment "${comment}"`, '\t}');
  }

  #chain(name: string, comment: string, rules: readonly string[]): void {
    this.#text.add(
      `\tchain ${name} {`,
      `\t\tcomment "${comment}"`,
      ...rules.map((rule) => `\t\t${rule}`),
      '\t}',
    );
  }

  /** @returns the sets that count. */
  #direction(direction: Direction): string[] {
    const plans = this.#plans(direction);
    const guards = GUARD_NAMES.filter((guard) => plans.some(({ plan }) => plan.guards.includes(guard)));
    const limits = LIMITS.filter((limit) => plans.some(({ plan }) => plan.limits.includes(limit)));
    const decides = plans.some(
      ({ policy }) =>
        policy.kind === 'inline' && (policy.default === 'drop' || rulesOf(policy, direction) !== undefined),
    );
    const reasons: DropReason[] = [
      'unmatched',
      ...(decides ? (['policy'] as const) : []),
      ...guards,
      ...limits.map(({ reason }) => reason),
    ];
    for (const limit of limits) {
      this.#set(limitSet(limit), `type iface_index; ${limitDefinition(limit)}`, 'the limit of each device');
    }
    const type = `type iface_index; size ${this.#input.mostDevices}; counter`;
    this.#set(ADMITTED_SETS[direction], type, `what passed ${WORDS[direction]}, by device`);
    this.#counter(
      EARLY_SETS[direction],
      `what passed ${WORDS[direction]} before there was an element to count it`,
    );
    // A lookup counts in the element that it finds.
    this.#chain(`${direction}.admit`, `counts what passes ${WORDS[direction]}`, [
      countAndAccept(direction),
      `add @${EARLY_SETS[direction]} { ${INDEX[direction]} }`,
      'accept',
    ]);
    for (const reason of reasons) this.#dropped(direction, reason);
    for (const guard of guards) {
      const drop = `${direction}.dropped.${guard}`;
      const lengths = this.#input.prefixLengths;
      for (const { name, comment, rules } of guardChains(guard, direction, { drop, lengths })) {
        this.#chain(name, comment, rules);
      }
    }
    this.#chain(`${BY_HAND}.${direction}`, `${WORDS[direction]}: filtered by tables of its own, if at all`, [
      FORGET_MARK,
      `goto ${direction}.admit`,
    ]);
    for (const { policy, plan } of plans) this.#policy(direction, policy, plan);
    this.#door(direction);
    return [
      ADMITTED_SETS[direction],
      EARLY_SETS[direction],
      ...reasons.map((reason) => `${direction}.dropped.${reason}`),
    ];
  }

  #counter(set: string, comment: string): void {
    this.#set(set, 'type iface_index; size 65535; flags dynamic; counter', comment);
  }

  #dropped(direction: Direction, reason: DropReason): void {
    const name = `${direction}.dropped.${reason}`;
    this.#counter(name, `what was dropped ${WORDS[direction]}, by device; reason: ${reason}`);
    this.#chain(name, `drops what was to go ${WORDS[direction]}; reason: ${reason}`, [
      `add @${name} { ${INDEX[direction]} }`,
      'drop',
    ]);
  }

  #policy(direction: Direction, policy: Policy, plan: Plan): void {
    const { limits } = plan;
    const name = chainOf(policy, direction);
    const own = policy.kind === 'inline' ? { policy, rules: policy[direction] } : undefined;
    const apart = own?.rules && mayReturn(own.policy, own.rules);
    if (own?.rules && apart) {
      this.#text.add(`\tchain ${name}${RULES_APART} {`, `\t\tcomment "the rules of policy ${policy.name}"`);
      this.#rules(own.policy, own.rules);
      this.#text.add('\t}');
    }
    const before = [
      ...(this.#hasLanes && !mayReadMark(policy, own?.rules) ? [] : [FORGET_MARK]),
      ...this.#guardsInside(plan).flatMap((guard) =>
        guardRules(guard, direction, {
          drop: `${direction}.dropped.${guard}`,
          lengths: this.#input.prefixLengths,
        }),
      ),
      ...limits.map((limit) => `${limitMatch(limit)} goto ${direction}.dropped.${limit.reason}`),
      ...(apart ? [`jump ${name}${RULES_APART}`] : []),
    ];
    this.#text.add(
      `\tchain ${name} {`,
      `\t\tcomment "policy ${policy.name}: ${WORDS[direction]}"`,
      ...before.map((rule) => `\t\t${rule}`),
    );
    if (own?.rules && !apart) this.#rules(own.policy, own.rules);
    const isAdmitted = policy.kind === 'file' || policy.default === 'accept';
    // What most frames come to is not worth a way to another chain.
    if (isAdmitted) this.#text.add(`\t\t${countAndAccept(direction)}`);
    this.#text.add(`\t\tgoto ${direction}.${isAdmitted ? 'admit' : 'dropped.policy'}`, '\t}');
    if (!this.#hasLanes) return;
    const { set, key, withMac } = this.#lane(policy, direction);
    this.#chain(`${name}${BY_MARK}`, `policy ${policy.name}, for frames that its sets do not know`, [
      FORGET_MARK,
      ...(withMac ? [`${key} != @${set} goto ${direction}.dropped.mac`] : []),
      `goto ${name}`,
    ]);
  }

  /** A variable that is defined inside a chain is known there alone, so policies may give one name two values. */
  #rules({ variables, location }: InlinePolicy, rules: PolicyText): void {
    for (const [variable, value] of Object.entries(variables)) {
      this.#text.addFrom(location, `\t\tdefine ${variable} = ${value}`);
    }
    this.#text.addRules(rules);
  }

  /** What finds the policy of a frame's device, and drops the frame if there is none. */
  #door(direction: Direction): void {
    const map = `policy.${direction}`;
    const { policies } = this.#input;
    const chains = [
      `${BY_HAND_MARK} : goto ${BY_HAND}.${direction}`,
      ...policies.map(
        ({ policy, mark }) => `${mark} : goto ${chainOf(policy, direction)}${this.#hasLanes ? BY_MARK : ''}`,
      ),
    ];
    const lanes = policies.map(({ policy }) => {
      const { set, key } = this.#lane(policy, direction);
      return `${key} @${set} goto ${chainOf(policy, direction)}`;
    });
    this.#text.add(
      `\tmap ${map} {`,
      `\t\ttype mark : verdict; size ${Math.max(FEWEST_MARKS, 2 ** Math.ceil(Math.log2(chains.length)))}`,
      `\t\tcomment "the chain of each policy ${WORDS[direction]}, by its mark"`,
      '\t\telements = {',
      ...chains.map((chain) => `\t\t\t${chain},`),
      '\t\t}',
      '\t}',
    );
    // Two statements, with the mark between them: nft 1.0.6 cannot list a lookup in what another lookup found. One rule,
    // so that a device that the map does not know ends it: a mark that a frame came with finds no policy.
    this.#chain(`${direction}.door`, `where every frame ${WORDS[direction]} begins`, [
      ...(this.#hasLanes ? lanes : []),
      `meta mark set ${INDEX[direction]} map @${DEVICE_POLICY} meta mark vmap @${map}`,
      `goto ${direction}.dropped.unmatched`,
    ]);
    this.#chain(direction, `all devices of tapwall, ${WORDS[direction]}`, [
      `type filter hook ${direction} device $${DEVICE_VARIABLE} priority ${FIRST}; policy drop`,
      `goto ${direction}.door`,
    ]);
  }
}
