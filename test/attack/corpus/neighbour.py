"""
Neighbour discovery: who asks for whom, and who says to be whom. A message's length is part of what it says, so
these frames carry no mark.
"""
from ipaddress import ip_address

from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    in6_getnsma,
    in6_getnsmac,
)
from scapy.packet import Raw
from scapy.pton_ntop import inet_ntop, inet_pton
from socket import AF_INET6

from .book import Book
from .cast import BROADCAST, Cast, neighbour_of

ALL_NODES_MAC = "33:33:00:00:00:01"
ALL_ROUTERS_MAC = "33:33:00:00:00:02"


def solicited_node(address: str) -> tuple[str, str]:
    """The group that everybody with this address listens to, and its MAC."""
    group = in6_getnsma(inet_pton(AF_INET6, address))
    return inet_ntop(AF_INET6, group), in6_getnsmac(group)


def nonce(number: int = 1) -> Raw:
    """RFC 3971, section 5.3.2; Linux sends one with each probe of its own (RFC 7527)."""
    return Raw(bytes([14, 1]) + number.to_bytes(6, "big"))


def option(kind: int, mac: str, words: int = 1) -> Raw:
    return Raw(bytes([kind, words]) + bytes.fromhex(mac.replace(":", "")) + bytes(8 * (words - 1)))


def write(book: Book, cast: Cast) -> None:
    write_probes(book, cast)
    write_solicitations(book, cast)
    write_advertisements(book, cast)
    write_router_solicitations(book, cast)


def own_addresses(cast: Cast) -> dict[str, str]:
    return {
        "its assigned address": cast.ip6,
        "one inside its prefix": str(cast.prefix6[0x77]),
        "its link-local address": cast.local,
    }


def foreign_addresses(cast: Cast) -> dict[str, str]:
    return {
        "the gateway’s": cast.gateway6,
        "the gateway’s link-local": cast.gateway_local,
        "another guest’s": cast.other6,
        "another guest’s link-local": cast.other_local,
        "one above its own": str(ip_address(cast.ip6) + 1),
        "one above its link-local": str(ip_address(cast.local) + 1),
        "one above its prefix": str(cast.prefix6[-1] + 1),
    }


def write_probes(book: Book, cast: Cast) -> None:
    """RFC 4862: whoever sees a probe for the address that it is about to take leaves it alone."""
    c = book.chapter("nd")

    def probe(target, *options):
        group, mac = solicited_node(target)
        packet = cast.ether(dst=mac) / cast.local_ipv6(src="::", dst=group) / ICMPv6ND_NS(tgt=target)
        for each in options:
            packet = packet / each
        return packet

    for whose, target in own_addresses(cast).items():
        c.passes(f"probe (DAD) for {whose}", lambda m, t=target: probe(t))
        c.passes(f"probe (DAD) with a nonce for {whose}", lambda m, t=target: probe(t, nonce()))
    for whose, target in foreign_addresses(cast).items():
        c.drops(f"probe (DAD) for {whose}", lambda m, t=target: probe(t))
        c.drops(f"probe (DAD) with a nonce for {whose}", lambda m, t=target: probe(t, nonce()))


