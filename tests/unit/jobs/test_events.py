"""What is told of a job's changes."""

from dataclasses import replace

import pytest

from chalicelib.core.jobs.events import (
    CHUNK_LINES,
    HAPPENINGS,
    MAX_MESSAGE,
    TROUBLED_CHUNKS,
    of_chunk,
    of_move,
    of_new,
    of_rescue,
    of_trouble,
)
from chalicelib.core.jobs.model import ENDED, LEGAL_MOVES, LIVE, Problem, State
from chalicelib.core.jobs.verification import Findings, Target
from tests.contracts.samples import BUSY, a_job, a_record, a_tiling_job, an_ended_job

AT = 1700000100.0


@pytest.mark.parametrize("was", sorted(LIVE))
def test_every_move_of_a_live_job_is_told(was: State) -> None:
    for now in LEGAL_MOVES[was]:
        told = of_move(a_job(state=was), a_job(state=now), at=AT)
        assert told is not None
        assert told.event in HAPPENINGS
        assert (told.at, told.attempt, told.job) == (AT, 1, a_job().id)


@pytest.mark.parametrize(
    ("state", "event"),
    [("done", "published"), ("failed", "failed"), ("cancelled", "cancelled"), ("superseded", "superseded")],
)
def test_how_an_attempt_ended_is_told_with_its_reason(state: str, event: str) -> None:
    error = None if state in ("done", "cancelled") else BUSY
    told = of_move(a_tiling_job(), a_tiling_job(state=State(state), error=error, tiles_bad=2), at=AT)
    assert told is not None
    assert (told.event, told.code, told.hint) == (event, error and error.code, error and error.hint)
    assert told.seconds == pytest.approx(AT - a_job().started_at)


def test_the_message_of_a_line_is_short() -> None:
    told = of_trouble(a_job(), replace(BUSY, message="x" * 9000, hint="y" * 9000), chunk=None, at=AT)
    assert told is not None
    assert (told.message, told.hint) == ("x" * MAX_MESSAGE, "y" * MAX_MESSAGE)


@pytest.mark.parametrize(("state", "event"), [(State.QUEUED, "submitted"), (State.FAILED, "failed")])
def test_a_job_is_new_or_was_refused_on_its_arrival(state: State, event: str) -> None:
    assert of_new(a_job(state=state, error=BUSY), at=AT).event == event


@pytest.mark.parametrize("was", sorted(ENDED))
def test_the_next_attempt_says_after_what(was: State) -> None:
    told = of_move(an_ended_job(state=was), a_job(attempt=2), at=AT)
    assert told is not None
    assert (told.event, told.attempt, told.message) == ("again", 2, f"after {was}")
    anew = of_move(an_ended_job(state=was), a_job(attempt=2, generation=1), at=AT)
    assert anew is not None
    assert anew.message == f"after {was}, from the beginning"


def test_the_sweeper_tells_of_what_it_drops_and_not_of_its_looks() -> None:
    failed = an_ended_job()
    told = of_move(failed, replace(failed, generation=1, discarded=(0,)), at=AT)
    assert told is not None
    assert (told.event, told.message) == ("swept", "what generation 0 had staged is dropped")
    assert of_move(failed, replace(failed, sweep_at=None), at=AT) is None


def test_the_chunks_of_a_slide_are_told_one_by_one() -> None:
    record = replace(a_record(1), seconds=1.5)
    told = of_chunk(a_tiling_job(chunks_done=frozenset({0, 1})), record, at=AT)
    assert told is not None
    assert (told.chunk, told.chunks, told.tiles, told.source_bytes, told.seconds) == (1, 2, 10, 1000, 1.5)


@pytest.mark.parametrize("total", [1, CHUNK_LINES, CHUNK_LINES + 1, 9_999])
def test_of_very_many_chunks_a_bounded_number_is_told_and_the_last(total: int) -> None:
    done = [of_chunk(_with_done(total, count), a_record(count), at=AT) for count in range(1, total + 1)]
    told = [each for each in done if each is not None]
    assert min(total, CHUNK_LINES // 2) <= len(told) <= CHUNK_LINES + 1
    assert told[-1].chunks == total


def _with_done(total: int, count: int):  # type: ignore[no-untyped-def]
    class Many(frozenset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return count

    return a_tiling_job(chunks_total=total, chunks_done=Many())


def test_an_error_that_all_chunks_meet_is_told_for_some() -> None:
    job = a_tiling_job(chunks_total=9_999)
    first = of_trouble(job, BUSY, chunk=7, at=AT)
    assert first is not None
    assert (first.event, first.chunk, first.code) == ("trouble", 7, BUSY.code)
    troubled = replace(job, trouble=BUSY)
    told = [of_trouble(troubled, BUSY, chunk=chunk, at=AT) for chunk in range(9_999)]
    assert 0 < sum(each is not None for each in told) <= TROUBLED_CHUNKS
    # Another one is news, and so is what happens to a step that is no chunk.
    assert of_trouble(troubled, Problem(code="other", message="", hint=""), chunk=7, at=AT) is not None
    assert of_trouble(troubled, BUSY, chunk=None, at=AT) is not None


def test_every_error_of_a_small_slide_is_told() -> None:
    assert all(of_trouble(a_tiling_job(trouble=BUSY), BUSY, chunk=chunk, at=AT) for chunk in range(3))


def test_a_rescue_says_from_where_and_how_often() -> None:
    told = of_rescue(a_tiling_job(rescues=2), at=AT)
    assert (told.event, told.message) == ("rescued", "tiling and silent: sent again, for the 3. time")


@pytest.mark.parametrize(
    ("findings", "message"),
    [(Findings(), "intact"), (Findings(missing=2, doubled=1), "2 missing, 1 doubled"), (Findings(unexpected=3), "3 unexpected")],
)  # fmt: skip
def test_a_verification_tells_what_it_found(findings: Findings, message: str) -> None:
    target = Target(job="0" * 32, attempt=1, image="0" * 24, repair=False)
    job = a_job(state=State.FINISHING, verifies=target)
    told = of_move(job, replace(job, state=State.DONE, findings=findings), at=AT)
    assert told is not None
    assert (told.event, told.message) == ("verified", message)
