"""Source MACs that are not the guest's, and what hides a packet from rules: tags and other encapsulations."""
from scapy.layers.inet import TCP
from scapy.layers.inet6 import ICMPv6EchoRequest
from scapy.layers.l2 import ARP, LLC, SNAP, Dot1AD, Dot1Q, Dot3
from scapy.layers.ppp import PPPoE
from scapy.packet import Raw

from .book import Book
from .cast import BROADCAST, Cast, neighbour_of, ping, udp


def write(book: Book, cast: Cast) -> None:
    write_macs(book, cast)
    for direction in ("egress", "ingress"):
        write_tags(book, cast, direction)
        write_other_types(book, cast, direction)


def write_macs(book: Book, cast: Cast) -> None:
    c = book.chapter("mac")
    octets = cast.mac.split(":")
    foreign = {
        "another guest’s": cast.other_mac,
        "the gateway’s": cast.gateway_mac,
        "one bit away, at the end": neighbour_of(cast.mac),
        "one bit away, at the start": ":".join([f"{int(octets[0], 16) ^ 0x04:02x}", *octets[1:]]),
        "reversed": ":".join(reversed(octets)),
        "all zero": "00:00:00:00:00:00",
        "broadcast": BROADCAST,
        "own with the multicast bit": ":".join([f"{int(octets[0], 16) | 0x01:02x}", *octets[1:]]),
        "IPv4 multicast": "01:00:5e:00:00:01",
        "IPv6 multicast": "33:33:00:00:00:01",
        "spanning tree’s": "01:80:c2:00:00:00",
        "VRRP’s": "00:00:5e:00:01:01",
    }
    for what, mac in foreign.items():
        c.drops(
            f"UDP over IPv4, source MAC {what}", lambda m, mac=mac: cast.ether(src=mac) / cast.ip() / udp(m)
        )
        c.drops(
            f"UDP over IPv6, source MAC {what}", lambda m, mac=mac: cast.ether(src=mac) / cast.ipv6() / udp(m)
        )
        # Its contents are the guest's own, so that only the Ethernet header gives it away.
        c.drops(
            f"ARP request, source MAC {what}",
            lambda m, mac=mac: cast.ether(src=mac, dst=BROADCAST)
            / ARP(op=1, hwsrc=cast.mac, psrc=cast.ip4, pdst=cast.gateway4)
            / Raw(m),
        )
    for what, to in {
        "gateway": cast.gateway_mac,
        "broadcast": BROADCAST,
        "a multicast group": "01:00:5e:00:00:fb",
    }.items():
        c.passes(f"own MAC to {what}", lambda m, to=to: cast.ether(dst=to) / cast.ip() / udp(m))
    c.passes("own MAC, IPv6", lambda m: cast.ether() / cast.ipv6() / udp(m))


def inner_packets(cast: Cast, direction: str):
    """What a rule of the user's would have dropped, had it seen it."""
    if direction == "egress":
        ip, ipv6, mac, psrc = cast.ip, cast.ipv6, cast.mac, cast.ip4
    else:
        ip, ipv6, mac, psrc = cast.ip_in, cast.ipv6_in, cast.gateway_mac, cast.gateway4
    return {
        "IPv4": (0x0800, lambda m: ip() / udp(m)),
        "IPv6": (0x86DD, lambda m: ipv6() / udp(m)),
        "ARP": (0x0806, lambda m: ARP(op=1, hwsrc=mac, psrc=psrc, pdst=cast.gateway4) / Raw(m)),
    }


def write_tags(book: Book, cast: Cast, direction: str) -> None:
    c = book.chapter("ethertype", direction=direction)
    ether = cast.ether if direction == "egress" else cast.ether_in
    for what, (ethertype, inner) in inner_packets(cast, direction).items():

        def drop(description, tags, ethertype=ethertype, inner=inner, what=what):
            def make(mark):
                stack = [kind(**fields) for kind, fields in tags]
                packet = ether(type=0x88A8 if tags[0][0] is Dot1AD else 0x8100)
                for position, tag in enumerate(stack):
                    last = position == len(stack) - 1
                    tag.type = ethertype if last else (0x88A8 if tags[position + 1][0] is Dot1AD else 0x8100)
                    packet = packet / tag
                return packet / inner(mark)

            c.drops(f"{description}, {what} inside", make)

        drop("802.1Q tag, VLAN 1", [(Dot1Q, {"vlan": 1})])
        drop("802.1Q tag, VLAN 4094", [(Dot1Q, {"vlan": 4094})])
        drop("802.1Q tag, VLAN 4095", [(Dot1Q, {"vlan": 4095})])
        drop("priority tag (VLAN 0)", [(Dot1Q, {"vlan": 0, "prio": 5})])
        drop("priority tag, drop eligible", [(Dot1Q, {"vlan": 0, "prio": 0, "id": 1})])
        drop("802.1ad tag alone", [(Dot1AD, {"vlan": 10})])
        drop("QinQ, 8100 in 8100", [(Dot1Q, {"vlan": 10}), (Dot1Q, {"vlan": 20})])
        drop("QinQ, 8100 in 88a8", [(Dot1AD, {"vlan": 10}), (Dot1Q, {"vlan": 20})])
        drop("QinQ, two priority tags", [(Dot1Q, {"vlan": 0}), (Dot1Q, {"vlan": 0})])
        drop("three tags", [(Dot1AD, {"vlan": 1}), (Dot1Q, {"vlan": 2}), (Dot1Q, {"vlan": 3})])
        # RFC 1042: the same packet as LLC/SNAP, which old stacks take.
        c.drops(
            f"802.3 with LLC and SNAP, {what} inside",
            lambda m, ethertype=ethertype, inner=inner: Dot3(src=ether().src, dst=ether().dst)
            / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
            / SNAP(OUI=0, code=ethertype)
            / inner(m),
        )
        c.drops(
            f"tag, then 802.3 with LLC and SNAP, {what} inside",
            lambda m, ethertype=ethertype, inner=inner: ether(type=0x8100)
            / Raw(b"\x00\x05" + (40).to_bytes(2, "big"))
            / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
            / SNAP(OUI=0, code=ethertype)
            / inner(m),
        )
        if what == "ARP":
            continue
        for name, mpls in {"unicast": 0x8847, "multicast": 0x8848}.items():
            c.drops(
                f"MPLS {name}, {what} inside",
                # Label 16, bottom of the stack, time to live 64.
                lambda m, mpls=mpls, inner=inner: ether(type=mpls)
                / Raw(bytes.fromhex("00010140"))
                / inner(m),
            )
        c.drops(
            f"PPPoE session, {what} inside",
            lambda m, what=what, inner=inner: ether(type=0x8864)
            / PPPoE(sessionid=1)
            / Raw((0x0021 if what == "IPv4" else 0x0057).to_bytes(2, "big"))
            / inner(m),
        )


