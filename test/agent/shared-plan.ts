/** The shared table for tests, as a kernel would dump it: small, and with all kinds of what a real one has. */
import type { Plan } from '#src/agent/plan.js';
import { type Attribute, encodeAttributes, leaf } from '#src/netlink/attribute.js';
import { be32, be64, cString, host32 } from '#src/netlink/bytes.js';
import {
  NF_DROP,
  NF_NETDEV_EGRESS,
  NF_NETDEV_INGRESS,
  NFPROTO_NETDEV,
  NFT_CHAIN_BASE,
} from '#src/nftables/constants.js';
import type { Expression } from '#src/nftables/rule.js';
import type { Ruleset } from '#src/nftables/ruleset.js';
import type { SetDefinition } from '#src/nftables/set.js';
import type { FactKind } from '#src/policy/fact.js';
import { ADMITTED_SETS, BY_HAND_MARK, DEVICE_POLICY } from '#src/policy/membership.js';
import { BY_HAND, FIRST_MARK } from '#src/policy/shared.js';
import { buildBlueprint, SHARED_TABLE } from '#src/program/blueprint.js';
import type { Program } from '#src/program/program.js';
import type { Markers } from '#src/program/template.js';
import { compilations, emptyRuleset } from './program.js';

/** A policy that is installed once. */
export interface InlinePolicy {
  name: string;
  /** In each of its chains; another number is another version of the policy. */
  rules: number;
  /** What it needs to know of each device. */
  facts: readonly FactKind[];
  /** A link of the host that each rule names. */
  link: string | undefined;
  /** Every kernel refuses it: one of its rules leads to a chain that is not there. */
  hopeless: boolean;
}

export type TestPolicy = InlinePolicy | Program;

export function inline(name: string, sketch: Partial<Omit<InlinePolicy, 'name'>> = {}): InlinePolicy {
  return { rules: 1, facts: ['mac.assigned'], link: undefined, hopeless: false, ...sketch, name };
}

const NFT_SET_EVAL = 0x20;
const NFT_SET_MAP = 0x8;
const NFT_DATA_VERDICT = 0xffffff00;
/** enum nft_verdicts. */
const NFT_JUMP = -3;
const NFT_GOTO = -4;
const INDEX = { keyType: 42, keyLength: 4 };

const COUNTER: Expression = {
  name: 'counter',
  data: encodeAttributes([leaf(1, be64(0n)), leaf(2, be64(0n))]),
};

const DIRECTIONS = [
  ['ingress', NF_NETDEV_INGRESS],
  ['egress', NF_NETDEV_EGRESS],
] as const;

export const COUNTERS = DIRECTIONS.flatMap(([word]) => [
  `${word}.admitted`,
  `${word}.admitted.early`,
  `${word}.dropped.policy`,
  `${word}.dropped.unmatched`,
]);

function verdict(chain: string, code: number): Attribute {
  return leaf(2, encodeAttributes([leaf(1, be32(code >>> 0)), leaf(2, cString(chain))]));
}

function lead(chain: string, code = NFT_GOTO): Expression {
  const data = encodeAttributes([leaf(1, be32(0)), leaf(2, encodeAttributes([verdict(chain, code)]))]);
  return { name: 'immediate', data };
}

function lookup(set: string): Expression {
  return { name: 'lookup', data: encodeAttributes([leaf(1, cString(set)), leaf(2, be32(1))]) };
}

function update(set: string): Expression {
  return { name: 'dynset', data: encodeAttributes([leaf(1, cString(set)), leaf(3, be32(0))]) };
}

function compare(value: number): Expression {
  return { name: 'cmp', data: encodeAttributes([leaf(1, host32(value))]) };
}

class Dump {
  readonly ruleset: Ruleset = emptyRuleset();

  set(name: string, more: Partial<SetDefinition> = {}): void {
    this.ruleset.sets.push({ family: NFPROTO_NETDEV, table: SHARED_TABLE, name, ...INDEX, ...more });
  }

  chain(name: string, ...rules: Expression[][]): void {
    const place = { family: NFPROTO_NETDEV, table: SHARED_TABLE };
    this.ruleset.chains.push({ ...place, name, handle: 1n, use: rules.length });
    for (const expressions of rules)
      this.ruleset.rules.push({ ...place, chain: name, handle: 2n, expressions });
  }
}

/** Where every device that is admitted has an element. */
const ADMITTED: readonly string[] = Object.values(ADMITTED_SETS);

/** Marks stay with names, as the agent keeps them. */
const marks = new Map<string, number>();

export function markOf(policy: string): number {
  const mark = marks.get(policy) ?? FIRST_MARK + marks.size;
  marks.set(policy, mark);
  return mark;
}

/** Gives two policies each other's mark in the plans that are made from now on, as another agent may have. */
export function swapMarks(a: string, b: string): void {
  const [markOfA, markOfB] = [markOf(a), markOf(b)];
  marks.set(a, markOfB).set(b, markOfA);
}

