"""What is told of the ends of jobs: what every implementation of ports.Deliveries promises."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.dynamodb.deliveries import DeliveryTable
from chalicelib.adapters.dynamodb.jobs import JobTable
from chalicelib.adapters.memory import MemoryDeliveries
from chalicelib.core.jobs.deliveries import Answer, Delivery, answered, begun, delivery_id
from chalicelib.core.jobs.model import State
from chalicelib.ports.deliveries import Deliveries
from tests.contracts.samples import a_job

AtOnce = Callable[[list[Callable[[], Any]]], list[Any]]
JOB = "0" * 32


@pytest.fixture(params=["memory", "dynamodb"])
def deliveries(request: pytest.FixtureRequest) -> Deliveries:
    if request.param == "memory":
        return MemoryDeliveries()
    return DeliveryTable(request.getfixturevalue("dynamodb"), "jobs")


def a_delivery(url: str = "https://example.org/hook", *, at: float = 1000.25, **changes: Any) -> Delivery:
    made = Delivery(
        id=delivery_id(JOB, 1, State.DONE, url),
        job=JOB,
        attempt=1,
        outcome=State.DONE,
        url=url,
        scope=JOB,
        body='{"type":"job.done","über":"ä"}',
        created_at=at,
        expires_at=5000,
        next_at=at,
    )
    return replace(made, **changes)


def test_a_delivery_is_stored_once_and_comes_back_as_it_was(deliveries: Deliveries) -> None:
    delivery = a_delivery()
    assert deliveries.get(JOB, delivery.id) is None
    assert deliveries.create(delivery) == delivery
    assert deliveries.create(replace(delivery, body="{}", created_at=2000.0)) == delivery
    assert deliveries.get(JOB, delivery.id) == delivery
    assert deliveries.get("1" * 32, delivery.id) is None


def test_a_try_is_begun_and_ended_with_its_log(deliveries: Deliveries) -> None:
    delivery = deliveries.create(a_delivery())
    trying = begun(delivery, now=1001.5)
    assert deliveries.move(delivery, trying)
    assert deliveries.get(JOB, delivery.id) == trying
    after = answered(trying, Answer(status=503, retry_after="7"), now=1002.0, jitter=0.5)
    assert deliveries.move(trying, after)
    assert deliveries.get(JOB, delivery.id) == after
    delivered = answered(begun(after, now=1010.0), Answer(error=None, status=204), now=1010.5, jitter=0.5)
    assert not deliveries.move(delivery, delivered)
    assert deliveries.move(after, delivered)
    assert deliveries.get(JOB, delivery.id) == delivered


def test_of_two_at_once_one_begins_a_try(deliveries: Deliveries, at_once: AtOnce) -> None:
    delivery = deliveries.create(a_delivery())
    moved = at_once([lambda n=n: deliveries.move(delivery, begun(delivery, now=float(n))) for n in range(6)])  # type: ignore[misc]
    assert sorted(moved) == [False] * 5 + [True]


def test_one_that_is_not_there_is_not_moved(deliveries: Deliveries) -> None:
    delivery = a_delivery()
    assert not deliveries.move(delivery, begun(delivery, now=1.0))
    assert deliveries.get(JOB, delivery.id) is None


def test_those_of_a_job_are_listed_the_latest_first(deliveries: Deliveries) -> None:
    made = [deliveries.create(a_delivery(f"https://example.org/{number}", at=float(number))) for number in (1, 3, 2)]
    deliveries.create(a_delivery("https://example.org/other", job="1" * 32))
    assert deliveries.of_job(JOB) == (made[1], made[2], made[0])
    assert deliveries.of_job("2" * 32) == ()


def test_those_that_are_due_come_the_longest_due_first(deliveries: Deliveries) -> None:
    made = [deliveries.create(a_delivery(f"https://example.org/{number}", at=float(number))) for number in (5, 1, 3)]
    assert deliveries.due(before=5.0, limit=9) == (made[1], made[2])
    assert deliveries.due(before=5.0, limit=1) == (made[1],)
    delivered = answered(begun(made[1], now=6.0), Answer(status=204), now=6.0, jitter=0.5)
    assert deliveries.move(made[1], delivered)
    assert deliveries.due(before=9.0, limit=9) == (made[2], made[0])
    trying = begun(made[2], now=6.0)
    assert deliveries.move(made[2], trying)
    assert deliveries.due(before=9.0, limit=9) == (made[0],)


def test_a_url_hears_nothing_more_until_it_is_asked_to_again(deliveries: Deliveries) -> None:
    url = "https://example.org/hook"
    assert not deliveries.is_disabled(JOB, url)
    deliveries.disable(JOB, url)
    deliveries.disable(JOB, url)
    assert deliveries.is_disabled(JOB, url)
    assert not deliveries.is_disabled("upload", url)
    assert not deliveries.is_disabled(JOB, url + "/")
    deliveries.enable(JOB, url)
    deliveries.enable(JOB, url)
    assert not deliveries.is_disabled(JOB, url)


def test_they_stand_beside_the_jobs_and_do_not_pass_for_them(dynamodb: Any) -> None:
    jobs, deliveries = JobTable(dynamodb, "jobs", stores_notifications=True), DeliveryTable(dynamodb, "jobs")
    job = a_job(state=State.FAILED, ended_at=10.0)
    jobs.create(job)
    deliveries.create(a_delivery(job=job.id))
    assert jobs.list(state=None, session=None, cursor=None, limit=9).jobs == (job,)
    assert jobs.due_for_cleanup(now=1e9, limit=9) == ()
    assert jobs.chunk_records(job) == ()
    assert [notice.job for notice in jobs.pending_notifications(before=1e9, limit=9)] == [job.id]
    assert [each.job for each in deliveries.due(before=1e9, limit=9)] == [job.id]
