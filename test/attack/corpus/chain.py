"""Chains of IPv6 extension headers: where a packet's real contents begin late, or never."""
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
)
from scapy.packet import Packet, Raw

from .book import Book
from .cast import Cast, udp

Headers = list[Packet]


def hop_by_hop() -> Packet:
    return IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])


def destination() -> Packet:
    return IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])


def routing(kind: int, addresses: list[str] | None = None, left: int = 0) -> Packet:
    return IPv6ExtHdrRouting(type=kind, addresses=addresses or [], segleft=left)


def authentication(next_header: int) -> bytes:
    """
    RFC 4302, with twelve bytes of check value; the length is in words of four bytes, less two. No router advertisement
    is hidden behind one here: who has no security association discards the packet (section 3.4.2).
    """
    return bytes([next_header, 4, 0, 0]) + bytes.fromhex("00000100 00000001") + bytes(12)


def write(book: Book, cast: Cast) -> None:
    for direction in ("egress", "ingress"):
        write_chains(book, cast, direction)
    write_hidden(book, cast)


def stack(packet: Packet, headers: Headers) -> Packet:
    for header in headers:
        packet = packet / header
    return packet


def write_chains(book: Book, cast: Cast, direction: str) -> None:
    c = book.chapter("fragment", direction=direction)
    ether, ipv6 = (cast.ether, cast.ipv6) if direction == "egress" else (cast.ether_in, cast.ipv6_in)
    # RFC 5095 forbids routing type 0; the others make a destination address mean nothing to a filter either.
    chains: dict[str, Headers] = {
        "routing header type 0": [routing(0)],
        "routing header type 0 by way of another": [routing(0, [cast.gateway6], 1)],
        "routing header type 2 (mobile IPv6)": [routing(2, [cast.other6], 1)],
        "routing header type 4 (segment routing)": [routing(4, [cast.other6], 1)],
        "routing header of an unknown type": [routing(253)],
        "hop-by-hop, then routing type 0": [hop_by_hop(), routing(0)],
        "destination options, then routing type 0": [destination(), routing(0)],
        "destination options, then a fragment": [destination(), IPv6ExtHdrFragment(id=31)],
        "hop-by-hop, then a fragment": [hop_by_hop(), IPv6ExtHdrFragment(id=32)],
        "hop-by-hop, destination, routing, fragment, destination": [
            hop_by_hop(),
            destination(),
            routing(0),
            IPv6ExtHdrFragment(id=33),
            destination(),
        ],
        "a fragment, then destination options": [IPv6ExtHdrFragment(id=34), destination()],
        "a fragment, then hop-by-hop": [IPv6ExtHdrFragment(id=35), hop_by_hop()],
        "ten destination options, then a fragment": [
            *(destination() for _ in range(10)),
            IPv6ExtHdrFragment(id=36),
        ],
    }
    for what, headers in chains.items():
        c.drops(f"{what}, before UDP", lambda m, h=headers: stack(ether() / ipv6(), h) / udp(m))
        c.drops(
            f"{what}, before ICMPv6",
            lambda m, h=headers: stack(ether() / ipv6(), h) / ICMPv6EchoRequest(data=m),
        )
        c.drops(
            f"{what}, before TCP",
            lambda m, h=headers: stack(ether() / ipv6(), h) / TCP(dport=80, flags="S") / Raw(m),
        )
    c.drops(
        "destination options that end in a fragment header that is cut off",
        lambda m: stack(ether() / ipv6(), [IPv6ExtHdrDestOpt(nh=44, options=[PadN(optdata=b"\0" * 4)])])
        / Raw(b"\x11\0\0"),
    )
    c.drops(
        "routing header, cut off",
        lambda m: ether() / ipv6(nh=43) / Raw(b"\x11\x02\x00"),
    )


def write_hidden(book: Book, cast: Cast) -> None:
    """Whatever the guards make of chains: what must not come from a guest must not come behind one."""
    to_all = {"dst": "33:33:00:00:00:01"}
    chains: dict[str, list] = {
        "hop-by-hop": [hop_by_hop],
        "destination options": [destination],
        "hop-by-hop and destination options": [hop_by_hop, destination],
        "two destination options": [destination, destination],
        "eight destination options": [destination] * 8,
        "an unknown hop-by-hop option": [
            lambda: IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=30, optlen=4, optdata=b"\0" * 4)])
        ],
        "destination options of 264 bytes": [lambda: IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 250)])],
        "routing type 4": [lambda: routing(4)],
    }
    poison = ICMPv6NDOptDstLLAddr(lladdr=cast.other_mac)
    hidden = {
        "ra": {
            "router advertisement": lambda m: ICMPv6ND_RA(),
            "redirect": lambda m: ICMPv6ND_Redirect(tgt=cast.local, dst=cast.far6),
        },
        "nd": {
            "advertisement of the gateway": lambda m: ICMPv6ND_NA(tgt=cast.gateway_local, S=0, O=1)
            / ICMPv6NDOptDstLLAddr(lladdr=cast.mac),
            "advertisement with another’s MAC": lambda m: ICMPv6ND_NA(tgt=cast.ip6, S=0, O=1) / poison,
            "solicitation with another’s MAC": lambda m: ICMPv6ND_NS(tgt=cast.gateway6)
            / ICMPv6NDOptSrcLLAddr(lladdr=cast.other_mac),
        },
        "dhcp-server": {"DHCPv6 reply": lambda m: UDP(sport=547, dport=546) / Raw(m)},
    }
    for guard, bodies in hidden.items():
        c = book.chapter(guard)
        for body_name, body in bodies.items():
            for chain_name, headers in chains.items():
                c.drops_somewhere(
                    f"{body_name} behind {chain_name}",
                    lambda m, b=body, h=headers: stack(
                        cast.ether(**to_all) / cast.local_ipv6(dst="ff02::1"), [make() for make in h]
                    )
                    / b(m),
                )
    # RFC 3810, section 5: the one chain that every IPv6 host sends.
    c = book.chapter("fragment")
    c.passes(
        "multicast listener report behind hop-by-hop with a router alert",
        lambda m: cast.ether(dst="33:33:00:00:00:16")
        / cast.local_ipv6(dst="ff02::16", hlim=1)
        / IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"")])
        / ICMPv6MLReport2(records=[]),
    )
