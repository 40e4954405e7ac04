/** Small programs: what policies that are files become, for one device each. */
import { encodeAttributes, leaf } from '#src/netlink/attribute.js';
import { host32 } from '#src/netlink/bytes.js';
import {
  NF_ACCEPT,
  NF_NETDEV_EGRESS,
  NF_NETDEV_INGRESS,
  NFPROTO_NETDEV,
  NFT_CHAIN_BASE,
} from '#src/nftables/constants.js';
import type { Ruleset } from '#src/nftables/ruleset.js';
import { buildProgram, type Compilation } from '#src/program/build.js';
import type { Program } from '#src/program/program.js';
import type { Markers } from '#src/program/template.js';

/** What a policy for tests is made of. */
export interface Sketch {
  /** One, named `guard`, unless given. */
  tables?: string[];
  /** Rules in each chain; another number is another version of the policy. */
  rules?: number;
  /** A link of the host that each rule names. */
  link?: string;
  /** A policy that every kernel refuses: it has a rule in a chain that it does not make. */
  hopeless?: boolean;
}

export function emptyRuleset(): Ruleset {
  return { tables: [], chains: [], rules: [], sets: [], elements: [], objects: [], flowtables: 0 };
}

/** Two compilations with different markers, of whatever a kernel would dump. */
export function compilations(
  link: string | undefined,
  dump: (markers: Markers) => Ruleset,
): [first: Compilation, second: Compilation] {
  const compile = (name: string, index: number, other: number): Compilation => {
    const markers: Markers = { name, index, links: link === undefined ? [] : [{ name: link, index: other }] };
    return { ruleset: dump(markers), markers, elapsedMs: 0 };
  };
  return [
    compile('aaaaaaaaaaaaaaa', 0x01020304, 0x21222324),
    compile('bbbbbbbbbbbbbbb', 0x51525354, 0x61626364),
  ];
}

/** What a kernel would dump of the policy, loaded for the device of these markers. */
function rulesetOf(sketch: Sketch, markers: Markers): Ruleset {
  const { tables = ['guard'], rules = 1, hopeless = false } = sketch;
  const ruleset = emptyRuleset();
  const named = markers.links[0]?.index ?? markers.index;
  const data = encodeAttributes([leaf(1, host32(named))]);
  const family = NFPROTO_NETDEV;
  for (const table of tables) {
    ruleset.tables.push({ family, name: table, flags: 0, handle: 1n, use: 2 });
    for (const [chain, number] of [
      ['ingress', NF_NETDEV_INGRESS],
      ['egress', NF_NETDEV_EGRESS],
    ] as const) {
      const hook = { number, priority: 0, devices: [{ name: markers.name }], device: markers.name };
      const base = { type: 'filter', policy: NF_ACCEPT, flags: NFT_CHAIN_BASE, handle: 1n, use: 0 };
      ruleset.chains.push({ family, table, name: chain, hook, ...base });
      for (let count = 0; count < rules; count++) {
        ruleset.rules.push({ family, table, chain, handle: 2n, expressions: [{ name: 'cmp', data }] });
      }
    }
    if (hopeless) ruleset.rules.push({ family, table, chain: 'missing', expressions: [] });
  }
  return ruleset;
}

/** A program as the compiler makes it: from two compilations with different markers. */
export function program(policy: string, sketch: Sketch = {}): Program {
  return buildProgram(
    policy,
    `${policy}.nft`,
    ...compilations(sketch.link, (markers) => rulesetOf(sketch, markers)),
  );
}
