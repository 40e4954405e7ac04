"""
Writes the frames of the attack corpus as JSON, one a line: what each is, which guard it attacks, and what must
become of it. scapy makes them, so that nothing here is built by the code that is attacked.

    python3 frames.py --mac 52:54:00:12:34:56 --gateway-mac 02:00:00:00:00:fe

  profile    the policy it is for: "default" has all of the guards that are safe for everybody, another name is that
             of the one guard the policy has
  guard      what it attacks; alone, that guard must drop it as well
  reason     the guard that must count it in its profile, null where more than one may
"""
import argparse
import logging
import sys
from ipaddress import IPv4Network, IPv6Network

logging.getLogger("scapy").setLevel(logging.ERROR)

from corpus import (
    address,
    arp,
    chain,
    dhcp,
    fragment,
    legitimate,
    link,
    neighbour,
    optional,
    router,
)  # noqa: E402
from corpus.book import Book  # noqa: E402
from corpus.cast import Cast  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the frames of the attack corpus as JSON lines.")
    parser.add_argument("--mac", default="52:54:00:12:34:56", help="the guest's")
    parser.add_argument("--ip4", default="192.0.2.10")
    parser.add_argument("--prefix4", type=IPv4Network, default=IPv4Network("198.51.100.0/28"))
    parser.add_argument("--ip6", default="2001:db8::10")
    parser.add_argument("--prefix6", type=IPv6Network, default=IPv6Network("2001:db8:1::/64"))
    parser.add_argument(
        "--gateway-mac", default="02:00:00:00:00:fe", help="of whoever is at the far end of the cable"
    )
    parser.add_argument("--gateway4", default="192.0.2.1")
    parser.add_argument("--gateway6", default="2001:db8::1")
    cast = Cast(**vars(parser.parse_args()))
    book = Book()
    for part in (link, address, arp, neighbour, router, dhcp, fragment, chain, legitimate, optional):
        part.write(book, cast)
    book.write(sys.stdout)


if __name__ == "__main__":
    main()
