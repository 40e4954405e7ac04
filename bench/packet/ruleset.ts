/**
 * The same policy in the ways that are compared, as nft text: the guards `ethertype`, `mac` and `fragment`, two rules
 * that accept and two that drop, and what none of them decides is accepted.
 */
import { guardChains, guardRules } from '#src/policy/guard.js';

/** What a rule may know of a device. */
export interface Device {
  name: string;
  mac: string;
}

export type Direction = 'ingress' | 'egress';
const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

export interface SharedOptions {
  /**
   * How a frame finds its policy: `lane`, for each policy a set of its devices, and a rule that goes to its chain;
   * `mark`, a map from the device to a mark, and one from the mark to the policy's chain.
   */
  lookup: 'lane' | 'mark';
  /** How many there are; the device has the last. */
  policies: number;
  /**
   * How it is counted per device what was admitted: in a set whose elements are made with the device, which is the
   * default; in one that frames themselves fill; or not at all.
   */
  counting?: 'preset' | 'dynamic' | 'none';
  /** True has sets without a size, in a hash table that grows. */
  growing?: boolean;
  /** True has the MAC compared by a rule of its own, and not in the lookup that finds the policy. */
  macApart?: boolean;
  /** True has the rules that find the policy in the base chain. */
  inBase?: boolean;
}

/** Marks below are not those of a user's policy. */
const FIRST_MARK = 2;
const SIZE = ' size 24576;';

function interfaceOf(direction: Direction): string {
  return direction === 'ingress' ? 'iif' : 'oif';
}

function chain(name: string, rules: readonly string[]): string {
  return `  chain ${name} {\n${rules.map((rule) => `    ${rule}\n`).join('')}  }\n`;
}

function hook(direction: Direction, device: string, policy: string): string {
  return `type filter hook ${direction} device "${device}" priority filter; policy ${policy};`;
}

function rules(direction: Direction, accept: string, drop: string): string[] {
  const address = direction === 'ingress' ? 'ip saddr' : 'ip daddr';
  return [
    `${address} 192.168.2.1 ${accept}`,
    `${address} 192.168.2.53 ${accept}`,
    `${address} 192.168.0.0/16 ${drop}`,
    `${address} 10.0.0.0/8 ${drop}`,
  ];
}

const REASON = 'REASON';
const CONTEXT = { drop: REASON, lengths: { ip4: [], ip6: [] } };

/** tapwall's own rules of a guard, with another verdict where it drops. */
function guard(name: 'ethertype' | 'fragment', direction: Direction, drop: string): string[] {
  const apart = guardChains(name, direction, CONTEXT).flatMap((one) => one.rules);
  const all = apart.length > 0 ? apart : guardRules(name, direction, CONTEXT);
  return all.map((rule) => rule.replace(`goto ${REASON}`, drop));
}

/** What somebody writes who knows of IPv4 fragments and of the header that IPv6 has for them. */
const SIMPLE_FRAGMENTS = ['ip frag-off & 0x1fff != 0', 'exthdr frag exists'];

/**
 * What somebody writes who has this one device.
 * @param style `counted` as who also wants to know how much was accepted; `simple` with less of a guard against fragments
 * than tapwall's.
 */
export function handWritten(table: string, device: Device, style?: 'counted' | 'simple'): string {
  const [accept, drop] = style === 'counted' ? ['counter accept', 'counter drop'] : ['accept', 'drop'];
  const chains = DIRECTIONS.flatMap((direction) => [
    ...(style === 'simple' ? [] : [chain(`fragments-${direction}`, guard('fragment', direction, drop))]),
    chain(direction, [
      hook(direction, device.name, 'accept'),
      ...guard('ethertype', direction, drop),
      ...(direction === 'egress' ? [`ether saddr != ${device.mac} ${drop}`] : []),
      ...(style === 'simple'
        ? SIMPLE_FRAGMENTS.map((fragment) => `${fragment} ${drop}`)
        : [`jump fragments-${direction}`]),
      ...rules(direction, accept, drop),
      ...(style === 'counted' ? [accept] : []),
    ]),
  ]);
  return `table netdev ${table} {\n${chains.join('')}}\n`;
}

const REASONS = ['unmatched', 'policy', 'ethertype', 'mac', 'fragment'];

/** tapwall's table: shared chains, and elements for each device. */
export function shared(table: string, device: Device, options: SharedOptions): string {
  const names = Array.from({ length: options.policies }, (_, number) => `policy-${number + 1}`);
  const last = names.at(-1) ?? '';
  const parts = DIRECTIONS.flatMap((direction) => [
    ...findingSets(direction, device, names, options),
    ...countingChains(direction, device, options),
    chain(`${direction}.guard.fragment`, guard('fragment', direction, `goto ${direction}.dropped.fragment`)),
    ...names.map((name) => policyChain(direction, name, options)),
    ...(options.lookup === 'mark' ? [policyMap(direction, names)] : []),
    ...door(direction, device.name, names, options),
  ]);
  return `table netdev ${table} {\n${macSet(device, last, options)}${parts.join('')}}\n`;
}

