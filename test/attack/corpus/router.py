"""What only a router may say: here I am, and go that way."""
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
)
from scapy.packet import Raw

from .book import Book
from .cast import BROADCAST, Cast

ALL_NODES = {"dst": "33:33:00:00:00:01"}


def write(book: Book, cast: Cast) -> None:
    c = book.chapter("ra")
    prefix = ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64)
    name_server = ICMPv6NDOptRDNSS(dns=["2001:db8:bad::53"])
    advertisements = {
        "with a prefix": lambda: ICMPv6ND_RA() / prefix,
        "with its MAC": lambda: ICMPv6ND_RA() / ICMPv6NDOptSrcLLAddr(lladdr=cast.mac),
        "with a name server": lambda: ICMPv6ND_RA() / name_server,
        "with an MTU": lambda: ICMPv6ND_RA() / ICMPv6NDOptMTU(mtu=1280),
        "of the highest preference": lambda: ICMPv6ND_RA(prf=1),
        "that ends a router’s lifetime": lambda: ICMPv6ND_RA(routerlifetime=0),
        "that tells of DHCPv6": lambda: ICMPv6ND_RA(M=1, O=1),
        "with code 1": lambda: ICMPv6ND_RA(code=1),
        "with a wrong checksum": lambda: ICMPv6ND_RA(cksum=0x1234),
    }
    for what, body in advertisements.items():
        c.drops(
            f"router advertisement {what}, to all nodes",
            lambda m, body=body: cast.ether(**ALL_NODES)
            / cast.local_ipv6(dst="ff02::1")
            / body()
            / experiment(m),
        )
        c.drops(
            f"router advertisement {what}, to the gateway",
            lambda m, body=body: cast.ether() / cast.local_ipv6() / body() / experiment(m),
        )
    c.drops(
        "router advertisement, hop limit 64",
        lambda m: cast.ether() / cast.local_ipv6(hlim=64) / ICMPv6ND_RA() / experiment(m),
    )
    c.drops(
        "router advertisement from a global address",
        lambda m: cast.ether() / cast.ipv6(hlim=255, dst=cast.gateway_local) / ICMPv6ND_RA() / experiment(m),
    )
    c.drops_somewhere(
        "router advertisement from the gateway’s address",
        lambda m: cast.ether()
        / cast.local_ipv6(src=cast.gateway_local, dst="ff02::1")
        / ICMPv6ND_RA()
        / prefix
        / experiment(m),
    )
    c.drops_somewhere(
        "router advertisement from ::",
        lambda m: cast.ether()
        / cast.local_ipv6(src="::", dst="ff02::1")
        / ICMPv6ND_RA()
        / prefix
        / experiment(m),
    )
    redirects = {
        "to itself": lambda: ICMPv6ND_Redirect(tgt=cast.local, dst=cast.far6)
        / ICMPv6NDOptDstLLAddr(lladdr=cast.mac),
        "to another guest": lambda: ICMPv6ND_Redirect(tgt=cast.other_local, dst=cast.far6)
        / ICMPv6NDOptDstLLAddr(lladdr=cast.other_mac),
        "that says the destination is on the link": lambda: ICMPv6ND_Redirect(tgt=cast.far6, dst=cast.far6),
    }
    for what, body in redirects.items():
        c.drops(
            f"IPv6 redirect {what}",
            lambda m, body=body: cast.ether() / cast.local_ipv6() / body() / experiment(m),
        )
    c.drops_somewhere(
        "IPv6 redirect from the gateway’s address",
        lambda m: cast.ether()
        / cast.local_ipv6(src=cast.gateway_local)
        / ICMPv6ND_Redirect(tgt=cast.local, dst=cast.far6)
        / experiment(m),
    )
    for code, what in enumerate(
        ("network", "host", "network and type of service", "host and type of service")
    ):
        c.drops(
            f"IPv4 redirect for a {what}",
            lambda m, code=code: cast.ether()
            / cast.ip()
            / ICMP(type=5, code=code, gw=cast.ip4)
            / cast.ip(src=cast.far4, dst=cast.gateway4)
            / Raw(m),
        )
    c.drops(
        "IPv4 redirect, with IP options before it",
        lambda m: cast.ether()
        / cast.ip(options=b"\x94\x04\x00\x00")
        / ICMP(type=5, code=1, gw=cast.ip4)
        / Raw(m),
    )
    # RFC 1256: one address, two words each, half an hour.
    advertisement = b"\x01\x02\x07\x08" + bytes(map(int, cast.ip4.split("."))) + b"\x00\x00\x00\x00"
    c.drops(
        "ICMP router advertisement, broadcast",
        lambda m: cast.ether(dst=BROADCAST)
        / cast.ip(dst="255.255.255.255", ttl=1, proto=1)
        / with_body(9, 0, advertisement + m),
    )
    c.drops(
        "ICMP router advertisement, to all systems",
        lambda m: cast.ether(dst="01:00:5e:00:00:01")
        / cast.ip(dst="224.0.0.1", ttl=1, proto=1)
        / with_body(9, 0, advertisement + m),
    )
    c.drops(
        "ICMP router advertisement of a mobility agent (code 16)",
        lambda m: cast.ether()
        / cast.ip(dst=cast.gateway4, ttl=1, proto=1)
        / with_body(9, 16, advertisement + m),
    )
    # A guest asks for routers, and is answered.
    c.passes(
        "ICMP router solicitation",
        lambda m: cast.ether(dst="01:00:5e:00:00:02")
        / cast.ip(dst="224.0.0.2", ttl=1, proto=1)
        / with_body(10, 0, b"\0\0\0\0" + m),
    )


def experiment(mark: bytes) -> Raw:
    """The mark as a neighbour discovery option for experiments (RFC 4727), so that the message stays a valid one."""
    words = (2 + len(mark) + 7) // 8
    return Raw(bytes([253, words]) + mark.ljust(8 * words - 2, b"\0"))


def with_body(kind: int, code: int, body: bytes) -> Raw:
    """An ICMP message from its type, its code and what stands behind the checksum."""
    head = bytes([kind, code])
    data = head + b"\0\0" + body
    words = data + b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(words[at : at + 2], "big") for at in range(0, len(words), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return Raw(head + (~total & 0xFFFF).to_bytes(2, "big") + body)
