"""Fragments: what is behind the first has no ports, and what rules take for ports is the sender's choice."""
from scapy.layers.inet import ICMP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    IPv6ExtHdrFragment,
)
from scapy.packet import Raw

from .book import Book
from .cast import Cast, ping, udp

PORTS_ALLOWED = (443).to_bytes(2, "big") * 2
UDP_NUMBER, TCP_NUMBER, ICMP_NUMBER, ICMP6_NUMBER = 17, 6, 1, 58


def write(book: Book, cast: Cast) -> None:
    for direction in ("egress", "ingress"):
        write_ip4(book, cast, direction)
        write_ip6(book, cast, direction)
    write_hidden(book, cast)


def write_ip4(book: Book, cast: Cast, direction: str) -> None:
    c = book.chapter("fragment", direction=direction)
    ether, ip = (cast.ether, cast.ip) if direction == "egress" else (cast.ether_in, cast.ip_in)
    transports = {
        "UDP": (UDP_NUMBER, lambda m: UDP(sport=40000, dport=40001, len=1400, chksum=0) / Raw(m)),
        "TCP": (TCP_NUMBER, lambda m: TCP(sport=40000, dport=80, flags="S") / Raw(m)),
        "ICMP": (ICMP_NUMBER, lambda m: ICMP(type=8, id=9) / Raw(m)),
    }
    for name, (number, body) in transports.items():
        c.drops(f"first IPv4 fragment, {name}", lambda m, b=body: ether() / ip(id=1, flags="MF") / b(m))
        c.drops(
            f"first IPv4 fragment, {name}, eight bytes of it",
            lambda m, b=body, n=number: ether() / ip(id=2, flags="MF", proto=n) / Raw(bytes(b(m))[:8]),
        )
        for offset, what in {
            1: "at byte 8, over the header’s end",
            2: "at byte 16",
            185: "at byte 1480",
            8191: "at the largest offset (ping of death)",
        }.items():
            # The payload begins as if it had ports.
            c.drops(
                f"IPv4 fragment in the middle, {name}, {what}",
                lambda m, n=number, o=offset: ether()
                / ip(id=3, flags="MF", frag=o, proto=n)
                / Raw(PORTS_ALLOWED + m),
            )
            c.drops(
                f"last IPv4 fragment, {name}, {what}",
                lambda m, n=number, o=offset: ether() / ip(id=3, frag=o, proto=n) / Raw(PORTS_ALLOWED + m),
            )
    c.drops(
        "last IPv4 fragment, don’t fragment set",
        lambda m: ether() / ip(id=4, flags="DF", frag=100, proto=17) / Raw(m),
    )
    c.drops("first IPv4 fragment, don’t fragment set", lambda m: ether() / ip(id=5, flags="DF+MF") / udp(m))
    c.drops("IPv4 fragment of an unknown protocol", lambda m: ether() / ip(id=6, frag=4, proto=253) / Raw(m))
    c.drops(
        "IPv4 fragment without a payload, but for a mark",
        lambda m: ether() / ip(id=7, frag=4, proto=17, len=20) / Raw(m),
    )
    c.drops(
        "IPv4 fragment behind options",
        lambda m: ether() / ip(id=8, frag=4, proto=17, options=b"\x01" * 8) / Raw(PORTS_ALLOWED + m),
    )
    c.passes("IPv4, don’t fragment", lambda m: ether() / ip(id=9, flags="DF") / udp(m))
    c.passes("IPv4, whole, with an identification", lambda m: ether() / ip(id=0xFFFF) / udp(m))
    c.passes("IPv4, whole, may be fragmented later", lambda m: ether() / ip(id=10) / ping(m))


