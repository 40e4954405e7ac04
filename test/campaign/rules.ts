/** The configurations of a campaign: what each gives to which guest, said twice, as YAML and for the judge. */
import type { Placement } from '#src/config/configuration.js';
import type { Chance } from './chance.js';

/** No configuration ever lets a frame from or to this address pass. */
export const FORBIDDEN = '192.168.7.7';
/** Some policies let this one pass. */
export const DISPUTED = '192.168.8.8';
/** Every policy lets this one pass. */
export const ALLOWED = '198.51.100.2';

export type PolicyName = 'lan' | 'wide' | 'tight' | 'own' | 'ownwide';

/** Which policies let the disputed address pass, and which are files. */
export const POLICIES: Readonly<Record<PolicyName, { disputed: boolean; file: boolean }>> = {
  lan: { disputed: false, file: false },
  wide: { disputed: true, file: false },
  tight: { disputed: false, file: false },
  own: { disputed: false, file: true },
  ownwide: { disputed: true, file: true },
};
const POLICY_NAMES = Object.keys(POLICIES) as PolicyName[];

/** Names that placement `names` hooks in advance: three base chains of 250 for each direction. */
export const LISTED = 600;
export const MACS = 10;

export function macOf(id: number): string {
  return `52:54:00:cc:00:${id.toString(16).padStart(2, '0')}`;
}

export function addressOf(id: number): string {
  return `198.51.100.${10 + id}`;
}

function file(addresses: string, revision: number): string {
  return `table netdev own {
  chain in  { type filter hook ingress device $intf priority filter; policy accept;
    ip saddr ${addresses} drop
    udp dport ${revision} drop
  }
  chain out { type filter hook egress device $intf priority filter; policy accept;
    ip daddr ${addresses} drop
  }
}
`;
}

/** What a campaign can ask the agent for. */
export interface Rules {
  placement: Placement;
  owner: boolean;
  /** Those that the configuration has. With more than four, frames find them in another way. */
  policies: readonly PolicyName[];
  /** A port that no frame has, so that rules can differ without another verdict. */
  revision: number;
  guards: Readonly<Record<PolicyName, readonly string[]>>;
  /** By the id of a MAC; undefined for one that no binding has. */
  bound: readonly (PolicyName | undefined)[];
  /** Whether whatever else has a short name gets `lan`. */
  catches: boolean;
}

export function drawRules(chance: Chance, placement: Placement, owner: boolean): Rules {
  const inline = () => chance.some(['mac', 'ethertype', 'fragment', 'dhcp-server', 'ra']);
  const own = () => chance.some(['mac', 'ethertype']);
  // Some bindings give no addresses to the others.
  const addressed = () => [...inline(), ...chance.some(['ip'])];
  const policies = chance.oneIn(2) ? POLICY_NAMES : POLICY_NAMES.filter((name) => name !== 'ownwide');
  return {
    placement,
    owner,
    policies,
    revision: 1_000 + chance.below(1_000),
    guards: { lan: addressed(), wide: inline(), tight: inline(), own: own(), ownwide: own() },
    bound: Array.from({ length: MACS }, () => (chance.oneIn(5) ? undefined : chance.of(policies))),
    catches: chance.oneIn(4),
  };
}

/** The files of a folder in which these rules are in force. */
export function filesOf(rules: Rules): Record<string, string> {
  const { placement, owner, policies, revision, guards, bound, catches } = rules;
  const inline = (name: PolicyName, word: string, addresses: string) => [
    `  ${name}:`,
    `    guards: [${guards[name].join(', ')}]`,
    '    ingress: |',
    `      udp dport ${revision} drop`,
    `      ip saddr ${addresses} ${word}`,
    `    egress: "ip daddr ${addresses} ${word}"`,
    `    default: ${word === 'drop' ? 'accept' : 'drop'}`,
  ];
  const lines = [
    `placement: ${placement}`,
    `owner: ${owner}`,
    'devices:',
    '  prefixes: [macvtap]',
    `  names: ["macvtap{0..${LISTED - 1}}"]`,
    'policies:',
    ...inline('lan', 'drop', `{ ${FORBIDDEN}, ${DISPUTED} }`),
    ...inline('wide', 'drop', FORBIDDEN),
    ...inline('tight', 'accept', ALLOWED),
    ...policies
      .filter((name) => POLICIES[name].file)
      .map((name) => `  ${name}: { file: ${name}.nft, guards: [${guards[name].join(', ')}] }`),
    'bindings:',
    '  - { alias: "lent*", policy: wide }',
    '  - { device: "macvtap-w*", policy: tight }',
  ];
  bound.forEach((policy, id) => {
    if (policy === undefined) return;
    const facts = POLICIES[policy].file ? '' : `addresses: [${addressOf(id)}], `;
    lines.push(`  - { mac: "${macOf(id)}", ${facts}policy: ${policy} }`);
  });
  // Only policies whose guards need no addresses may do without.
  if (catches && !guards.lan.includes('ip')) lines.push('  - { device: "macvtap?", policy: lan }');
  return {
    'tapwall.yaml': `${lines.join('\n')}\n`,
    'own.nft': file(`{ ${FORBIDDEN}, ${DISPUTED} }`, revision),
    'ownwide.nft': file(FORBIDDEN, revision),
  };
}

/** What a guest is known by. */
export interface Identity {
  name: string;
  /** The id of the MAC it was first seen with; undefined for one that no binding has. */
  macId: number | undefined;
  alias: string;
}

/** What the rules give to a guest: the policy, and the addresses that its binding assigns. */
export interface Verdict {
  policy: PolicyName;
  address: string | undefined;
}

/** The bindings once more, read by nothing of tapwall's. */
export function verdictOf(rules: Rules, { name, macId, alias }: Identity): Verdict | undefined {
  if (alias.startsWith('lent')) return { policy: 'wide', address: undefined };
  if (name.startsWith('macvtap-w')) return { policy: 'tight', address: undefined };
  const policy = macId === undefined ? undefined : rules.bound[macId];
  if (policy !== undefined && macId !== undefined) {
    return { policy, address: POLICIES[policy].file ? undefined : addressOf(macId) };
  }
  if (rules.catches && !rules.guards.lan.includes('ip') && /^macvtap.$/.test(name)) {
    return { policy: 'lan', address: undefined };
  }
  return undefined;
}

/** Configurations with a mistake, each of another kind. */
export const MISTAKES: readonly string[] = [
  '',
  'policies: [\n',
  'policies: {}\nbindings: [{ device: "*", policy: nobody }]\n',
  'policies: { lan: { egress: "ip daddr nowhere drop" } }\nbindings: []\n',
  'policies: { lan: { egress: "ct state new drop", default: accept } }\nbindings: [{ device: "*", policy: lan }]\n',
  'policies: { lan: { file: missing.nft } }\nbindings: [{ device: "*", policy: lan }]\n',
  'policies: {}\nbindings: []\nfrobnicate: true\n',
];
