"""What a guest must be able to do and to hear, behind all of the guards."""
from scapy.contrib.igmp import IGMP
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Advertise, DHCP6_Reply
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLDMultAddrRec,
    ICMPv6MLDone,
    ICMPv6MLQuery2,
    ICMPv6MLReport,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPv6ExtHdrHopByHop,
    PadN,
    RouterAlert,
)
from scapy.layers.l2 import ARP
from scapy.packet import Raw

from .book import Book
from .cast import BROADCAST, Cast, ping, udp
from .chain import authentication


def write(book: Book, cast: Cast) -> None:
    write_from_guest(book, cast)
    write_multicast(book, cast)
    write_to_guest(book, cast)


def write_from_guest(book: Book, cast: Cast) -> None:
    c = book.chapter("none")
    quoted = cast.ip_in() / UDP(sport=53, dport=40000)
    quoted6 = cast.ipv6_in() / UDP(sport=53, dport=40000)
    bodies4 = {
        "ping": ping,
        "ping reply": lambda m: ICMP(type=0, id=7) / Raw(m),
        "port unreachable": lambda m: ICMP(type=3, code=3) / quoted / Raw(m),
        "time exceeded": lambda m: ICMP(type=11) / quoted / Raw(m),
        "DNS question": lambda m: UDP(sport=40000)
        / DNS(rd=1, qd=DNSQR(qname=m.decode().strip("<>").replace(" ", "."))),
        "TCP connection": lambda m: TCP(sport=40000, dport=443, flags="S", options=[("MSS", 1460)]) / Raw(m),
        "TCP data": lambda m: TCP(sport=40000, dport=443, flags="PA", seq=1, ack=1) / Raw(m),
        "TCP reset": lambda m: TCP(sport=40000, dport=443, flags="R") / Raw(m),
        "HTTP/3": lambda m: udp(m, 40000, 443),
        "a datagram of 1,400 bytes": lambda m: udp(m.ljust(1400, b".")),
        "time": lambda m: udp(m, 123, 123),
    }
    for what, body in bodies4.items():
        c.passes(f"{what}, IPv4", lambda m, body=body: cast.ether() / cast.ip() / body(m))
    bodies6 = {
        "ping": lambda m: ICMPv6EchoRequest(data=m),
        "ping reply": lambda m: ICMPv6EchoReply(data=m),
        "port unreachable": lambda m: ICMPv6DestUnreach(code=4) / quoted6 / Raw(m),
        "packet too big": lambda m: ICMPv6PacketTooBig(mtu=1280) / quoted6 / Raw(m),
        **{what: bodies4[what] for what in ("DNS question", "TCP connection", "TCP data", "HTTP/3", "time")},
    }
    for what, body in bodies6.items():
        c.passes(f"{what}, IPv6", lambda m, body=body: cast.ether() / cast.ipv6() / body(m))
    c.passes(
        "broadcast datagram", lambda m: cast.ether(dst=BROADCAST) / cast.ip(dst="255.255.255.255") / udp(m)
    )
    c.passes("datagram of nothing", lambda m: cast.ether() / cast.ip(id=4242) / UDP(sport=40000, dport=40001))
    c.passes("IPsec (ESP), IPv4", lambda m: cast.ether() / cast.ip(proto=50) / Raw(b"\0\0\1\0\0\0\0\1" + m))
    c.passes("IPsec (ESP), IPv6", lambda m: cast.ether() / cast.ipv6(nh=50) / Raw(b"\0\0\1\0\0\0\0\1" + m))
    c.passes(
        "IPsec (AH), IPv6, before UDP",
        lambda m: cast.ether() / cast.ipv6(nh=51) / Raw(authentication(17) + bytes(udp(m))),
    )
    c.passes(
        "ARP request padded to the shortest frame of Ethernet",
        lambda m: cast.ether(dst=BROADCAST)
        / ARP(op=1, hwsrc=cast.mac, psrc=cast.ip4, pdst=cast.gateway4)
        / Raw(bytes(18)),
    )


def write_multicast(book: Book, cast: Cast) -> None:
    c = book.chapter("none")
    alert = lambda: IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"")])  # noqa: E731
    reports_mac = {"dst": "33:33:00:00:00:16"}
    group = "ff02::1:ff00:10"
    joins = lambda: ICMPv6MLReport2(records=[ICMPv6MLDMultAddrRec(rtype=4, dst=group)])  # noqa: E731
    c.passes(
        "MLDv2 report from the link-local address",
        lambda m: cast.ether(**reports_mac) / cast.local_ipv6(dst="ff02::16", hlim=1) / alert() / joins(),
    )
    # RFC 3590: while the link-local address is probed for, there is none to send from.
    c.passes(
        "MLDv2 report from ::, before there is an address",
        lambda m: cast.ether(**reports_mac)
        / cast.local_ipv6(src="::", dst="ff02::16", hlim=1)
        / alert()
        / joins(),
    )
    c.passes(
        "MLDv1 report",
        lambda m: cast.ether(dst="33:33:ff:00:00:10")
        / cast.local_ipv6(dst=group, hlim=1)
        / alert()
        / ICMPv6MLReport(mladdr=group),
    )
    c.passes(
        "MLDv1 done",
        lambda m: cast.ether(dst="33:33:00:00:00:02")
        / cast.local_ipv6(dst="ff02::2", hlim=1)
        / alert()
        / ICMPv6MLDone(mladdr=group),
    )
    c.passes(
        "IGMPv2 report",
        lambda m: cast.ether(dst="01:00:5e:00:00:fb")
        / cast.ip(dst="224.0.0.251", ttl=1, proto=2, options=b"\x94\x04\x00\x00")
        / IGMP(type=0x16, gaddr="224.0.0.251"),
    )
    c.passes(
        "mDNS, IPv4",
        lambda m: cast.ether(dst="01:00:5e:00:00:fb")
        / cast.ip(dst="224.0.0.251", ttl=255)
        / udp(m, 5353, 5353),
    )
    c.passes(
        "mDNS, IPv6",
        lambda m: cast.ether(dst="33:33:00:00:00:fb") / cast.local_ipv6(dst="ff02::fb") / udp(m, 5353, 5353),
    )
    c.passes(
        "ping of all nodes",
        lambda m: cast.ether(dst="33:33:00:00:00:01")
        / cast.local_ipv6(dst="ff02::1")
        / ICMPv6EchoRequest(data=m),
    )


