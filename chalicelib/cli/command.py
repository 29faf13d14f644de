"""The command: what is asked for, done slide by slide. A bad slide is reported and does not stop the others."""

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
from chalicelib.cli.inputs import Inputs, find_inputs, folders_of, key_of, opened, peeked, why_not_tiled
from chalicelib.cli.preview import plan_text, preview, preview_object, why_not_published
from chalicelib.cli.progress import progress_bar
from chalicelib.cli.upload import Bucket, incoming_bucket, upload
from chalicelib.config import find_service
from chalicelib.core.jobs.model import ENDED, Options, State
from chalicelib.core.jobs.source import parse_s3_url

PROJECT = Path(__file__).resolve().parents[2]
NEW_SESSION = "<new session>"


def main(arguments: Sequence[str] | None = None, *, prog: str = "ptif_upload.py") -> int:
    """Run the command; return its exit code. `prog` is its name in messages."""
    options = parse(arguments, prog=prog)
    _log(options.verbose)
    command = Command(options)
    code: int = NO_SERVICE
    failure: Failure | None = None
    try:
        code = command.run()
    except (UsageError, SlideFailure) as error:
        # Outside of any slide it is the collection or the session that was refused: nothing was begun.
        code, failure = WRONG_USAGE, error
    except ServiceError as error:
        code, failure = NO_SERVICE, error
    except OSError as error:
        code, failure = WRONG_USAGE, UsageError(f"{options.input} cannot be read: {error.strerror or error}")
    except KeyboardInterrupt:
        code = INTERRUPTED
        command.say("\n" + command.left_behind())
    if failure is not None:
        print(f"{prog}: {sentence(failure)}", file=sys.stderr)
    command.print_result(code, failure)
    return code


def _log(verbosity: int) -> None:
    """Let urllib3 tell of requests (not of their headers) at -vv; below that its warnings are our sentences."""
    logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.DEBUG if verbosity >= 2 else logging.ERROR)


