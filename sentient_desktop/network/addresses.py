"""Which addresses are the internet, and which belong to the machine and its surroundings.

A guest that could name a private address would reach the host's own services, its neighbours, or
a cloud's metadata service; a public name may resolve to one at any moment. So the rule is about
the address a connection really goes to.
"""

import socket
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_REFUSED = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32", "192.0.0.0/24",  # the insides of clouds that the standard library
        "100.64.0.0/10", "198.18.0.0/15",  # of some Python versions takes for public
        "192.88.99.0/24", "2002::/16", "2001::/32",  # tunnels: the address inside is another's
        "fec0::/10", "3fff::/20", "5f00::/16",
    )
)  # fmt: skip


def parse_address(text: str) -> Address:
    """Read an address, taking an IPv4 one out of the IPv6 forms it may hide in.

    Raises:
        ValueError: it is none, or names a zone of this machine.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.scope_id:
            raise ValueError(f"{text} names an interface")
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def parse_network(text: str) -> Network:
    """Read an address or a CIDR block; bits below the mask are dropped.

    Raises:
        ValueError: it is neither.
    """
    return ip_network(text, strict=False)


def holds(networks: tuple[Network, ...], address: Address) -> bool:
    """Whether an address lies in one of the blocks; ``0.0.0.0/0`` means all, IPv6 too."""
    return any(
        address in network or (network.version == 4 and network.prefixlen == 0)
        for network in networks
    )


def is_public(address: Address) -> bool:
    """Whether an address is out on the internet, and not this machine's own."""
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    if not address.is_global or address.is_multicast or holds(_REFUSED, address):
        return False
    return not _is_own(address)


def _is_own(address: Address) -> bool:
    """Ask the kernel's routing: it reaches an own address from that very address."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))  # of a datagram socket: looks the route up, no more
            return ip_address(probe.getsockname()[0]) == address
    except OSError:
        return False  # no route: connecting will say so
