"""Public addresses, by vectors at the edges of every block of IANA's special-purpose registries.

The expected values are literal: they do not depend on the version of `ipaddress`.
"""

from ipaddress import ip_address

import pytest

from chalicelib.core.web.public_addresses import is_loopback, is_public, parse_address

PUBLIC = (
    # Unicast, and the addresses just outside each refused IPv4 block.
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0",
    "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.1.255", "192.0.3.0", "192.88.98.255",
    "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0",
    "203.0.112.255", "203.0.114.0", "223.255.255.255",
    # Registered as globally reachable: PCP and TURN anycast, AS112, AMT, direct delegation of AS112.
    "192.0.0.9", "192.0.0.10", "192.31.196.1", "192.52.193.1", "192.175.48.1",
    # IPv6 unicast, and the addresses just outside each refused block.
    "2606:4700:4700::1111", "2a00:1450:4001::200e", "2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::",
    "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::", "2620:4f:8000::1",
    # Registered as globally reachable inside 2001::/23.
    "2001:1::1", "2001:1::2", "2001:1::3", "2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", "2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff",
    # Public IPv4 in IPv6: mapped, NAT64, 6to4, ISATAP.
    "::ffff:8.8.8.8", "::ffff:192.0.0.9", "64:ff9b::808:808", "64:ff9b::8.8.8.8", "2002:808:808::1",
    "2002:c000:9::1", "2a00:1450::5efe:808:808", "2a00:1450::200:5efe:808:808", "2002:808:808::5efe:808:808",
    # Looks like ISATAP, and is not.
    "2a00:1450::1:5efe:7f00:1", "2a00:1450::5eff:7f00:1",
)  # fmt: skip

NOT_PUBLIC = (
    # The first and the last address of every IPv4 block.
    "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.100.100.200", "100.127.255.255",
    "127.0.0.0", "127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.255.255",
    "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.1", "192.0.0.8", "192.0.0.11", "192.0.0.170", "192.0.0.171",
    "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.88.99.0", "192.88.99.2", "192.88.99.255", "192.168.0.0",
    "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255", "203.0.113.0",
    "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.254", "255.255.255.255",
    # Unspecified, loopback, IPv4-compatible, IPv4-translated.
    "::", "::1", "::2", "::7f00:1", "::8.8.8.8", "::ffff:0:808:808", "::fffe:808:808",
    # NAT64 of one's own network, and around the well-known prefix.
    "64:ff9b:1::", "64:ff9b:1::808:808", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "64:ff9b::1:0:0", "64:ff9a::808:808",
    # Discard only, dummy, segment routing, unique local, link local, site local, multicast, never allocated.
    "100::", "100::1", "100::ffff:ffff:ffff:ffff", "100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", "5f00::",
    "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fc00::", "fc00::1", "fd00:ec2::254",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::", "fe80::1", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fec0::", "fec0::1", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ff00::", "ff02::1", "ff0e::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::", "200::", "400::",
    "8000::", "c000::1",
    # IETF protocol assignments: Teredo, benchmarking, ORCHID, the rest of 2001::/23.
    "2001::", "2001::1", "2001:0:808:808:0:ffff:f7f7:f7f7", "2001:0:a00:1::f7f7:f7f7", "2001:0:808:808::80ff:fefe",
    "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "2001:1::", "2001:1::4", "2001:1:0:1::1", "2001:2::",
    "2001:2:0:ffff:ffff:ffff:ffff:ffff", "2001:2:1::", "2001:4:111:ffff:ffff:ffff:ffff:ffff", "2001:4:113::",
    "2001:5::", "2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", "2001:40::",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    # Documentation.
    "2001:db8::", "2001:db8::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::", "3fff::1",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    # IPv4 in IPv6 that leads inside: mapped, NAT64, 6to4, ISATAP.
    "::ffff:0.0.0.0", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:224.0.0.1",
    "::ffff:168.63.129.16", "::ffff:c058:6301",
    "64:ff9b::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b::ffff:ffff",
    "2002::", "2002:7f00:1::1", "2002:a00:1::1", "2002:a9fe:a9fe::1", "2002:c0a8:101::", "2002:e000:1::1",
    "2002:c058:6301::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2a00:1450::5efe:7f00:1", "2a00:1450::200:5efe:a00:1", "2001:20::5efe:7f00:1", "2002:808:808::5efe:a00:1",
    "2002:a00:1::5efe:808:808",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_special_purpose_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["fe80::1%eth0", "2606:4700::1%eth0", "::ffff:8.8.8.8%1", "::1%lo"])
def test_address_with_scope_id_is_neither_public_nor_loopback(address: str) -> None:
    assert parse_address(address) is None
    assert not is_public(ip_address(address))
    assert not is_loopback(ip_address(address))


@pytest.mark.parametrize(
    "text",
    ["", "example.org", "1", "2130706433", "0x7f000001", "127.1", "127.0.0.01", "0177.0.0.1", "127.0.0.1 ", "[::1]",
     "::ffff:127.0.0.01", "::1::", "1:2:3:4:5:6:7", "12345::", "10.0.0.0/8", "::1/128",
     "\N{ARABIC-INDIC DIGIT ONE}.1.1.1"],
)  # fmt: skip
def test_parse_address_accepts_usual_notation_only(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.0", True),
        ("127.255.255.255", True),
        ("126.255.255.255", False),
        ("128.0.0.0", False),
        ("::1", True),
        ("::", False),
        ("::2", False),
        ("::ffff:127.0.0.1", False),
        ("::7f00:1", False),
        ("64:ff9b::7f00:1", False),
    ],
)
def test_is_loopback_accepts_plain_loopback_addresses_only(address: str, expected: bool) -> None:
    assert is_loopback(ip_address(address)) is expected