/** The name of the set that says which MAC the devices of a policy have. */
function macsOf(policy: string, { lookup, macApart }: SharedOptions): string {
  return lookup === 'lane' && !macApart ? `${policy}.macs` : 'mac.assigned';
}

function macSet(device: Device, policy: string, options: SharedOptions): string {
  const size = options.growing ? '' : SIZE;
  const element = `elements = { "${device.name}" . ${device.mac} }`;
  return `  set ${macsOf(policy, options)} { type iface_index . ether_addr;${size} ${element}\n  }\n`;
}

function findingSets(
  direction: Direction,
  device: Device,
  names: readonly string[],
  options: SharedOptions,
): string[] {
  const size = options.growing ? '' : SIZE;
  if (options.lookup === 'mark') {
    const element = `elements = { "${device.name}" : ${names.length - 1 + FIRST_MARK} }`;
    return [`  map device.${direction} { type iface_index : mark;${size} ${element}\n  }\n`];
  }
  return names.map((name, at) => {
    const elements = at === names.length - 1 ? ` elements = { "${device.name}" }\n  ` : '';
    const macs = macsOf(name, options);
    // The sets of MACs of the other policies, which are looked into before.
    const others =
      direction === 'egress' && elements === '' && macs !== 'mac.assigned'
        ? `  set ${macs} { type iface_index . ether_addr;${size} }\n`
        : '';
    return `${others}  set ${name}.${direction} { type iface_index;${size}${elements} }\n`;
  });
}

function countingChains(
  direction: Direction,
  device: Device,
  { counting = 'preset', growing }: SharedOptions,
): string[] {
  const own = interfaceOf(direction);
  const dynamic = (name: string) =>
    `  set ${direction}.${name} { type iface_index; size 65535; flags dynamic; counter\n  }\n`;
  const preset =
    `  set ${direction}.admitted { type iface_index;${growing ? '' : SIZE} counter; ` +
    `elements = { "${device.name}" }\n  }\n`;
  return [
    ...(counting === 'dynamic' ? [dynamic('admitted')] : []),
    ...(counting === 'preset' ? [preset] : []),
    ...REASONS.map((reason) => dynamic(`dropped.${reason}`)),
    chain(`${direction}.admit`, [...countAdmitted(direction, counting), 'accept']),
    ...REASONS.map((reason) =>
      chain(`${direction}.dropped.${reason}`, [`add @${direction}.dropped.${reason} { ${own} }`, 'drop']),
    ),
  ];
}

function countAdmitted(direction: Direction, counting: SharedOptions['counting']): string[] {
  const own = interfaceOf(direction);
  if (counting === 'none') return [];
  return counting === 'dynamic'
    ? [`add @${direction}.admitted { ${own} }`]
    : [`${own} @${direction}.admitted accept`];
}

function policyChain(direction: Direction, name: string, options: SharedOptions): string {
  const { counting = 'preset', lookup, macApart } = options;
  const isMacInside = direction === 'egress' && (lookup === 'mark' || macApart === true);
  return chain(`policy.${name}.${direction}`, [
    // The mark must not leave the host.
    ...(lookup === 'mark' ? ['meta mark set 0'] : []),
    ...guard('ethertype', direction, `goto ${direction}.dropped.ethertype`),
    ...(isMacInside ? [`oif . ether saddr != @mac.assigned goto ${direction}.dropped.mac`] : []),
    `jump ${direction}.guard.fragment`,
    ...rules(direction, `goto ${direction}.admit`, `goto ${direction}.dropped.policy`),
    ...(counting === 'preset' ? countAdmitted(direction, counting) : []),
    `goto ${direction}.admit`,
  ]);
}

function policyMap(direction: Direction, names: readonly string[]): string {
  const verdicts = names.map((name, number) => `${number + FIRST_MARK} : goto policy.${name}.${direction}`);
  return `  map policy.${direction} { type mark : verdict; size 512; elements = { ${verdicts.join(',\n')} }\n  }\n`;
}

function door(
  direction: Direction,
  device: string,
  names: readonly string[],
  options: SharedOptions,
): string[] {
  const own = interfaceOf(direction);
  const laneOf = (name: string) =>
    direction === 'egress' && !options.macApart
      ? `oif . ether saddr @${macsOf(name, options)}`
      : `${own} @${name}.${direction}`;
  const find =
    options.lookup === 'mark'
      ? [`meta mark set ${own} map @device.${direction} meta mark vmap @policy.${direction}`]
      : names.map((name) => `${laneOf(name)} goto policy.${name}.${direction}`);
  const all = [...find, `goto ${direction}.dropped.unmatched`];
  const base = hook(direction, device, 'drop');
  if (options.inBase) return [chain(direction, [base, ...all])];
  return [chain(`${direction}.door`, all), chain(direction, [base, `goto ${direction}.door`])];
}
