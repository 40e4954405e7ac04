"""Source addresses: the guest's own, and everybody else's."""
from ipaddress import ip_address

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest
from scapy.packet import Raw

from .book import Book
from .cast import BROADCAST, Cast, ping, udp


def write(book: Book, cast: Cast) -> None:
    write_ip4(book, cast)
    write_ip4_unspecified(book, cast)
    write_ip6(book, cast)
    write_ip6_unspecified(book, cast)


def write_ip4(book: Book, cast: Cast) -> None:
    c = book.chapter("ip4")
    own = ip_address(cast.ip4)
    first, last = cast.prefix4[0], cast.prefix4[-1]
    assigned = {
        "the assigned address": own,
        "the first address of the assigned prefix": first,
        "one inside the assigned prefix": first + 5,
        "the last address of the assigned prefix": last,
    }
    foreign = {
        "one below the assigned address": own - 1,
        "one above the assigned address": own + 1,
        "the gateway’s": cast.gateway4,
        "another guest’s": cast.other4,
        "one below the assigned prefix": first - 1,
        "one above the assigned prefix": last + 1,
        "the assigned prefix with its highest bit changed": ip_address(int(first) ^ 1 << 31),
        "the assigned prefix with the bit before its end changed": ip_address(int(first) ^ 1 << 4),
        "the assigned address backwards": ip_address(own.packed[::-1]),
        "loopback": "127.0.0.1",
        "the end of loopback": "127.255.255.255",
        "link-local": "169.254.1.1",
        "private": "10.0.0.1",
        "multicast": "224.0.0.1",
        "reserved": "240.0.0.1",
        "broadcast": "255.255.255.255",
        "0.0.0.1": "0.0.0.1",
        "the destination’s own": cast.far4,
    }
    for what, address in assigned.items():
        c.passes(f"UDP from {what}", lambda m, a=address: cast.ether() / cast.ip(src=str(a)) / udp(m))
        c.passes(f"ping from {what}", lambda m, a=address: cast.ether() / cast.ip(src=str(a)) / ping(m))
    for what, address in foreign.items():
        c.drops(f"UDP from {what}", lambda m, a=address: cast.ether() / cast.ip(src=str(a)) / udp(m))
        c.drops(
            f"TCP from {what}",
            lambda m, a=address: cast.ether() / cast.ip(src=str(a)) / TCP(dport=80, flags="S") / Raw(m),
        )
    spoofed = str(own + 1)
    c.drops(
        "ICMP error from a neighbour",
        lambda m: cast.ether() / cast.ip(src=spoofed) / ICMP(type=3, code=1) / Raw(m),
    )
    c.drops(
        "a neighbour’s, with options",
        lambda m: cast.ether() / cast.ip(src=spoofed, options=b"\x94\x04\x00\x00") / udp(m),
    )
    c.drops(
        "a neighbour’s, to broadcast",
        lambda m: cast.ether(dst=BROADCAST) / cast.ip(src=spoofed, dst="255.255.255.255") / udp(m),
    )
    c.drops(
        "a neighbour’s, to multicast",
        lambda m: cast.ether(dst="01:00:5e:00:00:fb") / cast.ip(src=spoofed, dst="224.0.0.251") / udp(m),
    )
    c.drops(
        "a neighbour’s, in another protocol (GRE)",
        lambda m: cast.ether() / cast.ip(src=spoofed, proto=47) / Raw(m),
    )
    c.drops(
        "a neighbour’s, wrong checksum", lambda m: cast.ether() / cast.ip(src=spoofed, chksum=0x1234) / udp(m)
    )
    c.drops_somewhere(
        "a neighbour’s, version 6 in the header",
        lambda m: cast.ether() / cast.ip(src=spoofed, version=6) / udp(m),
    )
    c.drops_somewhere(
        "a neighbour’s, header length 0", lambda m: cast.ether() / cast.ip(src=spoofed, ihl=0) / udp(m)
    )
    c.drops_somewhere(
        "a neighbour’s, header longer than the packet",
        lambda m: cast.ether() / cast.ip(src=spoofed, ihl=15, len=40) / Raw(m[:20]),
    )
    c.drops_somewhere(
        "a neighbour’s, total length 0", lambda m: cast.ether() / cast.ip(src=spoofed, len=0) / udp(m)
    )
    c.drops_somewhere(
        "a neighbour’s, total length beyond the frame",
        lambda m: cast.ether() / cast.ip(src=spoofed, len=1400) / udp(m),
    )
    c.drops_somewhere(
        "the header cut off before the source address",
        lambda m: bytes(cast.ether() / cast.ip() / udp(m))[: 14 + 12],
    )
    c.drops_somewhere(
        "the header cut off inside the source address",
        lambda m: bytes(cast.ether() / cast.ip() / udp(m))[: 14 + 15],
    )


def write_ip4_unspecified(book: Book, cast: Cast) -> None:
    c = book.chapter("ip4")
    to_all = {"src": "0.0.0.0", "dst": "255.255.255.255"}
    c.drops(
        "TCP from 0.0.0.0",
        lambda m: cast.ether() / cast.ip(src="0.0.0.0") / TCP(dport=80, flags="S") / Raw(m),
    )
    c.drops("UDP from 0.0.0.0 to some port", lambda m: cast.ether() / cast.ip(src="0.0.0.0") / udp(m))
    c.drops(
        "UDP from 0.0.0.0 to some port, broadcast",
        lambda m: cast.ether(dst=BROADCAST) / cast.ip(**to_all) / udp(m),
    )
    c.drops("ping from 0.0.0.0", lambda m: cast.ether() / cast.ip(src="0.0.0.0") / ping(m))
    c.drops("UDP from 0.0.0.0, DNS port", lambda m: cast.ether() / cast.ip(src="0.0.0.0") / udp(m, 68, 53))
    c.drops(
        "TCP from 0.0.0.0 with DHCP’s ports",
        lambda m: cast.ether(dst=BROADCAST) / IP(**to_all) / TCP(sport=68, dport=67, flags="S") / Raw(m),
    )
    c.drops(
        "UDP from 0.0.0.0 to DHCP’s port, source port not the client’s",
        lambda m: cast.ether(dst=BROADCAST) / IP(**to_all) / UDP(sport=40000, dport=67) / Raw(m),
    )


