/**
 * The same policy in the ways that are compared, as nft text: the guards `ethertype`, `mac` and `fragment`, two rules
 * that accept and two that drop, and what none of them decides is accepted.
 */
/** What a rule may know of a device. */
export interface Device {
  name: string;
  mac: string;
}

export type Direction = 'ingress' | 'egress';
const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** How the device's policy is found. */
export type Lookup =
  /** A map from the device to a mark, and one from the mark to the policy's chain. */
  | 'mark'
  /** For each policy a set of its devices, and a rule that goes to its chain. */
  | 'members';

export interface SharedOptions {
  lookup: Lookup;
  /** How many there are; the device has the last. */
  policies: number;
  /** How many devices are admitted, the measured one among them. */
  devices: number;
  /** How it is counted per device what was admitted; `dynamic` unless given. */
  counting?: Counting;
  /** True has guards and rules in the policy's own chain, without jumps. */
  inlined?: boolean;
  /** True has the map of devices say mark 0 for a device that it does not know, so that no rule has to before. */
  catchAll?: boolean;
}

export type Counting =
  /** In a set that the frames themselves fill. */
  | 'dynamic'
  /** In a set whose elements were made with the device. */
  | 'preset'
  /** In the elements of the map or set that finds the policy: all frames, of which the dropped are to be taken away. */
  | 'map'
  | 'none';

/** Far from any index that a link is given here. */
const FIRST_FOREIGN_INDEX = 1_000_000;
/** Marks below are not those of a user's policy. */
const FIRST_MARK = 2;
/** Elements in a line of nft text, so that none is longer than its lexer likes. */
const ELEMENTS_PER_LINE = 500;

function interfaceOf(direction: Direction): string {
  return direction === 'ingress' ? 'iif' : 'oif';
}

function addressOf(direction: Direction): string {
  return direction === 'ingress' ? 'ip saddr' : 'ip daddr';
}

function chain(name: string, rules: readonly string[]): string {
  return `  chain ${name} {\n${rules.map((rule) => `    ${rule}\n`).join('')}  }\n`;
}

function hook(direction: Direction, device: string, policy: string): string {
  return `type filter hook ${direction} device "${device}" priority filter; policy ${policy};`;
}

function rules(direction: Direction, accept: string, drop: string): string[] {
  const address = addressOf(direction);
  return [
    `${address} 192.168.2.1 ${accept}`,
    `${address} 192.168.2.53 ${accept}`,
    `${address} 192.168.0.0/16 ${drop}`,
    `${address} 10.0.0.0/8 ${drop}`,
  ];
}

const FRAGMENTS = ['ip frag-off & 0x1fff != 0', 'exthdr frag exists'];

/** What somebody writes who has this one device; `counted` as who also wants to know how much was accepted. */
export function handWritten(table: string, device: Device, counted = false): string {
  const [accept, drop] = counted ? ['counter accept', 'counter drop'] : ['accept', 'drop'];
  const chains = DIRECTIONS.map((direction) =>
    chain(direction, [
      hook(direction, device.name, 'accept'),
      `ether type != { ip, ip6, arp } ${drop}`,
      ...(direction === 'egress' ? [`ether saddr != ${device.mac} ${drop}`] : []),
      ...FRAGMENTS.map((fragment) => `${fragment} ${drop}`),
      ...rules(direction, accept, drop),
      ...(counted ? [accept] : []),
    ]),
  );
  return `table netdev ${table} {\n${chains.join('')}}\n`;
}

/** tapwall's table: shared chains, and elements for each device. */
export function shared(table: string, device: Device, options: SharedOptions): string {
  const names = Array.from({ length: options.policies }, (_, number) => `policy-${number + 1}`);
  const last = names.at(-1) ?? '';
  const counter = options.counting === 'map' ? ' counter;' : '';
  const parts = [
    '  set mac.assigned { type iface_index . ether_addr; }\n',
    ...DIRECTIONS.flatMap((direction) => [
      ...(options.lookup === 'mark'
        ? [
            `  map device.${direction} { type iface_index : mark;${counter}${options.catchAll ? ' elements = { * : 0 }' : ''}\n  }\n`,
          ]
        : names.map((name) => `  set members.${name}.${direction} { type iface_index;${counter} }\n`)),
      ...countedSets(direction, options),
      ...sharedChains(direction, options),
      ...names.flatMap((name) => policyChains(direction, name, options)),
      ...door(direction, device.name, names, options),
    ]),
  ];
  return [
    `table netdev ${table} {\n${parts.join('')}}\n`,
    ...elements(table, device, last, names.length - 1 + FIRST_MARK, options),
  ].join('');
}

const REASONS = ['unmatched', 'policy', 'ethertype', 'mac', 'fragment'];

