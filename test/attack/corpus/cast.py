"""Who takes part: the guest that is guarded, its gateway, and others on the link."""
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

BROADCAST = "ff:ff:ff:ff:ff:ff"


def link_local(mac: str) -> str:
    """The link-local address that RFC 4291, appendix A, makes of a MAC (modified EUI-64)."""
    octets = [int(octet, 16) for octet in mac.split(":")]
    octets[0] ^= 0x02
    a, b, c, d, e, f = octets
    return f"fe80::{a << 8 | b:x}:{c << 8 | 0xFF:x}:{0xFE00 | d:x}:{e << 8 | f:x}"


def neighbour_of(mac: str) -> str:
    """Another MAC of the same vendor: one bit away."""
    octets = mac.split(":")
    return ":".join([*octets[:5], f"{int(octets[5], 16) ^ 0x01:02x}"])


@dataclass(frozen=True)
class Cast:
    """What the guest was assigned, and who else there is."""

    mac: str
    ip4: str
    prefix4: IPv4Network
    ip6: str
    prefix6: IPv6Network
    gateway_mac: str
    gateway4: str
    gateway6: str
    other_mac: str = "52:54:00:66:66:66"
    other4: str = "192.0.2.99"
    other6: str = "2001:db8::99"
    far4: str = "203.0.113.80"
    far6: str = "2001:db8:ffff::80"

    @property
    def local(self) -> str:
        return link_local(self.mac)

    @property
    def gateway_local(self) -> str:
        return link_local(self.gateway_mac)

    @property
    def other_local(self) -> str:
        return link_local(self.other_mac)

    def ether(self, **fields) -> Ether:
        """A header from the guest to its gateway."""
        return Ether(**{"src": self.mac, "dst": self.gateway_mac, **fields})

    def ether_in(self, **fields) -> Ether:
        """A header from the gateway to the guest."""
        return Ether(**{"src": self.gateway_mac, "dst": self.mac, **fields})

    def ip(self, **fields) -> IP:
        return IP(**{"src": self.ip4, "dst": self.far4, **fields})

    def ip_in(self, **fields) -> IP:
        return IP(**{"src": self.far4, "dst": self.ip4, **fields})

    def ipv6(self, **fields) -> IPv6:
        return IPv6(**{"src": self.ip6, "dst": self.far6, **fields})

    def ipv6_in(self, **fields) -> IPv6:
        return IPv6(**{"src": self.far6, "dst": self.ip6, **fields})

    def local_ipv6(self, **fields) -> IPv6:
        """As neighbour discovery is sent: link-local, with the hop limit that shows that no router was passed."""
        return IPv6(**{"src": self.local, "dst": self.gateway_local, "hlim": 255, **fields})


def udp(mark: bytes, sport: int = 40000, dport: int = 40001) -> Packet:
    return UDP(sport=sport, dport=dport) / Raw(mark)


def ping(mark: bytes) -> Packet:
    return ICMP(type=8, id=7) / Raw(mark)
