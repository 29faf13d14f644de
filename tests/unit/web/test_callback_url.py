"""Allowed and forbidden callback URLs."""

import pytest

from chalicelib.core.web.callback_url import LONGEST_URL, ParsedCallbackUrl, parse_callback_url, why_refused


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://example.org", ParsedCallbackUrl("https", "example.org", 443, "/")),
        ("https://Example.ORG/a/b?c=d&e=%20", ParsedCallbackUrl("https", "example.org", 443, "/a/b?c=d&e=%20")),
        ("HTTPS://example.org:443?a=b", ParsedCallbackUrl("https", "example.org", 443, "/?a=b")),
        ("https://example.org:/a?b?c=d:e@f", ParsedCallbackUrl("https", "example.org", 443, "/a?b?c=d:e@f")),
        ("https://example.org//a", ParsedCallbackUrl("https", "example.org", 443, "//a")),
        ("https://hooks.example.org:8443/x", ParsedCallbackUrl("https", "hooks.example.org", 8443, "/x")),
        ("https://xn--bcher-kva.example/?", ParsedCallbackUrl("https", "xn--bcher-kva.example", 443, "/")),
        ("https://8.8.8.8/x", ParsedCallbackUrl("https", "8.8.8.8", 443, "/x")),
        ("https://[2606:4700::1111]/x", ParsedCallbackUrl("https", "2606:4700::1111", 443, "/x")),
    ],
)
def test_https_url_of_public_host_is_parsed(url: str, endpoint: ParsedCallbackUrl) -> None:
    assert parse_callback_url(url, loopback=False) == endpoint


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.org/", "must begin with https://"),
        ("ftp://example.org/", "must begin with https://"),
        ("//example.org/", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("https:///path", "must name a host"),
        ("https://user:secret@example.org/", "must not hold a user"),
        ("https://user@example.org/", "must not hold a user"),
        ("https://@example.org/", "must not hold a user"),
        ("https://example.org/#here", "must not have a fragment"),
        ("https://example.org/#", "must not have a fragment"),
        ("https://example.org/a b", "printable ASCII"),
        ("https://example.org/\r\nx: y", "printable ASCII"),
        ("https://example.org\\@evil.example/", "printable ASCII"),
        ("https://bücher.example/", "printable ASCII"),
        ("https://example.org:22/", "must have port 443"),
        ("https://example.org:80/", "must have port 443"),
        ("https://example.org:0/", "must have port 443"),
        ("https://example.org:99999/", "must be a URL"),
        ("https://[::1/", "must be a URL"),
        ("https://localhost/", "known everywhere"),
        ("https://intranet/", "known everywhere"),
        ("https://a.localhost/", "known everywhere"),
        ("https://exa_mple..org/", "by its full name"),
        ("https://example.org./", "by its full name"),
        ("https://2130706433/", "usual notation"),
        ("https://0x7f000001/", "usual notation"),
        ("https://127.1/", "usual notation"),
        ("https://0177.0.0.1/", "usual notation"),
        ("https://127.0.0.0x1/", "usual notation"),
        ("https://127.0.0.1/", "not public"),
        ("https://10.0.0.1/", "not public"),
        ("https://169.254.169.254/latest/meta-data", "not public"),
        ("https://[::1]/", "not public"),
        ("https://[::ffff:127.0.0.1]/", "not public"),
        ("https://[::ffff:a9fe:a9fe]/", "not public"),
        ("https://[fe80::1]/", "not public"),
        ("https://[2002:7f00:1::1]/", "not public"),
        ("https://[fe80::1%25eth0]/", "must be a URL"),
        ("https://[2606:4700::1111%25eth0]/", "must be a URL"),
        ("https://[127.0.0.1]/", "must be a URL"),
        ("https://[example.org]/", "must be a URL"),
        ("https://[v1.example]/", "must be a URL"),
        ("https://[::1].example.org/", "must be a URL"),
        ("https://example.org[::1]/", "must be a URL"),
        ("https://2606:4700::1111/", "must be a URL"),
        ("https://example.org:+443/", "must be a URL"),
        ("https://example.org:000443/", "must be a URL"),
        ("https:example.org/", "must name a host"),
        ("https://:443/", "must name a host"),
        ("https://example.org/" + "x" * LONGEST_URL, "at most"),
    ],
)
def test_forbidden_url_is_refused_without_repeating_it(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        parse_callback_url(url, loopback=False)
    assert "secret" not in str(refused.value)
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]"])
def test_loopback_url_is_accepted_only_where_allowed(host: str) -> None:
    assert parse_callback_url(f"http://{host}:8080/x", loopback=True).port == 8080
    assert parse_callback_url(f"http://{host}/", loopback=True).port == 80
    assert parse_callback_url(f"https://{host}/", loopback=True).scheme == "https"
    for url in ("http://example.org/", "http://10.0.0.1/", "http://[::ffff:10.0.0.1]/", "http://[::ffff:127.0.0.1]/"):
        with pytest.raises(ValueError, match="https"):
            parse_callback_url(url, loopback=True)
    with pytest.raises(ValueError, match="not public"):
        parse_callback_url("https://10.0.0.1/", loopback=True)


def test_host_header_contains_only_nondefault_port() -> None:
    assert parse_callback_url("https://example.org/", loopback=False).host_header == "example.org"
    assert parse_callback_url("https://example.org:8443/", loopback=False).host_header == "example.org:8443"
    assert (
        parse_callback_url("https://[2606:4700::1111]:8443/", loopback=False).origin == "https://[2606:4700::1111]:8443"
    )
    assert parse_callback_url("https://example.org/key?token=x", loopback=False).origin == "https://example.org"


def test_every_address_of_a_name_must_be_public() -> None:
    assert why_refused(["8.8.8.8", "2606:4700::1"], scheme="https", loopback=False) is None
    assert "not public" in (why_refused(["8.8.8.8", "10.0.0.1"], scheme="https", loopback=False) or "")
    assert "not public" in (why_refused(["8.8.8.8", "nonsense"], scheme="https", loopback=False) or "")
    assert "not public" in (why_refused(["127.0.0.1"], scheme="https", loopback=False) or "")
    assert "not public" in (why_refused(["2606:4700::1%eth0"], scheme="https", loopback=False) or "")
    assert "cannot be resolved" in (why_refused([], scheme="https", loopback=True) or "")


def test_http_name_may_resolve_to_loopback_only() -> None:
    assert why_refused(["127.0.0.1", "::1"], scheme="http", loopback=True) is None
    assert why_refused(["8.8.8.8"], scheme="https", loopback=True) is None
    assert "not public" in (why_refused(["8.8.8.8"], scheme="http", loopback=True) or "")
    assert "not public" in (why_refused(["::1%lo"], scheme="http", loopback=True) or "")
    assert "not public" in (why_refused(["::ffff:127.0.0.1"], scheme="http", loopback=True) or "")
    assert "not public" in (why_refused(["127.0.0.1", "10.0.0.1"], scheme="http", loopback=True) or "")
    assert "not public" in (why_refused(["10.0.0.1"], scheme="https", loopback=True) or "")