@dataclass(slots=True)
class Command:
    """One run. `report` has an entry a slide, for the reader and for --json."""

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
                raise UsageError("no service: give --api, set SLIDEHOOK_API, or start one with `make run`")
            self._api = connect(url, token)
            self.say(f"service {self._api.url}", at=1)
            if token and self._api.url.startswith("http:") and not is_loopback(self._api.url):
                self.say("warning: the token travels unencrypted; use https")
        return self._api

    @property
    def bucket(self) -> Bucket:
        if self._bucket is None:
            self._bucket = incoming_bucket(self.api.client_settings())
        return self._bucket

    def run(self) -> int:
        """Do what the options say; return the exit code. Local mistakes are found before anything is asked for."""
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
                self.say(f"skipped  {name}: no slide")
            self._each(inputs.members, lambda member: self._member(inputs, member, session, converter))
        if options.wait and not options.dry_run:
            self._wait()
        return SLIDE_FAILED if any(self._failed(entry) for entry in self.report) else DONE

    # -- the session ---------------------------------------------------------------------------------------------------

    def _find_session(self, label: str | None) -> dict[str, Any]:
        """Return the session to upload to: the one named, or the one of this label, made if there is none."""
        options = self.options
        collection = self.api.collection(options.collection)
        if options.session is not None:
            session = self.api.session(options.session)
            if session["collection"] != options.collection:
                raise UsageError(f"session {session['id']} does not belong to collection {options.collection}")
            return session
        known = [each for each in collection["sessions"] if each["label"] == (label or "").strip()]
        if known:
            return {**known[0], "collection": options.collection}
        if options.dry_run:
            return {"id": None, "label": label, "collection": options.collection}
        made = self.api.post(f"/collections/{options.collection}/sessions", {"label": label})
        self.say(f"session {made['id']} ({label}) is new")
        return made

    def _recreate(self, session: dict[str, Any]) -> None:
        """Take every slide out of the session, after a question."""
        what = f"take all slides out of session {session['id'] or NEW_SESSION} ({session['label']})"
        if self.options.dry_run:
            self.say(f"would {what}")
            return
        if not self.options.yes:
            if not sys.stdin.isatty():
                raise UsageError("--recreate-session needs --yes where nobody can be asked")
            print(plain(f"Really {what}? [y/N] "), end="", file=sys.stderr, flush=True)
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                raise UsageError("the answer was no; nothing was done")
        done = self.api.post(f"/sessions/{session['id']}/recreate")
        self.say(f"{done['views_removed']} slides were taken out of session {session['id']}")

    @property
    def slide_options(self) -> Options:
        """What the caller chose of how a slide is published."""
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
                self._refused(name, failure)
            except OSError as error:
                reason = error.strerror or error
                self._refused(name, SlideFailure(f"{name} cannot be read: {reason}", code="unreadable"))

    def _refused(self, name: str, failure: SlideFailure | FaultError) -> None:
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
            # Who names a converter has it used for all that is no tiled TIFF; else the service does what it can.
            reason = why_not_tiled(file, size_bytes)
            refusal = why_not_published(file, size_bytes, self.slide_options)
            if reason is None or converter is None:
                reason = refusal
            if reason is not None and converter is not None:
                converter.check_first_image(file, size_bytes)
            if reason is not None and converter is None:
                raise SlideFailure(
                    reason,
                    code="not_a_tiled_tiff",
                    hint="Give --bindir, a folder with vips or bfconvert, to convert it.",
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
        """Bring a local file to the incoming bucket, converted first if there is a converter for it."""
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
        self.say(f"uploaded {where} ({size_bytes} bytes)" if is_new else f"{where} has these bytes already", at=1)

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

    # -- the end -------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Follow every job that was submitted; what failed is told with its reason."""
        timeout = self.options.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        # Without a terminal there is no bar: then the states are told.
        tell_at = 1 if sys.stderr.isatty() else 0
        for entry in [entry for entry in self.report if "job" in entry]:
            try:
                entry["job"] = job = follow(
                    self.api, entry["job"], deadline=deadline, tell=lambda text: self.say(text, at=tell_at)
                )
            except SlideFailure as failure:
                entry["error"] = as_error(failure)
                print(f"lost     {entry['input']}: {sentence(failure)}", file=sys.stderr)
                continue
            if job["state"] not in ENDED:
                print(f"waiting  {entry['input']}: still {job['state']} after {timeout:g} s;"
                      f" the job goes on, see {self._address(job)}", file=sys.stderr)  # fmt: skip
            elif job["state"] != State.DONE:
                error = job["error"] or {"message": "no reason was given", "code": job["state"], "hint": ""}
                print(plain(f"{job['state']}  {entry['input']}: {error['message']} ({error['code']}). {error['hint']}"
                            f" See {self._address(job)}"), file=sys.stderr)  # fmt: skip

    def _failed(self, entry: dict[str, Any]) -> bool:
        if "error" in entry:
            return True
        return bool(self.options.wait and "job" in entry and entry["job"]["state"] != State.DONE)

    def left_behind(self) -> str:
        """Return what an interrupted run leaves, and how to go on."""
        jobs = [entry["job"] for entry in self.report if "job" in entry]
        going_on = [f"  {self._address(job)}" for job in jobs if job["state"] not in ENDED]
        lines = ["These jobs go on by themselves; look at", *going_on] if going_on else []
        return "\n".join(["interrupted; the same command again goes on where this one was.", *lines])

    def _address(self, job: dict[str, Any]) -> str:
        return plain(f"{self.api.url}/jobs/{job['id']}")

    def print_result(self, code: int, failure: Failure | None) -> None:
        """Print what was done to standard output: one JSON document, or lines for a reader."""
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
            recorded = f"; {slides} with damaged tiles" if slides else ""
            print(f"{len(self.report) - failed} {good}, {failed} {bad}{recorded}")

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
        """Tell the user, on standard error, from this verbosity on."""
        if self.options.verbose >= at:
            # tqdm's, for a bar may be on the line.
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
    """Raises UsageError for options that make no sense together, or for this input."""
    if options.session is None and (inputs is None or inputs.label is None):
        raise UsageError("a single slide needs --session")
    if options.mongo_collection is not None and inputs is not None and len(inputs.members) > 1:
        raise UsageError(f"--mongo-collection names one image, and {options.input} holds {len(inputs.members)} slides")
