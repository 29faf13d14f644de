"""Events of the transitions of a job."""

from dataclasses import replace

import pytest

from chalicelib.core.jobs.events import (
    EVENT_NAMES,
    MAX_CHUNK_EVENTS,
    MAX_ERROR_EVENTS,
    MAX_MESSAGE,
    chunk_event,
    move_event,
    new_job_event,
    rescue_event,
    transient_error_event,
)
from chalicelib.core.jobs.model import ENDED, LIVE, Job, Problem, State
from chalicelib.core.jobs.transitions import LEGAL_MOVES
from chalicelib.core.jobs.verification import Findings, Target
from tests.contracts.samples import BUSY, a_job, a_record, a_tiling_job, an_ended_job

AT = 1700000100.0


@pytest.mark.parametrize("was", sorted(LIVE))
def test_every_transition_of_live_job_has_an_event(was: State) -> None:
    for now in LEGAL_MOVES[was]:
        recorded = move_event(a_job(state=was), a_job(state=now), at=AT)
        assert recorded is not None
        assert recorded.event in EVENT_NAMES
        assert (recorded.at, recorded.attempt, recorded.job) == (AT, 1, a_job().id)


@pytest.mark.parametrize(
    ("state", "event"),
    [("done", "published"), ("failed", "failed"), ("cancelled", "cancelled"), ("superseded", "superseded")],
)
def test_event_of_ended_attempt_contains_reason(state: str, event: str) -> None:
    error = None if state in ("done", "cancelled") else BUSY
    recorded = move_event(a_tiling_job(), a_tiling_job(state=State(state), error=error, tiles_bad=2), at=AT)
    assert recorded is not None
    assert (recorded.event, recorded.code, recorded.hint) == (event, error and error.code, error and error.hint)
    assert recorded.seconds == pytest.approx(AT - a_job().started_at)


def test_event_message_is_shortened() -> None:
    recorded = transient_error_event(a_job(), replace(BUSY, message="x" * 9000, hint="y" * 9000), chunk=None, at=AT)
    assert recorded is not None
    assert (recorded.message, recorded.hint) == ("x" * MAX_MESSAGE, "y" * MAX_MESSAGE)


@pytest.mark.parametrize(("state", "event"), [(State.QUEUED, "submitted"), (State.FAILED, "failed")])
def test_new_job_event_is_submitted_or_failed(state: State, event: str) -> None:
    assert new_job_event(a_job(state=state, error=BUSY), at=AT).event == event


@pytest.mark.parametrize("was", sorted(ENDED))
def test_requeued_event_names_previous_outcome(was: State) -> None:
    recorded = move_event(an_ended_job(state=was), a_job(attempt=2), at=AT)
    assert recorded is not None
    assert (recorded.event, recorded.attempt, recorded.message) == ("requeued", 2, f"after {was}")
    restarted = move_event(an_ended_job(state=was), a_job(attempt=2, generation=1), at=AT)
    assert restarted is not None
    assert restarted.message == f"after {was}, from the beginning"


def test_cleanup_event_is_recorded_only_when_tiles_are_discarded() -> None:
    failed = an_ended_job()
    recorded = move_event(failed, replace(failed, generation=1, discarded=(0,)), at=AT)
    assert recorded is not None
    assert (recorded.event, recorded.message) == ("cleaned_up", "the staged tiles of generation 0 are discarded")
    assert move_event(failed, replace(failed, cleanup_at=None), at=AT) is None


def test_every_chunk_of_small_slide_has_an_event() -> None:
    record = replace(a_record(1), seconds=1.5)
    recorded = chunk_event(a_tiling_job(chunks_done=frozenset({0, 1})), record, at=AT)
    assert recorded is not None
    assert (recorded.chunk, recorded.chunks, recorded.tiles, recorded.source_bytes, recorded.seconds) == (
        1,
        2,
        10,
        1000,
        1.5,
    )


@pytest.mark.parametrize("total", [1, MAX_CHUNK_EVENTS, MAX_CHUNK_EVENTS + 1, 9_999])
def test_chunk_events_of_large_slide_are_bounded_and_include_last(total: int) -> None:
    done = [chunk_event(_with_done(total, count), a_record(count), at=AT) for count in range(1, total + 1)]
    recorded = [each for each in done if each is not None]
    assert min(total, MAX_CHUNK_EVENTS // 2) <= len(recorded) <= MAX_CHUNK_EVENTS + 1
    assert recorded[-1].chunks == total


def _with_done(total: int, count: int) -> Job:
    class Many(frozenset[int]):
        def __len__(self) -> int:
            return count

    return a_tiling_job(chunks_total=total, chunks_done=Many())


def test_repeated_error_of_many_chunks_is_sampled() -> None:
    job = a_tiling_job(chunks_total=9_999)
    first = transient_error_event(job, BUSY, chunk=7, at=AT)
    assert first is not None
    assert (first.event, first.chunk, first.code) == ("transient_error", 7, BUSY.code)
    with_error = replace(job, last_transient_error=BUSY)
    recorded = [transient_error_event(with_error, BUSY, chunk=chunk, at=AT) for chunk in range(9_999)]
    assert 0 < sum(each is not None for each in recorded) <= MAX_ERROR_EVENTS
    # Another error is recorded, and so is an error of another step.
    assert transient_error_event(with_error, Problem(code="other", message="", hint=""), chunk=7, at=AT) is not None
    assert transient_error_event(with_error, BUSY, chunk=None, at=AT) is not None


def test_every_error_of_small_slide_has_an_event() -> None:
    assert all(
        transient_error_event(a_tiling_job(last_transient_error=BUSY), BUSY, chunk=chunk, at=AT) for chunk in range(3)
    )


def test_rescue_event_contains_state_and_count() -> None:
    recorded = rescue_event(a_tiling_job(rescues=2), at=AT)
    assert (recorded.event, recorded.message) == ("rescued", "silent in state tiling: messages sent again (3)")


@pytest.mark.parametrize(
    ("findings", "message"),
    [(Findings(), "intact"), (Findings(missing=2, doubled=1), "2 missing, 1 doubled"), (Findings(unexpected=3), "3 unexpected")],
)  # fmt: skip
def test_verified_event_contains_findings(findings: Findings, message: str) -> None:
    target = Target(job="0" * 32, attempt=1, image="0" * 24, repair=False)
    job = a_job(state=State.FINISHING, verifies=target)
    recorded = move_event(job, replace(job, state=State.DONE, findings=findings), at=AT)
    assert recorded is not None
    assert (recorded.event, recorded.message) == ("verified", message)
