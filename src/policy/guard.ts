import type { GuardName } from '../config/configuration.js';
import { type FactKind, factMatches, type PrefixLengths } from './fact.js';

/** `ingress` is to the VM, `egress` from the VM. */
export type Direction = 'ingress' | 'egress';

/** What the kernel is told of a device's index on each hook: on the other it has none. */
export const INDEX = { ingress: 'iif', egress: 'oif' } as const;

/** A chain of the shared table, as nft text. */
export interface GuardChain {
  name: string;
  comment: string;
  /** One rule a line. A frame that comes to the end of them goes on, as one that is returned. */
  rules: string[];
}

/**
 * The rules are made so that they hold without each other, and so that what cannot be read is dropped: nft skips a rule
 * whose field lies behind the end of the frame, so a guard says what may pass and then drops the rest.
 */
interface Guard {
  /** What it drops, in words for whoever lists the table. */
  drops: string;
  /** What its rules for frames from the VM compare with. */
  facts?: readonly FactKind[];
  /** The same rules in both directions. */
  both?: (context: Context) => string[];
  egress?: (context: Context) => string[];
  /** Its few rules decide without `return`, so they stand in the policy's chain: no frame has to go to another and back. */
  inPolicy?: true;
  /** What every rule of it is about, as a match: all other frames are spared the way to its chain. */
  when?: string;
  /** Chains that only this guard's own go to, by what their name ends in. */
  parts?: Readonly<Record<string, (context: Context) => string[]>>;
}

interface Context {
  /** Drops the frame and counts it. */
  drop: string;
  /** The match that one of the VM's own addresses or its MAC stands in a field; one for each set to look into. */
  own: (kind: FactKind, field: string) => string[];
  /** The name of a part. */
  part: (name: string) => string;
}

/** Every rule that lets pass what matches, then what drops the rest. */
function only(matches: readonly string[], { drop }: Context): string[] {
  return [...matches.map((match) => `${match} return`), drop];
}

/** As `ether type` reads it, which a tag changes in both directions; `meta protocol` is that of the frame in a tag. */
const PLAIN = 'ether type { ip, ip6, arp }';

/** The one form of ARP there is on Ethernet. Without it, the addresses are not where they are looked for. */
const ARP_FORM = 'arp htype 1 arp ptype ip arp hlen 6 arp plen 4';

/** Hardware and protocol of the same form, six and four bytes of address, operation 3 (ask for an own address). */
const RARP_REQUEST = '@nh,0,64 0x0001080006040003';

/** IPPROTO_NONE, MH, HIP and SHIM6: extension headers that ipv6_find_hdr() stops at. */
const ODD_HEADERS = 'meta l4proto { 59, 135, 139, 140 }';

/** IPPROTO_ICMPV6 right behind the header, the hop limit that no router has lowered, the one code there is. */
const ND_FORM = ['ip6 nexthdr != 58', 'ip6 hoplimit != 255', 'icmpv6 code != 0'];

/**
 * The lengths without an option and with the one that belongs there, which then stands where it is looked for. Of two,
 * some receivers would believe the second.
 */
const ND_BARE = 'ip6 length 24';
const ND_ONE_OPTION = 'ip6 length 32';

