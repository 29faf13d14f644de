"""Whether all that the service stands on answers."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

from chalice.app import Request, Response

from chalicelib.entrypoints.http.answers import RETRY_SECONDS, answered
from chalicelib.wiring import System

logger = logging.getLogger("slidehook")

PATIENCE_SECONDS = 3.0
UNAVAILABLE = 503


def show_readiness(_request: Request, system: System) -> Response:
    """Ask every part at once, and tell which answers in time. Why one does not is for the log only."""
    until = monotonic() + PATIENCE_SECONDS
    pool = ThreadPoolExecutor(max_workers=len(system.probes), thread_name_prefix="ready")
    asked = {name: pool.submit(_timed, probe) for name, probe in system.probes.items()}
    parts = {name: _told(name, future, max(0.0, until - monotonic())) for name, future in asked.items()}
    pool.shutdown(wait=False)  # who does not answer is not waited for
    is_ready = all(part["ok"] for part in parts.values())
    return answered(
        {"status": "ready" if is_ready else "not ready", "parts": parts},
        status=200 if is_ready else UNAVAILABLE,
        headers={"Cache-Control": "no-store"} | ({} if is_ready else {"Retry-After": str(RETRY_SECONDS)}),
    )


def _timed(probe: Callable[[], object]) -> float:
    began = monotonic()
    probe()
    return monotonic() - began


def _told(name: str, future: "Future[float]", seconds: float) -> dict[str, object]:
    try:
        return {"ok": True, "seconds": round(future.result(seconds), 3)}
    except Exception as error:  # noqa: BLE001 - whatever it is, the part is not there
        logger.warning("not ready: %s (%s)", name, type(error).__name__)
        return {"ok": False, "seconds": PATIENCE_SECONDS if isinstance(error, TimeoutError) else 0.0}
