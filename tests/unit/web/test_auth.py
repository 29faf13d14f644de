"""Scopes of callers, tokens and secrets in settings, and sealed sessions."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.web.auth import (
    SESSION_SECONDS,
    Caller,
    Scope,
    Token,
    bearer_of,
    collection_of_key,
    sealed_session,
    secrets_of,
    session_bearer,
    token_hash,
    tokens_of,
    tokens_of_all_rights,
)

MINE, OTHER = "0000000000000000000c0001", "0000000000000000000c0002"
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
ENTRY: dict[str, Any] = {"name": "lab", "sha256": token_hash("lab's token"), "scopes": ["read"]}
WEBHOOK: dict[str, Any] = {"name": "scanner", "secret": SECRET}


def caller(*scopes: str, collections: frozenset[str] | None = None, sources: Any = ()) -> Caller:
    return Caller(name="x", scopes=frozenset(map(Scope, scopes)), collections=collections, sources=sources)


def test_scope_allows_itself_and_admin_allows_all() -> None:
    allowed = {scope: [each for each in Scope if caller(scope).may(each)] for scope in Scope}
    assert allowed == {Scope.READ: ["read"], Scope.SUBMIT: ["submit"], Scope.ADMIN: ["read", "submit", "admin"]}


def test_limited_caller_sees_only_its_collections() -> None:
    limited = caller("read", collections=frozenset({MINE}))
    assert [limited.sees(each) for each in (MINE, OTHER, "")] == [True, False, False]
    assert [caller("read").sees(each) for each in (MINE, OTHER, "")] == [True, True, True]


@pytest.mark.parametrize(
    ("bucket", "key", "may"),
    [
        ("incoming", f"{MINE}/session/a.svs", True),
        ("incoming", f"direct/{MINE}/session/a.svs", True),
        ("incoming", f"{OTHER}/session/a.svs", False),
        ("incoming", f"direct/{OTHER}/session/a.svs", False),
        ("incoming", "a.svs", False),
        ("incoming", MINE, False),  # a prefix that the keys of another collection may begin with
        ("incoming", "", False),
        ("archive", "lung/a.svs", True),
        ("archive", "liver/a.svs", False),
        ("incoming", "lung/a.svs", False),
    ],
)
def test_limited_caller_reads_only_its_collections_and_sources(bucket: str, key: str, may: bool) -> None:
    limited = caller("submit", collections=frozenset({MINE}), sources=(("archive", "lung/"),))
    assert limited.reads(bucket, key) is may
    assert caller("submit").reads(bucket, key)


def test_collection_of_key_is_its_first_folder() -> None:
    assert [collection_of_key(key) for key in (f"{MINE}/", f"{MINE}/a", MINE, "lung/a", "")] == [MINE, MINE, "", "", ""]


def test_token_list_is_parsed_with_scopes_and_limits() -> None:
    text = json.dumps(
        [
            ENTRY,
            {
                **ENTRY,
                "sha256": "A" * 64,
                "scopes": ["read", "submit"],
                "collections": [MINE.upper()],
                "sources": ["s3://archive/lung/"],
            },
        ]
    )
    first, second = tokens_of(text)
    assert first == Token(sha256=token_hash("lab's token"), caller=replace(caller("read"), name="lab"))
    assert second.sha256 == "a" * 64
    assert second.caller == Caller(
        name="lab",
        scopes=frozenset({Scope.READ, Scope.SUBMIT}),
        collections=frozenset({MINE}),
        sources=(("archive", "lung/"),),
    )
    assert tokens_of(" ") == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "no JSON"),
        ("{}", "no JSON list"),
        ("[1]", "no JSON list of objects"),
        ([{"name": "x"}], "entry 1 has no scopes, sha256"),
        ([ENTRY, {**ENTRY, "colections": []}], "entry 2 has an unknown field 'colections'"),
        ([{**ENTRY, "name": ""}], "the name of entry 1"),
        ([{**ENTRY, "name": 7}], "the name of entry 1"),
        ([{**ENTRY, "name": "a\nb"}], "the name of entry 1"),
        ([{**ENTRY, "sha256": "a token"}], "sha256 of entry 1 must be 64"),
        ([{**ENTRY, "sha256": None}], "sha256 of entry 1 must be 64"),
        ([{**ENTRY, "scopes": ["write"]}], "'write' of entry 1 is no scope; the scopes are: read, submit, admin"),
        ([{**ENTRY, "scopes": []}], "scopes of entry 1 must be a list of texts that is not empty"),
        ([{**ENTRY, "scopes": "read"}], "scopes of entry 1 must be a list"),
        ([{**ENTRY, "scopes": [1]}], "scopes of entry 1 must be a list of texts"),
        ([{**ENTRY, "collections": []}], "collections of entry 1 .* leave it out for no limit"),
        ([{**ENTRY, "collections": ["lung"]}], "'lung' of entry 1 is no id of a collection"),
        ([{**ENTRY, "sources": ["lung/"]}], "'lung/' of entry 1 must look like s3://bucket/prefix"),
        ([ENTRY, ENTRY], "one token is listed twice"),
    ],
)
def test_invalid_token_list_names_the_entry(text: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        tokens_of(text if isinstance(text, str) else json.dumps(text))


def test_token_hashes_without_scopes_grant_all_rights() -> None:
    (token,) = tokens_of_all_rights({token_hash("x")})
    assert all(token.caller.may(scope) for scope in Scope)
    assert token.caller.collections is None
    with pytest.raises(ValueError, match="must be 64 hexadecimal digits"):
        tokens_of_all_rights({"x"})


def test_webhook_secrets_are_parsed_from_text_or_json() -> None:
    old, new = secrets_of(f"{SECRET}, whsec_{'A' * 32}")
    assert (old.secret, new.secret) == (b"012345678901234567890123", bytes(24))
    assert old.caller == new.caller == Caller(name="webhook", scopes=frozenset({Scope.SUBMIT}))
    (named,) = secrets_of(json.dumps([{**WEBHOOK, "scopes": ["admin"], "collections": [MINE]}]))
    assert named.caller == Caller(name="scanner", scopes=frozenset({Scope.ADMIN}), collections=frozenset({MINE}))
    assert secrets_of("") == ()


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("hunter2hunter2", "must begin with whsec_"),
        ("whsec_hunter2!", "must be base64"),
        ("whsec_aHVudGVyMg==", "must hold 24 to 64 bytes"),
        (7, "must begin with whsec_"),
    ],
)
def test_invalid_webhook_secret_is_refused_without_repeating_it(secret: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        secrets_of(json.dumps([{**WEBHOOK, "secret": secret}]))
    assert "entry 1" in str(refused.value)
    assert "hunter" not in str(refused.value)
    assert "aHVu" not in str(refused.value)


def test_repr_of_token_and_secret_hides_them() -> None:
    (token,), (secret,) = tokens_of_all_rights({token_hash("x")}), secrets_of(SECRET)
    assert token_hash("x") not in repr(token)
    assert "0123" not in repr(secret)


def test_bearer_matches_whole_token_only() -> None:
    known = tokens_of(json.dumps([ENTRY]))
    assert bearer_of("lab's token", known) == known[0]
    for wrong in ("", "lab's toke", "lab's token ", token_hash("lab's token"), "\ud800"):
        assert bearer_of(wrong, known) is None
    assert bearer_of("", tokens_of_all_rights({token_hash("")})) is None


def test_session_stands_for_its_token_until_it_expires() -> None:
    known = tokens_of(json.dumps([{**ENTRY, "sha256": "b" * 64}, ENTRY]))
    sealed = sealed_session(known[1], "key", now=1000.5)
    assert session_bearer(sealed, known, "key", now=1001.0) == known[1]
    assert session_bearer(sealed, known, "key", now=1000.0 + SESSION_SECONDS - 1) == known[1]
    assert session_bearer(sealed, known, "key", now=1000.0 + SESSION_SECONDS) is None
    assert session_bearer(sealed, known[:1], "key", now=1001.0) is None
    assert session_bearer(sealed, known, "another key", now=1001.0) is None
    assert known[1].sha256 not in sealed


@pytest.mark.parametrize("at", range(4))
def test_tampered_session_is_refused(at: int) -> None:
    known = tokens_of(json.dumps([ENTRY]))
    parts = sealed_session(known[0], "key", now=1000.0).split(".")
    parts[at] = parts[at][:-1] + ("1" if parts[at][-1] == "0" else "0")
    assert session_bearer(".".join(parts), known, "key", now=1000.0) is None


@pytest.mark.parametrize("sealed", ["", "1", "1...", "1.0.9999999999.0", "٢.a.b.c", "x" * 10_000])
def test_malformed_session_is_refused(sealed: str) -> None:
    assert session_bearer(sealed, tokens_of(json.dumps([ENTRY])), "key", now=0.0) is None
