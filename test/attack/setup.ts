/** How a guest comes behind its guards. */
import { statusIn } from '#src/agent/status.js';
import type { GuardName, Placement } from '#src/config/configuration.js';
import type { Lab } from '#src/demo/lab.js';
import { withAgent } from '../support/agent.js';
import { kernel, withLab } from '../support/host.js';
import { DEFAULT_PROFILE, GUEST } from './corpus.js';
import type { Stations } from './volley.js';

const DEVICE = 'macvtap0';
const POLICY = 'guarded';

/** What is safe for everybody, in the order in which a policy has them. */
export const DEFAULT_GUARDS: readonly GuardName[] = [
  'ethertype',
  'mac',
  'fragment',
  'arp-mac',
  'arp-ip',
  'ip4',
  'ip6',
  'nd',
  'ra',
  'dhcp-server',
];

export interface GuardedGuest extends Stations {
  /** How many frames have been dropped so far for each reason, both directions together. */
  drops(): Map<string, number>;
}

/** A configuration that has the guest behind a profile's guards and nothing else. */
export function configurationOf(profile: string): string {
  const guards = profile === DEFAULT_PROFILE ? DEFAULT_GUARDS : [profile];
  return [
    'policies:',
    `  ${POLICY}: { guards: [${guards.join(', ')}], default: accept }`,
    'bindings:',
    `  - mac: "${GUEST.mac}"`,
    `    addresses: [${GUEST.addresses.map((address) => `"${address}"`).join(', ')}]`,
    `    policy: ${POLICY}`,
    '',
  ].join('\n');
}

/** A guest that nothing filters. */
export function withOpenGuest<T>(action: (stations: Stations) => Promise<T>): Promise<T> {
  return withLab((lab) =>
    action({ guest: lab.addGuest({ name: DEVICE, mac: GUEST.mac }), world: lab.world() }),
  );
}

function readDrops(lab: Lab): Map<string, number> {
  const drops = new Map<string, number>();
  for (const { ingress, egress } of statusIn(kernel, lab.host.namespace).devices) {
    for (const { dropped } of [ingress, egress]) {
      for (const [reason, { packets }] of Object.entries(dropped)) {
        drops.set(reason, (drops.get(reason) ?? 0) + packets);
      }
    }
  }
  return drops;
}

/** A guest that comes while the agent runs, behind what a configuration has for it. */
export function withGuardedGuest<T>(
  placement: Placement,
  configurationYaml: string,
  action: (guarded: GuardedGuest) => Promise<T>,
): Promise<T> {
  return withLab((lab) =>
    withAgent(
      lab,
      { 'tapwall.yaml': configurationYaml },
      async ({ log }) => {
        const world = lab.world();
        const guest = lab.addGuest({ name: DEVICE, mac: GUEST.mac });
        await log.attached(DEVICE);
        return await action({ guest, world, drops: () => readDrops(lab) });
      },
      { placement },
    ),
  );
}
