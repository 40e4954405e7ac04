"""Guards that are for some guests only, each in a policy that has no other."""
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
)
from scapy.layers.l2 import ARP, Dot1Q
from scapy.packet import Raw

from .book import Book
from .cast import BROADCAST, Cast, ping, udp


def write(book: Book, cast: Cast) -> None:
    write_rarp(book, cast)
    write_no_ipv6(book, cast)
    write_destinations(book, cast)


def write_rarp(book: Book, cast: Cast) -> None:
    c = book.chapter("ethertype-rarp", profile="ethertype-rarp")

    def announce(mark, ether):
        body = ARP(op=3, hwsrc=cast.mac, hwdst=cast.mac, psrc="0.0.0.0", pdst="0.0.0.0")
        return ether / body / Raw(mark)

    c.passes(
        "RARP, as QEMU announces a migrated guest",
        lambda m: announce(m, cast.ether(type=0x8035, dst=BROADCAST)),
    )
    c.passes("IPv4", lambda m: cast.ether() / cast.ip() / udp(m))
    c.passes("IPv6", lambda m: cast.ether() / cast.ipv6() / udp(m))
    c.passes("ARP", lambda m: cast.ether() / ARP(hwsrc=cast.mac, psrc=cast.ip4, pdst=cast.gateway4) / Raw(m))
    c.drops(
        "RARP behind a tag",
        lambda m: announce(m, cast.ether(type=0x8100, dst=BROADCAST) / Dot1Q(vlan=3, type=0x8035)),
    )
    c.drops("IPv4 behind a tag", lambda m: cast.ether() / Dot1Q(vlan=3) / cast.ip() / udp(m))
    c.drops("LLDP", lambda m: cast.ether(type=0x88CC) / Raw(m))
    c.drops("one above RARP’s type", lambda m: cast.ether(type=0x8036) / Raw(m))


def write_no_ipv6(book: Book, cast: Cast) -> None:
    for direction in ("egress", "ingress"):
        c = book.chapter("no-ipv6", profile="no-ipv6", direction=direction)
        out = direction == "egress"
        ether, ip, ipv6 = (
            (cast.ether, cast.ip, cast.ipv6) if out else (cast.ether_in, cast.ip_in, cast.ipv6_in)
        )
        c.drops("UDP over IPv6", lambda m: ether() / ipv6() / udp(m))
        c.drops("ping over IPv6", lambda m: ether() / ipv6() / ICMPv6EchoRequest(data=m))
        c.drops("neighbour solicitation", lambda m: ether() / ipv6(hlim=255) / ICMPv6ND_NS(tgt=cast.gateway6))
        c.drops("router solicitation", lambda m: ether() / ipv6(hlim=255) / ICMPv6ND_RS())
        c.drops("IPv6 fragment", lambda m: ether() / ipv6() / IPv6ExtHdrFragment(offset=1, nh=17) / Raw(m))
        c.drops(
            "IPv6 with hop-by-hop",
            lambda m: ether() / ipv6() / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / udp(m),
        )
        c.drops(
            "IPv6 with destination options",
            lambda m: ether() / ipv6() / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]) / udp(m),
        )
        c.drops("IPv6 without a next header", lambda m: ether() / ipv6(nh=59) / Raw(m))
        c.drops("IPv6 with version 4 in its header", lambda m: ether() / ipv6(version=4) / udp(m))
        c.drops("IPv6, ten bytes of its header", lambda m: bytes(ether() / ipv6() / udp(m))[: 14 + 10])
        c.passes("UDP over IPv4", lambda m: ether() / ip() / udp(m))
        c.passes("ping over IPv4", lambda m: ether() / ip() / ping(m))
        c.passes(
            "ARP", lambda m: ether() / ARP(hwsrc=ether().src, psrc=cast.ip4, pdst=cast.gateway4) / Raw(m)
        )


def write_destinations(book: Book, cast: Cast) -> None:
    c = book.chapter("no-broadcast", profile="no-broadcast")
    c.drops(
        "datagram to broadcast", lambda m: cast.ether(dst=BROADCAST) / cast.ip(dst="255.255.255.255") / udp(m)
    )
    c.drops("unicast datagram in a broadcast frame", lambda m: cast.ether(dst=BROADCAST) / cast.ip() / udp(m))
    c.drops("IPv6 datagram in a broadcast frame", lambda m: cast.ether(dst=BROADCAST) / cast.ipv6() / udp(m))
    c.passes("datagram to one", lambda m: cast.ether() / cast.ip() / udp(m))
    c.passes(
        "MAC one bit away from broadcast", lambda m: cast.ether(dst="fe:ff:ff:ff:ff:ff") / cast.ip() / udp(m)
    )

    c = book.chapter("no-ip-multicast", profile="no-ip-multicast")
    for group, mac in {
        "224.0.0.1": "01:00:5e:00:00:01",
        "224.0.0.251": "01:00:5e:00:00:fb",
        "232.1.2.3": "01:00:5e:01:02:03",
        "239.255.255.250": "01:00:5e:7f:ff:fa",
    }.items():
        c.drops(
            f"datagram to {group}", lambda m, g=group, mac=mac: cast.ether(dst=mac) / cast.ip(dst=g) / udp(m)
        )
    c.drops(
        "datagram to a group in a unicast frame", lambda m: cast.ether() / cast.ip(dst="224.0.0.251") / udp(m)
    )
    c.passes("datagram to one", lambda m: cast.ether() / cast.ip() / udp(m))
    c.passes(
        "datagram to one below the groups", lambda m: cast.ether() / cast.ip(dst="223.255.255.255") / udp(m)
    )
    c.passes("datagram to one above the groups", lambda m: cast.ether() / cast.ip(dst="240.0.0.1") / udp(m))
    c.passes(
        "IPv6 multicast",
        lambda m: cast.ether(dst="33:33:00:00:00:fb") / cast.local_ipv6(dst="ff02::fb") / udp(m),
    )

    c = book.chapter("no-ipv6-multicast", profile="no-ipv6-multicast")
    for group, mac in {
        "ff02::fb": "33:33:00:00:00:fb",
        "ff02::1:3": "33:33:00:01:00:03",
        "ff05::2": "33:33:00:00:00:02",
        "ff0e::101": "33:33:00:00:01:01",
    }.items():
        c.drops(
            f"datagram to {group}",
            lambda m, g=group, mac=mac: cast.ether(dst=mac) / cast.local_ipv6(dst=g) / udp(m),
        )
    c.drops(
        "datagram to a group in a unicast frame", lambda m: cast.ether() / cast.ipv6(dst="ff0e::101") / udp(m)
    )
    c.passes("datagram to one", lambda m: cast.ether() / cast.ipv6() / udp(m))
    c.passes(
        "datagram to one just below the groups", lambda m: cast.ether() / cast.ipv6(dst="feff::1") / udp(m)
    )
    c.passes(
        "IPv4 multicast", lambda m: cast.ether(dst="01:00:5e:00:00:fb") / cast.ip(dst="224.0.0.251") / udp(m)
    )
