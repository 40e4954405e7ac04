"""DHCP: a guest may ask, and must not answer."""
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DHCP6_Advertise,
    DHCP6_Confirm,
    DHCP6_Decline,
    DHCP6_InfoRequest,
    DHCP6_Rebind,
    DHCP6_Reconf,
    DHCP6_Release,
    DHCP6_RelayForward,
    DHCP6_RelayReply,
    DHCP6_Renew,
    DHCP6_Reply,
    DHCP6_Request,
    DHCP6_Solicit,
    DHCP6OptUnknown,
)
from scapy.layers.inet import TCP, UDP
from scapy.packet import Raw

from .book import Book
from .cast import BROADCAST, Cast, udp

SERVERS = {"dst": "ff02::1:2"}
SERVERS_MAC = {"dst": "33:33:00:01:00:02"}


def write(book: Book, cast: Cast) -> None:
    write_client4(book, cast)
    write_server4(book, cast)
    write_client6(book, cast)
    write_server6(book, cast)


def lease(cast: Cast, mark: bytes, kind: str, op: int, **fields):
    hardware = bytes.fromhex(cast.mac.replace(":", ""))
    return BOOTP(op=op, chaddr=hardware, xid=0x1234, **fields) / DHCP(
        options=[("message-type", kind), ("vendor_class_id", mark), "end"]
    )


def write_client4(book: Book, cast: Cast) -> None:
    c = book.chapter("dhcp-server")
    to_all = {"src": "0.0.0.0", "dst": "255.255.255.255"}
    ports = {"sport": 68, "dport": 67}
    for kind in ("discover", "request", "decline"):
        c.passes(
            f"DHCP {kind} of a client without an address",
            lambda m, kind=kind: cast.ether(dst=BROADCAST)
            / cast.ip(**to_all)
            / UDP(**ports)
            / lease(cast, m, kind, 1),
        )
    for kind in ("request", "release", "inform"):
        c.passes(
            f"DHCP {kind} of a client with an address, to the server",
            lambda m, kind=kind: cast.ether()
            / cast.ip(dst=cast.gateway4)
            / UDP(**ports)
            / lease(cast, m, kind, 1, ciaddr=cast.ip4),
        )
    c.passes(
        "DHCP request of a client that rebinds",
        lambda m: cast.ether(dst=BROADCAST)
        / cast.ip(dst="255.255.255.255")
        / UDP(**ports)
        / lease(cast, m, "request", 1, ciaddr=cast.ip4),
    )
    # A spoofer's packet isn't a client's for having its ports.
    c4 = book.chapter("ip4")
    c4.drops(
        "DHCP request from a neighbour’s address",
        lambda m: cast.ether()
        / cast.ip(src=cast.other4, dst=cast.gateway4)
        / UDP(**ports)
        / lease(cast, m, "request", 1),
    )


def write_server4(book: Book, cast: Cast) -> None:
    c = book.chapter("dhcp-server")
    ports = {"sport": 67, "dport": 68}
    for kind in ("offer", "ack", "nak", "force_renew"):
        c.drops(
            f"DHCP {kind}, broadcast",
            lambda m, kind=kind: cast.ether(dst=BROADCAST)
            / cast.ip(dst="255.255.255.255")
            / UDP(**ports)
            / lease(cast, m, kind, 2, yiaddr=cast.other4),
        )
        c.drops(
            f"DHCP {kind}, to one client",
            lambda m, kind=kind: cast.ether()
            / cast.ip(dst=cast.gateway4)
            / UDP(**ports)
            / lease(cast, m, kind, 2, yiaddr=cast.other4),
        )
    c.drops(
        "DHCP offer with IP options before it",
        lambda m: cast.ether()
        / cast.ip(options=b"\x01" * 8, dst=cast.gateway4)
        / UDP(**ports)
        / lease(cast, m, "offer", 2),
    )
    c.drops(
        "DHCP offer with forty bytes of IP options before it",
        lambda m: cast.ether()
        / cast.ip(options=b"\x01" * 40, dst=cast.gateway4)
        / UDP(**ports)
        / lease(cast, m, "offer", 2),
    )
    c.drops(
        "DHCP offer without a UDP checksum",
        lambda m: cast.ether()
        / cast.ip(dst=cast.gateway4)
        / UDP(chksum=0, **ports)
        / lease(cast, m, "offer", 2),
    )
    c.drops(
        "DHCP offer from the assigned prefix",
        lambda m: cast.ether()
        / cast.ip(src=str(cast.prefix4[3]), dst=cast.gateway4)
        / UDP(**ports)
        / lease(cast, m, "offer", 2),
    )
    c.drops(
        "BOOTP reply without DHCP options",
        lambda m: cast.ether() / cast.ip(dst=cast.gateway4) / UDP(**ports) / BOOTP(op=2, file=m),
    )
    # dhclient and systemd-networkd look at the port that a datagram is sent to.
    for sport in (1067, 68):
        c.drops(
            f"DHCP offer from port {sport}",
            lambda m, s=sport: cast.ether()
            / cast.ip(dst=cast.gateway4)
            / UDP(sport=s, dport=68)
            / lease(cast, m, "offer", 2),
        )
    c.drops(
        "DHCP answer from server to relay (67 to 67)",
        lambda m: cast.ether()
        / cast.ip(dst=cast.gateway4)
        / UDP(sport=67, dport=67)
        / lease(cast, m, "offer", 2, giaddr=cast.gateway4),
    )
    c.drops_somewhere(
        "DHCP offer from the gateway’s address",
        lambda m: cast.ether(dst=BROADCAST)
        / cast.ip(src=cast.gateway4, dst="255.255.255.255")
        / UDP(**ports)
        / lease(cast, m, "offer", 2),
    )
    c.drops_somewhere(
        "DHCP offer from 0.0.0.0",
        lambda m: cast.ether(dst=BROADCAST)
        / cast.ip(src="0.0.0.0", dst="255.255.255.255")
        / UDP(**ports)
        / lease(cast, m, "offer", 2),
    )
    c.passes(
        "TCP with a DHCP server’s ports",
        lambda m: cast.ether() / cast.ip() / TCP(sport=67, dport=68, flags="S") / Raw(m),
    )
    c.passes(
        "UDP that has 67 and 68 in its payload",
        lambda m: cast.ether() / cast.ip() / UDP(sport=40000, dport=53) / Raw(b"\x00\x43\x00\x44" + m),
    )


