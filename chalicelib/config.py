"""What the environment says. The only place that reads it."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chalicelib.core.callback import parse_secrets
from chalicelib.core.endpoint import parse_endpoint


class MissingSettingError(RuntimeError):
    """The service cannot start: a setting is not there, or makes no sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the service. `token_hashes` are SHA-256 (hex) of the bearer tokens that may submit: none, and
    nobody may. `open_reads` lets everyone read status and tiles: for a service on loopback only.
    `sync_seconds` is how often the incoming bucket is synced (0: never). `public_url` is where clients reach the
    service; empty, and it is taken from each request. `worker` names this function instance. `callback_secrets` sign
    what is told of the ends of jobs: without one, nothing is. `callback_urls` are receivers by hook;
    `callback_loopback` lets them be on this very machine."""

    source_buckets: frozenset[str]
    incoming_bucket: str
    work_bucket: str
    jobs_table: str
    jobs_queue: str
    chunks_queue: str
    mongo_uri: str
    admin_db: str
    token_hashes: frozenset[str]
    open_reads: bool
    chunk_bytes: int
    threads: int
    cores: int
    region: str
    aws_endpoint: str | None
    sync_seconds: float = 0.0
    public_url: str = ""
    worker: str = ""
    callback_secrets: tuple[bytes, ...] = field(default=(), repr=False)
    callback_urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    callback_loopback: bool = False


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings. Raises MissingSettingError, naming the first that is missing."""
    values = os.environ if environment is None else environment

    def needed(name: str) -> str:
        value = values.get(name, "")
        if not value:
            raise MissingSettingError(f"{name} is not set; infra/resources.yaml lists what the service needs")
        return value

    def listed(name: str) -> frozenset[str]:
        return frozenset(part.strip() for part in values.get(name, "").split(",") if part.strip())

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
        callback_secrets=_callback_secrets(values.get("SLIDEHOOK_CALLBACK_SECRETS", "")),
        callback_urls=_callback_urls(values.get("SLIDEHOOK_CALLBACK_URLS", ""), loopback=loopback),
        callback_loopback=loopback,
    )


def _callback_secrets(text: str) -> tuple[bytes, ...]:
    try:
        return parse_secrets(text)
    except ValueError as error:
        raise MissingSettingError(f"SLIDEHOOK_CALLBACK_SECRETS: {error}") from None


def _callback_urls(text: str, *, loopback: bool) -> Mapping[str, str]:
    """Return the receivers by hook. What is wrong is told without the URL: it can be a key."""
    what = "SLIDEHOOK_CALLBACK_URLS"
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(url, str) for url in found.values()):
        raise MissingSettingError(f'{what} must be a JSON object such as {{"upload": "https://example.org/hook"}}')
    for hook, url in found.items():
        try:
            parse_endpoint(url, loopback=loopback)
        except ValueError as error:
            raise MissingSettingError(f"{what}: the URL of {hook!r} {error}") from None
    return found


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