def write_ip6(book: Book, cast: Cast) -> None:
    c = book.chapter("ip6")
    own = ip_address(cast.ip6)
    first, last = cast.prefix6[0], cast.prefix6[-1]
    local = ip_address(cast.local)
    assigned = {
        "the assigned address": own,
        "the first address of the assigned prefix": first,
        "one inside the assigned prefix": first + 0xABCDEF,
        "the last address of the assigned prefix": last,
        "its link-local address": local,
    }
    foreign = {
        "one below the assigned address": own - 1,
        "one above the assigned address": own + 1,
        "the gateway’s": cast.gateway6,
        "another guest’s": cast.other6,
        "one below the assigned prefix": first - 1,
        "one above the assigned prefix": last + 1,
        "the assigned prefix with its highest bit changed": ip_address(int(first) ^ 1 << 127),
        "the assigned prefix with the bit before its end changed": ip_address(int(first) ^ 1 << 64),
        "the gateway’s link-local": cast.gateway_local,
        "another guest’s link-local": cast.other_local,
        "a link-local one above its own": local + 1,
        "a link-local with a random identifier": "fe80::1234:5678:9abc:def0",
        "fe80::1": "fe80::1",
        "its own identifier behind another link-local prefix": ip_address(int(local) | 1 << 64),
        "site-local": "fec0::1",
        "unique local": "fd00::1",
        "loopback": "::1",
        "multicast": "ff02::1",
        "IPv4-mapped": f"::ffff:{cast.ip4}",
        "IPv4-compatible": f"::{cast.ip4}",
        "6to4 of its own IPv4 address": "2002:c000:20a::1",
        "the destination’s own": cast.far6,
    }
    for what, address in assigned.items():
        c.passes(f"UDP from {what}", lambda m, a=address: cast.ether() / cast.ipv6(src=str(a)) / udp(m))
        c.passes(
            f"ping from {what}",
            lambda m, a=address: cast.ether() / cast.ipv6(src=str(a)) / ICMPv6EchoRequest(data=m),
        )
    for what, address in foreign.items():
        c.drops(f"UDP from {what}", lambda m, a=address: cast.ether() / cast.ipv6(src=str(a)) / udp(m))
        c.drops(
            f"ping from {what}",
            lambda m, a=address: cast.ether() / cast.ipv6(src=str(a)) / ICMPv6EchoRequest(data=m),
        )
    spoofed = str(own + 1)
    c.drops(
        "a neighbour’s, to all nodes",
        lambda m: cast.ether(dst="33:33:00:00:00:01") / cast.ipv6(src=spoofed, dst="ff02::1") / udp(m),
    )
    c.drops_somewhere(
        "a neighbour’s, no next header", lambda m: cast.ether() / cast.ipv6(src=spoofed, nh=59) / Raw(m)
    )
    c.drops(
        "a neighbour’s, in another protocol (SCTP)",
        lambda m: cast.ether() / cast.ipv6(src=spoofed, nh=132) / Raw(m),
    )
    c.drops_somewhere(
        "a neighbour’s, version 4 in the header",
        lambda m: cast.ether() / cast.ipv6(src=spoofed, version=4) / udp(m),
    )
    c.drops_somewhere(
        "a neighbour’s, payload length 0", lambda m: cast.ether() / cast.ipv6(src=spoofed, plen=0) / udp(m)
    )
    c.drops_somewhere(
        "a neighbour’s, payload length beyond the frame",
        lambda m: cast.ether() / cast.ipv6(src=spoofed, plen=1400) / udp(m),
    )
    c.drops_somewhere(
        "the header cut off before the source address",
        lambda m: bytes(cast.ether() / cast.ipv6() / udp(m))[: 14 + 8],
    )
    c.drops_somewhere(
        "the header cut off inside the source address",
        lambda m: bytes(cast.ether() / cast.ipv6() / udp(m))[: 14 + 20],
    )


def write_ip6_unspecified(book: Book, cast: Cast) -> None:
    """The unspecified address is for duplicate address detection and what belongs to it (see the chapter on ND)."""
    c = book.chapter("ip6")
    c.drops("UDP from ::", lambda m: cast.ether() / cast.ipv6(src="::") / udp(m))
    c.drops(
        "UDP from :: to all nodes",
        lambda m: cast.ether(dst="33:33:00:00:00:01") / cast.ipv6(src="::", dst="ff02::1") / udp(m),
    )
    c.drops("TCP from ::", lambda m: cast.ether() / cast.ipv6(src="::") / TCP(dport=80, flags="S") / Raw(m))
    c.drops("ping from ::", lambda m: cast.ether() / cast.ipv6(src="::") / ICMPv6EchoRequest(data=m))
    # RFC 8415, section 18.2: a client sends from its link-local address.
    c.drops(
        "DHCPv6 client’s ports from ::",
        lambda m: cast.ether(dst="33:33:00:01:00:02")
        / cast.ipv6(src="::", dst="ff02::1:2")
        / udp(m, 546, 547),
    )
