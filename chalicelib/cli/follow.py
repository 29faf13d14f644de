"""Jobs followed to their end, with a bar of tiles each."""

import sys
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from chalicelib.cli.api import Api
from chalicelib.cli.failures import plain
from chalicelib.core.job import ENDED

POLL_SECONDS = 0.3


def bar(total: int | None, what: str, unit: str, *, quiet: bool) -> "tqdm[Any]":
    """Return a progress bar on standard error; where that is no terminal, it moves but now and then."""
    seldom = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total, desc=plain(what)[:40], unit=unit, unit_scale=unit == "B", file=sys.stderr,
        disable=quiet, mininterval=seldom, dynamic_ncols=True, leave=True,
    )  # fmt: skip


def follow(
    api: Api, jobs: Sequence[dict[str, Any]], *, timeout_seconds: float | None, quiet: bool
) -> list[dict[str, Any]]:
    """Return the jobs' status documents when all have ended, or when the time is up."""
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    return [_follow_one(api, job, deadline, quiet=quiet) for job in jobs]


def _follow_one(api: Api, job: dict[str, Any], deadline: float | None, *, quiet: bool) -> dict[str, Any]:
    with bar(None, job["source"]["key"].rsplit("/", 1)[-1], "tile", quiet=quiet) as shown:
        while True:
            if job["tiles"]["total"]:
                shown.total = job["tiles"]["total"]
            shown.set_postfix_str(job["state"], refresh=False)
            shown.update(max(0, job["tiles"]["done"] - shown.n))
            if job["state"] in ENDED or (deadline is not None and time.monotonic() > deadline):
                return job
            time.sleep(POLL_SECONDS)
            job = api.get(f"/jobs/{job['id']}")
