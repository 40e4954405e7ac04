import { arpRequest, BROADCAST, ETH_P_ARP, ETH_P_IP, ethernet, udp } from './frame.js';

/** The two guests and the rest of the world, as the scenario addresses them. */
export const GUEST_A = { name: 'macvtap0', mac: '52:54:00:00:00:0a', address: '192.168.2.50' };
export const GUEST_B = { name: 'macvtap1', mac: '52:54:00:00:00:0b', address: '203.0.113.8' };
/** Nobody has bound this one to a policy. */
export const GUEST_C = { name: 'macvtap2', mac: '52:54:00:00:00:0c', address: '203.0.113.9' };
export const WORLD_MAC = '02:00:00:00:00:fe';
export const GATEWAY = '192.168.2.1';
export const LAN_HOST = '192.168.7.7';
export const INTERNET_HOST = '198.51.100.9';

/**
 * The file of the usual recipe, unchanged: it deletes the table of the VM before, which is why its table must not be
 * shared, and it does not look into tagged frames.
 */
export const LEGACY_FILE = `table netdev filtermacvtap
delete table netdev filtermacvtap
table netdev filtermacvtap {
    chain filterin  { type filter hook ingress device $intf priority filter; policy accept;
                      ip saddr ${GATEWAY} accept
                      ip saddr 192.168.0.0/16 drop
    }
    chain filterout { type filter hook egress device $intf priority filter; policy accept;
                      ip daddr ${GATEWAY} accept
                      ip daddr 192.168.0.0/16 drop
    }
}
`;

/** Guest A has the user's file as it is, guest B a policy that stands in the configuration, guest C none. */
export const CONFIGURATION = `devices:
  prefixes: [macvtap]
policies:
  legacy:
    file: filtermacvtap.nft
  lan-guard:
    guards: [ethertype, mac, fragment, ip, arp, nd, ra, dhcp-server]
    ingress: |
      ip saddr ${GATEWAY} accept
      ip saddr 192.168.0.0/16 drop
    egress: |
      ip daddr ${GATEWAY} accept
      ip daddr 192.168.0.0/16 drop
    default: accept
bindings:
  - { device: ${GUEST_A.name}, parent: vx0, policy: legacy }
  - { device: ${GUEST_B.name}, parent: vx0, policy: lan-guard, addresses: [${GUEST_B.address}] }
  - { device: "macvtap1??", parent: vx0, policy: lan-guard, addresses: [203.0.113.0/24] }
`;

export type Station = 'A' | 'B' | 'C' | 'world';

/** One frame of the scenario. */
export interface Probe {
  what: string;
  from: Station;
  to: Station;
  expected: 'passes' | 'dropped';
  /** The frame, with `id` somewhere in it for the receiver to know it by. */
  frame(id: string): Buffer;
}

function packet(from: string, to: string, source: string, destination: string, tags: number[] = []) {
  return (id: string) =>
    ethernet({ from, to, type: ETH_P_IP, tags, payload: udp({ from: source, to: destination, data: id }) });
}

function toWorld(guest: typeof GUEST_A, destination: string, tags?: number[]) {
  return packet(guest.mac, WORLD_MAC, guest.address, destination, tags);
}

function fromWorld(guest: typeof GUEST_A, source: string) {
  return packet(WORLD_MAC, guest.mac, source, guest.address);
}

function bothGuests(make: (guest: typeof GUEST_A, station: 'A' | 'B') => Probe[]): Probe[] {
  return [...make(GUEST_A, 'A'), ...make(GUEST_B, 'B')];
}

/** The frames of the demonstration, and what the policies say about each. */
export const PROBES: readonly Probe[] = [
  ...bothGuests((guest, station) => [
    {
      what: 'to the gateway',
      from: station,
      to: 'world',
      expected: 'passes',
      frame: toWorld(guest, GATEWAY),
    },
    {
      what: 'to a LAN host',
      from: station,
      to: 'world',
      expected: 'dropped',
      frame: toWorld(guest, LAN_HOST),
    },
    {
      what: 'to the internet',
      from: station,
      to: 'world',
      expected: 'passes',
      frame: toWorld(guest, INTERNET_HOST),
    },
    {
      what: 'broadcast ARP request',
      from: station,
      to: 'world',
      expected: 'passes',
      frame: (id) =>
        ethernet({
          from: guest.mac,
          to: BROADCAST,
          type: ETH_P_ARP,
          payload: arpRequest({ mac: guest.mac, from: guest.address, to: GATEWAY, data: id }),
        }),
    },
    {
      what: 'from the gateway',
      from: 'world',
      to: station,
      expected: 'passes',
      frame: fromWorld(guest, GATEWAY),
    },
    {
      what: 'from a LAN host',
      from: 'world',
      to: station,
      expected: 'dropped',
      frame: fromWorld(guest, LAN_HOST),
    },
    {
      what: 'from the internet',
      from: 'world',
      to: station,
      expected: 'passes',
      frame: fromWorld(guest, INTERNET_HOST),
    },
  ]),
  {
    what: 'to a LAN host, in a VLAN tag (its file does not look there)',
    from: 'A',
    to: 'world',
    expected: 'passes',
    frame: toWorld(GUEST_A, LAN_HOST, [5]),
  },
  {
    what: 'to a LAN host, in a VLAN tag (the guard ethertype)',
    from: 'B',
    to: 'world',
    expected: 'dropped',
    frame: toWorld(GUEST_B, LAN_HOST, [5]),
  },
  {
    what: 'to the internet, from an address that is not its own',
    from: 'B',
    to: 'world',
    expected: 'dropped',
    frame: packet(GUEST_B.mac, WORLD_MAC, GUEST_C.address, INTERNET_HOST),
  },
  {
    what: 'to the internet, from a MAC that is not its own',
    from: 'B',
    to: 'world',
    expected: 'dropped',
    frame: packet(GUEST_C.mac, WORLD_MAC, GUEST_B.address, INTERNET_HOST),
  },
  {
    what: 'ARP request that says it is the gateway',
    from: 'B',
    to: 'world',
    expected: 'dropped',
    frame: (id) =>
      ethernet({
        from: GUEST_B.mac,
        to: WORLD_MAC,
        type: ETH_P_ARP,
        payload: arpRequest({ mac: GUEST_B.mac, from: GATEWAY, to: GUEST_B.address, data: id }),
      }),
  },
  {
    what: 'to the internet; nothing admits this guest',
    from: 'C',
    to: 'world',
    expected: 'dropped',
    frame: toWorld(GUEST_C, INTERNET_HOST),
  },
  {
    what: 'from the internet; nothing admits this guest',
    from: 'world',
    to: 'C',
    expected: 'dropped',
    frame: fromWorld(GUEST_C, INTERNET_HOST),
  },
  {
    what: 'to the other guest, a public address',
    from: 'A',
    to: 'B',
    expected: 'passes',
    frame: packet(GUEST_A.mac, GUEST_B.mac, INTERNET_HOST, GUEST_B.address),
  },
  {
    what: 'to the other guest, from a LAN address',
    from: 'A',
    to: 'B',
    expected: 'dropped',
    frame: packet(GUEST_A.mac, GUEST_B.mac, GUEST_A.address, GUEST_B.address),
  },
  {
    what: 'to the other guest, a LAN address',
    from: 'B',
    to: 'A',
    expected: 'dropped',
    frame: packet(GUEST_B.mac, GUEST_A.mac, GUEST_B.address, GUEST_A.address),
  },
];