def write_solicitations(book: Book, cast: Cast) -> None:
    c = book.chapter("nd")

    def solicit(target, *options, src=cast.local, to=None, **fields):
        group, mac = solicited_node(target) if to is None else to
        packet = cast.ether(dst=mac) / cast.local_ipv6(src=src, dst=group, **fields) / ICMPv6ND_NS(tgt=target)
        for each in options:
            packet = packet / each
        return packet

    gateway = (cast.gateway_local, cast.gateway_mac)
    own = ICMPv6NDOptSrcLLAddr(lladdr=cast.mac)
    for whose, src in own_addresses(cast).items():
        c.passes(
            f"solicitation for the gateway from {whose}", lambda m, s=src: solicit(cast.gateway6, own, src=s)
        )
        c.passes(
            f"solicitation for the gateway’s link-local from {whose}",
            lambda m, s=src: solicit(cast.gateway_local, own, src=s),
        )
    c.passes(
        "solicitation to the gateway alone, without its MAC",
        lambda m: solicit(cast.gateway_local, to=gateway),
    )
    c.passes(
        "solicitation to the gateway alone, with its MAC",
        lambda m: solicit(cast.gateway_local, own, to=gateway),
    )
    c.passes("solicitation for another guest", lambda m: solicit(cast.other6, own))
    # RFC 4861, section 7.2.3: the receiver writes the sender's MAC into its cache.
    for whose, mac in {
        "another guest’s": cast.other_mac,
        "the gateway’s": cast.gateway_mac,
        "one bit away": neighbour_of(cast.mac),
        "broadcast": BROADCAST,
        "all zero": "00:00:00:00:00:00",
    }.items():
        poison = ICMPv6NDOptSrcLLAddr(lladdr=mac)
        c.drops(f"solicitation with a MAC {whose}", lambda m, p=poison: solicit(cast.gateway6, p))
        c.drops(
            f"solicitation to the gateway alone with a MAC {whose}",
            lambda m, p=poison: solicit(cast.gateway_local, p, to=gateway),
        )
    poison = ICMPv6NDOptSrcLLAddr(lladdr=cast.other_mac)
    c.drops(
        "solicitation with a nonce, then another’s MAC", lambda m: solicit(cast.gateway6, nonce(), poison)
    )
    c.drops(
        "solicitation with an unknown option, then another’s MAC",
        lambda m: solicit(cast.gateway6, option(200, cast.mac), poison),
    )
    c.drops("solicitation with its MAC, then another’s", lambda m: solicit(cast.gateway6, own, poison))
    c.drops("solicitation with another’s MAC, then its own", lambda m: solicit(cast.gateway6, poison, own))
    c.drops(
        "solicitation with another’s MAC in an option of 16 bytes",
        lambda m: solicit(cast.gateway6, option(1, cast.other_mac, 2)),
    )
    c.drops(
        "solicitation with another’s MAC, hop limit 64", lambda m: solicit(cast.gateway6, poison, hlim=64)
    )
    # Their contents are in order; it is the source address that the receiver would learn.
    c6 = book.chapter("ip6")
    c6.drops_somewhere(
        "solicitation from the gateway’s address with its own MAC",
        lambda m: solicit(cast.other6, own, src=cast.gateway_local),
    )
    c6.drops_somewhere(
        "solicitation from another’s address with its own MAC",
        lambda m: solicit(cast.gateway6, own, src=cast.other6),
    )


