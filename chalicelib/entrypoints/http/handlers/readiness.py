"""Readiness: whether every part that the service depends on responds and has free capacity."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

from chalice.app import Response

from chalicelib.core.web.readiness import Condition, Finding, judge_service
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.responses import RETRY_SECONDS, json_response

logger = logging.getLogger("slidehook")

TIMEOUT_SECONDS = 3.0
UNAVAILABLE = 503
OK_IN_JSON = {Condition.OK: True, Condition.UNKNOWN: None, Condition.DEGRADED: False, Condition.SILENT: False}


def show_readiness(call: Call) -> Response:
    """Check all parts at once, and return which respond in time. The reason of a failure is only logged.

    The status of a degraded service is 200: it works, and taking it out of service would not help.
    """
    probes = call.services.probes
    until = monotonic() + TIMEOUT_SECONDS
    pool = ThreadPoolExecutor(max_workers=len(probes), thread_name_prefix="ready")
    checks = {name: pool.submit(_timed, probe) for name, probe in probes.items()}
    parts = {name: _result(name, future, max(0.0, until - monotonic())) for name, future in checks.items()}
    pool.shutdown(wait=False)  # a check that timed out is not awaited
    status = judge_service({finding.condition for _, finding in parts.values()})
    is_available = status != "not ready"
    return json_response(
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
    except Exception as error:  # noqa: BLE001 - any failure means that the part is unavailable
        logger.warning("not ready: %s (%s)", name, type(error).__name__)
        late = TIMEOUT_SECONDS if isinstance(error, TimeoutError) else 0.0
        return late, Finding(condition=Condition.SILENT)


def _described(seconds: float, finding: Finding) -> dict[str, object]:
    part: dict[str, object] = {"ok": OK_IN_JSON[finding.condition], "seconds": round(seconds, 3)}
    return part | ({"detail": finding.detail} if finding.detail else {})