def write_other_types(book: Book, cast: Cast, direction: str) -> None:
    c = book.chapter("ethertype", direction=direction)
    ether = cast.ether if direction == "egress" else cast.ether_in
    own, own4 = (cast.mac, cast.ip4) if direction == "egress" else (cast.gateway_mac, cast.gateway4)
    others = {
        "PPPoE discovery": 0x8863,
        "LLDP": 0x88CC,
        "EAPOL": 0x888E,
        "MACsec": 0x88E5,
        "PTP": 0x88F7,
        "FCoE": 0x8906,
        "ATA over Ethernet": 0x88A2,
        "slow protocols (LACP)": 0x8809,
        "Wake-on-LAN": 0x0842,
        "loopback": 0x9000,
        "Ethernet flow control": 0x8808,
        "IPX": 0x8137,
        "AppleTalk": 0x809B,
        "DECnet": 0x6003,
        "old QinQ 9100": 0x9100,
        "transparent Ethernet bridging": 0x6558,
        "TIPC": 0x88CA,
        "HSR": 0x892F,
        "NSH": 0x894F,
        "B.A.T.M.A.N.": 0x4305,
        "experimental 1": 0x88B5,
        "the smallest ethertype": 0x0600,
        "the largest ethertype": 0xFFFF,
        "IPv4’s bytes the wrong way round": 0x0008,
        "one above IPv4’s": 0x0801,
        "one below IPv6’s": 0x86DC,
    }
    for what, ethertype in others.items():
        c.drops(f"ethertype {ethertype:#06x}, {what}", lambda m, e=ethertype: ether(type=e) / Raw(m))
    for what, llc in {
        "spanning tree": (0x42, 0x42, 3),
        "IPX over LLC": (0xE0, 0xE0, 3),
        "NetBEUI": (0xF0, 0xF0, 3),
    }.items():
        c.drops(
            f"802.3 with LLC, {what}",
            lambda m, llc=llc: Dot3(src=own, dst=ether().dst)
            / LLC(dsap=llc[0], ssap=llc[1], ctrl=llc[2])
            / Raw(m),
        )
    c.drops("802.3, raw IPX (ffff)", lambda m: Dot3(src=own, dst=ether().dst) / Raw(b"\xff\xff" + m))
    c.drops(
        "802.3 with SNAP, Cisco’s discovery protocol",
        lambda m: Dot3(src=own, dst="01:00:0c:cc:cc:cc" if direction == "egress" else cast.mac)
        / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
        / SNAP(OUI=0x00000C, code=0x2000)
        / Raw(m),
    )
    c.drops(
        "RARP, as QEMU announces a migrated guest, own MAC",
        lambda m: ether(type=0x8035, dst=BROADCAST)
        / ARP(op=3, hwsrc=own, hwdst=own, psrc="0.0.0.0")
        / Raw(m),
    )
    c.drops("nothing but a header, ethertype 0", lambda m: ether(type=0) / Raw(m))
    # The same three protocols as they should be.
    c.passes(
        "IPv4, untagged", lambda m: ether() / (cast.ip() if direction == "egress" else cast.ip_in()) / ping(m)
    )
    c.passes(
        "IPv6, untagged",
        lambda m: ether()
        / (cast.ipv6() if direction == "egress" else cast.ipv6_in())
        / ICMPv6EchoRequest(data=m),
    )
    c.passes(
        "TCP over IPv4, untagged",
        lambda m: ether()
        / (cast.ip() if direction == "egress" else cast.ip_in())
        / TCP(dport=80, flags="S")
        / Raw(m),
    )
    c.passes(
        "ARP, untagged", lambda m: ether() / ARP(op=1, hwsrc=own, psrc=own4, pdst=cast.gateway4) / Raw(m)
    )
