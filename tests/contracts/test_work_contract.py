"""What steps leave for one another: what every implementation of ports.Work promises."""

import pytest

from chalicelib.adapters.memory import MemoryWork
from chalicelib.adapters.s3 import S3Work
from chalicelib.core.errors import PlanExpiredError
from chalicelib.ports.work import Work


@pytest.fixture(params=["memory", "s3"])
def work(request: pytest.FixtureRequest) -> Work:
    if request.param == "memory":
        return MemoryWork()
    client = request.getfixturevalue("aws")("s3")
    client.create_bucket(Bucket="work")
    return S3Work(client, "work")


def test_what_was_left_is_found(work: Work) -> None:
    work.put("jobs/1/plan.json", b"{}")
    assert work.get("jobs/1/plan.json") == b"{}"


def test_an_empty_object_is_found_as_well(work: Work) -> None:
    work.put("jobs/1/records.bin", b"")
    assert work.get("jobs/1/records.bin") == b""


@pytest.mark.parametrize(("start", "stop"), [(0, 4), (3, 7), (6, 10), (5, None)])
def test_a_part_is_found_by_its_bytes(work: Work, start: int, stop: int | None) -> None:
    work.put("jobs/1/records.bin", b"0123456789")
    assert work.get("jobs/1/records.bin", start, stop) == b"0123456789"[start:stop]


def test_a_part_is_the_same_before_and_after_the_whole_was_read(work: Work) -> None:
    work.put("jobs/1/records.bin", b"0123456789")
    before = work.get("jobs/1/records.bin", 2, 5)
    assert work.get("jobs/1/records.bin") == b"0123456789"
    assert work.get("jobs/1/records.bin", 2, 5) == before == b"234"


def test_leaving_the_same_again_is_harmless(work: Work) -> None:
    work.put("jobs/1/plan.json", b"{}")
    work.put("jobs/1/plan.json", b"{}")
    assert work.get("jobs/1/plan.json") == b"{}"


def test_what_is_not_there_is_lost(work: Work) -> None:
    work.put("jobs/1/plan.json", b"{}")
    with pytest.raises(PlanExpiredError, match=r"jobs/2/plan\.json"):
        work.get("jobs/2/plan.json")
    with pytest.raises(PlanExpiredError):
        work.get("jobs/2/plan.json", 5, 9)


@pytest.mark.no_cover  # it runs the same lines again and again
def test_many_objects_are_each_found(work: Work) -> None:
    for number in range(20):
        work.put(f"jobs/{number}/plan.json", b"%d" % number)
    assert [work.get(f"jobs/{number}/plan.json") for number in range(20)] == [b"%d" % number for number in range(20)]
    assert work.get("jobs/0/plan.json") == b"0"
