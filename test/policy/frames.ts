/** What a VM sends that is right, and what each guard is there to stop. */
import type { GuardName } from '#src/config/configuration.js';
import * as p from '../support/packet.js';

export const VM = { mac: '52:54:00:aa:bb:01', ip4: '192.0.2.7', ip6: '2001:db8::7' };
export const LINK_LOCAL = 'fe80::5054:ff:feaa:bb01';
const PREFIXES = { ip4: '198.51.100.20', ip6: '2001:db8:1::abcd' };
export const PEER = { mac: '02:00:00:00:00:fe', ip4: '203.0.113.1', ip6: '2001:db8:ff::1' };
const OTHER = { mac: '52:54:00:aa:bb:02', ip4: '192.0.2.8', ip6: '2001:db8::8' };
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const GROUP = '33:33:00:00:00:01';
const ALL_NODES = 'ff02::1';

export type Frames = Record<string, Buffer>;

/** From the VM's own MAC to the peer's. */
const plain = (type: number, payload: Uint8Array, tags: number[][] = []) =>
  p.frame(PEER.mac, VM.mac, type, payload, tags);

const SOME_UDP = p.udpDatagram(40_000, 40_001);

const v4 = (options: Partial<p.Ip4Options> = {}) =>
  p.ip4Packet({ from: VM.ip4, to: PEER.ip4, protocol: p.UDP, payload: SOME_UDP, ...options });
const v6 = (options: Partial<p.Ip6Options> = {}) =>
  p.ip6Packet({ from: VM.ip6, to: PEER.ip6, next: p.UDP, payload: SOME_UDP, ...options });
const frame4 = (options: Partial<p.Ip4Options> = {}) => plain(p.IP4, v4(options));
const frame6 = (options: Partial<p.Ip6Options> = {}) => plain(p.IP6, v6(options));
const frameIcmp6 = (options: p.Icmpv6Options, to = GROUP) =>
  p.frame(to, VM.mac, p.IP6, p.icmpv6Packet(options));
const arp = (options: Partial<p.ArpOptions> = {}, to = BROADCAST) =>
  p.frame(
    to,
    VM.mac,
    p.ARP,
    p.arpPacket({ senderMac: VM.mac, sender: VM.ip4, target: PEER.ip4, ...options }),
  );
const rarp = (options: Partial<p.ArpOptions> = {}, from = VM.mac) =>
  p.frame(
    BROADCAST,
    from,
    p.RARP,
    p.arpPacket({
      operation: 3,
      senderMac: VM.mac,
      targetMac: VM.mac,
      sender: '0.0.0.0',
      target: '0.0.0.0',
      ...options,
    }),
  );

const SOLICIT = 135;
const ADVERT = 136;
const ROUTER_SOLICIT = 133;
const SOURCE = p.linkOption(1, VM.mac);
const TARGET = p.linkOption(2, VM.mac);

const solicit = (target: string, options: Uint8Array[] = [SOURCE], rest: Partial<p.Icmpv6Options> = {}) =>
  frameIcmp6({ from: VM.ip6, to: 'ff02::1:ff00:1', type: SOLICIT, body: p.ndBody(target, options), ...rest });
const detect = (target: string, options: Uint8Array[] = [], rest: Partial<p.Icmpv6Options> = {}) =>
  solicit(target, options, { from: '::', ...rest });
const advert = (target: string, options: Uint8Array[] = [TARGET], rest: Partial<p.Icmpv6Options> = {}) =>
  frameIcmp6({
    from: VM.ip6,
    to: ALL_NODES,
    type: ADVERT,
    body: p.ndBody(target, options, 0x60000000),
    ...rest,
  });
const routerSolicit = (from: string, options: Uint8Array[], rest: Partial<p.Icmpv6Options> = {}) =>
  frameIcmp6({
    from,
    to: 'ff02::2',
    type: ROUTER_SOLICIT,
    body: Buffer.concat([p.be(4, 0), ...options]),
    ...rest,
  });
/** As a listener report must have it. */
const ALERT: Partial<p.Icmpv6Options> = { hopLimit: 1, headers: [[p.HOP_BY_HOP, p.ROUTER_ALERT]] };
const report = (from: string) =>
  frameIcmp6({ from, to: 'ff02::16', type: 143, body: p.listenerReport('ff02::1:ff00:7'), ...ALERT });
const discover = p.udpDatagram(68, 67);
const ESP_PAYLOAD = p.be(4, 1, 1, 0x01020304, 5);

