"""Settings of the service, read from environment variables. Other modules do not read the environment."""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from chalicelib.core.jobs.deliveries import parse_secrets
from chalicelib.core.web.auth import Token, WebhookSecret, secrets_of, tokens_of, tokens_of_all_rights
from chalicelib.core.web.callback_url import parse_callback_url

Value = TypeVar("Value")
ORIGIN = re.compile(r"https?://[a-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")

# The page that describes a setting, by a word of its name.
PAGES = {"CALLBACK": "docs/callbacks.md", "MONGO": "docs/mongodb.md"}


class SettingError(RuntimeError):
    """A setting is missing or invalid. The service cannot start."""


class MissingSettingError(SettingError):
    """A required setting is missing."""


class WrongSettingError(SettingError):
    """The value of a setting is invalid. The message names the setting and never contains a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the service. docs/reference/settings.md lists the environment variables."""

    # Buckets whose slides may be published, next to the incoming bucket.
    source_buckets: frozenset[str]
    # An upload to this bucket submits a job.
    incoming_bucket: str
    # Plans and intermediate pixels.
    work_bucket: str
    jobs_table: str
    jobs_queue: str
    chunks_queue: str
    mongo_uri: str = field(repr=False)
    # The database with SlideAtlas' catalog.
    admin_db: str
    # SHA-256 (hex) of bearer tokens with all rights.
    token_hashes: frozenset[str] = field(repr=False)
    # Callers on loopback may read without a token.
    allow_anonymous_local_reads: bool
    # Bytes of the source that one chunk reads, at most.
    chunk_bytes: int
    # Threads that read and write.
    threads: int
    # Threads that decode and encode.
    cores: int
    region: str
    aws_endpoint: str | None
    # The interval of syncs of the incoming bucket; 0 disables them.
    sync_interval_seconds: float = 0.0
    # The URL at which clients reach the service. Empty: it is taken from each request.
    public_url: str = ""
    # The name of this function instance in events and logs.
    worker: str = ""
    # Bearer tokens with scopes and collections. Without tokens and secrets all callers are refused.
    tokens: tuple[Token, ...] = ()
    # Secrets that sign incoming webhooks.
    webhook_secrets: tuple[WebhookSecret, ...] = ()
    # The key that signs the sessions of the pages. Empty: it is derived (`sealing_key`).
    session_key: str = field(default="", repr=False)
    # Origins of other pages that may call with a token.
    cors_origins: frozenset[str] = frozenset()
    # Secrets that sign callbacks. Without one, callbacks are disabled.
    callback_secrets: tuple[bytes, ...] = field(default=(), repr=False)
    # Callback URLs by hook.
    callback_urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    # Callback URLs may be on this machine.
    callback_loopback: bool = False
    # The open file limit of the MongoDB server (`ulimit -n`); 0 if unknown.
    mongo_open_files: int = 0

    @property
    def known_tokens(self) -> tuple[Token, ...]:
        return tokens_of_all_rights(self.token_hashes) + self.tokens

    @property
    def sealing_key(self) -> str:
        """The key that signs sessions. A caller who knows the values it is derived from can already write to the
        database."""
        return self.session_key or f"{self.mongo_uri}\n{','.join(token.sha256 for token in self.known_tokens)}"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings. Raises MissingSettingError or WrongSettingError for the first invalid setting."""
    values = os.environ if environment is None else environment

    def required(name: str) -> str:
        value = values.get(name, "")
        if not value:
            raise MissingSettingError(f"{name} is not set. docs/reference/settings.md lists the required settings.")
        return value

    def listed(name: str) -> frozenset[str]:
        return frozenset(part.strip() for part in values.get(name, "").split(",") if part.strip())

    def parsed(name: str, parse: Callable[[str], Value]) -> Value:
        page = next((page for word, page in PAGES.items() if word in name), "docs/security.md")
        try:
            return parse(values.get(name, ""))
        except ValueError as error:
            raise WrongSettingError(f"{name}: {error} (see {page})") from None

    parsed("SLIDEHOOK_TOKENS_SHA256", lambda _: tokens_of_all_rights(listed("SLIDEHOOK_TOKENS_SHA256")))
    loopback = values.get("SLIDEHOOK_CALLBACK_LOOPBACK", "").lower() == "true"
    return Settings(
        source_buckets=listed("SLIDEHOOK_SOURCE_BUCKETS"),
        incoming_bucket=required("SLIDEHOOK_INCOMING_BUCKET"),
        work_bucket=required("SLIDEHOOK_WORK_BUCKET"),
        jobs_table=required("SLIDEHOOK_JOBS_TABLE"),
        jobs_queue=required("SLIDEHOOK_JOBS_QUEUE"),
        chunks_queue=required("SLIDEHOOK_CHUNKS_QUEUE"),
        mongo_uri=required("SLIDEHOOK_MONGO_URI"),
        admin_db=values.get("SLIDEHOOK_ADMIN_DB", "slideatlas"),
        token_hashes=listed("SLIDEHOOK_TOKENS_SHA256"),
        allow_anonymous_local_reads=values.get("SLIDEHOOK_ALLOW_ANONYMOUS_LOCAL_READS", "").lower() == "true",
        chunk_bytes=int(values.get("SLIDEHOOK_CHUNK_BYTES", str(32 * 1024 * 1024))),
        threads=int(values.get("SLIDEHOOK_THREADS", "3")),
        cores=int(values.get("SLIDEHOOK_CORES") or os.cpu_count() or 1),
        region=values.get("AWS_DEFAULT_REGION") or values.get("AWS_REGION", "us-east-1"),
        aws_endpoint=values.get("AWS_ENDPOINT_URL") or None,
        sync_interval_seconds=float(values.get("SLIDEHOOK_SYNC_INTERVAL_SECONDS") or 3600.0),
        public_url=values.get("SLIDEHOOK_PUBLIC_URL", "").rstrip("/"),
        # The log stream of Lambda identifies this instance. Host names are not used: job documents show this value.
        worker=values.get("AWS_LAMBDA_LOG_STREAM_NAME") or values.get("SLIDEHOOK_WORKER") or f"process-{os.getpid()}",
        tokens=parsed("SLIDEHOOK_TOKENS", tokens_of),
        webhook_secrets=parsed("SLIDEHOOK_WEBHOOK_SECRETS", secrets_of),
        session_key=values.get("SLIDEHOOK_SESSION_KEY", ""),
        cors_origins=parsed("SLIDEHOOK_CORS_ORIGINS", _origins),
        callback_secrets=parsed("SLIDEHOOK_CALLBACK_SECRETS", parse_secrets),
        callback_urls=parsed("SLIDEHOOK_CALLBACK_URLS", lambda text: _callback_urls(text, loopback=loopback)),
        callback_loopback=loopback,
        mongo_open_files=parsed("SLIDEHOOK_MONGO_OPEN_FILES", _whole_number),
    )


def _whole_number(text: str) -> int:
    """Return an integer of 0 or more; 0 for an empty text."""
    if not re.fullmatch(r"[0-9]{0,9}", text.strip(), re.ASCII):
        raise ValueError(f"{text!r} is not an integer of 0 or more")
    return int(text.strip() or "0")


def _callback_urls(text: str, *, loopback: bool) -> Mapping[str, str]:
    """Return callback URLs by hook. Error messages do not contain a URL, because it can contain a key."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(url, str) for url in found.values()):
        raise ValueError('it must be a JSON object such as {"upload": "https://example.org/hook"}')
    for hook, url in found.items():
        try:
            parse_callback_url(url, loopback=loopback)
        except ValueError as error:
            raise ValueError(f"the URL of {hook!r} {error}") from None
    return found


def _origins(text: str) -> frozenset[str]:
    """Return exact origins. Patterns and `*` are not allowed."""
    listed = frozenset(part.strip().lower() for part in text.split(",") if part.strip())
    if wrong := sorted(each for each in listed if not ORIGIN.fullmatch(each)):
        raise ValueError(f"{wrong[0]!r} is not an origin such as https://viewer.example.org, without a path")
    return listed


def find_service(
    url: str | None, token: str | None, folders: Iterable[Path], environment: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Return (URL, token) of the service for a client.

    The arguments take precedence over the environment, and the environment over the first `.local/stack.json` in
    `folders`. A value that none of them has is empty.
    """
    values = os.environ if environment is None else environment
    url = url or values.get("SLIDEHOOK_API", "")
    token = token or values.get("SLIDEHOOK_TOKEN", "")
    stack = next((path for folder in folders if (path := folder / ".local" / "stack.json").is_file()), None)
    if (url and token) or stack is None:
        return url, token
    try:
        found = json.loads(stack.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return url, token
    # The token of the local system is sent to the local system only.
    if not url or url == found.get("api"):
        return str(found.get("api", "")), token or str(found.get("token", ""))
    return url, token
