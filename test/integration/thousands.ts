/** A host with thousands of VMs, as far as tapwall sees it: devices, and a configuration with something for everybody. */
import { spawnSync } from 'node:child_process';
import { readShared } from '#src/agent/shared-state.js';
import type { Lab } from '#src/demo/lab.js';
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import { MACVLAN_MODE_BRIDGE } from '#src/links/constants.js';
import { parseMac } from '#src/links/link.js';
import { deleteLink, newLink } from '#src/links/request.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { NFT_MSG_GETGEN } from '#src/nftables/constants.js';
import { generationSchema } from '#src/nftables/generation.js';
import { nftablesRequest, parseNftablesMessage } from '#src/nftables/message.js';
import { kernel } from '../support/host.js';

const PARENTS = 8;
/** Above whatever else there is in a namespace, so that two hosts can have the same. */
const FIRST_INDEX = 1_000;

export interface Vm {
  name: string;
  index: number;
  mac: string;
  parent: string;
  policy: string;
}

function hexByte(value: number): string {
  return (value & 0xff).toString(16).padStart(2, '0');
}

/** The first have file policies of their own, the next a binding of their own, with addresses; the rest go by parent. */
export function planVms(count: number, { own, bound }: { own: number; bound: number }): Vm[] {
  return Array.from({ length: count }, (_, number) => {
    const parent = number % PARENTS;
    return {
      name: `macvtap${number}`,
      index: FIRST_INDEX + number,
      mac: `52:54:00:01:${hexByte(number >> 8)}:${hexByte(number)}`,
      parent: `uplink${parent}`,
      policy: number < own ? `own-${number}` : number < own + bound ? 'guarded' : `parent-${parent}`,
    };
  });
}

/** Makes the devices, down. @returns what takes all of them away, which a namespace would do some time later. */
export function createVms(lab: Lab, vms: readonly Vm[]): () => void {
  const { route } = lab.host;
  const parents = new Map<string, number>();
  for (let number = 0; number < PARENTS; number++) {
    const name = `uplink${number}`;
    route.request(newLink({ name, kind: 'veth', peer: { name: `switch${number}` } }), `RTM_NEWLINK ${name}`);
    parents.set(name, lab.host.link(name).index);
  }
  for (const { name, index, mac, parent } of vms) {
    const parentIndex = parents.get(parent) ?? 0;
    const link = { name, kind: 'macvtap', index, mac: parseMac(mac), parentIndex, mode: MACVLAN_MODE_BRIDGE };
    route.request(newLink(link), `RTM_NEWLINK ${name}`);
  }
  return () => {
    for (const [name, index] of parents) route.request(deleteLink(index), `RTM_DELLINK ${name}`);
  };
}

/** A file that a VM has for itself. */
export const OWN_FILE = `table netdev own {
  set served { type inet_service; elements = $ports }
  chain in  { type filter hook ingress device $intf priority filter; policy drop;
    ether type arp accept
    tcp dport @served accept
  }
  chain out { type filter hook egress device $intf priority filter; policy accept;
    ip daddr 192.168.0.0/16 drop
  }
}
`;

export function configurationFor(vms: readonly Vm[], { gateway = '192.168.2.1' } = {}): string {
  const lines = ['sets:', '  dns: { type: ipv4_addr, elements: [192.168.2.1, 192.168.2.53] }', 'policies:'];
  vms.forEach(({ policy }, number) => {
    if (!policy.startsWith('own-')) return;
    lines.push(`  ${policy}: { file: own.nft, variables: { ports: "{ 22, 80, ${1_024 + number} }" } }`);
  });
  const lan = (direction: string, word: string) =>
    `    ${direction}: "ip ${word} ${gateway} accept\\nip ${word} @dns accept\\nip ${word} 192.168.0.0/16 drop"`;
  lines.push('  guarded:', lan('ingress', 'saddr'), lan('egress', 'daddr'), '    default: accept');
  for (let parent = 0; parent < PARENTS; parent++) {
    lines.push(
      `  parent-${parent}:`,
      '    guards: [ethertype, mac, fragment]',
      `    ingress: "tcp dport { 22, 80, ${443 + parent} } counter accept"`,
      `    egress: "ip daddr 10.${parent}.0.0/16 drop"`,
      `    default: ${parent % 2 === 0 ? 'accept' : 'drop'}`,
    );
  }
  lines.push('bindings:');
  vms.forEach(({ mac, policy }, number) => {
    if (policy.startsWith('parent-')) return;
    const [high, low] = [number >> 8, number & 0xff];
    const addresses = [`10.200.${high}.${low}`, `2001:db8::${hexByte(high)}${hexByte(low)}`];
    if (number % 3 === 0) addresses.push(`10.201.${high}.${low & 0xf0}/28`);
    const facts =
      policy === 'guarded' ? `addresses: [${addresses.map((one) => `"${one}"`).join(', ')}], ` : '';
    lines.push(`  - { mac: "${mac}", ${facts}policy: ${policy} }`);
  });
  for (let parent = 0; parent < PARENTS; parent++) {
    lines.push(`  - { parent: uplink${parent}, policy: parent-${parent} }`);
  }
  return `${lines.join('\n')}\n`;
}

/** The number that every commit raises. */
export function generationOf(namespace: NamespaceHandle): number {
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  try {
    const [answer] = netfilter.request(nftablesRequest(NFT_MSG_GETGEN, 0), 'GETGEN');
    const message = answer && parseNftablesMessage(answer);
    return generationSchema.parse(message?.attributes ?? new Uint8Array()).id;
  } finally {
    netfilter.close();
  }
}

/** Everything that devices have in the shared table, their counters too, in one order. */
export function deviceElements(namespace: NamespaceHandle): string[] {
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  try {
    const shared = readShared(netfilter);
    const elements = [...(shared?.members.values() ?? []), ...(shared?.counted.values() ?? [])].flat();
    return elements.map((element) => JSON.stringify(element)).sort();
  } finally {
    netfilter.close();
  }
}

/** Runs nft in a namespace and a folder, with what it prints in a file: it may be megabytes. */
export function runNft(namespace: NamespaceHandle, folder: string, script: string, timeout: number) {
  const command = ['nsenter', `--net=${namespace.path}`, 'sh', '-c', script];
  const started = process.hrtime.bigint();
  const { status, stderr } = spawnSync(command[0] ?? '', command.slice(1), {
    cwd: folder,
    encoding: 'utf8',
    timeout,
  });
  return { status, stderr, seconds: Number(process.hrtime.bigint() - started) / 1e9 };
}