/** What no VM can do without: every guard but those that forbid a whole protocol lets it pass. */
export const LEGITIMATE: Frames = {
  'UDP over IPv4': frame4(),
  'UDP over IPv4 without data': frame4({ payload: p.udpDatagram(40_000, 53, '') }),
  'UDP over IPv4 from a prefix': frame4({ from: PREFIXES.ip4 }),
  'ping over IPv4': frame4({ protocol: p.ICMP, payload: p.icmp(8) }),
  'ESP over IPv4': frame4({ protocol: p.ESP, payload: ESP_PAYLOAD }),
  'DHCP discovery': p.frame(
    BROADCAST,
    VM.mac,
    p.IP4,
    v4({ from: '0.0.0.0', to: '255.255.255.255', payload: discover }),
  ),
  'DHCP renewal': frame4({ payload: discover }),
  'ARP request': arp(),
  'ARP reply': arp({ operation: 2, targetMac: PEER.mac }, PEER.mac),
  'ARP request from a prefix': arp({ sender: PREFIXES.ip4 }),
  'gratuitous ARP, as a request': arp({ target: VM.ip4 }),
  'gratuitous ARP, as a reply': arp({ operation: 2, target: VM.ip4, targetMac: BROADCAST }),
  'ARP probe': arp({ sender: '0.0.0.0', target: VM.ip4 }),
  'ARP probe of a prefix': arp({ sender: '0.0.0.0', target: PREFIXES.ip4 }),
  'UDP over IPv6': frame6(),
  'UDP over IPv6 from a prefix': frame6({ from: PREFIXES.ip6 }),
  'UDP over IPv6 from the link-local address': frame6({ from: LINK_LOCAL }),
  'ping over IPv6': frameIcmp6({ from: VM.ip6, to: PEER.ip6, type: 128, body: p.be(2, 1, 1) }, PEER.mac),
  'ESP over IPv6': frame6({ next: p.ESP, payload: ESP_PAYLOAD }),
  'AH over IPv6': frame6({
    headers: [[p.AH, Buffer.concat([p.be(1, 4), p.be(2, 0), p.be(4, 1, 1, 2, 3, 4)])]],
  }),
  'DHCPv6 solicitation': frame6({
    from: LINK_LOCAL,
    to: 'ff02::1:2',
    payload: p.udpDatagram(546, 547),
  }),
  'duplicate address detection': detect(VM.ip6),
  'duplicate address detection of the link-local address': detect(LINK_LOCAL),
  'duplicate address detection of a prefix, with a nonce': detect(PREFIXES.ip6, [p.NONCE]),
  'neighbour solicitation': solicit(PEER.ip6),
  'neighbour solicitation without an option': solicit(PEER.ip6, []),
  'neighbour advertisement': advert(VM.ip6),
  'neighbour advertisement of a prefix': advert(PREFIXES.ip6),
  'neighbour advertisement without an option': advert(LINK_LOCAL, [], { from: LINK_LOCAL }),
  'router solicitation': routerSolicit(LINK_LOCAL, [SOURCE]),
  'router solicitation without an address': routerSolicit('::', []),
  'listener report': report(LINK_LOCAL),
  'listener report without an address': report('::'),
};

/** Tags and other ways to say what is inside differently. */
const wrapped = (type: number, packet: Buffer): Frames => ({
  'an 802.1Q tag': plain(type, packet, [[p.VLAN, 5]]),
  'a priority tag': plain(type, packet, [[p.VLAN, 0xe000]]),
  'two tags': plain(type, packet, [
    [p.QINQ, 5],
    [p.VLAN, 6],
  ]),
  'two 802.1Q tags': plain(type, packet, [
    [p.VLAN, 5],
    [p.VLAN, 6],
  ]),
  'an 802.1ad tag': plain(type, packet, [[p.QINQ, 5]]),
  MPLS: plain(p.MPLS, Buffer.concat([p.be(4, 0x000051ff), packet])),
  PPPoE: plain(p.PPPOE, Buffer.concat([p.be(1, 0x11, 0), p.be(2, 1, packet.length + 2, 0x21), packet])),
  'LLC and SNAP': plain(
    packet.length + 8,
    Buffer.concat([p.be(1, 0xaa, 0xaa, 3, 0, 0, 0), p.be(2, type), packet]),
  ),
  LLC: plain(packet.length + 3, Buffer.concat([p.be(1, 0x42, 0x42, 3), packet])),
  'an unknown EtherType': plain(0x88b5, packet),
});

const withHeader = (type: number, rest: Uint8Array = p.PADDING) => frame6({ headers: [[type, rest]] });
const ROUTE = Buffer.from([0, 0, 0, 0, 0, 0, 0]);