def write_to_guest(book: Book, cast: Cast) -> None:
    """The guards that are about what a guest says don't keep it from hearing the same of others."""
    c = book.chapter("none", direction="ingress")
    router = lambda **fields: cast.local_ipv6(
        src=cast.gateway_local, **{"dst": cast.local, **fields}
    )  # noqa: E731
    c.passes("ping, IPv4", lambda m: cast.ether_in() / cast.ip_in() / ping(m))
    c.passes("ping, IPv6", lambda m: cast.ether_in() / cast.ipv6_in() / ICMPv6EchoRequest(data=m))
    c.passes("UDP, IPv4", lambda m: cast.ether_in() / cast.ip_in() / udp(m))
    c.passes("TCP, IPv6", lambda m: cast.ether_in() / cast.ipv6_in() / TCP(dport=22, flags="S") / Raw(m))
    c.passes(
        "TCP, IPv4, with options",
        lambda m: cast.ether_in() / cast.ip_in() / TCP(dport=22, flags="S", options=[("MSS", 1460)]) / Raw(m),
    )
    c.passes(
        "port unreachable",
        lambda m: cast.ether_in()
        / cast.ip_in()
        / ICMP(type=3, code=3)
        / cast.ip()
        / UDP(sport=40000, dport=53)
        / Raw(m),
    )
    c.passes(
        "packet too big",
        lambda m: cast.ether_in() / cast.ipv6_in() / ICMPv6PacketTooBig() / cast.ipv6() / udp(m),
    )
    hardware = bytes.fromhex(cast.mac.replace(":", ""))
    for kind in ("offer", "ack", "nak"):
        c.passes(
            f"DHCP {kind}",
            lambda m, kind=kind: cast.ether_in()
            / cast.ip_in(src=cast.gateway4)
            / UDP(sport=67, dport=68)
            / BOOTP(op=2, chaddr=hardware, yiaddr=cast.ip4)
            / DHCP(options=[("message-type", kind), ("vendor_class_id", m), "end"]),
        )
    for kind in (DHCP6_Advertise, DHCP6_Reply):
        c.passes(
            f"DHCPv6 {kind.__name__.removeprefix('DHCP6_').lower()}",
            lambda m, kind=kind: cast.ether_in() / router() / UDP(sport=547, dport=546) / kind(trid=0x123456),
        )
    c.passes(
        "ARP request for the guest",
        lambda m: cast.ether_in()
        / ARP(op=1, hwsrc=cast.gateway_mac, psrc=cast.gateway4, pdst=cast.ip4)
        / Raw(m),
    )
    c.passes(
        "ARP reply of the gateway",
        lambda m: cast.ether_in()
        / ARP(op=2, hwsrc=cast.gateway_mac, psrc=cast.gateway4, hwdst=cast.mac, pdst=cast.ip4)
        / Raw(m),
    )
    c.passes(
        "ARP request, broadcast",
        lambda m: cast.ether_in(dst=BROADCAST)
        / ARP(op=1, hwsrc=cast.gateway_mac, psrc=cast.gateway4, pdst=cast.ip4)
        / Raw(m),
    )
    c.passes(
        "neighbour solicitation for the guest",
        lambda m: cast.ether_in()
        / router()
        / ICMPv6ND_NS(tgt=cast.ip6)
        / ICMPv6NDOptSrcLLAddr(lladdr=cast.gateway_mac),
    )
    c.passes(
        "neighbour advertisement of the gateway",
        lambda m: cast.ether_in()
        / router()
        / ICMPv6ND_NA(tgt=cast.gateway_local, R=1, S=1, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=cast.gateway_mac),
    )
    c.passes(
        "router advertisement",
        lambda m: cast.ether_in()
        / router()
        / ICMPv6ND_RA()
        / ICMPv6NDOptSrcLLAddr(lladdr=cast.gateway_mac)
        / ICMPv6NDOptPrefixInfo(prefix=str(cast.prefix6.network_address), prefixlen=64),
    )
    c.passes(
        "multicast listener query",
        lambda m: cast.ether_in()
        / router(hlim=1)
        / IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"")])
        / ICMPv6MLQuery2(),
    )
    c.passes(
        "IPsec (ESP), IPv6", lambda m: cast.ether_in() / cast.ipv6_in(nh=50) / Raw(b"\0\0\1\0\0\0\0\1" + m)
    )
    c.passes("a datagram of 1,400 bytes", lambda m: cast.ether_in() / cast.ip_in() / udp(m.ljust(1400, b".")))
