import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent } from '#src/agent/agent.js';
import { Committer } from '#src/agent/committer.js';
import { readMarks, readShared } from '#src/agent/shared-state.js';
import { loadConfiguration } from '#src/config/load.js';
import type { Lab } from '#src/demo/lab.js';
import { linuxKernel } from '#src/kernel/linux.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { membersOf } from '#src/policy/membership.js';
import { memberSegment } from '#src/program/member.js';
import type { Device } from './ruleset.js';

const POLICY = 'measured';

/** The same guards and rules as what is written by hand; tables that nobody owns take the elements of devices that are not there. */
function configuration(policies: number): string {
  const others = Array.from({ length: policies - 1 }, (_, at) => `  other-${at}: { default: accept }\n`);
  return `owner: false
policies:
${others.join('')}  ${POLICY}:
    guards: [ethertype, mac, fragment]
    ingress: |
      ip saddr 192.168.2.1 accept
      ip saddr 192.168.2.53 accept
      ip saddr 192.168.0.0/16 drop
      ip saddr 10.0.0.0/8 drop
    egress: |
      ip daddr 192.168.2.1 accept
      ip daddr 192.168.2.53 accept
      ip daddr 192.168.0.0/16 drop
      ip daddr 10.0.0.0/8 drop
    default: accept
bindings: [{ device: "*", policy: ${POLICY} }]
`;
}

const LONGEST_WAIT_MS = 10_000;

/** Far from any index that a link is given here. */
const FIRST_FOREIGN_INDEX = 1_000_000;

/** Has the agent filter a device that is there, and admits others that are not, as if they were. */
export async function startAgent(
  lab: Lab,
  { name, index }: Device & { index: number },
  folder: string,
  { devices, policies }: { devices: number; policies: number },
): Promise<undefined> {
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, configuration(policies));
  const agent = await Agent.start(loadConfiguration(file), { namespace: lab.host.namespace });
  const netfilter = linuxKernel().openSocket({ protocol: NETLINK_NETFILTER, namespace: lab.host.namespace });
  try {
    await countersMade(netfilter, index);
    // It would take away what is of no device. What filters stays.
    await agent.stop();
    const policy = {
      mark: readMarks(netfilter).get(POLICY) ?? 0,
      facts: [],
      limits: [],
      plain: [{ set: `policy.${POLICY}.devices` }, { set: `policy.${POLICY}.macs`, withMac: true }],
    };
    const foreign = Array.from({ length: devices - 1 }, (_, at) => FIRST_FOREIGN_INDEX + at);
    const members = foreign.flatMap((index) =>
      membersOf({ index, mac: '52:54:00:ff:ff:ff', addresses: [], policy }),
    );
    for (let at = 0; at < members.length; at += 500) {
      new Committer(netfilter).transact([memberSegment('join', members.slice(at, at + 500))]);
    }
  } finally {
    netfilter.close();
  }
}

/** Waits for what the agent makes when it has nothing else to do. */
async function countersMade(netfilter: NetlinkSocket, index: number): Promise<void> {
  const isMade = () =>
    readShared(netfilter)
      ?.counted.get(index)
      ?.some(({ set }) => set === 'egress.admitted') === true;
  for (const end = performance.now() + LONGEST_WAIT_MS; !isMade(); await sleep(50)) {
    if (performance.now() > end) throw new Error('the agent has made no counters');
  }
}