export const FRAGMENTS: Frames = {
  'a first fragment of IPv4': frame4({ fragment: 0x2000 }),
  'a later fragment of IPv4': frame4({ fragment: 0x2001 }),
  'a last fragment of IPv4': frame4({ fragment: 0x0002 }),
  'a tiny fragment of IPv4': frame4({ fragment: 0x2000, payload: SOME_UDP.subarray(0, 8) }),
  'a first fragment of IPv6': withHeader(p.FRAGMENT, p.fragmentHeader(0, true)),
  'a later fragment of IPv6': withHeader(p.FRAGMENT, p.fragmentHeader(1, true)),
  'an atomic fragment of IPv6': withHeader(p.FRAGMENT, p.fragmentHeader(0, false)),
  'a fragment behind hop-by-hop': frame6({
    headers: [
      [p.HOP_BY_HOP, p.PADDING],
      [p.FRAGMENT, p.fragmentHeader(0, true)],
    ],
  }),
  'a fragment behind AH': frame6({
    headers: [
      [p.AH, Buffer.concat([p.be(1, 4), p.be(2, 0), p.be(4, 1, 1, 2, 3, 4)])],
      [p.FRAGMENT, p.fragmentHeader(0, true)],
    ],
  }),
  'a routing header': withHeader(p.ROUTING, ROUTE),
  'destination options': withHeader(p.DESTINATION),
  'destination options behind hop-by-hop': frame6({
    headers: [
      [p.HOP_BY_HOP, p.PADDING],
      [p.DESTINATION, p.PADDING],
    ],
  }),
  'a mobility header': withHeader(p.MOBILITY),
  HIP: withHeader(139),
  shim6: withHeader(140),
  'shim6 behind hop-by-hop': frame6({
    headers: [
      [p.HOP_BY_HOP, p.PADDING],
      [140, p.PADDING],
    ],
  }),
  'no next header': frame6({ next: p.NO_NEXT, payload: Buffer.alloc(8) }),
  'a chain of headers that is cut off': frame6({
    next: p.HOP_BY_HOP,
    payload: Buffer.from([]),
  }),
  'a chain of headers that runs past the end': frame6({
    next: p.HOP_BY_HOP,
    payload: Buffer.from([p.UDP, 200, 1, 4, 0, 0, 0, 0]),
  }),
  'IPv6 that is shorter than it says': frame6({ length: 1000 }),
  'IPv4 that is shorter than it says': frame4({ length: 1000 }),
  'IPv4 with a header of four words': frame4({ words: 4 }),
  'IPv4 that ends in its header': plain(p.IP4, v4().subarray(0, 18)),
};

