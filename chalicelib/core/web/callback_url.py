"""The allowed targets of callbacks: public addresses in any notation.

A service that calls URLs which others name can be made to call its own network. So the URL is looked at when it is
given, every address that its name leads to when it is called, and the connection goes to the very address that was
looked at.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from chalicelib.core.web.authority import split_authority
from chalicelib.core.web.public_addresses import is_loopback, is_public, parse_address

LONGEST_URL = 1000
DEFAULT_PORTS = {"https": 443, "http": 80}
# Below are the services of a machine: mail, shells, databases' older siblings. Callbacks are none of them.
FIRST_USER_PORT = 1024

_LOOPBACK_NAMES = frozenset({"localhost"})
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_PRINTABLE = re.compile(r"[!-~]+")
# RFC 3986, appendix B: scheme, authority, path, query, fragment. urllib.parse is not used: what it accepts changes
# between patch releases of Python.
_URL = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(#.*)?")


@dataclass(frozen=True, slots=True)
class ParsedCallbackUrl:
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


def parse_callback_url(url: str, *, loopback: bool) -> ParsedCallbackUrl:
    """Return the parts of a URL that may be called. With `loopback` also http to this very machine may be.

    Raises ValueError with what is wrong, which never repeats the URL.
    """
    if len(url) > LONGEST_URL:
        raise ValueError(f"must have at most {LONGEST_URL} characters")
    parts = _URL.fullmatch(url)
    if parts is None or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise ValueError("must be printable ASCII without spaces: encode other characters")
    scheme, authority, path, query, fragment = parts.groups("")
    scheme = scheme.lower()
    if scheme not in ({"https", "http"} if loopback else {"https"}):
        raise ValueError("must begin with https://")
    if "@" in authority:
        raise ValueError("must not hold a user or a password")
    if fragment:
        raise ValueError("must not have a fragment: it is never sent")
    try:
        host, port = split_authority(authority)
    except ValueError:
        raise ValueError("must be a URL such as https://example.org/path") from None
    if not host:
        raise ValueError("must name a host")
    if scheme == "http" and not _names_loopback(host):
        raise ValueError("must begin with https://")
    _check_host(host, loopback=loopback)
    port = DEFAULT_PORTS[scheme] if port is None else port
    if port != DEFAULT_PORTS[scheme] and port < FIRST_USER_PORT:
        raise ValueError(f"must have port {DEFAULT_PORTS[scheme]}, or one from {FIRST_USER_PORT}")
    return ParsedCallbackUrl(scheme, host, port, (path or "/") + (f"?{query}" if query else ""))


def _check_host(host: str, *, loopback: bool) -> None:
    if loopback and _names_loopback(host):
        return
    address = parse_address(host)
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
    address = parse_address(host)
    return host in _LOOPBACK_NAMES if address is None else is_loopback(address)


def why_refused(addresses: Collection[str], *, scheme: str, loopback: bool) -> str | None:
    """Return why a name that leads to these addresses is not called, None if it may be: every one has to be public, or
    (with `loopback`) this machine's. Error messages do not contain the addresses."""
    found = [parse_address(text) for text in addresses]
    if not found:
        return "the host name cannot be resolved"
    if loopback and all(address is not None and is_loopback(address) for address in found):
        return None
    if scheme == "https" and all(address is not None and is_public(address) for address in found):
        return None
    return "its name leads to an address that is not public"
