"""What the environment says. The only place that reads it."""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from chalicelib.core.jobs.deliveries import parse_secrets
from chalicelib.core.web.auth import Token, WebhookSecret, secrets_of, tokens_of, tokens_of_all_rights
from chalicelib.core.web.callback_url import parse_endpoint

Value = TypeVar("Value")
ORIGIN = re.compile(r"https?://[a-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")

# Where a setting is described, by a word of its name.
PAGES = {"CALLBACK": "docs/callbacks.md", "MONGO": "docs/mongodb.md"}


class SettingError(RuntimeError):
    """The service cannot start: a setting is not as it must be."""


class MissingSettingError(SettingError):
    """A setting is not there."""


class WrongSettingError(SettingError):
    """A setting says something that is not understood. The message names it, and never repeats a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the service. `token_hashes` are SHA-256 (hex) of bearer tokens with all rights, `tokens` those
    with some, `webhook_secrets` what signs webhooks: none of them, and nobody is let in. `open_reads` lets callers on
    loopback read without. `session_key` seals the page's sessions; without one it is derived. `cors_origins` are those
    of other pages that may call with a token. `sync_seconds` is how often the incoming bucket is synced (0: never).
    `public_url` is where clients reach the service; empty, and it is taken from each request. `worker` names this
    function instance. `callback_secrets` sign what is told of the ends of jobs: without one, nothing is.
    `callback_urls` are receivers by hook; `callback_loopback` lets them be on this very machine."""

    source_buckets: frozenset[str]
    incoming_bucket: str
    work_bucket: str
    jobs_table: str
    jobs_queue: str
    chunks_queue: str
    mongo_uri: str = field(repr=False)
    admin_db: str
    token_hashes: frozenset[str] = field(repr=False)
    open_reads: bool
    chunk_bytes: int
    threads: int
    cores: int
    region: str
    aws_endpoint: str | None
    sync_seconds: float = 0.0
    public_url: str = ""
    worker: str = ""
    tokens: tuple[Token, ...] = ()
    webhook_secrets: tuple[WebhookSecret, ...] = ()
    session_key: str = field(default="", repr=False)
    cors_origins: frozenset[str] = frozenset()

    @property
    def known_tokens(self) -> tuple[Token, ...]:
        return tokens_of_all_rights(self.token_hashes) + self.tokens

    @property
    def sealing_key(self) -> str:
        """What seals sessions. Who knows what it is derived from can write to the database as it is."""
        return self.session_key or f"{self.mongo_uri}\n{','.join(token.sha256 for token in self.known_tokens)}"

    callback_secrets: tuple[bytes, ...] = field(default=(), repr=False)
    callback_urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    callback_loopback: bool = False
    # How many files the process of the MongoDB server may have open (`ulimit -n`); 0 if that is not known.
    mongo_open_files: int = 0


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings. Raises MissingSettingError or WrongSettingError, naming the first that is wrong."""
    values = os.environ if environment is None else environment

    def needed(name: str) -> str:
        value = values.get(name, "")
        if not value:
            raise MissingSettingError(f"{name} is not set; infra/resources.yaml lists what the service needs")
        return value

    def listed(name: str) -> frozenset[str]:
        return frozenset(part.strip() for part in values.get(name, "").split(",") if part.strip())

    def understood(name: str, parse: Callable[[str], Value]) -> Value:
        page = next((page for word, page in PAGES.items() if word in name), "docs/security.md")
        try:
            return parse(values.get(name, ""))
        except ValueError as error:
            raise WrongSettingError(f"{name}: {error} ({page} shows how it is written)") from None

    understood("SLIDEHOOK_TOKENS_SHA256", lambda _: tokens_of_all_rights(listed("SLIDEHOOK_TOKENS_SHA256")))
    loopback = values.get("SLIDEHOOK_CALLBACK_LOOPBACK", "").lower() == "true"
    return Settings(
        source_buckets=listed("SLIDEHOOK_SOURCE_BUCKETS"),
        incoming_bucket=needed("SLIDEHOOK_INCOMING_BUCKET"),
        work_bucket=needed("SLIDEHOOK_WORK_BUCKET"),
        jobs_table=needed("SLIDEHOOK_JOBS_TABLE"),
        jobs_queue=needed("SLIDEHOOK_JOBS_QUEUE"),
        chunks_queue=needed("SLIDEHOOK_CHUNKS_QUEUE"),
        mongo_uri=needed("SLIDEHOOK_MONGO_URI"),
        admin_db=values.get("SLIDEHOOK_ADMIN_DB", "slideatlas"),
        token_hashes=listed("SLIDEHOOK_TOKENS_SHA256"),
        open_reads=values.get("SLIDEHOOK_OPEN_READS", "").lower() == "true",
        chunk_bytes=int(values.get("SLIDEHOOK_CHUNK_BYTES", str(32 * 1024 * 1024))),
        threads=int(values.get("SLIDEHOOK_THREADS", "3")),
        cores=int(values.get("SLIDEHOOK_CORES") or os.cpu_count() or 1),
        region=values.get("AWS_DEFAULT_REGION") or values.get("AWS_REGION", "us-east-1"),
        aws_endpoint=values.get("AWS_ENDPOINT_URL") or None,
        sync_seconds=float(values.get("SLIDEHOOK_SYNC_SECONDS") or 3600.0),
        public_url=values.get("SLIDEHOOK_PUBLIC_URL", "").rstrip("/"),
        # Lambda's log stream is where this instance's log is found. No host names: status documents show it.
        worker=values.get("AWS_LAMBDA_LOG_STREAM_NAME") or values.get("SLIDEHOOK_WORKER") or f"process-{os.getpid()}",
        tokens=understood("SLIDEHOOK_TOKENS", tokens_of),
        webhook_secrets=understood("SLIDEHOOK_WEBHOOK_SECRETS", secrets_of),
        session_key=values.get("SLIDEHOOK_SESSION_KEY", ""),
        cors_origins=understood("SLIDEHOOK_CORS_ORIGINS", _origins),
        callback_secrets=understood("SLIDEHOOK_CALLBACK_SECRETS", parse_secrets),
        callback_urls=understood("SLIDEHOOK_CALLBACK_URLS", lambda text: _callback_urls(text, loopback=loopback)),
        callback_loopback=loopback,
        mongo_open_files=understood("SLIDEHOOK_MONGO_OPEN_FILES", _whole_number),
    )


def _whole_number(text: str) -> int:
    """Return a number from 0; 0 for an empty text."""
    if not re.fullmatch(r"[0-9]{0,9}", text.strip(), re.ASCII):
        raise ValueError(f"{text!r} is not a whole number from 0")
    return int(text.strip() or "0")


def _callback_urls(text: str, *, loopback: bool) -> Mapping[str, str]:
    """Return the receivers by hook. What is wrong is told without the URL: it can be a key."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(url, str) for url in found.values()):
        raise ValueError('it must be a JSON object such as {"upload": "https://example.org/hook"}')
    for hook, url in found.items():
        try:
            parse_endpoint(url, loopback=loopback)
        except ValueError as error:
            raise ValueError(f"the URL of {hook!r} {error}") from None
    return found


def _origins(text: str) -> frozenset[str]:
    """Return exact origins. No pattern, and no `*`: what may call the service is listed."""
    listed = frozenset(part.strip().lower() for part in text.split(",") if part.strip())
    if wrong := sorted(each for each in listed if not ORIGIN.fullmatch(each)):
        raise ValueError(f"{wrong[0]!r} is no origin like https://viewer.example.org, without a path")
    return listed


def find_service(
    url: str | None, token: str | None, folders: Iterable[Path], environment: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Return (URL, token) of the service for a client: as given, else the environment's, else those of the first
    `.local/stack.json` in `folders`. Empty where nothing says."""
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
    # The token of the local system goes to the local system only.
    if not url or url == found.get("api"):
        return str(found.get("api", "")), token or str(found.get("token", ""))
    return url, token
