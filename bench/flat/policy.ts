import { compilePlan, type Plan } from '#src/agent/plan.js';
import { Compiler } from '#src/compiler/compiler.js';
import type { Binding } from '#src/config/configuration.js';
import { parseConfiguration } from '#src/config/load.js';
import type { Link } from '#src/links/link.js';

/** One policy for all devices, with every guard that compares frames with what is known of a VM. */
export const POLICY = 'lan-guard';

const CONFIGURATION = `devices:
  prefixes: [macvtap]
policies:
  ${POLICY}:
    guards: [mac, ethertype, fragment, dhcp-server, ra, ip, arp, nd]
    ingress: |
      ip saddr 192.168.2.1 accept
      ip saddr 192.168.0.0/16 drop
    egress: |
      ip daddr 192.168.2.1 accept
      ip daddr 192.168.0.0/16 drop
    default: accept
bindings:
  - { device: macvtap0, policy: ${POLICY}, addresses: [203.0.113.7, "2001:db8::7"] }
`;

/** Compiled once: the table that devices share depends neither on the placement nor on how many there are. */
export async function compilePolicy(): Promise<Plan> {
  const compiler = new Compiler();
  try {
    return await compilePlan(parseConfiguration(CONFIGURATION, 'tapwall.yaml'), compiler, {
      placement: 'names',
      capabilities: { egress: true },
      keepsHooks: true,
      destroys: true,
      ownerPersist: false,
    });
  } finally {
    compiler.close();
  }
}

/** A binding for each VM, by its MAC, with an IPv4 and an IPv6 address of its own. */
export function bindingFor({ mac }: Pick<Link, 'mac'>, number: number): Binding {
  const low = [number >> 8, number & 0xff];
  return {
    mac,
    policy: POLICY,
    addresses: [
      { family: 4, bytes: Uint8Array.of(203, 0, ...low), prefixLength: 32 },
      {
        family: 6,
        bytes: Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, ...Array(10).fill(0), ...low),
        prefixLength: 128,
      },
    ],
    location: { file: 'tapwall.yaml', line: 1, column: 1 },
  };
}