const GUARDS: Record<GuardName, Guard> = {
  ethertype: {
    drops: 'anything but IPv4, IPv6 and ARP: tags, LLC, MPLS, PPPoE, RARP',
    // Every frame has an Ethernet header, so there is none in which this cannot be read.
    both: ({ drop }) => [`ether type != { ip, ip6, arp } ${drop}`],
    inPolicy: true,
  },
  'ethertype-rarp': {
    drops: 'as ethertype, but for the announcement after a migration',
    facts: ['mac.assigned'],
    both: (context) => only([PLAIN], context),
    egress: (context) =>
      only(
        [
          PLAIN,
          ...context
            .own('mac.assigned', 'ether saddr')
            .map((own) => `ether type 0x8035 ${own} ${RARP_REQUEST} @nh,112,32 0 @nh,192,32 0`),
        ],
        context,
      ),
  },
  mac: {
    drops: 'frames whose source is not the MAC of the VM',
    facts: ['mac.assigned'],
    egress: ({ drop }) => [`oif . ether saddr != @mac.assigned ${drop}`],
    inPolicy: true,
  },
  fragment: {
    drops: 'fragments, IPv6 extension headers but hop-by-hop, AH and ESP, what cannot be read',
    both: ({ drop }) => [
      // Most frames are done with this one, which is the last but one without the look at IPv6.
      'ip frag-off & 0x3fff == 0 meta l4proto >= 0 @th,0,32 >= 0 return',
      `ip frag-off & 0x3fff != 0 ${drop}`,
      // 44, 43 and 60, wherever they stand in the chain of headers.
      ...['frag', 'rt', 'dst'].map((header) => `exthdr ${header} exists ${drop}`),
      `meta protocol ip6 ${ODD_HEADERS} ${drop}`,
      // Both hold wherever the kernel found a protocol and its first bytes, and are skipped where it did not.
      'meta l4proto >= 0 @th,0,32 >= 0 return',
      `meta protocol { ip, ip6 } ${drop}`,
    ],
  },
  'no-broadcast': {
    drops: 'frames to the broadcast address, but for ARP and RARP',
    egress: ({ drop }) => [`ether daddr ff:ff:ff:ff:ff:ff ether type != { arp, 0x8035 } ${drop}`],
    inPolicy: true,
  },
  'no-ip-multicast': {
    drops: 'IPv4 to multicast addresses',
    egress: ({ drop }) => [`ip daddr 224.0.0.0/4 ${drop}`],
    inPolicy: true,
  },
  'no-ipv6-multicast': {
    drops: 'IPv6 to multicast addresses',
    egress: ({ drop }) => [`ip6 daddr ff00::/8 ${drop}`],
    inPolicy: true,
  },
  'no-ipv6': {
    drops: 'IPv6',
    both: ({ drop }) => [`meta protocol ip6 ${drop}`],
    inPolicy: true,
  },
  'arp-mac': {
    drops: 'ARP that is neither request nor reply, or is not sent by the MAC of the VM',
    facts: ['mac.assigned'],
    when: 'meta protocol arp',
    egress: (context) => [
      ...only(
        context
          .own('mac.assigned', 'arp saddr ether')
          .map((own) => `${ARP_FORM} arp operation { request, reply } ${own}`),
        context,
      ),
    ],
  },
  'arp-ip': {
    drops: 'ARP that is not sent by an address of the VM',
    facts: ['ip4.assigned'],
    when: 'meta protocol arp',
    egress: (context) => [
      ...only(
        [
          ...context.own('ip4.assigned', 'arp saddr ip').map((own) => `${ARP_FORM} ${own}`),
          // Asking whether somebody has the address before using it (RFC 5227).
          ...context
            .own('ip4.assigned', 'arp daddr ip')
            .map((own) => `${ARP_FORM} arp operation request arp saddr ip 0.0.0.0 ${own}`),
        ],
        context,
      ),
    ],
  },
  ip4: {
    drops: 'IPv4 whose source is not an address of the VM, but for DHCP discovery',
    facts: ['ip4.assigned'],
    when: 'meta protocol ip',
    egress: (context) => [
      ...only(
        [
          ...context.own('ip4.assigned', 'ip saddr'),
          'ip saddr 0.0.0.0 ip daddr 255.255.255.255 ip frag-off & 0x3fff == 0 udp sport 68 udp dport 67',
        ],
        context,
      ),
    ],
  },
  ip6: {
    drops: 'IPv6 whose source is not an address of the VM, but for what has to do without one',
    facts: ['ip6.assigned'],
    when: 'meta protocol ip6',
    egress: (context) => [
      ...only(
        [
          ...context.own('ip6.assigned', 'ip6 saddr'),
          // Duplicate address detection and router solicitation (RFC 4861), listener reports (RFC 3590).
          'ip6 saddr :: ip6 daddr ff00::/8 icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld-listener-done, mld2-listener-report }',
        ],
        context,
      ),
    ],
  },
  nd: {
    drops: 'neighbour discovery that tells of addresses or MACs which the VM does not have',
    facts: ['ip6.assigned', 'nd.target', 'nd.mac'],
    when: 'meta l4proto ipv6-icmp',
    egress: ({ part }) => [
      `icmpv6 type nd-neighbor-solicit goto ${part('solicit')}`,
      `icmpv6 type nd-neighbor-advert goto ${part('advert')}`,
      `icmpv6 type nd-router-solicit goto ${part('router')}`,
    ],
    parts: {
      // Receivers note the source of a solicitation as an address of its sender.
      source: (context) => only(context.own('ip6.assigned', 'ip6 saddr'), context),
      target: (context) => only(context.own('nd.target', '@th,64,128'), context),
      solicit: (context) => [
        ...ND_FORM.map((flaw) => `${flaw} ${context.drop}`),
        `ip6 saddr != :: jump ${context.part('source')}`,
        `ip6 saddr :: jump ${context.part('target')}`,
        ...only(
          [
            ND_BARE,
            // A nonce, by which a VM knows its own solicitation from another's (RFC 7527).
            `${ND_ONE_OPTION} ip6 saddr :: @th,192,16 0x0e01`,
            ...context
              .own('nd.mac', '@th,208,48')
              .map((own) => `${ND_ONE_OPTION} ip6 saddr != :: @th,192,16 0x0101 ${own}`),
          ],
          context,
        ),
      ],
      advert: (context) => [
        ...ND_FORM.map((flaw) => `${flaw} ${context.drop}`),
        `jump ${context.part('source')}`,
        `jump ${context.part('target')}`,
        ...only(
          [
            ND_BARE,
            ...context.own('nd.mac', '@th,208,48').map((own) => `${ND_ONE_OPTION} @th,192,16 0x0201 ${own}`),
          ],
          context,
        ),
      ],
      // It has no target, so its option stands sixteen bytes further to the front.
      router: (context) => [
        ...ND_FORM.map((flaw) => `${flaw} ${context.drop}`),
        `ip6 saddr != :: jump ${context.part('source')}`,
        ...only(
          [
            'ip6 length 8',
            ...context
              .own('nd.mac', '@th,80,48')
              .map((own) => `ip6 length 16 ip6 saddr != :: @th,64,16 0x0101 ${own}`),
          ],
          context,
        ),
      ],
    },
  },
  ra: {
    drops: 'router advertisements and redirects',
    egress: ({ drop }) => [
      `icmpv6 type { nd-router-advert, nd-redirect } ${drop}`,
      `icmp type { redirect, router-advertisement } ${drop}`,
    ],
    inPolicy: true,
  },
  'dhcp-server': {
    drops: 'what DHCP servers send',
    // By the client's port as well: clients look at nothing else.
    when: 'meta l4proto udp',
    egress: ({ drop }) => [
      `meta protocol ip udp sport 67 ${drop}`,
      `meta protocol ip udp dport 68 ${drop}`,
      `meta protocol ip6 udp sport 547 ${drop}`,
      `meta protocol ip6 udp dport 546 ${drop}`,
    ],
  },
};

