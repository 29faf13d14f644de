"""The `upload` command. Slides are processed one by one; a slide that fails is reported and does not stop the rest."""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from chalicelib.cli.api import Api, connect, is_loopback
from chalicelib.cli.arguments import parse
from chalicelib.cli.converter import Converter, find_converter
from chalicelib.cli.failures import (
    DONE,
    INTERRUPTED,
    NO_SERVICE,
    SLIDE_FAILED,
    WRONG_USAGE,
    Failure,
    FaultError,
    ServiceError,
    SlideFailure,
    UsageError,
    as_error,
    plain,
    sentence,
)
from chalicelib.cli.follow import LABEL, follow
from chalicelib.cli.inputs import Inputs, conversion_reason, find_inputs, folders_of, key_of, opened, peeked
from chalicelib.cli.preview import plan_text, preview, preview_object, unsupported_reason
from chalicelib.cli.progress import progress_bar
from chalicelib.cli.upload import Bucket, incoming_bucket, upload
from chalicelib.config import find_service
from chalicelib.core.jobs.model import ENDED, Options, State
from chalicelib.core.jobs.source import parse_s3_url

PROJECT = Path(__file__).resolve().parents[2]
NEW_SESSION = "<new session>"


def main(arguments: Sequence[str] | None = None, *, prog: str = "ptif_upload.py") -> int:
    """Run the command and return its exit code. `prog` is the name of the program in messages."""
    options = parse(arguments, prog=prog)
    _log(options.verbose)
    command = Command(options)
    code: int = NO_SERVICE
    failure: Failure | None = None
    try:
        code = command.run()
    except (UsageError, SlideFailure) as error:
        # Outside of a slide, the collection or the session was refused. No slide has been uploaded.
        code, failure = WRONG_USAGE, error
    except ServiceError as error:
        code, failure = NO_SERVICE, error
    except OSError as error:
        code, failure = WRONG_USAGE, UsageError(f"{options.input} cannot be read: {error.strerror or error}")
    except KeyboardInterrupt:
        code = INTERRUPTED
        command.say("\n" + command.interruption())
    if failure is not None:
        print(f"{prog}: {sentence(failure)}", file=sys.stderr)
    command.print_result(code, failure)
    return code


def _log(verbosity: int) -> None:
    """Log the requests of urllib3, without headers, at -vv. Below that the command prints its own messages."""
    logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.DEBUG if verbosity >= 2 else logging.ERROR)