function nameOf(policy: TestPolicy): string {
  return 'messages' in policy ? policy.policy : policy.name;
}

function policyChain(dump: Dump, word: 'ingress' | 'egress', policy: TestPolicy, markers: Markers): void {
  const chain = `policy.${nameOf(policy)}.${word}`;
  if ('messages' in policy) {
    dump.chain(chain, [lead(`${word}.admit`)]);
    return;
  }
  const { rules, facts, hopeless } = policy;
  const named = markers.links[0]?.index ?? rules;
  dump.chain(
    `${chain}.rules`,
    ...Array.from({ length: rules }, (_, at) => [
      compare(policy.link === undefined ? at : named),
      lead(`${word}.dropped.policy`),
    ]),
  );
  dump.chain(
    chain,
    ...(facts.length > 0 && word === 'egress' ? [[lead('egress.guard.mac', NFT_JUMP)]] : []),
    [lead(`${chain}.rules`, NFT_JUMP)],
    [lead(hopeless ? 'missing' : `${word}.admit`)],
  );
}

function dumpShared(policies: readonly TestPolicy[], markers: Markers): Ruleset {
  const dump = new Dump();
  const { ruleset } = dump;
  ruleset.tables.push({ family: NFPROTO_NETDEV, name: SHARED_TABLE, flags: 0, handle: 1n, use: 2 });
  dump.set(DEVICE_POLICY, { flags: NFT_SET_MAP, dataType: 19, dataLength: 4 });
  for (const counter of COUNTERS) {
    const flags = ADMITTED.includes(counter) ? 0 : NFT_SET_EVAL;
    dump.set(counter, { flags, expression: COUNTER });
  }
  const facts = new Set(policies.flatMap((policy) => ('facts' in policy ? policy.facts : [])));
  for (const fact of facts) dump.set(fact, { keyType: 42 << 6, keyLength: 12 });
  if (facts.size > 0) {
    dump.chain('egress.guard.mac', [lookup('mac.assigned')], [lead('egress.dropped.policy')]);
  }
  for (const [word, number] of DIRECTIONS) {
    dump.chain(
      `${word}.admit`,
      [lookup(`${word}.admitted`)],
      [update(`${word}.admitted.early`)],
      [compare(0)],
    );
    dump.chain(`${word}.dropped.policy`, [update(`${word}.dropped.policy`)], [compare(0)]);
    dump.chain(`${BY_HAND}.${word}`, [lead(`${word}.admit`)]);
    for (const policy of policies) policyChain(dump, word, policy, markers);
    const map = `policy.${word}`;
    dump.set(map, { flags: NFT_SET_MAP, dataType: NFT_DATA_VERDICT });
    const targets = [
      [BY_HAND_MARK, `${BY_HAND}.${word}`] as const,
      ...policies.map((one) => [markOf(nameOf(one)), `policy.${nameOf(one)}.${word}`] as const),
    ];
    const elements = targets.map(([mark, chain]) => ({
      key: encodeAttributes([leaf(1, host32(mark))]),
      data: encodeAttributes([verdict(chain, NFT_GOTO)]),
    }));
    ruleset.elements.push({ family: NFPROTO_NETDEV, table: SHARED_TABLE, set: map, elements });
    dump.chain(
      `${word}.door`,
      [lookup(DEVICE_POLICY)],
      [lookup(map)],
      [update(`${word}.dropped.unmatched`)],
      [compare(1)],
    );
    const place = { family: NFPROTO_NETDEV, table: SHARED_TABLE };
    const hook = { number, priority: 0, devices: [{ name: markers.name }], device: markers.name };
    const base = { type: 'filter', policy: NF_DROP, flags: NFT_CHAIN_BASE, handle: 1n, use: 1 };
    ruleset.chains.push({ ...place, name: word, hook, ...base });
    ruleset.rules.push({ ...place, chain: word, handle: 2n, expressions: [lead(`${word}.door`)] });
  }
  return ruleset;
}

/** What a plan has of the shared table and of policies. */
export function sharedPlan(
  policies: readonly TestPolicy[],
): Pick<Plan, 'blueprint' | 'policies' | 'byHand' | 'counters'> {
  const link = policies.find((policy) => 'facts' in policy && policy.link !== undefined);
  const [first, second] = compilations(link && 'facts' in link ? link.link : undefined, (markers) =>
    dumpShared(policies, markers),
  );
  return {
    blueprint: buildBlueprint('tapwall.yaml', first, second, () => undefined),
    policies: new Map(
      policies.map((policy) => {
        const name = nameOf(policy);
        const program = 'messages' in policy ? policy : undefined;
        const facts = 'facts' in policy ? policy.facts : [];
        return [name, { name, mark: markOf(name), facts, limits: [], plain: [], program }];
      }),
    ),
    byHand: { name: BY_HAND, mark: BY_HAND_MARK, facts: [], limits: [], plain: [], program: undefined },
    counters: COUNTERS,
  };
}