function rulesOf(
  { both, egress }: Guard,
  direction: Direction,
): ((context: Context) => string[]) | undefined {
  return direction === 'egress' ? (egress ?? both) : both;
}

function guardChain(guard: GuardName, direction: Direction): string {
  return `${direction}.guard.${guard}`;
}

/** What stands in a policy's chain for a guard that has something to do in that direction. */
export function guardRules(guard: GuardName, direction: Direction, context: GuardContext): string[] {
  const definition = GUARDS[guard];
  if (!definition.inPolicy) {
    const jump = `jump ${guardChain(guard, direction)}`;
    return [definition.when ? `${definition.when} ${jump}` : jump];
  }
  return rulesOf(definition, direction)?.(contextOf(guard, direction, context)) ?? [];
}

/** What the rules of guards depend on. */
export interface GuardContext {
  /** The chain that counts what is dropped and drops it. */
  drop: string;
  lengths: PrefixLengths;
}

function contextOf(guard: GuardName, direction: Direction, { drop, lengths }: GuardContext): Context {
  return {
    drop: `goto ${drop}`,
    own: (kind, field) => factMatches(kind, field, lengths),
    part: (part) => `${guardChain(guard, direction)}.${part}`,
  };
}

/** Whether a guard has anything to do in a direction. */
export function isGuarding(guard: GuardName, direction: Direction): boolean {
  return rulesOf(GUARDS[guard], direction) !== undefined;
}

/** The facts that a guard's rules compare with. Frames to the VM are compared with none. */
export function guardFacts(guard: GuardName, direction: Direction): readonly FactKind[] {
  return direction === 'egress' ? (GUARDS[guard].facts ?? []) : [];
}

/**
 * The chains of one guard, none if it has nothing to do in that direction, or needs none. The last is the one that
 * policies jump to, `guardChain`: nft wants a chain to be there before another goes to it.
 */
export function guardChains(guard: GuardName, direction: Direction, options: GuardContext): GuardChain[] {
  const definition = GUARDS[guard];
  const rules = rulesOf(definition, direction);
  if (!rules || definition.inPolicy) return [];
  const context = contextOf(guard, direction, options);
  const parts = direction === 'egress' ? Object.entries(definition.parts ?? {}) : [];
  return [
    ...parts.map(([part, partRules]) => ({
      name: context.part(part),
      comment: `part of guard ${guard}`,
      rules: partRules(context),
    })),
    {
      name: guardChain(guard, direction),
      comment: `guard ${guard} drops ${definition.drops}`,
      rules: rules(context),
    },
  ];
}