@dataclass(slots=True)
class Command:
    """One run. `report` has an entry for each slide, which is printed as text or JSON."""

    options: argparse.Namespace
    report: list[dict[str, Any]] = field(default_factory=list)
    skipped: tuple[str, ...] = ()
    session: dict[str, Any] | None = None
    _api: Api | None = None
    _bucket: Bucket | None = None

    @property
    def api(self) -> Api:
        if self._api is None:
            folders = (Path.cwd(), *Path.cwd().parents, PROJECT)
            url, token = find_service(self.options.api, self.options.token, folders)
            if not url:
                raise UsageError("no service: use --api, set SLIDEHOOK_API, or start a local one with `make run`")
            self._api = connect(url, token)
            self.say(f"service {self._api.url}", at=1)
            if token and self._api.url.startswith("http:") and not is_loopback(self._api.url):
                self.say("warning: the token is sent unencrypted; use https")
        return self._api

    @property
    def bucket(self) -> Bucket:
        if self._bucket is None:
            self._bucket = incoming_bucket(self.api.client_settings())
        return self._bucket

    def run(self) -> int:
        """Run the command and return its exit code. Local errors are found before the first request."""
        options = self.options
        remote = options.input.startswith("s3://")
        if remote:
            _check_url(options.input)
        converter = find_converter(options.bindir, options.tilesize) if options.bindir is not None else None
        inputs = None if remote else find_inputs(options.input, convertible=converter is not None)
        _check_together(options, inputs)
        self.session = session = self._find_session(inputs.label if inputs else None)
        if options.recreate_session:
            self._recreate(session)
        if inputs is None:
            self._each([options.input], lambda source: self._object(source, session))
        else:
            self.skipped = inputs.skipped
            for name in inputs.skipped:
                self.say(f"skipped  {name}: not a slide")
            self._each(inputs.members, lambda member: self._member(inputs, member, session, converter))
        if options.wait and not options.dry_run:
            self._wait()
        return SLIDE_FAILED if any(self._failed(entry) for entry in self.report) else DONE

    # -- the session ---------------------------------------------------------------------------------------------------

    def _find_session(self, label: str | None) -> dict[str, Any]:
        """Return the session to upload to: --session, or the session with this label, which is created if necessary."""
        options = self.options
        collection = self.api.collection(options.collection)
        if options.session is not None:
            session = self.api.session(options.session)
            if session["collection"] != options.collection:
                raise UsageError(f"session {session['id']} does not belong to collection {options.collection}")
            return session
        existing = [each for each in collection["sessions"] if each["label"] == (label or "").strip()]
        if existing:
            return {**existing[0], "collection": options.collection}
        if options.dry_run:
            return {"id": None, "label": label, "collection": options.collection}
        created = self.api.post(f"/collections/{options.collection}/sessions", {"label": label})
        self.say(f"session {created['id']} ({label}) is new")
        return created

    def _recreate(self, session: dict[str, Any]) -> None:
        """Remove all slides from the session, after a confirmation."""
        what = f"remove all slides from session {session['id'] or NEW_SESSION} ({session['label']})"
        if self.options.dry_run:
            self.say(f"would {what}")
            return
        if not self.options.yes:
            if not sys.stdin.isatty():
                raise UsageError("--recreate-session requires --yes without a terminal")
            print(plain(f"Really {what}? [y/N] "), end="", file=sys.stderr, flush=True)
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                raise UsageError("cancelled; no slide was removed")
        done = self.api.post(f"/sessions/{session['id']}/recreate")
        self.say(f"{done['views_removed']} slides were removed from session {session['id']}")

    @property
    def slide_options(self) -> Options:
        """The options of the slide that the caller chose."""
        options = self.options
        return Options(
            tile_size=options.tilesize,
            base_only=options.base_only,
            on_bad_tile=options.on_bad_tile,
            associated=options.associated,
        )

    # -- slides --------------------------------------------------------------------------------------------------------

    def _each(self, names: Sequence[str], handle: Callable[[str], dict[str, Any]]) -> None:
        for name in names:
            try:
                self.report.append({"input": plain(name), **handle(name)})
            except (SlideFailure, FaultError) as failure:
                self._reject(name, failure)
            except OSError as error:
                reason = error.strerror or error
                self._reject(name, SlideFailure(f"{name} cannot be read: {reason}", code="unreadable"))

    def _reject(self, name: str, failure: SlideFailure | FaultError) -> None:
        self.report.append({"input": plain(name), "error": as_error(failure)})
        print(f"refused  {plain(name)}: {sentence(failure)}", file=sys.stderr)

    def _object(self, source: str, session: dict[str, Any]) -> dict[str, Any]:
        if not self.options.dry_run:
            return {"source": source, "job": self._submit(source, session)}
        bucket, key = parse_s3_url(source)
        return {"source": source, "plan": preview_object(self.bucket.client, bucket, key, self.slide_options)}

    def _member(
        self, inputs: Inputs, member: str, session: dict[str, Any], converter: Converter | None
    ) -> dict[str, Any]:
        with peeked(inputs, member) as (file, size_bytes):
            # With --bindir, all files but tiled TIFFs are converted. Without, the service decides what it supports.
            reason = conversion_reason(file, size_bytes)
            refusal = unsupported_reason(file, size_bytes, self.slide_options)
            if reason is None or converter is None:
                reason = refusal
            if reason is not None and converter is not None:
                converter.check_first_image(file, size_bytes)
            if reason is not None and converter is None:
                raise SlideFailure(
                    reason,
                    code="not_a_tiled_tiff",
                    hint="Use --bindir with a folder that contains vips or bfconvert to convert it.",
                )
            name = folders_of(member)[-1] if reason is None else f"{Path(folders_of(member)[-1]).stem}.ptif"
            key = key_of(member, name, self.options.collection, session["id"] or NEW_SESSION)
            source = f"s3://{self.bucket.name}/{key}"
            if self.options.dry_run and reason is not None and converter is not None:
                return {"source": source, "plan": {"converter": str(converter.program), "reason": reason}}
            if self.options.dry_run:
                return {"source": source, "plan": preview(file, size_bytes, self.slide_options)}
        with opened(inputs, member) as path:
            self._send(path, key, converter if reason is not None else None)
        return {"source": source, "job": self._submit(source, session)}

    def _send(self, path: Path, key: str, converter: Converter | None) -> None:
        """Upload a local file to the incoming bucket, after converting it if `converter` is given."""
        if converter is not None:
            with tempfile.TemporaryDirectory(prefix="slidehook-") as folder:
                self.say(f"converting {path.name} with {converter.program}")
                self._send(converter.convert(path, Path(folder)), key, None)
            return
        size_bytes = path.stat().st_size
        sending, reading = (plain(f"{verb} {path.name}")[:LABEL] for verb in ("upload", "read"))
        with (
            progress_bar(label=sending, total=size_bytes, unit="B") as sent,
            progress_bar(label=reading, total=size_bytes, unit="B", leave=False) as read,
        ):
            is_new = upload(path, self.bucket, key, reading=read.update, sending=sent.update)
        where = f"s3://{self.bucket.name}/{key}"
        self.say(f"uploaded {where} ({size_bytes} bytes)" if is_new else f"{where} is already uploaded", at=1)

    def _submit(self, source: str, session: dict[str, Any]) -> dict[str, Any]:
        options = self.options
        request = {
            "source": source,
            "collection": options.collection,
            "session": session["id"],
            "tile_size": options.tilesize,
            "mongo_collection": options.mongo_collection,
            "base_only": options.base_only,
            "overwrite": options.overwrite,
            "force": options.force,
            "on_bad_tile": options.on_bad_tile,
            "associated": options.associated,
            "callback_url": options.callback_url,
        }
        job = self.api.post("/hooks/upload", {name: value for name, value in request.items() if value is not None})
        self.say(f"submitted {source}\n  {job['state']}, see {self._address(job)}")
        return job

    # -- results -------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait for all submitted jobs, and print the error of each that failed."""
        timeout = self.options.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        # Without a terminal there is no progress bar, so the states are printed.
        verbosity = 1 if sys.stderr.isatty() else 0
        for entry in [entry for entry in self.report if "job" in entry]:
            try:
                entry["job"] = job = follow(
                    self.api, entry["job"], deadline=deadline, say=lambda text: self.say(text, at=verbosity)
                )
            except SlideFailure as failure:
                entry["error"] = as_error(failure)
                print(f"lost     {entry['input']}: {sentence(failure)}", file=sys.stderr)
                continue
            if job["state"] not in ENDED:
                print(f"waiting  {entry['input']}: still {job['state']} after {timeout:g} s;"
                      f" the job continues, see {self._address(job)}", file=sys.stderr)  # fmt: skip
            elif job["state"] != State.DONE:
                error = job["error"] or {"message": "no reason was recorded", "code": job["state"], "hint": ""}
                print(plain(f"{job['state']}  {entry['input']}: {error['message']} ({error['code']}). {error['hint']}"
                            f" See {self._address(job)}"), file=sys.stderr)  # fmt: skip

    def _failed(self, entry: dict[str, Any]) -> bool:
        if "error" in entry:
            return True
        return bool(self.options.wait and "job" in entry and entry["job"]["state"] != State.DONE)

    def interruption(self) -> str:
        """Return the message of an interrupted run: its running jobs, and how to continue."""
        jobs = [entry["job"] for entry in self.report if "job" in entry]
        running = [f"  {self._address(job)}" for job in jobs if job["state"] not in ENDED]
        lines = ["These jobs continue:", *running] if running else []
        return "\n".join(["interrupted; run the same command again to continue.", *lines])

    def _address(self, job: dict[str, Any]) -> str:
        return plain(f"{self.api.url}/jobs/{job['id']}")

    def print_result(self, code: int, failure: Failure | None) -> None:
        """Print the results to standard output, as one JSON document or as text."""
        failed = sum(self._failed(entry) for entry in self.report)
        if self.options.json:
            session = self.session and {name: self.session.get(name) for name in ("id", "label", "collection")}
            print(json.dumps({
                "exit_code": code, "error": as_error(failure) if failure else None, "dry_run": self.options.dry_run,
                "session": session, "slides": self.report, "skipped": [plain(name) for name in self.skipped],
                "failed": failed,
            }, indent=2))  # fmt: skip
            return
        for entry in (entry for entry in self.report if "plan" in entry):
            print("\n".join(self._plan_lines(entry)))
        for entry in (entry for entry in self.report if entry.get("job", {}).get("result")):
            job, result = entry["job"], entry["job"]["result"]
            lost = _bad_tiles(entry)
            damaged = f"{lost} damaged tile{'s' if lost > 1 else ''}, see {self._address(job)}; " if lost else ""
            where = f"image {result['image']} in store {result['image_store']}"
            shown = f"{self.api.url}/pages/viewer?slide={job['id']}"
            print(plain(f"done  {entry['input']}: {damaged}{where}, {shown}"))
        if self.report:
            if self.options.dry_run:
                good, bad = "would be accepted", "refused"
            else:
                good, bad = ("done", "not done") if self.options.wait else ("accepted", "refused")
            slides = sum(_bad_tiles(entry) > 0 for entry in self.report)
            damaged = f"; {slides} with damaged tiles" if slides else ""
            print(f"{len(self.report) - failed} {good}, {failed} {bad}{damaged}")

    def _plan_lines(self, entry: dict[str, Any]) -> list[str]:
        session = self.session or {}
        image = f"image {self.options.mongo_collection}" if self.options.mongo_collection else "a new image"
        where = f"session {session.get('id') or NEW_SESSION} ({session.get('label')})"
        return [
            entry["input"],
            plain(f"  from {entry['source']}"),
            plain(f"  to {where} of collection {self.options.collection}, as {image}"),
            *plan_text(entry["plan"]),
        ]

    def say(self, text: str, *, at: int = 0) -> None:
        """Print a message on standard error, from this verbosity on."""
        if self.options.verbose >= at:
            # A progress bar may be on the line.
            tqdm.write("\n".join(plain(line) for line in text.splitlines()), file=sys.stderr)


def _bad_tiles(entry: dict[str, Any]) -> int:
    count: int = entry["job"]["bad_tiles"]["count"] if "job" in entry else 0
    return count


def _check_url(url: str) -> None:
    try:
        parse_s3_url(url)
    except ValueError as error:
        raise UsageError(f"{url}: {error}") from error


def _check_together(options: argparse.Namespace, inputs: Inputs | None) -> None:
    """Raise UsageError for options that contradict each other or the input."""
    if options.session is None and (inputs is None or inputs.label is None):
        raise UsageError("a single slide requires --session")
    if options.mongo_collection is not None and inputs is not None and len(inputs.members) > 1:
        raise UsageError(
            f"--mongo-collection names one image, but {options.input} contains {len(inputs.members)} slides"
        )
