"""What the launcher asks of a running system: upload a slide, submit it, follow its job."""

from __future__ import annotations

import hashlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from chalicelib.cli.progress import progress_bar
from infra.local.children import LocalError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from tqdm import tqdm

MADE = {"downsampled": " downsampled", "re-encoded": " re-encoded", "lossless-crop": " cut"}
ENDED = frozenset({"done", "failed", "cancelled", "superseded"})
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 30.0
_READ_BYTES = 1024 * 1024
# Fixed, because the ETag of a multipart upload depends on where the parts were cut.
_TRANSFER = TransferConfig(multipart_threshold=16 * 1024 * 1024, multipart_chunksize=16 * 1024 * 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running system, as .local/stack.json describes it."""

    api: str
    token: str
    bucket: str
    collection: str
    session: str
    mongo_uri: str

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Stack:
        """Return the part of stack.json that a client needs."""
        return cls(**{name: str(document[name]) for name in cls.__slots__})

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the JSON answer to one request. Raises LocalError for a refusal, OSError for silence."""
        request = urllib.request.Request(
            self.api + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise LocalError(f"{method} {path} was refused: {_reason(error)}") from error

    def healthy(self) -> bool:
        """Whether the API answers."""
        try:
            return self.call("GET", "/health").get("status") == "ok"
        except (OSError, ValueError, LocalError):
            return False


def _reason(error: urllib.error.HTTPError) -> str:
    """Return a problem's detail, hint and fields in one line."""
    try:
        problem = json.load(error)
    except ValueError:
        return f"{error.code} {error.reason}"
    if not isinstance(problem, dict):
        return f"{error.code} {error.reason}"
    fields = [f"{entry.get('pointer')}: {entry.get('detail')}" for entry in problem.get("errors") or []]
    parts = [problem.get("detail") or problem.get("title") or problem.get("message"), *fields, problem.get("hint")]
    return f"{error.code} " + " ".join(str(part) for part in parts if part)


def upload(slide: Path, stack: Stack, s3: S3Client) -> str:
    """Bring the file into the incoming bucket, unless the same bytes are there. Return its s3:// address.

    Leaving equal bytes alone keeps the object's version, so that the same command is the same job.
    """
    key = f"direct/{stack.collection}/{stack.session}/{slide.name}"
    address = f"s3://{stack.bucket}/{key}"
    size_bytes = slide.stat().st_size
    digest = _sha256(slide)
    if _is_there(s3, stack.bucket, key, size_bytes, digest):
        print(f"The same bytes are already at {address}")
        return address
    print(f"Uploading {size_bytes / 1e6:.1f} MB to {address}")
    with progress_bar(label=f"uploading {slide.name}", total=size_bytes, unit="B") as bar:
        s3.upload_file(
            str(slide),
            stack.bucket,
            key,
            ExtraArgs={"Metadata": {"sha256": digest}},
            Config=_TRANSFER,
            Callback=bar.update,
        )
    return address


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _is_there(s3: S3Client, bucket: str, key: str, size_bytes: int, digest: str) -> bool:
    try:
        found = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            return False
        raise
    return found["ContentLength"] == size_bytes and found["Metadata"].get("sha256") == digest


def submit(address: str, stack: Stack) -> dict[str, Any]:
    """Call the upload hook; return the job's status document."""
    body = {"source": address, "collection": stack.collection, "session": stack.session}
    return stack.call("POST", "/hooks/upload", body)


def follow(job: dict[str, Any], stack: Stack, between_looks: Callable[[], None]) -> dict[str, Any]:
    """Show a job's progress until it has ended; return its last status document.

    A terminal gets a bar, a log a line for each state.
    `between_looks` is called several times a second; it may raise to end the watch. The API may
    be away for a while, as when it is started again.
    """
    silent_since: float | None = None
    state = ""
    with progress_bar(label=job["state"], unit="tile") as bar:
        while True:
            _show(job, bar)
            if job["state"] in ENDED:
                return job
            if bar.disable and job["state"] != state:
                state = job["state"]
                print(_state_line(job))
            between_looks()
            time.sleep(_POLL_SECONDS)
            try:
                job = stack.call("GET", f"/jobs/{job['id']}")
                silent_since = None
            except OSError as error:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > _PATIENCE_SECONDS:
                    raise LocalError(f"{stack.api} has not answered for {_PATIENCE_SECONDS:.0f} s: {error}") from error


def _state_line(job: Mapping[str, Any]) -> str:
    tiles = job.get("tiles") or {}
    return f"{job['state']}: {tiles.get('done') or 0} of {tiles['total']} tiles" if tiles.get("total") else job["state"]


def _show(job: Mapping[str, Any], bar: tqdm[Any]) -> None:
    tiles = job.get("tiles") or {}
    if tiles.get("total") and bar.total != tiles["total"]:
        bar.total = tiles["total"]
    bar.set_description_str(str(job["state"]), refresh=False)
    bar.n = tiles.get("done") or 0
    bar.refresh()


def summary(job: Mapping[str, Any], stack: Stack, seconds: float | None) -> str:
    """Return what a user wants to know about an ended job, the figures last.

    `seconds` is how long it took, None if it had ended before anyone watched.
    """
    lines = [f"{job['state']}: {job.get('source', {}).get('key', job['id']).rsplit('/', 1)[-1]}"]
    error = job.get("error")
    if error:
        lines += [
            f"  {error.get('code')}: {error.get('message')}",
            *([f"  {error['hint']}"] if error.get("hint") else []),
        ]
    if damaged := (job.get("bad_tiles") or {}).get("count"):
        lines.append(f"  damaged {damaged} of its tiles cannot be read, and are shown as the status says")
    if job.get("result"):
        lines.append(f"  view    {stack.api}/pages/viewer?slide={job['id']}")
    lines += [f"  page    {stack.api}/pages/job?id={job['id']}", f"  status  {stack.api}/jobs/{job['id']}"]
    levels = job.get("levels") or []
    if levels:
        grid = ", ".join(
            f"{level['columns']}x{level['rows']}" + (MADE.get(level.get("method"), "")) for level in levels
        )
        lines.append(f"  levels  {len(levels)}: {grid}")
    result = job.get("result")
    if result:
        where = f"{_without_password(stack.mongo_uri)} database {result['database']}, collection {result['image']}"
        lines.append(f"  mongo   {where}")
    tiles, size = job.get("tiles") or {}, job.get("bytes") or {}
    done, size_mb = tiles.get("done") or 0, (size.get("done") or 0) / 1e6
    took = "" if seconds is None else f" in {seconds:.1f} s, {done / max(seconds, 0.001):.0f} tiles/s"
    lines.append(f"  tiles   {done} of {tiles.get('total') or 0}, {size_mb:.1f} MB{took}")
    return "\n".join(lines)


def _without_password(uri: str) -> str:
    """Return a MongoDB address that may be shown."""
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
