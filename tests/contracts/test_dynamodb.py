"""The job table in DynamoDB: what only a table behind a network can do to a job."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from chalicelib.adapters.dynamodb.jobs import JobTable
from chalicelib.core.errors import AwsUnavailableError
from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.core.jobs.filter import JobFilter
from chalicelib.core.jobs.model import Attempt, Problem, State, Subscriber
from chalicelib.core.jobs.transitions import cancelled
from tests.contracts.samples import BUSY, a_job, a_record, a_tiling_job, an_ended_job


@pytest.fixture
def jobs(dynamodb: Any) -> JobTable:
    return JobTable(dynamodb, "jobs")


@pytest.fixture
def losing_answers(dynamodb: Any) -> list[str]:
    """From now on the answer to the first try of every write is lost, and the client sends the same request again.
    Tells which writes that happened to."""
    lost: list[str] = []

    def lose(operation: Any, attempts: int, **_: Any) -> float | None:
        if attempts > 1:
            return None
        lost.append(operation.name)
        return 0.0  # seconds until the same request is sent again

    for operation in ("PutItem", "UpdateItem", "TransactWriteItems"):
        dynamodb.meta.events.register(f"needs-retry.dynamodb.{operation}", lose)
    return lost


def test_who_created_a_job_knows_it_although_the_answer_was_lost(jobs: JobTable, losing_answers: list[str]) -> None:
    job = a_job(error=Problem(code="not_a_tiff", message="x" * 3000, hint=""))
    assert jobs.create(job) == job
    assert losing_answers == ["PutItem"]


def test_who_ended_a_job_knows_it_although_the_answer_was_lost(dynamodb: Any, losing_answers: list[str]) -> None:
    jobs = JobTable(dynamodb, "jobs", stores_notifications=True)
    job = a_job()
    jobs.create(job)
    ended = cancelled(job, now=1700000100.5, cleanup_at=1700000100.5)
    assert jobs.move(job, ended)
    assert jobs.get(job.id) == ended
    assert not jobs.move(job, replace(ended, state=State.FAILED))
    assert jobs.get(job.id) == ended
    assert losing_answers == ["PutItem", "TransactWriteItems", "TransactWriteItems"]


def test_who_kept_a_refused_arrival_knows_it_although_the_answer_was_lost(
    dynamodb: Any, losing_answers: list[str]
) -> None:
    jobs = JobTable(dynamodb, "jobs", stores_notifications=True)
    assert jobs.create(an_ended_job()) == an_ended_job()
    assert jobs.create(an_ended_job(ended_at=7.0)) == an_ended_job()
    assert losing_answers == ["TransactWriteItems", "TransactWriteItems"]


def test_an_end_that_meets_another_write_asks_for_patience(dynamodb: Any) -> None:
    reasons = '[{"Code": "None"}, {"Code": "TransactionConflict", "Message": "told so"}]'
    _fail_with(dynamodb, _cancelled(reasons))
    jobs = JobTable(dynamodb, "jobs", stores_notifications=True)
    with pytest.raises(AwsUnavailableError, match="job"):
        jobs.move(a_job(), an_ended_job())


@pytest.mark.parametrize("reasons", ['[{"Code": "ValidationError"}, {"Code": "None"}]', "[]"])
def test_an_end_that_is_our_own_fault_is_not_called_patience(dynamodb: Any, reasons: str) -> None:
    _fail_with(dynamodb, _cancelled(reasons))
    with pytest.raises(ClientError):
        JobTable(dynamodb, "jobs", stores_notifications=True).move(a_job(), an_ended_job())


def test_without_callbacks_an_end_is_one_write_and_leaves_no_notice(jobs: JobTable, losing_answers: list[str]) -> None:
    job = a_job()
    jobs.create(job)
    assert jobs.move(job, an_ended_job())
    assert jobs.subscribe(an_ended_job(), Subscriber("https://example.org/", 1))
    assert jobs.pending_notifications(before=1e12, limit=9) == ()
    assert losing_answers == ["PutItem", "UpdateItem", "UpdateItem"]


def test_a_job_of_somebody_else_is_not_taken_for_ones_own(jobs: JobTable, losing_answers: list[str]) -> None:
    first = a_job(now=100.0)
    jobs.create(first)
    assert jobs.create(a_job(now=200.0)) == first
    assert losing_answers == ["PutItem", "PutItem"]


def test_who_moved_a_job_knows_it_although_the_answer_was_lost(jobs: JobTable, losing_answers: list[str]) -> None:
    job = a_job()
    started = replace(job, state=State.PLANNING)
    jobs.create(job)
    assert jobs.move(job, started)
    assert jobs.get(job.id) == started
    assert not jobs.move(job, replace(job, state=State.CANCELLED))
    assert jobs.get(job.id) == started
    assert losing_answers == ["PutItem", "UpdateItem", "UpdateItem"]


def test_a_chunk_whose_answer_was_lost_is_counted_once(jobs: JobTable, losing_answers: list[str]) -> None:
    job = a_tiling_job()
    jobs.create(job)
    after = jobs.finish_chunk(job, a_record(0))
    assert after is not None
    assert (after.chunks_done, after.tiles_done, after.bytes_done) == (frozenset({0}), 10, 1000)
    assert jobs.get(job.id) == after
    assert losing_answers == ["PutItem", "PutItem", "UpdateItem"]


def test_a_rescue_whose_answer_was_lost_is_counted_once_and_known(jobs: JobTable, losing_answers: list[str]) -> None:
    job = a_job()
    jobs.create(job)
    assert jobs.count_rescue(job, now=1700000090.0)
    assert jobs.get(job.id) == replace(job, rescues=1, updated_at=1700000090.0)
    assert losing_answers == ["PutItem", "UpdateItem"]


def _fail_with(client: Any, error: Callable[[Any], Any]) -> None:
    def answer(request: Any, **_: Any) -> Any:
        return error(request)

    client.meta.events.register("before-send.dynamodb", answer)


def _refusing(status: int, code: str) -> Callable[[Any], AWSResponse]:
    class Body:
        def stream(self, **_: Any) -> list[bytes]:
            return [f'{{"__type": "com.amazonaws.dynamodb#{code}", "message": "told so"}}'.encode()]

    return lambda request: AWSResponse(request.url, status, {}, Body())


def _cancelled(reasons: str) -> Callable[[Any], AWSResponse]:
    kind = "com.amazonaws.dynamodb#TransactionCanceledException"

    class Body:
        def stream(self, **_: Any) -> list[bytes]:
            return [f'{{"__type": "{kind}", "message": "told so", "CancellationReasons": {reasons}}}'.encode()]

    return lambda request: AWSResponse(request.url, 400, {}, Body())


def _raising(error: Exception) -> Callable[[Any], None]:
    def answer(_request: Any) -> None:
        raise error

    return answer


EVERY_CALL: dict[str, Callable[[JobTable], Any]] = {
    "create": lambda jobs: jobs.create(a_job()),
    "get": lambda jobs: jobs.get("0" * 32),
    "move": lambda jobs: jobs.move(a_job(), a_job()),
    "finish_chunk": lambda jobs: jobs.finish_chunk(a_tiling_job(), a_record(0)),
    "chunk_records": lambda jobs: jobs.chunk_records(a_tiling_job()),
    "record_transient_error": lambda jobs: jobs.record_transient_error(a_tiling_job(), BUSY),
    "count_rescue": lambda jobs: jobs.count_rescue(a_job(), now=1.0),
    "schedule_cleanup": lambda jobs: jobs.schedule_cleanup("0" * 32, 1.0),
    "list": lambda jobs: jobs.list(state=None, session=None, cursor=None, limit=5),
    "count": lambda jobs: jobs.count(State.DONE, limit=5),
    "silent": lambda jobs: jobs.silent(State.TILING, before=1.0, limit=5),
    "subscribe": lambda jobs: jobs.subscribe(a_job(), Subscriber("https://example.org/", 1)),
    "pending_notifications": lambda jobs: jobs.pending_notifications(before=1.0, limit=5),
    "acknowledge": lambda jobs: jobs.acknowledge(PendingNotification(job="0" * 32, attempt=1), subscribers=0),
    "due_for_cleanup": lambda jobs: jobs.due_for_cleanup(now=1.0, limit=5),
}


@pytest.mark.parametrize("call", EVERY_CALL.values(), ids=EVERY_CALL.keys())
def test_a_throttled_table_asks_for_patience(dynamodb: Any, jobs: JobTable, call: Callable[[JobTable], Any]) -> None:
    _fail_with(dynamodb, _refusing(400, "ProvisionedThroughputExceededException"))
    with pytest.raises(AwsUnavailableError, match="told so"):
        call(jobs)


@pytest.mark.parametrize(
    "error",
    [
        _refusing(500, "InternalServerError"),
        _refusing(503, "SomethingNew"),
        _refusing(400, "ThrottlingException"),
        _raising(ReadTimeoutError(endpoint_url="http://table")),
        _raising(EndpointConnectionError(endpoint_url="http://table")),
    ],
    ids=["internal", "any 5xx", "throttling", "timeout", "connection"],
)
def test_a_table_that_is_away_asks_for_patience_and_names_the_job(
    dynamodb: Any, jobs: JobTable, error: Callable[[Any], Any]
) -> None:
    _fail_with(dynamodb, error)
    with pytest.raises(AwsUnavailableError, match="job 0123") as busy:
        jobs.get("0123")
    assert busy.value.__cause__ is not None


def test_a_fault_of_our_own_is_not_called_patience(dynamodb: Any, jobs: JobTable) -> None:
    _fail_with(dynamodb, _refusing(400, "ValidationException"))
    with pytest.raises(ClientError, match="told so"):
        jobs.create(a_job())


def test_a_job_with_the_longest_story_fits_into_an_item(jobs: JobTable) -> None:
    endless = Problem(code="internal", message="ä" * 100_000, hint="Look at the log.")
    recorded = Attempt(attempt=1, started_at=1.0, ended_at=2.0, outcome=State.FAILED, error=endless)
    job = an_ended_job(
        error=endless,
        last_transient_error=endless,
        history=(recorded,) * 20,
        chunks_total=20_000,
        chunks_done=frozenset(range(20_000)),
    )
    jobs.create(job)
    stored = jobs.get(job.id)
    assert stored is not None
    assert stored.error is not None
    assert stored.error.message == "ä" * 1999 + "…"
    assert stored.chunks_done == job.chunks_done
    assert [attempt.error for attempt in stored.history] == [stored.error] * 20


def test_a_listing_goes_on_where_the_table_broke_off(dynamodb: Any, jobs: JobTable) -> None:
    keys = [f"{number:02}.svs" for number in range(12)]
    for number, key in enumerate(keys):
        jobs.create(a_job(key, now=1700000000.0 + number, state=State.DONE if number in (0, 11) else State.QUEUED))

    def break_off(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**params, "Limit": 2}

    dynamodb.meta.events.register("provide-client-params.dynamodb.Query", break_off)
    page = jobs.list(state=State.DONE, session=a_job().destination.session, cursor=None, limit=5)
    assert [job.source.key for job in page.jobs] == ["11.svs", "00.svs"]
    assert page.cursor is None
    job = a_tiling_job("many.svs", chunks_total=5)
    jobs.create(job)
    for number in range(5):
        jobs.finish_chunk(job, a_record(number))
    assert [record.number for record in jobs.chunk_records(job)] == [0, 1, 2, 3, 4]


def test_a_call_looks_at_a_bounded_number_of_jobs_and_its_cursor_goes_on_behind_them(
    dynamodb: Any, jobs: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.adapters.dynamodb.listings.MAX_SCANNED", 7)
    for number in range(20):
        state = State.FAILED if number % 2 else State.DONE
        jobs.create(a_job(f"{number}.svs", now=1700000000.0 + number, state=state))
    looked_at: list[int] = []
    dynamodb.meta.events.register(
        "after-call.dynamodb.Query", lambda parsed, **_: looked_at.append(parsed["ScannedCount"])
    )
    for only in (JobFilter(text="0.svs"), JobFilter(text="0.svs", states=frozenset({State.FAILED, State.DONE}))):
        found, calls, cursor = [], 0, None
        while calls == 0 or cursor is not None:
            looked_at.clear()
            page = jobs.list(state=None, session=None, cursor=cursor, limit=5, only=only)
            assert sum(looked_at) <= 7
            found += [job.source.key for job in page.jobs]
            cursor, calls = page.cursor, calls + 1
        assert found == ["10.svs", "0.svs"]
        assert calls > 2


def test_a_count_goes_on_where_the_table_broke_off(dynamodb: Any, jobs: JobTable) -> None:
    for number in range(7):
        jobs.create(a_job(f"{number}.svs", now=1700000000.0 + number))
    dynamodb.meta.events.register(
        "provide-client-params.dynamodb.Query", lambda params, **_: {**params, "Limit": min(2, params["Limit"])}
    )
    assert [jobs.count(State.QUEUED, limit=most) for most in (3, 7, 9)] == [3, 7, 7]
