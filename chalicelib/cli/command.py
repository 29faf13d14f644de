"""The command: what is asked for, done slide by slide. A bad slide is reported and does not stop the others."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from chalicelib.cli.api import Api
from chalicelib.cli.arguments import parse
from chalicelib.cli.failures import (
    DONE,
    INTERRUPTED,
    NO_SERVICE,
    SLIDE_FAILED,
    WRONG_USAGE,
    ServiceError,
    SlideFailure,
    UsageError,
    plain,
)
from chalicelib.cli.follow import bar, follow
from chalicelib.cli.inputs import Inputs, as_tiled_tiff, find_inputs, opened
from chalicelib.cli.preview import Wanted, preview_file, preview_object
from chalicelib.cli.upload import upload
from chalicelib.config import find_service
from chalicelib.core.job import State
from chalicelib.core.source import DIRECT_PREFIX, parse_s3_url

LOOPBACK = ("http://127.0.0.1", "http://localhost")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parse(arguments)
    try:
        return _Run(options).run()
    except UsageError as error:
        print(f"ptif_upload.py: {plain(error)}", file=sys.stderr)
        return WRONG_USAGE
    except ServiceError as error:
        print(f"ptif_upload.py: {plain(error)}", file=sys.stderr)
        return NO_SERVICE
    except SlideFailure as failure:
        print(f"ptif_upload.py: {failure} ({failure.code}). {failure.hint}", file=sys.stderr)
        # Not a slide but the collection or session itself was refused: nothing was begun.
        return WRONG_USAGE
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to go on. Jobs that were submitted go on by themselves.",
              file=sys.stderr)  # fmt: skip
        return INTERRUPTED


@dataclass(slots=True)
class _Run:
    options: argparse.Namespace
    api: Api = field(init=False)
    report: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        here = (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[2])
        url, token = find_service(self.options.api, self.options.token, here)
        if not url:
            raise UsageError("no service: give --api, set SLIDEHOOK_API, or start one with `make run`")
        self.api = Api(url.rstrip("/"), token)

    def run(self) -> int:
        options = self.options
        remote = options.input.startswith("s3://")
        inputs = None if remote else find_inputs(options.input, convertible=options.bindir is not None)
        if remote:
            self._check_url()
        if options.session is None and (inputs is None or inputs.label is None):
            raise UsageError("a single slide needs --session")
        self.say(f"service {self.api.url}", at=1)
        session = self._session(inputs.label if inputs else None)
        if options.recreate_session:
            self._recreate(session)
        if inputs is None:
            self._each([options.input], lambda source: self._object(source, session))
        else:
            for name in inputs.skipped:
                self.say(f"skipped  {name}: no slide")
            self._each(list(inputs.members), lambda member: self._member(inputs, member, session))
        if options.wait and not options.dry_run:
            self._wait()
        return self._finish(session)

    # -- the session ------------------------------------------------------------------------------------------------

    def _session(self, label: str | None) -> dict[str, Any]:
        """Return the session to upload to: the one named, or the one of this label, made if there is none."""
        collection = self.api.collection(self.options.collection)
        if self.options.session is not None:
            session = self.api.session(self.options.session)
            if session["collection"] != self.options.collection:
                raise UsageError(f"session {session['id']} does not belong to collection {self.options.collection}")
            return session
        assert label is not None
        known = [each for each in collection["sessions"] if each["label"] == label]
        if known:
            return {**known[0], "collection": self.options.collection}
        if self.options.dry_run:
            return {"id": None, "label": label, "collection": self.options.collection}
        made = self.api.post(f"/collections/{self.options.collection}/sessions", {"label": label})
        self.say(f"session {made['id']} ({label}) was made")
        return made

    def _recreate(self, session: dict[str, Any]) -> None:
        """Take every slide out of the session, after a question."""
        question = f"Take all slides out of session {session['id']} ({session['label']})? [y/N] "
        if self.options.dry_run:
            self.say(f"would take all slides out of session {session['id']} ({session['label']})")
            return
        if not self.options.yes:
            if not sys.stdin.isatty():
                raise UsageError("--recreate-session needs --yes where nobody can be asked")
            print(plain(question), end="", file=sys.stderr, flush=True)
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                raise UsageError("nothing was done")
        done = self.api.post(f"/sessions/{session['id']}/recreate")
        self.say(f"{done['views_removed']} slides were taken out of session {session['id']}")

    # -- slides ----------------------------------------------------------------------------------------------------

    def _each(self, names: Sequence[str], handle: Any) -> None:
        for name in names:
            try:
                self.report.append({"input": name, **handle(name)})
            except SlideFailure as failure:
                error = {"code": failure.code, "message": str(failure), "hint": failure.hint}
                self.report.append({"input": name, "error": error})
                print(f"refused  {plain(name)}: {failure} ({failure.code}). {failure.hint}", file=sys.stderr)

    def _check_url(self) -> None:
        try:
            parse_s3_url(self.options.input)
        except ValueError as error:
            raise UsageError(f"{self.options.input}: {error}") from error

    def _object(self, source: str, session: dict[str, Any]) -> dict[str, Any]:
        if self.options.dry_run:
            settings = self.api.client_settings()
            return {"plan": preview_object(_s3(settings), *parse_s3_url(source), self._wanted())}
        return {"job": self._submit(source, session)}

    def _member(self, inputs: Inputs, member: str, session: dict[str, Any]) -> dict[str, Any]:
        bindir = Path(self.options.bindir).expanduser() if self.options.bindir else None
        with opened(inputs, member) as path, as_tiled_tiff(path, bindir) as tiff:
            if self.options.dry_run:
                return {"plan": preview_file(tiff, self._wanted())}
            settings = self.api.client_settings()
            # Folders are kept: two slides of the same name in two of them are two slides.
            parts = [part for part in PurePosixPath(member).with_name(tiff.name).parts if part not in ("/", "..", ".")]
            key = f"{DIRECT_PREFIX}{self.options.collection}/{session['id']}/{'/'.join(parts)}"
            bucket = settings["incoming_bucket"]
            with bar(tiff.stat().st_size, f"upload {tiff.name}", "B", quiet=self.options.json) as shown:
                sent = upload(tiff, _s3(settings), bucket, key, shown.update)
            self.say(f"uploaded s3://{bucket}/{key}" if sent else f"s3://{bucket}/{key} has these bytes already", at=1)
            return {"job": self._submit(f"s3://{bucket}/{key}", session)}

    def _wanted(self) -> Wanted:
        return Wanted(tile_size=self.options.tilesize, base_only=self.options.base_only)

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
        }
        job = self.api.post("/hooks/upload", {name: value for name, value in request.items() if value is not None})
        self.say(f"submitted {source}\n  status {self.api.url}/jobs/{job['id']} ({job['state']})")
        return job

    # -- the end ---------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        submitted = [each for each in self.report if "job" in each]
        jobs = [each["job"] for each in submitted]
        ended = follow(self.api, jobs, timeout_seconds=self.options.timeout, quiet=self.options.json)
        for each, job in zip(submitted, ended, strict=True):
            each["job"] = job
            error = job["error"]
            if error:
                print(f"{job['state']}  {plain(each['input'])}: {plain(error['message'])} ({error['code']}). "
                      f"{plain(error['hint'])}", file=sys.stderr)  # fmt: skip

    def _failed(self, entry: dict[str, Any]) -> bool:
        if "error" in entry:
            return True
        return bool(self.options.wait and "job" in entry and entry["job"]["state"] != State.DONE)

    def _finish(self, session: dict[str, Any]) -> int:
        failed = sum(self._failed(entry) for entry in self.report)
        if self.options.json:
            chosen = {name: session.get(name) for name in ("id", "label", "collection")}
            print(json.dumps({"session": chosen, "slides": self.report, "failed": failed}, indent=2))
        else:
            for entry in self.report:
                if "plan" in entry:
                    print(_plan_text(entry, session, self.options))
            word = "would be accepted" if self.options.dry_run else "done" if self.options.wait else "accepted"
            print(f"{len(self.report) - failed} {word}, {failed} failed")
        return SLIDE_FAILED if failed else DONE

    def say(self, text: str, *, at: int = 0) -> None:
        """Tell the user, on standard error, from this verbosity on."""
        if self.options.verbose >= at:
            print("\n".join(plain(line) for line in text.splitlines()), file=sys.stderr)


def _plan_text(entry: dict[str, Any], session: dict[str, Any], options: argparse.Namespace) -> str:
    plan = entry["plan"]
    where = session["id"] or "a new session"
    image = options.mongo_collection or "a new image"
    lines = [
        f"{plain(entry['input'])}: {plan['tiles']} tiles of {plan['tile_size_px']} px,"
        f" {plan['tile_bytes']} bytes passed through",
        f"  to {image} in session {where} ({plain(session['label'])}) of collection {options.collection}",
    ]
    lines += [
        f"  level {level['level']}: {level['width_px']} x {level['height_px']} px, {level['columns']} x {level['rows']}"
        f" tiles ({level['tiles']}), {level['made']}"
        for level in plan["levels"]
    ]
    return "\n".join(lines)


def _s3(settings: dict[str, Any]) -> Any:
    import boto3

    endpoint = settings.get("aws_endpoint")
    keys: dict[str, Any] = {}
    if endpoint and endpoint.startswith(LOOPBACK) and boto3.Session().get_credentials() is None:
        # An emulator on this machine takes any key, but boto3 does not go without one.
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("s3", endpoint_url=endpoint, region_name=settings.get("region"), **keys)