function countedSets(direction: Direction, { counting = 'dynamic' }: SharedOptions): string[] {
  const dynamic = (name: string) =>
    `  set ${direction}.${name} { type iface_index; size 65535; flags dynamic; counter\n  }\n`;
  return [
    ...(counting === 'dynamic' ? [dynamic('admitted')] : []),
    ...(counting === 'preset' ? [`  set ${direction}.admitted { type iface_index; counter; }\n`] : []),
    ...REASONS.map((reason) => dynamic(`dropped.${reason}`)),
  ];
}

function admitRules(direction: Direction, counting: Counting): string[] {
  const own = interfaceOf(direction);
  if (counting === 'dynamic') return [`add @${direction}.admitted { ${own} }`, 'accept'];
  // A look-up counts in the element that it finds.
  if (counting === 'preset') return [`${own} @${direction}.admitted accept`, 'accept'];
  return ['accept'];
}

function guardRules(direction: Direction): Record<string, string[]> {
  const dropped = (reason: string) => `goto ${direction}.dropped.${reason}`;
  return {
    ethertype: [`ether type != { ip, ip6, arp } ${dropped('ethertype')}`],
    ...(direction === 'egress' ? { mac: [`oif . ether saddr != @mac.assigned ${dropped('mac')}`] } : {}),
    fragment: FRAGMENTS.map((fragment) => `${fragment} ${dropped('fragment')}`),
  };
}

function sharedChains(direction: Direction, { counting = 'dynamic' }: SharedOptions): string[] {
  const own = interfaceOf(direction);
  const counted = REASONS.map((reason) => `${direction}.dropped.${reason}`);
  return [
    chain(`${direction}.admit`, admitRules(direction, counting)),
    ...counted.map((name) => chain(name, [`add @${name} { ${own} }`, 'drop'])),
    ...Object.entries(guardRules(direction)).map(([name, lines]) =>
      chain(`${direction}.guard.${name}`, lines),
    ),
  ];
}

function policyChains(direction: Direction, name: string, { lookup, inlined }: SharedOptions): string[] {
  const policy = `policy.${name}.${direction}`;
  const own = rules(direction, `goto ${direction}.admit`, `goto ${direction}.dropped.policy`);
  const guards = Object.entries(guardRules(direction));
  // The mark must not leave the host.
  const first = lookup === 'mark' ? ['meta mark set 0'] : [];
  if (inlined) {
    const lines = guards.flatMap(([, guard]) => guard);
    return [chain(policy, [...first, ...lines, ...own, `goto ${direction}.admit`])];
  }
  const jumps = guards.map(([guard]) => `jump ${direction}.guard.${guard}`);
  return [
    chain(`${policy}.rules`, own),
    chain(policy, [...first, ...jumps, `jump ${policy}.rules`, `goto ${direction}.admit`]),
  ];
}

function door(
  direction: Direction,
  device: string,
  names: readonly string[],
  { lookup, catchAll }: SharedOptions,
): string[] {
  const own = interfaceOf(direction);
  const verdicts = names.map((name, number) => `${number + FIRST_MARK} : goto policy.${name}.${direction}`);
  const find =
    lookup === 'mark'
      ? [
          ...(catchAll ? [] : ['meta mark set 0']),
          `meta mark set ${own} map @device.${direction}`,
          `meta mark vmap @policy.${direction}`,
        ]
      : names.map((name) => `${own} @members.${name}.${direction} goto policy.${name}.${direction}`);
  return [
    ...(lookup === 'mark'
      ? [`  map policy.${direction} { type mark : verdict; elements = { ${verdicts.join(',\n')} }\n  }\n`]
      : []),
    chain(`${direction}.door`, [...find, `add @${direction}.dropped.unmatched { ${own} }`, 'drop']),
    chain(direction, [hook(direction, device, 'drop'), `goto ${direction}.door`]),
  ];
}

/** The measured device stands among the others as it comes: a hash has no order. */
function elements(
  table: string,
  device: Device,
  policy: string,
  mark: number,
  { lookup, devices, counting }: SharedOptions,
): string[] {
  const all = Array.from({ length: devices - 1 }, (_, number) => String(FIRST_FOREIGN_INDEX + number));
  all.push(`"${device.name}"`);
  const lines: string[] = [];
  for (let start = 0; start < all.length; start += ELEMENTS_PER_LINE) {
    const some = all.slice(start, start + ELEMENTS_PER_LINE);
    const add = (set: string, element: (each: string) => string) =>
      lines.push(`add element netdev ${table} ${set} { ${some.map(element).join(', ')} }\n`);
    add('mac.assigned', (each) => `${each} . ${device.mac}`);
    for (const direction of DIRECTIONS) {
      if (lookup === 'mark') add(`device.${direction}`, (each) => `${each} : ${mark}`);
      if (counting === 'preset') add(`${direction}.admitted`, (each) => each);
      if (lookup === 'members') add(`members.${policy}.${direction}`, (each) => each);
    }
  }
  return lines;
}
