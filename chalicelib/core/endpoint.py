"""Where a callback may go: to public addresses, in whatever notation an address is written, and nowhere else.

A service that calls URLs which others name can be made to call its own network. So the URL is looked at when it is
given, every address that its name leads to when it is called, and the connection goes to the very address that was
looked at.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

LONGEST_URL = 1000
DEFAULT_PORTS = {"https": 443, "http": 80}
# Below are the services of a machine: mail, shells, databases' older siblings. Callbacks are none of them.
FIRST_USER_PORT = 1024

# What the library calls global, and is not for us: relays of 6to4, Azure's platform, benchmarks.
_NOT_OURS_4 = tuple(IPv4Network(each) for each in ("192.88.99.0/24", "168.63.129.16/32", "198.18.0.0/15"))
_NAT64 = IPv6Network("64:ff9b::/96")
# IPv4-compatible (and ::, ::1), NAT64 of one's own network, discard, documentation, site-local.
_NOT_OURS_6 = tuple(
    IPv6Network(each) for each in ("::/96", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "3fff::/20", "fec0::/10")
)
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
_LOOPBACK_NAMES = frozenset({"localhost"})
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_PRINTABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL taken apart: `host` is a name or an address without brackets, `target` is what is asked for there."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """What may be shown of a URL: its path and query can be the key to it."""
        return f"{self.scheme}://{self.host_header}"


def parse_endpoint(url: str, *, loopback: bool) -> Endpoint:
    """Return the parts of a URL that may be called. With `loopback` also http to this very machine may be.

    Raises ValueError with what is wrong, which never repeats the URL.
    """
    parts, host, port = _split(url)
    scheme = parts.scheme
    if scheme != "https" and not (scheme == "http" and loopback and _names_loopback(host)):
        raise ValueError("must begin with https://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or a password")
    if parts.fragment or url.endswith("#"):
        raise ValueError("must not have a fragment: it is never sent")
    if not host:
        raise ValueError("must name a host")
    _check_host(host, loopback=loopback)
    port = DEFAULT_PORTS[scheme] if port is None else port
    if port != DEFAULT_PORTS[scheme] and port < FIRST_USER_PORT:
        raise ValueError(f"must have port {DEFAULT_PORTS[scheme]}, or one from {FIRST_USER_PORT}")
    return Endpoint(scheme, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def _split(url: str) -> tuple[SplitResult, str, int | None]:
    if len(url) > LONGEST_URL:
        raise ValueError(f"must have at most {LONGEST_URL} characters")
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise ValueError("must be printable ASCII without spaces: encode other characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("must be a URL such as https://example.org/path") from None
    return parts, host, port


def _check_host(host: str, *, loopback: bool) -> None:
    if loopback and _names_loopback(host):
        return
    address = _address(host)
    if address is not None:
        if not is_public(address):
            raise ValueError("must not lead to an address that is not public")
        return
    labels = host.split(".")
    # An address in any other notation (decimal, octal, hexadecimal, short) ends in a number; no name does.
    if not all(_LABEL.fullmatch(label) for label in labels) or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        raise ValueError("must name a host by its full name, or by its address in the usual notation")
    if len(labels) == 1 or labels[-1] == "localhost":
        raise ValueError("must name a host by its full name, one that is known everywhere")


def _names_loopback(host: str) -> bool:
    address = _address(host)
    return host in _LOOPBACK_NAMES if address is None else address.is_loopback


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def why_refused(addresses: Collection[str], *, scheme: str, loopback: bool) -> str | None:
    """Return why a name that leads to these addresses is not called, None if it may be: every one has to be public, or
    (with `loopback`) this machine's. The addresses are not told: they are nobody's business outside."""
    found = [_address(text) for text in addresses]
    if not found:
        return "its name leads nowhere"
    if loopback and all(address is not None and address.is_loopback for address in found):
        return None
    if scheme == "https" and all(address is not None and is_public(address) for address in found):
        return None
    return "its name leads to an address that is not public"


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is one of the public internet, and so are all IPv4 addresses that it stands for."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not any(address in net for net in _NOT_OURS_4)
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    low = int(address) & 0xFFFFFFFF
    if address in _NAT64:
        return is_public(IPv4Address(low))
    if not address.is_global or address.is_multicast or any(address in net for net in _NOT_OURS_6):
        return False
    inside = [*(address.teredo or ()), *([address.sixtofour] if address.sixtofour else [])]
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        inside.append(IPv4Address(low))
    return all(is_public(each) for each in inside)
