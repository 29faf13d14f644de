"""Status of the service by the conditions of its parts."""

import pytest

from chalicelib.core.web.readiness import Condition, judge_open_files, judge_service

OK, UNKNOWN, DEGRADED, SILENT = Condition.OK, Condition.UNKNOWN, Condition.DEGRADED, Condition.SILENT


@pytest.mark.parametrize(
    ("open_files", "limit", "condition"),
    [
        (0, 1000, OK),
        (700, 1000, OK),
        (701, 1000, DEGRADED),
        (1000, 1000, DEGRADED),
        (716, 1024, OK),
        (717, 1024, DEGRADED),
    ],
)
def test_open_files_above_seventy_per_cent_of_the_limit_degrade(
    open_files: int, limit: int, condition: Condition
) -> None:
    assert judge_open_files(open_files, limit=limit).condition is condition


def test_detail_of_too_many_open_files_contains_no_count() -> None:
    detail = judge_open_files(64_123, limit=65_432).detail
    assert detail == (
        "MongoDB has more than 70% of the files open that it may open; "
        "raise its limit or close idle files sooner (docs/mongodb.md)."
    )


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({OK}, "ready"),
        ({OK, UNKNOWN}, "ready"),
        ({OK, UNKNOWN, DEGRADED}, "degraded"),
        ({OK, SILENT}, "not ready"),
        ({OK, UNKNOWN, DEGRADED, SILENT}, "not ready"),
    ],
)
def test_service_status_is_that_of_its_worst_part(conditions: set[Condition], status: str) -> None:
    assert judge_service(conditions) == status
