import type { GuardName } from '../config/configuration.js';

/** Every guard, in the order in which they stand in a policy's chains: what is cheap and drops most comes first. */
export const GUARD_NAMES: readonly GuardName[] = [
  'ethertype',
  'ethertype-rarp',
  'mac',
  'fragment',
  'no-broadcast',
  'no-ip-multicast',
  'no-ipv6-multicast',
  'no-ipv6',
  'arp-mac',
  'arp-ip',
  'ip4',
  'ip6',
  'nd',
  'ra',
  'dhcp-server',
];

/** Of an inline policy that does not say which it wants: those that need to know nothing of the VM but its MAC. */
export const DEFAULT_GUARDS: readonly GuardName[] = inGuardOrder([
  'mac',
  'ethertype',
  'fragment',
  'dhcp-server',
  'ra',
]);

/** They compare with the binding's `addresses`: without any, the VM could use none. */
export const ADDRESS_GUARDS: readonly GuardName[] = ['arp-ip', 'ip4', 'ip6', 'nd'];

/** They let no frame pass that has a tag, so that rules on `ip` and `ip6` see all there is. */
export const ETHERTYPE_GUARDS: readonly GuardName[] = ['ethertype', 'ethertype-rarp'];

/** Names for several guards, and those that libvirt's filters have, by what its documentation says they do. */
export const GUARD_ALIASES: ReadonlyMap<string, readonly GuardName[]> = new Map<string, readonly GuardName[]>(
  [
    ['ip', ['ip4', 'ip6']],
    ['arp', ['arp-mac', 'arp-ip']],
    ['no-mac-spoofing', ['mac']],
    ['no-ip-spoofing', ['ip4']],
    ['no-ipv6-spoofing', ['ip6']],
    ['no-arp-spoofing', ['arp-mac', 'arp-ip']],
    ['no-arp-mac-spoofing', ['arp-mac']],
    ['no-arp-ip-spoofing', ['arp-ip']],
    ['no-mac-broadcast', ['no-broadcast']],
    ['no-other-l2-traffic', ['ethertype-rarp', 'no-ipv6']],
    ['clean-traffic', ['mac', 'ip4', 'arp-mac', 'arp-ip', 'ethertype-rarp', 'no-ipv6']],
  ],
);

/** Filters of libvirt that let something pass, and what does so here. */
const INSTEAD_OF_ALLOWING: ReadonlyMap<string, string> = new Map([
  ['allow-arp', 'Write the rule `ether type arp accept` in `ingress` and in `egress`.'],
  ['allow-ipv4', 'Write the rule `ether type ip accept` in `ingress` and in `egress`.'],
  ['allow-ipv6', 'Write the rule `ether type ip6 accept` in `ingress` and in `egress`.'],
  ['allow-incoming-ipv4', 'Write the rule `ether type ip accept` in `ingress`.'],
  ['allow-incoming-ipv6', 'Write the rule `ether type ip6 accept` in `ingress`.'],
  [
    'allow-dhcp',
    'Write the rules `udp sport 67 udp dport 68 accept` in `ingress` and `udp sport 68 udp dport 67 accept` in `egress`.',
  ],
  [
    'allow-dhcp-server',
    'Write the rules `ip saddr SERVER udp sport 67 udp dport 68 accept` in `ingress` and `udp sport 68 udp dport 67 accept` in `egress`.',
  ],
  [
    'allow-dhcpv6',
    'Write the rules `udp sport 547 udp dport 546 accept` in `ingress` and `udp sport 546 udp dport 547 accept` in `egress`.',
  ],
  [
    'allow-dhcpv6-server',
    'Write the rules `ip6 saddr SERVER udp sport 547 udp dport 546 accept` in `ingress` and `udp sport 546 udp dport 547 accept` in `egress`.',
  ],
  [
    'qemu-announce-self',
    'Write the guard `ethertype-rarp`, which lets RARP pass, and where `default` is `drop` the rule `ether type 0x8035 accept` in `egress`.',
  ],
  [
    'qemu-announce-self-rarp',
    'Write the guard `ethertype-rarp`, which lets RARP pass, and where `default` is `drop` the rule `ether type 0x8035 accept` in `egress`.',
  ],
  ['no-other-rarp-traffic', 'Write the guard `ethertype`, which lets no RARP pass at all.'],
  [
    'clean-traffic-gateway',
    'Write the guard `clean-traffic`, and for the gateway the rules `ether saddr != MAC drop` in `ingress` and `ether daddr != { MAC, ff:ff:ff:ff:ff:ff } drop` in `egress`.',
  ],
]);

/** The guards that a name in a configuration stands for; undefined for none. */
export function guardsNamed(written: string): readonly GuardName[] | undefined {
  const guard = GUARD_NAMES.find((name) => name === written);
  return guard === undefined ? GUARD_ALIASES.get(written) : [guard];
}

/** What to write in place of a filter of libvirt that lets something pass; undefined for any other name. */
export function insteadOfAllowing(written: string): string | undefined {
  const known = INSTEAD_OF_ALLOWING.get(written);
  if (known !== undefined || !written.startsWith('allow-')) return known;
  return 'Write a rule that accepts it in `ingress` or `egress`.';
}

/** Each once, in the order of GUARD_NAMES; of the two that restrict the ethertype the wider one stays. */
export function inGuardOrder(guards: Iterable<GuardName>): GuardName[] {
  const wanted = new Set(guards);
  if (wanted.has('ethertype-rarp')) wanted.delete('ethertype');
  return GUARD_NAMES.filter((name) => wanted.has(name));
}