/** For each guard on its own, what it drops. */
export const DROPPED: Record<GuardName, Frames> = {
  ethertype: { ...wrapped(p.IP4, v4()), RARP: rarp() },
  'ethertype-rarp': {
    ...wrapped(p.IP6, v6()),
    'RARP from another MAC': rarp({}, OTHER.mac),
    'a RARP reply': rarp({ operation: 4 }),
    'RARP with an address': rarp({ sender: OTHER.ip4 }),
    'RARP that is cut off': plain(p.RARP, p.be(2, 1, p.IP4)),
  },
  mac: {
    'another MAC': p.frame(PEER.mac, OTHER.mac, p.IP4, v4()),
    'no MAC': p.frame(PEER.mac, '00:00:00:00:00:00', p.IP4, v4()),
    'another MAC in a tag': p.frame(PEER.mac, OTHER.mac, p.IP4, v4(), [[p.VLAN, 5]]),
    'another MAC on ARP': p.frame(
      BROADCAST,
      OTHER.mac,
      p.ARP,
      p.arpPacket({ senderMac: VM.mac, sender: VM.ip4, target: PEER.ip4 }),
    ),
  },
  fragment: FRAGMENTS,
  'no-broadcast': {
    'IPv4 to all': p.frame(BROADCAST, VM.mac, p.IP4, v4()),
    'IPv6 to all': p.frame(BROADCAST, VM.mac, p.IP6, v6()),
    'tagged ARP': p.frame(BROADCAST, VM.mac, p.ARP, v4(), [[p.VLAN, 5]]),
  },
  'no-ip-multicast': {
    'a group': frame4({ to: '224.0.0.251' }),
    'the last group': frame4({ to: '239.255.255.255' }),
  },
  'no-ipv6-multicast': { 'a group': frame6({ to: 'ff02::fb' }), 'another scope': frame6({ to: 'ff0e::1' }) },
  'no-ipv6': { UDP: frame6(), ND: solicit(PEER.ip6) },
  'arp-mac': {
    'another MAC': arp({ senderMac: OTHER.mac }),
    'another MAC in a reply': arp({ operation: 2, senderMac: OTHER.mac }),
    'an odd operation': arp({ operation: 8 }),
    'the operation of RARP': arp({ operation: 3 }),
    'other hardware': arp({ hardware: 6 }),
    'another protocol': arp({ protocol: p.IP6 }),
    'other lengths': arp({ lengths: [8, 4] }),
    'the end before the sender': p.frame(BROADCAST, VM.mac, p.ARP, p.be(2, 1, p.IP4, 0x0604, 1)),
  },
  'arp-ip': {
    'another address': arp({ sender: OTHER.ip4 }),
    'another address in a reply': arp({ operation: 2, sender: OTHER.ip4 }),
    'gratuitous for another': arp({ sender: OTHER.ip4, target: OTHER.ip4 }),
    'an address beyond the prefix': arp({ sender: '198.51.100.32' }),
    'a probe for another': arp({ sender: '0.0.0.0', target: OTHER.ip4 }),
    'a reply from no address': arp({ operation: 2, sender: '0.0.0.0', target: VM.ip4 }),
    'other lengths': arp({ lengths: [8, 4] }),
    'the end before the sender': p.frame(BROADCAST, VM.mac, p.ARP, p.be(2, 1, p.IP4, 0x0604, 1)),
  },
  ip4: {
    'another address': frame4({ from: OTHER.ip4 }),
    'an address beyond the prefix': frame4({ from: '198.51.100.32' }),
    'no address': frame4({ from: '0.0.0.0' }),
    'DHCP to somebody': frame4({ from: '0.0.0.0', payload: discover }),
    'DHCP from another port': frame4({
      from: '0.0.0.0',
      to: '255.255.255.255',
      payload: p.udpDatagram(69, 67),
    }),
    'a fragment like DHCP': frame4({
      from: '0.0.0.0',
      to: '255.255.255.255',
      payload: discover,
      fragment: 0x2010,
    }),
    'the end before the source': plain(p.IP4, v4().subarray(0, 10)),
  },
  ip6: {
    'another address': frame6({ from: OTHER.ip6 }),
    'an address beyond the prefix': frame6({ from: '2001:db8:1:1000::1' }),
    'the link-local address of another': frame6({ from: 'fe80::5054:ff:feaa:bb02' }),
    'no address': frame6({ from: '::', to: ALL_NODES }),
    'a ping from no address': frameIcmp6({ from: '::', to: ALL_NODES, type: 128, body: p.be(2, 1, 1) }),
    'detection sent to somebody': detect(VM.ip6, [], { to: PEER.ip6 }),
    'an advertisement from no address': advert(VM.ip6, [], { from: '::' }),
    'the end before the source': plain(p.IP6, v6().subarray(0, 16)),
  },
  nd: {
    'detection of another’s address': detect(OTHER.ip6),
    'detection beyond the prefix': detect('2001:db8:1:1000::1'),
    'detection with a MAC': detect(VM.ip6, [SOURCE]),
    'a solicitation from another’s address': solicit(PEER.ip6, [SOURCE], { from: OTHER.ip6 }),
    'a solicitation with another’s MAC': solicit(PEER.ip6, [p.linkOption(1, OTHER.mac)]),
    'a solicitation with a second MAC': solicit(PEER.ip6, [SOURCE, p.linkOption(1, OTHER.mac)]),
    'a solicitation with a MAC behind a nonce': solicit(PEER.ip6, [p.NONCE, p.linkOption(1, OTHER.mac)]),
    'a solicitation with a nonce instead': solicit(PEER.ip6, [p.NONCE]),
    'a solicitation from beyond a router': solicit(PEER.ip6, [SOURCE], { hopLimit: 254 }),
    'a solicitation of another code': solicit(PEER.ip6, [SOURCE], { code: 1 }),
    'a solicitation behind hop-by-hop': solicit(PEER.ip6, [SOURCE], { headers: [[p.HOP_BY_HOP, p.PADDING]] }),
    'a solicitation behind destination options': solicit(PEER.ip6, [SOURCE], {
      headers: [[p.DESTINATION, p.PADDING]],
    }),
    'a solicitation in a fragment': solicit(PEER.ip6, [SOURCE], {
      headers: [[p.FRAGMENT, p.fragmentHeader(0, true)]],
    }),
    'a solicitation that ends in its target': frameIcmp6({
      from: VM.ip6,
      to: PEER.ip6,
      type: SOLICIT,
      body: p.be(4, 0, 0x20010db8),
    }),
    'an advertisement of another’s address': advert(OTHER.ip6),
    'an advertisement from another’s address': advert(VM.ip6, [TARGET], { from: OTHER.ip6 }),
    'an advertisement with another’s MAC': advert(VM.ip6, [p.linkOption(2, OTHER.mac)]),
    'an advertisement with a second MAC': advert(VM.ip6, [TARGET, p.linkOption(2, OTHER.mac)]),
    'an advertisement with the wrong option': advert(VM.ip6, [SOURCE]),
    'an advertisement from beyond a router': advert(VM.ip6, [TARGET], { hopLimit: 64 }),
    'an advertisement of another code': advert(VM.ip6, [TARGET], { code: 3 }),
    'a router solicitation from another’s address': routerSolicit(OTHER.ip6, []),
    'a router solicitation with another’s MAC': routerSolicit(LINK_LOCAL, [p.linkOption(1, OTHER.mac)]),
    'a router solicitation with a MAC and no address': routerSolicit('::', [SOURCE]),
  },
  ra: {
    'a router advertisement': frameIcmp6({
      from: LINK_LOCAL,
      to: ALL_NODES,
      type: 134,
      body: p.be(4, 0, 0, 0),
    }),
    'a router advertisement behind hop-by-hop': frameIcmp6({
      from: LINK_LOCAL,
      to: ALL_NODES,
      type: 134,
      body: p.be(4, 0, 0, 0),
      headers: [[p.HOP_BY_HOP, p.PADDING]],
    }),
    'a router advertisement behind destination options': frameIcmp6({
      from: LINK_LOCAL,
      to: ALL_NODES,
      type: 134,
      body: p.be(4, 0, 0, 0),
      headers: [[p.DESTINATION, p.PADDING]],
    }),
    'a redirect': frameIcmp6({ from: LINK_LOCAL, to: PEER.ip6, type: 137, body: Buffer.alloc(36) }, PEER.mac),
    'a redirect over IPv4': frame4({ protocol: p.ICMP, payload: p.icmp(5, 1) }),
    'a router advertisement over IPv4': frame4({ protocol: p.ICMP, payload: p.icmp(9) }),
  },
  'dhcp-server': {
    'an offer': frame4({ payload: p.udpDatagram(67, 68) }),
    'an offer from another port': frame4({ payload: p.udpDatagram(1067, 68) }),
    'an answer to a relay': frame4({ payload: p.udpDatagram(67, 67) }),
    'an advertisement over IPv6': frame6({ payload: p.udpDatagram(547, 546) }),
    'an advertisement from another port': frame6({ payload: p.udpDatagram(1547, 546) }),
    'an answer to a relay over IPv6': frame6({ payload: p.udpDatagram(547, 547) }),
  },
};