def write_advertisements(book: Book, cast: Cast) -> None:
    c = book.chapter("nd")
    all_nodes = ("ff02::1", ALL_NODES_MAC)
    gateway = (cast.gateway_local, cast.gateway_mac)

    def advertise(target, *options, src=None, to=gateway, R=0, S=1, O=1, code=0, **fields):
        address, mac = to
        body = ICMPv6ND_NA(tgt=target, R=R, S=S, O=O, code=code)
        packet = cast.ether(dst=mac) / cast.local_ipv6(src=src or cast.local, dst=address, **fields) / body
        for each in options:
            packet = packet / each
        return packet

    own = ICMPv6NDOptDstLLAddr(lladdr=cast.mac)
    flags = {
        "solicited, override": {"S": 1, "O": 1},
        "solicited": {"S": 1, "O": 0},
        "unsolicited, override": {"S": 0, "O": 1, "to": all_nodes},
        "unsolicited": {"S": 0, "O": 0, "to": all_nodes},
    }
    for how, given in flags.items():
        for whose, target in own_addresses(cast).items():
            c.passes(f"advertisement of {whose}, {how}", lambda m, t=target, g=given: advertise(t, own, **g))
        for whose, target in foreign_addresses(cast).items():
            c.drops(f"advertisement of {whose}, {how}", lambda m, t=target, g=given: advertise(t, own, **g))
    c.passes("advertisement without a MAC, solicited by one alone", lambda m: advertise(cast.ip6, O=0))
    c.passes(
        "advertisement from the address that it is about", lambda m: advertise(cast.ip6, own, src=cast.ip6)
    )
    for whose, mac in {
        "another guest’s": cast.other_mac,
        "the gateway’s": cast.gateway_mac,
        "one bit away": neighbour_of(cast.mac),
        "broadcast": BROADCAST,
        "all zero": "00:00:00:00:00:00",
    }.items():
        poison = ICMPv6NDOptDstLLAddr(lladdr=mac)
        c.drops(
            f"advertisement of its own address with a MAC {whose}", lambda m, p=poison: advertise(cast.ip6, p)
        )
        c.drops(
            f"advertisement of the gateway’s address with a MAC {whose}",
            lambda m, p=poison: advertise(cast.gateway6, p),
        )
    poison = ICMPv6NDOptDstLLAddr(lladdr=cast.other_mac)
    c.drops("advertisement with a nonce, then another’s MAC", lambda m: advertise(cast.ip6, nonce(), poison))
    c.drops(
        "advertisement with an unknown option, then another’s MAC",
        lambda m: advertise(cast.ip6, option(200, cast.mac), poison),
    )
    c.drops("advertisement with its MAC, then another’s", lambda m: advertise(cast.ip6, own, poison))
    c.drops("advertisement with another’s MAC, then its own", lambda m: advertise(cast.ip6, poison, own))
    c.drops(
        "advertisement with another’s MAC in an option of 16 bytes",
        lambda m: advertise(cast.ip6, option(2, cast.other_mac, 2)),
    )
    c.drops("advertisement of the gateway, without a MAC", lambda m: advertise(cast.gateway6))
    c.drops("advertisement of the gateway, hop limit 64", lambda m: advertise(cast.gateway6, own, hlim=64))
    c.drops("advertisement of the gateway, hop limit 1", lambda m: advertise(cast.gateway6, own, hlim=1))
    c.drops("advertisement of the gateway, code 1", lambda m: advertise(cast.gateway6, own, code=1))
    c.drops("advertisement of the gateway as a router", lambda m: advertise(cast.gateway6, own, R=1))
    c.drops(
        "advertisement of the gateway from its assigned address",
        lambda m: advertise(cast.gateway6, own, src=cast.ip6),
    )
    c.drops("advertisement of ::", lambda m: advertise("::", own))
    c.drops("advertisement of all nodes", lambda m: advertise("ff02::1", own))
    # There is no transport header in what the length says is not all there: no rule finds one, and no receiver should.
    book.chapter("fragment").drops_somewhere(
        "advertisement of the gateway, payload length beyond the frame",
        lambda m: lengthen(bytes(advertise(cast.gateway_local, own)), 64),
    )
    c.drops_somewhere(
        "advertisement of the gateway from its address",
        lambda m: advertise(cast.gateway_local, own, src=cast.gateway_local),
    )
    c.drops_somewhere(
        "advertisement of the gateway with the gateway’s MAC, from its address",
        lambda m: advertise(
            cast.gateway_local, ICMPv6NDOptDstLLAddr(lladdr=cast.gateway_mac), src=cast.gateway_local
        ),
    )


def lengthen(frame: bytes, more: int) -> bytes:
    """The payload length of the IPv6 header, made larger than the frame."""
    data = bytearray(frame)
    length = int.from_bytes(data[18:20], "big") + more
    data[18:20] = length.to_bytes(2, "big")
    return bytes(data)


def write_router_solicitations(book: Book, cast: Cast) -> None:
    """What a guest asks with is no less able to write into a router's cache."""
    c = book.chapter("nd")

    def solicit(*options, src=cast.local):
        packet = cast.ether(dst=ALL_ROUTERS_MAC) / cast.local_ipv6(src=src, dst="ff02::2") / ICMPv6ND_RS()
        for each in options:
            packet = packet / each
        return packet

    c.passes("router solicitation with its MAC", lambda m: solicit(ICMPv6NDOptSrcLLAddr(lladdr=cast.mac)))
    c.passes("router solicitation without a MAC", lambda m: solicit())
    c.passes("router solicitation from ::, before there is an address", lambda m: solicit(src="::"))
    c.drops(
        "router solicitation with another’s MAC",
        lambda m: solicit(ICMPv6NDOptSrcLLAddr(lladdr=cast.other_mac)),
    )
    c.drops(
        "router solicitation with the gateway’s MAC",
        lambda m: solicit(ICMPv6NDOptSrcLLAddr(lladdr=cast.gateway_mac)),
    )
