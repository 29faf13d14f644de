"""Whether all that the service stands on answers, and has room left."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

from chalice.app import Request, Response

from chalicelib.core.web.readiness import Condition, Finding, judge_service
from chalicelib.entrypoints.http.responses import RETRY_SECONDS, answered
from chalicelib.services import Services

logger = logging.getLogger("slidehook")

PATIENCE_SECONDS = 3.0
UNAVAILABLE = 503


OK_IN_JSON = {Condition.OK: True, Condition.UNKNOWN: None, Condition.DEGRADED: False, Condition.SILENT: False}


def show_readiness(_request: Request, system: Services) -> Response:
    """Ask every part at once, and tell which answers in time. Why one does not is for the log only.

    A degraded service answers 200: it works, and taking it out of use would not help.
    """
    until = monotonic() + PATIENCE_SECONDS
    pool = ThreadPoolExecutor(max_workers=len(system.probes), thread_name_prefix="ready")
    asked = {name: pool.submit(_timed, probe) for name, probe in system.probes.items()}
    parts = {name: _result(name, future, max(0.0, until - monotonic())) for name, future in asked.items()}
    pool.shutdown(wait=False)  # who does not answer is not waited for
    status = judge_service({finding.condition for _, finding in parts.values()})
    is_available = status != "not ready"
    return answered(
        {"status": status, "parts": {name: _described(*part) for name, part in parts.items()}},
        status=200 if is_available else UNAVAILABLE,
        headers={"Cache-Control": "no-store"} | ({} if is_available else {"Retry-After": str(RETRY_SECONDS)}),
    )


def _timed(probe: Callable[[], object]) -> tuple[float, Finding]:
    began = monotonic()
    found = probe()
    return monotonic() - began, found if isinstance(found, Finding) else Finding()


def _result(name: str, future: "Future[tuple[float, Finding]]", seconds: float) -> tuple[float, Finding]:
    try:
        return future.result(seconds)
    except Exception as error:  # noqa: BLE001 - whatever it is, the part is not there
        logger.warning("not ready: %s (%s)", name, type(error).__name__)
        late = PATIENCE_SECONDS if isinstance(error, TimeoutError) else 0.0
        return late, Finding(condition=Condition.SILENT)


def _described(seconds: float, finding: Finding) -> dict[str, object]:
    part: dict[str, object] = {"ok": OK_IN_JSON[finding.condition], "seconds": round(seconds, 3)}
    return part | ({"detail": finding.detail} if finding.detail else {})