def told(mark: bytes):
    """The mark as an option that nobody has to understand."""
    return DHCP6OptUnknown(optcode=65001, data=mark)


def write_client6(book: Book, cast: Cast) -> None:
    c = book.chapter("dhcp-server")
    for kind in (
        DHCP6_Solicit,
        DHCP6_Request,
        DHCP6_Confirm,
        DHCP6_Renew,
        DHCP6_Rebind,
        DHCP6_Release,
        DHCP6_Decline,
        DHCP6_InfoRequest,
    ):
        c.passes(
            f"DHCPv6 {kind.__name__.removeprefix('DHCP6_').lower()}",
            lambda m, kind=kind: cast.ether(**SERVERS_MAC)
            / cast.local_ipv6(hlim=1, **SERVERS)
            / UDP(sport=546, dport=547)
            / kind(trid=0x123456)
            / told(m),
        )


def write_server6(book: Book, cast: Cast) -> None:
    c = book.chapter("dhcp-server")
    ports = {"sport": 547, "dport": 546}
    for kind in (DHCP6_Advertise, DHCP6_Reply, DHCP6_Reconf):
        name = kind.__name__.removeprefix("DHCP6_").lower()
        c.drops(
            f"DHCPv6 {name}",
            lambda m, kind=kind: cast.ether()
            / cast.local_ipv6()
            / UDP(**ports)
            / kind(trid=0x123456)
            / told(m),
        )
        c.drops(
            f"DHCPv6 {name} to all nodes",
            lambda m, kind=kind: cast.ether(dst="33:33:00:00:00:01")
            / cast.local_ipv6(dst="ff02::1")
            / UDP(**ports)
            / kind(trid=0x123456)
            / told(m),
        )
        c.drops(
            f"DHCPv6 {name} from a global address",
            lambda m, kind=kind: cast.ether() / cast.ipv6() / UDP(**ports) / kind(trid=0x123456) / told(m),
        )
        c.drops(
            f"DHCPv6 {name} from another port",
            lambda m, kind=kind: cast.ether()
            / cast.local_ipv6()
            / UDP(sport=1547, dport=546)
            / kind(trid=0x123456)
            / told(m),
        )
    for kind, name in ((DHCP6_RelayReply, "relay-reply"), (DHCP6_RelayForward, "relay-forward")):
        c.drops(
            f"DHCPv6 {name} (547 to 547)",
            lambda m, kind=kind: cast.ether()
            / cast.local_ipv6()
            / UDP(sport=547, dport=547)
            / kind()
            / told(m),
        )
    c.drops(
        "DHCPv6 server’s ports, no message", lambda m: cast.ether() / cast.local_ipv6() / udp(m, 547, 546)
    )
    c.drops_somewhere(
        "DHCPv6 reply from the gateway’s address",
        lambda m: cast.ether()
        / cast.local_ipv6(src=cast.gateway_local)
        / UDP(**ports)
        / DHCP6_Reply()
        / told(m),
    )
    c.passes(
        "TCP with a DHCPv6 server’s ports",
        lambda m: cast.ether() / cast.ipv6() / TCP(sport=547, dport=546, flags="S") / Raw(m),
    )