/** What passes a guard although it is close to what it drops. */
export const SPARED: Partial<Record<GuardName, Frames>> = {
  'ethertype-rarp': { RARP: rarp() },
  'no-broadcast': { ARP: arp(), 'a group': p.frame(GROUP, VM.mac, p.IP6, v6()) },
  mac: { 'a tag': plain(p.IP4, v4(), [[p.VLAN, 5]]) },
  // What docs/guards.md says of guards without the one on EtherTypes.
  ip4: { 'another address in a tag': plain(p.IP4, v4({ from: OTHER.ip4 }), [[p.VLAN, 5]]) },
  ip6: { 'another address in a tag': plain(p.IP6, v6({ from: OTHER.ip6 }), [[p.VLAN, 5]]) },
  fragment: { 'a fragment in a tag': plain(p.IP4, v4({ fragment: 0x2001 }), [[p.VLAN, 5]]) },
  'dhcp-server': { 'TCP of that port': frame4({ protocol: 6, payload: p.udpDatagram(67, 68) }) },
};

/** To the VM; the guards that look there too. */
export const TO_VM: Partial<Record<GuardName, Frames>> = {
  ethertype: DROPPED.ethertype,
  'ethertype-rarp': { ...DROPPED['ethertype-rarp'], RARP: rarp() },
  fragment: {
    ...FRAGMENTS,
    'a fragment in a tag, which the kernel takes off': plain(p.IP4, v4({ fragment: 0x2001 }), [[p.VLAN, 5]]),
  },
  'no-ipv6': {
    ...DROPPED['no-ipv6'],
    'IPv6 in a tag, which the kernel takes off': plain(p.IP6, v6(), [[p.VLAN, 5]]),
  },
};

/** The same frame with its addresses exchanged, for the other direction. */
export function toVm(bytes: Buffer): Buffer {
  return Buffer.concat([p.mac(VM.mac), p.mac(PEER.mac), bytes.subarray(12)]);
}
