"""The authority of a URL and the `Host` header: a host, and perhaps a port.

`urllib.parse` reads brackets differently from one patch release of Python to the next (`a[::1]b` once had the host
`::1`), so what decides who may call, and what may be called, is read here.
"""

import re
from ipaddress import IPv6Address

MAX_PORT = 65535
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:@/?#\\]*))(?::([0-9]{0,5}))?")


def split_authority(text: str) -> tuple[str, int | None]:
    """Return (host, port) of `host`, `host:port` or `[IPv6 address]:port`, the host in lower case, without brackets.

    The port is None where there is none. Raises ValueError for anything else, such as a user, a scope id, brackets
    around something that is not an IPv6 address, or a port above 65535.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise ValueError("not a host with an optional port")
    address, name, digits = match.groups()
    if address is not None:
        IPv6Address(address)
    port = int(digits) if digits else None
    if port is not None and port > MAX_PORT:
        raise ValueError(f"a port is at most {MAX_PORT}")
    return (name if address is None else address).lower(), port
