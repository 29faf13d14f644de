"""Who may do what: tokens, secrets of webhooks, and what their bearers may see and touch.

| scope    | allows                                                                                    |
|----------|-------------------------------------------------------------------------------------------|
| `read`   | every GET: jobs, syncs, catalogue, tiles                                                  |
| `submit` | hooks other than `remove`, cancel, retry, new sessions, where a client uploads to          |
| `admin`  | all of it, and what takes away what readers see or acts in bulk: `remove`, recreate, redrive |

A scope allows what it says: who submits need not be allowed to read. A grant without `collections` is for all of them.
With some, its bearer sees and touches only those; everything else is not there. Slides may then be read only from
where the key names one of its collections, or from under its `sources`.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.core.jobs.source import DIRECT_PREFIX, OBJECT_ID, parse_prefix
from chalicelib.core.standard_webhooks import secret_bytes

SESSION_SECONDS = 12 * 3600
# How long a sign-in link works.
LINK_SECONDS = 15 * 60
MAX_NAME = 64
SHA256 = re.compile(r"[0-9a-f]{64}")


class Scope(StrEnum):
    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and what they may. `collections` is None for all; `sources` are (bucket, prefix) of objects that a
    caller of some collections may read besides those whose keys name one of them."""

    name: str
    scopes: frozenset[Scope]
    collections: frozenset[str] | None = None
    sources: tuple[tuple[str, str], ...] = ()

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    @property
    def is_limited(self) -> bool:
        return self.collections is not None

    def sees(self, collection: str) -> bool:
        """Tell whether what belongs to this collection is there for the caller. What belongs to none ("") is there
        for those of all collections only."""
        return self.collections is None or collection in self.collections

    def reads(self, bucket: str, key: str) -> bool:
        """Tell whether the caller may have this object (or, of a sync, all below this prefix) read."""
        if self.collections is None or any(bucket == its and key.startswith(start) for its, start in self.sources):
            return True
        return collection_of_key(key.removeprefix(DIRECT_PREFIX)) in self.collections


# Whoever asks a service on loopback that is open for reading.
EVERYONE = Caller(name="everyone", scopes=frozenset({Scope.READ}))


