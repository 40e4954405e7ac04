import type { Placement } from '#src/config/configuration.js';

export interface PolicyOptions {
  placement: Placement;
  /** The gateway that the rules let through; another makes another policy of it. */
  gateway?: string;
  /** More YAML. */
  more?: string;
}

/** The policy that most benchmarks give to every device: eight guards and two rules in each direction. */
export function sharedPolicy({ placement, gateway = '192.168.2.1', more = '' }: PolicyOptions): string {
  return `placement: ${placement}
policies:
  lan-guard:
    guards: [mac, ethertype, fragment, dhcp-server, ra, ip, arp, nd]
    ingress: |
      ip saddr ${gateway} accept
      ip saddr 192.168.0.0/16 drop
    egress: |
      ip daddr ${gateway} accept
      ip daddr 192.168.0.0/16 drop
    default: accept
bindings:
  - { parent: vx0, policy: lan-guard, addresses: [203.0.113.7, "2001:db8::7"] }
${more}`;
}