def write_ip6(book: Book, cast: Cast, direction: str) -> None:
    c = book.chapter("fragment", direction=direction)
    ether, ipv6 = (cast.ether, cast.ipv6) if direction == "egress" else (cast.ether_in, cast.ipv6_in)
    transports = {
        "UDP": (UDP_NUMBER, lambda m: udp(m)),
        "TCP": (TCP_NUMBER, lambda m: TCP(sport=40000, dport=80, flags="S") / Raw(m)),
        "ICMPv6": (ICMP6_NUMBER, lambda m: ICMPv6EchoRequest(data=m)),
    }
    for name, (number, body) in transports.items():
        # RFC 8200, section 4.5: offset 0 and no more to come is a whole packet, which RFC 8021 finds harmful.
        c.drops(
            f"atomic IPv6 fragment, {name}",
            lambda m, b=body: ether() / ipv6() / IPv6ExtHdrFragment(id=1) / b(m),
        )
        c.drops(
            f"first IPv6 fragment, {name}",
            lambda m, b=body: ether() / ipv6() / IPv6ExtHdrFragment(id=2, m=1) / b(m),
        )
        c.drops(
            f"first IPv6 fragment, {name}, eight bytes of it",
            lambda m, b=body, n=number: ether()
            / ipv6()
            / IPv6ExtHdrFragment(id=3, m=1, nh=n)
            / Raw(bytes(b(m))[:8]),
        )
        for offset in (1, 2, 181, 8191):
            c.drops(
                f"IPv6 fragment in the middle, {name}, at byte {offset * 8}",
                lambda m, n=number, o=offset: ether()
                / ipv6()
                / IPv6ExtHdrFragment(id=4, m=1, offset=o, nh=n)
                / Raw(PORTS_ALLOWED + m),
            )
            c.drops(
                f"last IPv6 fragment, {name}, at byte {offset * 8}",
                lambda m, n=number, o=offset: ether()
                / ipv6()
                / IPv6ExtHdrFragment(id=5, offset=o, nh=n)
                / Raw(PORTS_ALLOWED + m),
            )
    c.drops(
        "IPv6 fragment in a fragment",
        lambda m: ether()
        / ipv6()
        / IPv6ExtHdrFragment(id=6)
        / IPv6ExtHdrFragment(id=7, offset=1, nh=17)
        / Raw(m),
    )
    c.drops(
        "two atomic IPv6 fragments, one in the other",
        lambda m: ether() / ipv6() / IPv6ExtHdrFragment(id=8) / IPv6ExtHdrFragment(id=9) / udp(m),
    )
    c.drops(
        "IPv6 fragment header cut off",
        lambda m: bytes(ether() / ipv6(nh=44) / Raw(b"\x11\x00\x00\x01"))[: 14 + 40 + 4],
    )
    c.passes("IPv6, whole", lambda m: ether() / ipv6() / udp(m, 40002))


def write_hidden(book: Book, cast: Cast) -> None:
    """RFC 7113: how a router advertisement is carried past those who look for it in the first header."""
    c = book.chapter("fragment")
    ra = ICMPv6ND_RA() / Raw(b"")
    na = ICMPv6ND_NA(tgt=cast.gateway_local, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=cast.mac)
    local = lambda: cast.local_ipv6(dst="ff02::1")  # noqa: E731
    to_all = lambda: cast.ether(dst="33:33:00:00:00:01")  # noqa: E731
    for name, body in {"router advertisement": ra, "neighbour advertisement": na}.items():
        whole = bytes(local() / body)[40:]
        c.drops_somewhere(
            f"{name} in an atomic fragment",
            lambda m, b=body: to_all() / local() / IPv6ExtHdrFragment(id=20) / b.copy(),
        )
        c.drops_somewhere(
            f"{name} in a first fragment",
            lambda m, b=body: to_all() / local() / IPv6ExtHdrFragment(id=21, m=1) / b.copy(),
        )
        c.drops(
            f"{name} in a second fragment",
            lambda m, w=whole: to_all() / local() / IPv6ExtHdrFragment(id=22, offset=1, nh=58) / Raw(w),
        )
    server = lambda m: UDP(sport=547, dport=546) / Raw(m)  # noqa: E731
    c.drops_somewhere(
        "DHCPv6 reply in an atomic fragment",
        lambda m: cast.ether() / cast.local_ipv6() / IPv6ExtHdrFragment(id=23) / server(m),
    )
    c.drops_somewhere(
        "DHCPv6 reply in a first fragment",
        lambda m: cast.ether() / cast.local_ipv6() / IPv6ExtHdrFragment(id=24, m=1) / server(m),
    )
    c.drops_somewhere(
        "DHCP offer in a first fragment",
        lambda m: cast.ether()
        / cast.ip(id=25, flags="MF", dst=cast.gateway4)
        / UDP(sport=67, dport=68)
        / Raw(m),
    )
    c.drops(
        "DHCP offer, its second fragment",
        lambda m: cast.ether()
        / cast.ip(id=26, frag=1, dst=cast.gateway4, proto=17)
        / Raw(bytes(UDP(sport=67, dport=68)) + m),
    )
