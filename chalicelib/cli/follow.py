"""Follow a job until it ends."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chalicelib.cli.api import Api
from chalicelib.cli.failures import FaultError, SilentError, plain
from chalicelib.cli.progress import progress_bar
from chalicelib.core.jobs.model import ENDED

if TYPE_CHECKING:
    from tqdm import tqdm

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 3.0
# Jobs continue while the service restarts.
SILENCE_SECONDS = 60.0
LABEL = 40  # characters of a name next to a progress bar


def follow(api: Api, job: dict[str, Any], *, deadline: float | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the job when it has ended, or when the deadline (of `time.monotonic`) has passed.

    `say` is called with each new state. Raises SilentError or FaultError if the service is unavailable for a minute.
    """
    name = job["source"]["key"].rsplit("/", 1)[-1]
    pause_seconds, silent_since, printed = FIRST_PAUSE_SECONDS, None, ""
    with progress_bar(label=plain(name)[:LABEL], unit="tile") as shown:
        while True:
            if job["state"] != printed:
                printed = job["state"]
                say(f"{name}: {printed}")
            _show(shown, job)
            left_seconds = pause_seconds if deadline is None else deadline - time.monotonic()
            if job["state"] in ENDED or left_seconds <= 0:
                return job
            time.sleep(min(pause_seconds, left_seconds))
            pause_seconds = min(LONGEST_PAUSE_SECONDS, pause_seconds * 1.2)
            try:
                job = api.job(job["id"])
                silent_since = None
            except (SilentError, FaultError):
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > SILENCE_SECONDS:
                    raise


def _show(shown: "tqdm[Any]", job: dict[str, Any]) -> None:
    shown.total = job["tiles"]["total"] or None
    shown.set_postfix_str(plain(job["state"]), refresh=False)
    shown.n = job["tiles"]["done"]
    shown.refresh()
