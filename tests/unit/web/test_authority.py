"""Host and port of an authority. The expected values hold in every Python version."""

import pytest

from chalicelib.core.web.authority import split_authority


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.org", ("example.org", None)),
        ("Example.ORG:8443", ("example.org", 8443)),
        ("example.org:", ("example.org", None)),
        ("example.org:0", ("example.org", 0)),
        ("example.org:65535", ("example.org", 65535)),
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("[::1]", ("::1", None)),
        ("[::FFFF:8.8.8.8]:8000", ("::ffff:8.8.8.8", 8000)),
        ("", ("", None)),
        (":80", ("", 80)),
    ],
)
def test_split_authority_returns_host_and_port(text: str, expected: tuple[str, int | None]) -> None:
    assert split_authority(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "user@example.org", "user:secret@example.org", "@example.org",
        "::1", "a[::1]b", "a[::1]", "[::1]b", "[::1", "::1]", "[[::1]]", "[]", "[127.0.0.1]", "[example.org]", "[v1.a]",
        "[fe80::1%eth0]", "[fe80::1%25eth0]", "[::127.0.0.01]",
        "example.org:65536", "example.org:000443", "example.org:+1", "example.org:-1", "example.org:1_0",
        "example.org:80:80", "example.org:\N{ARABIC-INDIC DIGIT ONE}", "127.0.0.1\n", "127.0.0.1:80\n", "a b", "a/b", "a?b", "a#b", "a\\b",
    ],
)  # fmt: skip
def test_split_authority_rejects_invalid_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        split_authority(text)
