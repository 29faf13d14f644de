"""Whether an IP address belongs to the public internet.

The tables are those of IANA: the IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890) and the multicast and
reserved blocks. They are written out here because the same tables inside `ipaddress` change between patch releases of
Python, and a check against server-side request forgery must not depend on the interpreter. Only parsing and
`address in network` of `ipaddress` are used.

An IPv6 address that embeds an IPv4 address is public only if the embedded address is. Every doubt is answered with no.
"""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_LOOPBACK_4 = IPv4Network("127.0.0.0/8")
_LOOPBACK_6 = IPv6Address("::1")

_SPECIAL_4 = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private use
        "100.64.0.0/10",  # shared address space of carriers
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # the platform services of Azure: registered as public, reachable inside only
        "169.254.0.0/16",  # link local, which includes the metadata services of clouds
        "172.16.0.0/12",  # private use
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4, deprecated
        "192.168.0.0/16",  # private use
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, which includes the limited broadcast address
    )
)
# Assignments inside the blocks above that are registered as globally reachable.
_REACHABLE_4 = tuple(
    IPv4Network(each)
    for each in (
        "192.0.0.9/32",  # Port Control Protocol anycast
        "192.0.0.10/32",  # TURN anycast
    )
)

# IANA allocates public unicast addresses from this block only. Outside it are ::/8 (unspecified, loopback,
# IPv4-compatible, IPv4-translated, local NAT64 64:ff9b:1::/48), 100::/64 and 100:0:0:1::/64 (discard, dummy),
# 5f00::/16 (segment routing), fc00::/7 (unique local), fe80::/10 (link local), fec0::/10 (site local) and ff00::/8
# (multicast).
_GLOBAL_UNICAST_6 = IPv6Network("2000::/3")
_SPECIAL_6 = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # IETF protocol assignments, which include Teredo 2001::/32 and benchmarking 2001:2::/48
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
_REACHABLE_6 = tuple(
    IPv6Network(each)
    for each in (
        "2001:1::1/128",  # Port Control Protocol anycast
        "2001:1::2/128",  # TURN anycast
        "2001:1::3/128",  # DNS-SD Service Registration Protocol anycast
        "2001:3::/32",  # AMT
        "2001:4:112::/48",  # AS112
        "2001:20::/28",  # ORCHIDv2
        "2001:30::/28",  # drone remote identification
    )
)

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")
# The upper half of an interface identifier of ISATAP (RFC 5214); the lower half is an IPv4 address.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
_LOW_32_BITS = 0xFFFFFFFF


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in the usual notation of its family, None for anything else.

    A scope id (`fe80::1%eth0`) has a meaning on one machine only, so an address that has one is refused.
    """
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_loopback(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is in 127.0.0.0/8 or is ::1. An IPv4-mapped loopback address is neither."""
    if isinstance(address, IPv4Address):
        return address in _LOOPBACK_4
    return address == _LOOPBACK_6


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address, and every IPv4 address that it embeds, belongs to the public internet."""
    if isinstance(address, IPv4Address):
        return _in_any(address, _REACHABLE_4) or not _in_any(address, _SPECIAL_4)
    if address.scope_id is not None:
        return False
    bits = int(address)
    if address in _MAPPED or address in _NAT64:
        return is_public(_embedded(bits))
    if address in _6TO4 and not is_public(_embedded(bits >> 80)):
        return False
    if bits >> 32 & _LOW_32_BITS in _ISATAP and not is_public(_embedded(bits)):
        return False
    if _in_any(address, _REACHABLE_6):
        return True
    return address in _GLOBAL_UNICAST_6 and not _in_any(address, _SPECIAL_6)


def _embedded(bits: int) -> IPv4Address:
    return IPv4Address(bits & _LOW_32_BITS)


def _in_any(address: IPv4Address | IPv6Address, networks: Collection[IPv4Network] | Collection[IPv6Network]) -> bool:
    return any(address in network for network in networks)
