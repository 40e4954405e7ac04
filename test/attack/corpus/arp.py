"""What ARP says in its body: who has which address."""
from scapy.layers.l2 import ARP
from scapy.packet import Raw

from .book import Book
from .cast import BROADCAST, Cast, neighbour_of

NOBODY = "00:00:00:00:00:00"
REQUEST, REPLY = 1, 2


def write(book: Book, cast: Cast) -> None:
    write_macs(book, cast)
    write_addresses(book, cast)
    write_forms(book, cast)


def frame(cast: Cast, mark: bytes, *, to: str = BROADCAST, **fields):
    """From the guest's MAC, with own contents but for those given."""
    own = {"op": REQUEST, "hwsrc": cast.mac, "psrc": cast.ip4, "hwdst": NOBODY, "pdst": cast.gateway4}
    return cast.ether(dst=to) / ARP(**{**own, **fields}) / Raw(mark)


def write_macs(book: Book, cast: Cast) -> None:
    c = book.chapter("arp-mac")
    kinds = {
        "request": {"op": REQUEST},
        "reply": {"op": REPLY, "hwdst": cast.gateway_mac, "to": cast.gateway_mac},
        "gratuitous request": {"op": REQUEST, "pdst": cast.ip4},
        "gratuitous reply": {"op": REPLY, "pdst": cast.ip4, "hwdst": BROADCAST},
        "probe": {"op": REQUEST, "psrc": "0.0.0.0", "pdst": cast.ip4},
    }
    foreign = {
        "another guest’s": cast.other_mac,
        "the gateway’s": cast.gateway_mac,
        "one bit away": neighbour_of(cast.mac),
        "all zero": NOBODY,
        "broadcast": BROADCAST,
    }
    for what, fields in kinds.items():
        for whose, mac in foreign.items():
            c.drops(
                f"{what}, sender MAC {whose}",
                lambda m, f=fields, mac=mac: frame(cast, m, **{**f, "hwsrc": mac}),
            )


def write_addresses(book: Book, cast: Cast) -> None:
    c = book.chapter("arp-ip")
    prefix = cast.prefix4
    own = {
        "the assigned address": cast.ip4,
        "one inside the assigned prefix": str(prefix[7]),
        "the last of the assigned prefix": str(prefix[-1]),
    }
    foreign = {
        "the gateway’s": cast.gateway4,
        "another guest’s": cast.other4,
        "one above the assigned prefix": str(prefix[-1] + 1),
        "one below the assigned prefix": str(prefix[0] - 1),
        "loopback": "127.0.0.1",
        "broadcast": "255.255.255.255",
        "link-local": "169.254.7.7",
    }
    for whose, address in own.items():
        c.passes(f"request from {whose}", lambda m, a=address: frame(cast, m, psrc=a))
        c.passes(
            f"reply from {whose}",
            lambda m, a=address: frame(
                cast, m, op=REPLY, psrc=a, hwdst=cast.gateway_mac, to=cast.gateway_mac
            ),
        )
        c.passes(f"gratuitous request, {whose}", lambda m, a=address: frame(cast, m, psrc=a, pdst=a))
        c.passes(
            f"gratuitous reply, {whose}",
            lambda m, a=address: frame(cast, m, op=REPLY, psrc=a, pdst=a, hwdst=BROADCAST),
        )
        # RFC 5227: before an address is used, it is asked for without one.
        c.passes(f"probe for {whose}", lambda m, a=address: frame(cast, m, psrc="0.0.0.0", pdst=a))
    for whose, address in foreign.items():
        c.drops(f"request from {whose}", lambda m, a=address: frame(cast, m, psrc=a))
        c.drops(
            f"reply from {whose}",
            lambda m, a=address: frame(
                cast, m, op=REPLY, psrc=a, pdst=cast.far4, hwdst=cast.gateway_mac, to=cast.gateway_mac
            ),
        )
        c.drops(f"gratuitous request, {whose}", lambda m, a=address: frame(cast, m, psrc=a, pdst=a))
        c.drops(
            f"gratuitous reply, {whose}",
            lambda m, a=address: frame(cast, m, op=REPLY, psrc=a, pdst=a, hwdst=BROADCAST),
        )
    c.passes("request to the gateway alone, as it is renewed", lambda m: frame(cast, m, to=cast.gateway_mac))
    c.drops(
        "reply without a sender address",
        lambda m: frame(cast, m, op=REPLY, psrc="0.0.0.0", hwdst=cast.gateway_mac, to=cast.gateway_mac),
    )
    c.drops(
        "gratuitous reply without a sender address",
        lambda m: frame(cast, m, op=REPLY, psrc="0.0.0.0", pdst=cast.ip4),
    )
    # A second prober makes the first take the address for taken (RFC 5227, section 2.1.1).
    for whose, address in foreign.items():
        c.drops(f"probe for {whose}", lambda m, a=address: frame(cast, m, psrc="0.0.0.0", pdst=a))


def write_forms(book: Book, cast: Cast) -> None:
    """What is not Ethernet and IPv4 has its fields elsewhere; of the operations, a guest needs two."""
    names = {
        0: "reserved",
        3: "RARP request",
        4: "RARP reply",
        5: "DRARP request",
        6: "DRARP reply",
        7: "DRARP error",
        8: "InARP request",
        9: "InARP reply",
        10: "ARP NAK",
        25: "one that nobody uses",
        256: "request, bytes the wrong way round",
        65535: "the largest",
    }
    c = book.chapter("arp-mac")
    for op, name in names.items():
        c.drops_somewhere(f"operation {op}, {name}", lambda m, op=op: frame(cast, m, op=op))
        c.drops_somewhere(
            f"operation {op}, {name}, to the gateway",
            lambda m, op=op: frame(cast, m, op=op, to=cast.gateway_mac, hwdst=cast.gateway_mac),
        )
    for htype in (0, 6, 15, 256, 65535):
        c.drops_somewhere(f"hardware type {htype}", lambda m, h=htype: frame(cast, m, hwtype=h))
    for ptype in (0, 0x0008, 0x0806, 0x86DD):
        # The addresses' lengths as in IPv4, whatever the type.
        c.drops_somewhere(
            f"protocol type {ptype:#06x}", lambda m, p=ptype: with_field(frame(cast, m), 2, p, 2)
        )
    for length in (0, 4, 5, 7, 8, 255):
        c.drops_somewhere(
            f"hardware address length {length}", lambda m, n=length: with_field(frame(cast, m), 4, n, 1)
        )
    for length in (0, 3, 5, 6, 16, 255):
        c.drops_somewhere(
            f"protocol address length {length}", lambda m, n=length: with_field(frame(cast, m), 5, n, 1)
        )
    whole = bytes(frame(cast, b""))
    for kept, where in {
        1: "the first byte",
        7: "the operation",
        10: "the sender MAC",
    }.items():
        c.drops_somewhere(f"cut off inside {where}", lambda m, kept=kept: whole[: 14 + kept])
    c.drops_somewhere("nothing but the Ethernet header", lambda m: whole[:14])
    book.chapter("arp-ip").drops_somewhere("cut off inside the sender address", lambda m: whole[: 14 + 16])


def with_field(packet, offset: int, value: int, size: int) -> bytes:
    """scapy lays ARP out by its own length fields, so a lie is written into the bytes."""
    data = bytearray(bytes(packet))
    data[14 + offset : 14 + offset + size] = value.to_bytes(size, "big")
    return bytes(data)