def collection_of_key(key: str) -> str:
    """Return the collection that a key, or a prefix of keys, names with its first folder; empty if it names none."""
    folder, slash, _ = key.partition("/")
    return folder if slash and OBJECT_ID.fullmatch(folder) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token as it is kept: the SHA-256 (hex) of its text, and who bears it."""

    sha256: str = field(repr=False)
    caller: Caller

    @property
    def id(self) -> str:
        """What a session and a sign-in code name the token by: not a part of its hash."""
        return hashlib.sha256(f"session of {self.sha256}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSecret:
    """A secret that signs webhooks, and who signs with it."""

    secret: bytes = field(repr=False)
    caller: Caller


# -- settings ----------------------------------------------------------------------------------------------------------


def tokens_of(text: str) -> tuple[Token, ...]:
    """Return the tokens that a setting lists as JSON: `[{"name", "sha256", "scopes", "collections", "sources"}]`.

    `collections` and `sources` may be left out. Raises ValueError, with a sentence, for anything else.
    """
    entries = _entries(text, {"name", "sha256", "scopes"}, {"collections", "sources"})
    found = tuple(Token(sha256=_sha256(entry, what), caller=_caller(entry, what)) for what, entry in entries)
    if len({token.sha256 for token in found}) != len(found):
        raise ValueError("one token is listed twice")
    return found


def tokens_of_all_rights(hashes: Iterable[str]) -> tuple[Token, ...]:
    """Return tokens that may do everything, of which only the hashes are listed. Raises ValueError."""
    everything = frozenset(Scope)
    return tuple(
        Token(sha256=_sha256({"sha256": each}, f"entry {number}"), caller=Caller(name="token", scopes=everything))
        for number, each in enumerate(sorted(hashes), start=1)
    )


def secrets_of(text: str) -> tuple[WebhookSecret, ...]:
    """Return the secrets of webhooks that a setting lists: `whsec_...` separated by commas, or JSON:
    `[{"name", "secret", "scopes", "collections", "sources"}]`, of which `scopes` (submit) and the last two may be left
    out. Several secrets of one name are one sender's: old and new.

    Raises ValueError, with a sentence, for anything else. The sentence does not repeat the secret.
    """
    if not text.lstrip().startswith("["):
        text = json.dumps([{"name": "webhook", "secret": each.strip()} for each in text.split(",") if each.strip()])
    entries = _entries(text, {"name", "secret"}, {"scopes", "collections", "sources"})
    return tuple(
        WebhookSecret(secret=_secret(entry, what), caller=_caller({"scopes": ["submit"], **entry}, what))
        for what, entry in entries
    )


def _entries(text: str, needed: set[str], optional: set[str]) -> list[tuple[str, Mapping[str, object]]]:
    if not text.strip():
        return []
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise ValueError("it is no JSON list of objects")
    for number, entry in enumerate(listed, start=1):
        if missing := sorted(needed - set(entry)):
            raise ValueError(f"entry {number} has no {', '.join(missing)}")
        if unknown := sorted(set(entry) - needed - optional):
            raise ValueError(f"entry {number} has an unknown field {', '.join(unknown)!r}")
    return [(f"entry {number}", entry) for number, entry in enumerate(listed, start=1)]


def _caller(entry: Mapping[str, object], what: str) -> Caller:
    name = entry["name"]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"the name of {what} must be a text of 1 to {MAX_NAME} printable characters")
    scopes = _texts(entry, "scopes", what)
    if wrong := sorted(set(scopes) - set(Scope)):
        raise ValueError(f"{wrong[0]!r} of {what} is no scope; the scopes are: {', '.join(Scope)}")
    collections = None
    if "collections" in entry:
        collections = frozenset(each.lower() for each in _texts(entry, "collections", what))
        if wrong := sorted(each for each in collections if not OBJECT_ID.fullmatch(each)):
            raise ValueError(f"{wrong[0]!r} of {what} is no id of a collection")
    sources = [_prefix(each, what) for each in _texts(entry, "sources", what)] if "sources" in entry else []
    return Caller(name=name, scopes=frozenset(map(Scope, scopes)), collections=collections, sources=tuple(sources))


def _prefix(url: str, what: str) -> tuple[str, str]:
    try:
        return parse_prefix(url)
    except ValueError as error:
        raise ValueError(f"{url!r} of {what} {error}") from None


def _texts(entry: Mapping[str, object], name: str, what: str) -> list[str]:
    """Return a list of texts that is not empty: an empty one could be taken for all as well as for none."""
    found = entry[name]
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        advice = "; leave it out for no limit" if name == "collections" else ""
        raise ValueError(f"{name} of {what} must be a list of texts that is not empty{advice}")
    return found


def _sha256(entry: Mapping[str, object], what: str) -> str:
    found = entry["sha256"]
    if not isinstance(found, str) or not SHA256.fullmatch(found.lower()):
        raise ValueError(f"sha256 of {what} must be 64 hexadecimal digits: the SHA-256 of the token, not the token")
    return found.lower()


def _secret(entry: Mapping[str, object], what: str) -> bytes:
    try:
        return secret_bytes(str(entry["secret"]))
    except ValueError as error:
        raise ValueError(f"the secret of {what} {error}") from None


# -- tokens and sessions -----------------------------------------------------------------------------------------------


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def bearer_of(token: str, known: Iterable[Token]) -> Token | None:
    """Return the token of a bearer text, None if it is unknown. All are compared in constant time."""
    given = token_hash(token)
    matching = [each for each in known if hmac.compare_digest(given, each.sha256)]
    return matching[0] if matching and token else None


def token_with_id(token_id: str, known: Iterable[Token]) -> Token | None:
    """Return the token with this id; None if it is not, or no longer, known."""
    return next((each for each in known if hmac.compare_digest(each.id, token_id)), None)


def sealed_session(token: Token, key: str, *, now: float) -> str:
    """Return what a page's cookie holds: which token signed in, and until when, under a seal that needs `key`. The
    token itself cannot be had from it; once the token is not known any more, its sessions are not either."""
    until = int(now) + SESSION_SECONDS
    return f"1.{token.id}.{until}.{_seal(token, key, until)}"


def session_bearer(sealed: str, known: Iterable[Token], key: str, *, now: float) -> Token | None:
    """Return the token that a session stands for; None for one that is forged, expired, or of a forgotten token."""
    match = SESSION.fullmatch(sealed)
    if match is None or int(match["until"]) <= now:
        return None
    token = token_with_id(match["id"], known)
    if token is None or not hmac.compare_digest(_seal(token, key, int(match["until"])), match["seal"]):
        return None
    return token


SESSION = re.compile(r"1\.(?P<id>[0-9a-f]{16})\.(?P<until>[0-9]{1,12})\.(?P<seal>[0-9a-f]{64})", re.ASCII)


def _seal(token: Token, key: str, until: int) -> str:
    own_key = hmac.digest(key.encode(), f"slidehook session\n{token.sha256}".encode(), "sha256")
    return hmac.new(own_key, f"{token.id}\n{until}".encode(), "sha256").hexdigest()
