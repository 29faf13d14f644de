"""The job table: what every implementation of ports.Jobs promises."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.dynamodb.jobs import JobTable
from chalicelib.adapters.event_recording import EventRecordingJobs
from chalicelib.adapters.memory import MemoryClock, MemoryEvents, MemoryJobs
from chalicelib.core.errors import InvalidRequestError
from chalicelib.core.jobs.filter import JobFilter
from chalicelib.core.jobs.model import Attempt, LevelSummary, Options, Problem, Published, State, Subscriber
from chalicelib.core.jobs.transitions import cleaned_up, discarding
from chalicelib.ports.jobs import Jobs
from tests.contracts.samples import (
    BUSY,
    COLLECTION,
    OTHER_COLLECTION,
    OTHER_SESSION,
    SESSION,
    a_job,
    a_record,
    a_source,
    a_tiling_job,
    an_ended_job,
)


@pytest.fixture(params=["memory", "recorded", "dynamodb"])
def jobs(request: pytest.FixtureRequest) -> Jobs:
    if request.param == "memory":
        return MemoryJobs()
    if request.param == "recorded":
        return EventRecordingJobs(MemoryJobs(), MemoryEvents(), clock=MemoryClock(), worker="")
    return JobTable(request.getfixturevalue("dynamodb"), "jobs", stores_notifications=True)


AtOnce = Callable[[list[Callable[[], Any]]], list[Any]]


# -- one job ----------------------------------------------------------------------------------------------------------


def test_a_new_job_is_stored_and_returned_as_it_was_given(jobs: Jobs) -> None:
    job = a_job()
    assert jobs.create(job) == job
    assert jobs.get(job.id) == job


def test_a_job_with_every_field_filled_comes_back_equal(jobs: Jobs) -> None:
    full = replace(
        a_job(mongo_collection="0000000000000000000a0001"),
        options=Options(tile_size=512, base_only=True, overwrite=True),
        state=State.FAILED,
        attempt=3,
        generation=2,
        ended_at=1700000200.000001,
        plan_digest="ab" * 16,
        tile_size_px=240,
        levels=(
            LevelSummary(
                level=0, width_px=2220, height_px=2967, columns=10, rows=13, tiles=130, sparse=0, method="passthrough"
            ),
            LevelSummary(
                level=1, width_px=1110, height_px=1484, columns=5, rows=7, tiles=34, sparse=1, method="downsampled"
            ),
        ),
        chunks_total=7,
        chunks_done=frozenset({0, 3, 6}),
        tiles_total=164,
        tiles_done=90,
        bytes_total=5_000_000_000,
        bytes_done=1_234_567,
        tiling_at=1700000010.1,
        rescues=4,
        last_transient_error=BUSY,
        error=Problem(code="corrupt_tile", message="tile (3, 4) of level 0 is damaged – «ü»", hint=""),
        history=(
            Attempt(attempt=1, started_at=0.1, ended_at=0.30000000000000004, outcome=State.CANCELLED),
            Attempt(attempt=2, started_at=1e-7, ended_at=1e15, outcome=State.FAILED, error=BUSY),
        ),
        published=Published(image="0" * 24, view="1" * 24, image_store="2" * 24, database="tiles"),
        cleanup_at=1700003600.9,
        discarded=(0, 1),
        subscribers=(Subscriber("https://example.org/hook?ä=1", 2),),
    )
    jobs.create(full)
    stored = jobs.get(full.id)
    assert stored == full
    assert stored is not None
    assert type(stored.updated_at) is float
    assert type(stored.tiles_done) is int


def test_creating_a_job_that_exists_returns_the_stored_one_and_changes_nothing(jobs: Jobs) -> None:
    job = a_job(now=100.0)
    started = replace(job, state=State.PLANNING, updated_at=101.0)
    jobs.create(job)
    jobs.move(job, started)
    assert jobs.create(a_job(now=200.0)) == started
    assert jobs.get(job.id) == started


def test_of_twenty_who_create_a_job_at_once_one_succeeds_and_all_see_the_same(jobs: Jobs, at_once: AtOnce) -> None:
    asked = [a_job(now=100.0 + second) for second in range(20)]
    assert len({job.id for job in asked}) == 1
    answers = at_once([lambda job=job: jobs.create(job) for job in asked])
    assert len(set(answers)) == 1
    assert jobs.get(asked[0].id) == answers[0]


def test_an_unknown_job_is_none(jobs: Jobs) -> None:
    assert jobs.get("0" * 32) is None


# -- moves ------------------------------------------------------------------------------------------------------------


def test_a_move_is_stored(jobs: Jobs) -> None:
    job = a_job()
    started = replace(job, state=State.PLANNING, updated_at=job.updated_at + 1)
    jobs.create(job)
    assert jobs.move(job, started)
    assert jobs.get(job.id) == started


def test_a_move_takes_away_what_is_no_longer_so(jobs: Jobs) -> None:
    ended = an_ended_job(error=BUSY, last_transient_error=BUSY, cleanup_at=1700003600.0, discarded=(0,))
    again = replace(
        ended,
        state=State.QUEUED,
        attempt=2,
        ended_at=None,
        error=None,
        last_transient_error=None,
        cleanup_at=None,
        discarded=(),
    )
    jobs.create(ended)
    assert jobs.move(ended, again)
    assert jobs.get(ended.id) == again
    assert jobs.due_for_cleanup(now=1e11, limit=10) == ()


def test_of_many_moves_from_the_same_state_one_wins(jobs: Jobs, at_once: AtOnce) -> None:
    job = a_job()
    jobs.create(job)
    moves = [
        replace(job, state=state, updated_at=job.updated_at + number)
        for number, state in enumerate([State.PLANNING, State.CANCELLED, State.FAILED, State.SUPERSEDED])
    ]
    won = at_once([lambda now=now: jobs.move(job, now) for now in moves])
    assert won.count(True) == 1
    assert jobs.get(job.id) == moves[won.index(True)]


@pytest.mark.parametrize(
    "elsewhere", [{"state": State.CANCELLED}, {"attempt": 2}, {"generation": 1}], ids=["state", "attempt", "generation"]
)
def test_a_move_from_where_the_job_is_not_changes_nothing(jobs: Jobs, elsewhere: dict[str, Any]) -> None:
    job = a_job()
    stored = replace(job, **elsewhere)
    jobs.create(stored)
    assert not jobs.move(job, replace(job, state=State.PLANNING))
    assert jobs.get(job.id) == stored


def test_a_move_of_an_unknown_job_makes_none(jobs: Jobs) -> None:
    job = a_job()
    assert not jobs.move(job, replace(job, state=State.PLANNING))
    assert jobs.get(job.id) is None


def test_a_chunk_that_ends_between_reading_and_moving_is_not_forgotten(jobs: Jobs) -> None:
    read = a_tiling_job()
    jobs.create(read)
    jobs.finish_chunk(read, a_record(1))
    cancelled = replace(read, state=State.CANCELLED, ended_at=1700000060.0)
    assert jobs.move(read, cancelled)
    stored = jobs.get(read.id)
    assert stored == replace(cancelled, chunks_done=frozenset({1}), tiles_done=10, bytes_done=1000)


def test_a_move_that_begins_progress_anew_empties_it(jobs: Jobs) -> None:
    failed = an_ended_job(chunks_done=frozenset({0, 1}), tiles_done=20, bytes_done=2000, cleanup_at=1.0)
    given_up = discarding(failed, next_cleanup_at=2.0)
    jobs.create(failed)
    assert jobs.move(failed, given_up)
    assert jobs.get(failed.id) == given_up


# -- chunks -----------------------------------------------------------------------------------------------------------


def test_a_finished_chunk_is_progress(jobs: Jobs) -> None:
    job = a_tiling_job(rescues=3)
    jobs.create(job)
    after = jobs.finish_chunk(job, a_record(2, tiles=7, source_bytes=900, at=1700000051.5))
    expected = replace(
        job, chunks_done=frozenset({2}), tiles_done=7, bytes_done=900, rescues=0, updated_at=1700000051.5
    )
    assert after == expected
    assert jobs.get(job.id) == expected


def test_a_chunk_finished_twice_is_counted_once(jobs: Jobs) -> None:
    job = a_tiling_job()
    jobs.create(job)
    first = jobs.finish_chunk(job, a_record(0))
    second = jobs.finish_chunk(job, a_record(0, at=1700000099.0))
    assert first is not None
    assert second == first
    assert jobs.get(job.id) == first
    assert [record.number for record in jobs.chunk_records(job)] == [0]


def test_chunks_that_end_at_once_are_all_counted(jobs: Jobs, at_once: AtOnce) -> None:
    job = a_tiling_job(chunks_total=8)
    jobs.create(job)
    answers = at_once([lambda number=number: jobs.finish_chunk(job, a_record(number % 8)) for number in range(16)])
    stored = jobs.get(job.id)
    assert None not in answers
    assert stored is not None
    assert stored.chunks_done == frozenset(range(8))
    assert (stored.tiles_done, stored.bytes_done) == (80, 8000)
    assert any(answer.all_chunks_done for answer in answers)


@pytest.mark.parametrize(
    "elsewhere", [{"state": State.CANCELLED}, {"attempt": 2}, {"generation": 1}], ids=["state", "attempt", "generation"]
)
def test_a_chunk_of_another_state_attempt_or_generation_changes_nothing(jobs: Jobs, elsewhere: dict[str, Any]) -> None:
    known_to_worker = a_tiling_job()
    stored = replace(known_to_worker, **elsewhere)
    jobs.create(stored)
    assert jobs.finish_chunk(known_to_worker, a_record(0)) is None
    assert jobs.get(stored.id) == stored
    assert jobs.chunk_records(stored) == ()


def test_a_chunk_repeated_after_the_job_left_tiling_returns_none(jobs: Jobs) -> None:
    job = a_tiling_job()
    jobs.create(job)
    after = jobs.finish_chunk(job, a_record(0))
    assert after is not None
    jobs.move(after, replace(after, state=State.FINISHING))
    assert jobs.finish_chunk(job, a_record(0)) is None


def test_a_chunk_of_an_unknown_job_makes_none(jobs: Jobs) -> None:
    job = a_tiling_job()
    assert jobs.finish_chunk(job, a_record(0)) is None
    assert jobs.get(job.id) is None
    assert jobs.chunk_records(job) == ()


def test_records_come_back_by_number_with_their_whole_digest(jobs: Jobs) -> None:
    job = a_tiling_job(chunks_total=11)
    jobs.create(job)
    for number in (10, 2, 0):
        jobs.finish_chunk(job, a_record(number))
    assert jobs.chunk_records(job) == (a_record(0), a_record(2), a_record(10))


def test_records_of_a_given_up_generation_are_not_those_of_the_next(jobs: Jobs) -> None:
    job = a_tiling_job()
    jobs.create(job)
    jobs.finish_chunk(job, a_record(0))
    jobs.finish_chunk(job, a_record(1))
    failed = replace(job, state=State.FAILED, cleanup_at=1.0)
    jobs.move(job, failed)
    given_up = discarding(failed, next_cleanup_at=2.0)
    jobs.move(failed, given_up)
    again = replace(given_up, state=State.TILING, attempt=2, cleanup_at=None)
    jobs.move(given_up, again)
    assert jobs.finish_chunk(again, a_record(1, tiles=3)) is not None
    assert jobs.chunk_records(again) == (a_record(1, tiles=3),)
    assert jobs.chunk_records(job) == ()


def test_a_late_worker_of_an_earlier_attempt_leaves_the_record_of_the_later_one(jobs: Jobs) -> None:
    earlier = a_tiling_job()
    later = replace(earlier, attempt=2)
    jobs.create(later)
    jobs.finish_chunk(later, a_record(0, tiles=5))
    assert jobs.finish_chunk(earlier, a_record(0, tiles=99)) is None
    assert jobs.chunk_records(later) == (a_record(0, tiles=5),)


# -- notes ------------------------------------------------------------------------------------------------------------


def test_trouble_of_a_live_attempt_is_kept_and_is_no_progress(jobs: Jobs) -> None:
    job = a_tiling_job()
    jobs.create(job)
    jobs.record_transient_error(job, BUSY)
    assert jobs.get(job.id) == replace(job, last_transient_error=BUSY)


def test_trouble_of_an_ended_unknown_or_earlier_attempt_is_passed_over(jobs: Jobs) -> None:
    ended, later = an_ended_job("ended.svs"), a_tiling_job("later.svs", attempt=2)
    jobs.create(ended)
    jobs.create(later)
    jobs.record_transient_error(replace(ended, state=State.TILING), BUSY)
    jobs.record_transient_error(replace(later, attempt=1), BUSY)
    jobs.record_transient_error(a_job("unknown.svs"), BUSY)
    assert jobs.get(ended.id) == ended
    assert jobs.get(later.id) == later
    assert jobs.get(a_job("unknown.svs").id) is None


def test_a_rescue_is_counted(jobs: Jobs) -> None:
    job = a_job()
    jobs.create(job)
    assert jobs.count_rescue(job, now=1700000090.5)
    assert jobs.get(job.id) == replace(job, rescues=1, updated_at=1700000090.5)


def test_of_two_rescues_of_the_same_silence_one_counts(jobs: Jobs, at_once: AtOnce) -> None:
    job = a_job()
    jobs.create(job)
    assert sorted(at_once([lambda: jobs.count_rescue(job, now=1700000090.0)] * 2)) == [False, True]
    stored = jobs.get(job.id)
    assert stored is not None
    assert stored.rescues == 1


def test_a_job_that_moved_on_is_not_rescued(jobs: Jobs) -> None:
    job = a_job()
    moved = replace(job, state=State.PLANNING)
    jobs.create(moved)
    assert not jobs.count_rescue(job, now=1700000090.0)
    assert jobs.get(job.id) == moved


# -- sweeping ---------------------------------------------------------------------------------------------------------


def test_an_ended_job_is_swept_when_its_time_has_come(jobs: Jobs) -> None:
    job = an_ended_job()
    jobs.create(job)
    jobs.schedule_cleanup(job.id, 1700000200.5)
    assert jobs.get(job.id) == replace(job, cleanup_at=1700000200.5)
    assert jobs.due_for_cleanup(now=1700000200.0, limit=10) == ()
    assert jobs.due_for_cleanup(now=1700000200.5, limit=10) == (replace(job, cleanup_at=1700000200.5),)


def test_of_two_instants_for_the_sweeper_the_later_one_stands(jobs: Jobs) -> None:
    job = an_ended_job()
    jobs.create(job)
    for instant in (200.0, 100.0, 300.0, 250.0):
        jobs.schedule_cleanup(job.id, instant)
    assert jobs.get(job.id) == replace(job, cleanup_at=300.0)


def test_a_live_or_unknown_job_is_not_scheduled_for_sweeping(jobs: Jobs) -> None:
    job = a_tiling_job()
    jobs.create(job)
    jobs.schedule_cleanup(job.id, 1.0)
    jobs.schedule_cleanup("0" * 32, 1.0)
    assert jobs.get(job.id) == job
    assert jobs.get("0" * 32) is None
    assert jobs.due_for_cleanup(now=1e11, limit=10) == ()


def test_the_longest_due_are_swept_first(jobs: Jobs) -> None:
    for key, due in (("a.svs", 30.0), ("b.svs", 10.0), ("c.svs", 20.0)):
        jobs.create(an_ended_job(key, cleanup_at=due))
    assert [job.cleanup_at for job in jobs.due_for_cleanup(now=100.0, limit=2)] == [10.0, 20.0]


def test_a_swept_job_is_not_due_any_more(jobs: Jobs) -> None:
    job = an_ended_job(cleanup_at=10.0, discarded=(0,))
    jobs.create(job)
    assert jobs.move(job, cleaned_up(job))
    assert jobs.due_for_cleanup(now=100.0, limit=10) == ()


def test_a_sweep_asked_for_while_the_sweeper_looks_is_not_forgotten(jobs: Jobs) -> None:
    seen_by_sweeper = an_ended_job(state=State.DONE, cleanup_at=10.0)
    jobs.create(seen_by_sweeper)
    jobs.schedule_cleanup(seen_by_sweeper.id, 50.0)
    assert not jobs.move(seen_by_sweeper, cleaned_up(seen_by_sweeper))
    assert [job.cleanup_at for job in jobs.due_for_cleanup(now=100.0, limit=10)] == [50.0]


# -- listings ---------------------------------------------------------------------------------------------------------


def _pages(jobs: Jobs, limit: int, **which: Any) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        page = jobs.list(**{"state": None, "session": None, **which}, cursor=cursor, limit=limit)
        pages.append([job.source.key for job in page.jobs])
        cursor = page.cursor
        if cursor is None:
            return pages


def _ten_jobs(jobs: Jobs) -> None:
    """Slides 0 to 9, each a second after the one before; odd ones are done, 0 to 4 are in the other session."""
    for number in range(10):
        jobs.create(
            a_job(
                f"{number}.svs",
                session=OTHER_SESSION if number < 5 else SESSION,
                now=1700000000.0 + number,
                state=State.DONE if number % 2 else State.QUEUED,
            )
        )


def test_all_jobs_are_listed_newest_first_page_by_page(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    assert _pages(jobs, 4) == [
        ["9.svs", "8.svs", "7.svs", "6.svs"],
        ["5.svs", "4.svs", "3.svs", "2.svs"],
        ["1.svs", "0.svs"],
    ]


def test_the_last_full_page_has_no_cursor(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    assert [len(page) for page in _pages(jobs, 5)] == [5, 5]


def test_a_job_that_changes_is_the_newest(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    job = a_job("4.svs", session=OTHER_SESSION, now=1700000004.0)
    jobs.move(job, replace(job, state=State.PLANNING, updated_at=1700000100.0))
    assert _pages(jobs, 20)[0][:2] == ["4.svs", "9.svs"]


def test_jobs_are_listed_by_state(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    assert _pages(jobs, 3, state=State.DONE) == [["9.svs", "7.svs", "5.svs"], ["3.svs", "1.svs"]]
    assert _pages(jobs, 3, state=State.FAILED) == [[]]


def test_jobs_are_listed_by_session(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    assert _pages(jobs, 3, session=OTHER_SESSION) == [["4.svs", "3.svs", "2.svs"], ["1.svs", "0.svs"]]
    assert _pages(jobs, 3, session="0" * 24) == [[]]


def test_pages_of_a_session_and_a_state_are_full(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    assert _pages(jobs, 2, session=OTHER_SESSION, state=State.QUEUED) == [["4.svs", "2.svs"], ["0.svs"]]


def test_jobs_of_the_same_instant_are_each_listed_once(jobs: Jobs) -> None:
    for number in range(7):
        jobs.create(a_job(f"{number}.svs", now=1700000000.0))
    pages = _pages(jobs, 2)
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert sorted(key for page in pages for key in page) == [f"{number}.svs" for number in range(7)]


def test_a_job_without_a_session_is_listed_among_all(jobs: Jobs) -> None:
    jobs.create(an_ended_job("astray.svs", session=""))
    assert _pages(jobs, 5) == [["astray.svs"]]


def test_chunks_are_not_listed_as_jobs(jobs: Jobs) -> None:
    job = a_tiling_job()
    jobs.create(job)
    jobs.finish_chunk(job, a_record(0))
    assert _pages(jobs, 5) == [["slide.svs"]]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "not base64!",
        "ü",
        "W10",  # []
        "e30",  # {}
        "WyJyZWNlbnQiLCJqb2IiLDEuMCwiLi4vLi4iXQ",  # ["recent","job",1.0,"../.."]
        "WyJyZWNlbnQiLCJqb2IiLE5hTiwiMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAiXQ",  # NaN as its instant
        "W1tbW1tb" * 5000,
    ],
)
def test_a_damaged_cursor_is_refused(jobs: Jobs, cursor: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        jobs.list(state=None, session=None, cursor=cursor, limit=5)
    assert [problem.pointer for problem in refusal.value.problems] == ["/cursor"]


def test_a_cursor_of_another_listing_is_refused(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    cursor = jobs.list(state=State.DONE, session=None, cursor=None, limit=2).cursor
    with pytest.raises(InvalidRequestError):
        jobs.list(state=State.QUEUED, session=None, cursor=cursor, limit=2)
    with pytest.raises(InvalidRequestError):
        jobs.list(state=None, session=SESSION, cursor=cursor, limit=2)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ({"states": frozenset({State.DONE})}, "97531"),
        ({"states": frozenset({State.DONE, State.QUEUED})}, "9876543210"),
        ({"states": frozenset({State.DONE, State.FAILED})}, "97531"),
        ({"collections": frozenset({COLLECTION, OTHER_COLLECTION})}, "9876543210"),
        ({"collections": frozenset({OTHER_COLLECTION})}, ""),
        ({"hook": "upload"}, "9876543210"),
        ({"hook": "verify"}, ""),
        ({"text": "3.SVS"}, "3"),
        ({"text": ".sv"}, "9876543210"),
        ({"text": "slides/"}, ""),
        ({"text": "%"}, ""),
        ({"submitted_after": 1700000003.0, "submitted_before": 1700000006.0}, "543"),
        ({"submitted_after": 1700000007.5}, "98"),
        ({"submitted_before": 1700000002.0}, "10"),
        ({"submitted_after": 1700000005.0, "submitted_before": 1700000005.0}, ""),
        ({"submitted_after": 1700000006.0, "submitted_before": 1700000004.0}, ""),
        ({"submitted_after": 1700000004.0, "states": frozenset({State.DONE, State.QUEUED}), "text": "7.s"}, "7"),
    ],
)
@pytest.mark.no_cover  # it runs the same lines again and again
@pytest.mark.parametrize("session", [None, OTHER_SESSION])
@pytest.mark.parametrize("limit", [2, 20])
def test_only_what_is_wanted_is_listed(
    jobs: Jobs, only: dict[str, Any], expected: str, session: str | None, limit: int
) -> None:
    _ten_jobs(jobs)
    wanted = [f"{each}.svs" for each in expected if session is None or (int(each) < 5) is (session == OTHER_SESSION)]
    pages = _pages(jobs, limit, session=session, only=JobFilter(**only))
    assert [key for page in pages for key in page] == wanted
    assert all(len(page) == limit for page in pages[:-1])


def test_a_state_and_other_states_are_no_job(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    for session in (None, SESSION):
        assert _pages(jobs, 5, state=State.DONE, session=session, only=JobFilter(states=frozenset({State.QUEUED}))) == [
            []
        ]


def test_a_job_is_found_by_a_part_of_its_id(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    wanted = a_job("3.svs", session=OTHER_SESSION).id
    assert _pages(jobs, 5, only=JobFilter(text=wanted[8:24].upper())) == [["3.svs"]]


def test_what_was_submitted_early_and_changed_late_is_found_by_when_it_was_submitted(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    job = a_job("4.svs", session=OTHER_SESSION, now=1700000004.0)
    jobs.move(job, replace(job, state=State.PLANNING, updated_at=1700000100.0))
    assert _pages(jobs, 5, only=JobFilter(submitted_before=1700000005.0, submitted_after=1700000003.0)) == [
        ["4.svs", "3.svs"]
    ]


def test_jobs_of_one_instant_in_several_states_are_each_listed_once(jobs: Jobs) -> None:
    states = list(State)
    for number in range(16):
        jobs.create(a_job(f"{number}.svs", now=1700000000.0, state=states[number % 8]))
    pages = _pages(jobs, 3, only=JobFilter(states=frozenset(states)))
    assert sorted(key for page in pages for key in page) == sorted(f"{number}.svs" for number in range(16))


def test_a_cursor_of_several_states_goes_on_in_each_and_in_no_other(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    both = JobFilter(states=frozenset({State.DONE, State.QUEUED}))
    cursor = jobs.list(state=None, session=None, cursor=None, limit=3, only=both).cursor
    jobs.create(a_job("new.svs", now=1700000050.0, state=State.DONE))
    page = jobs.list(state=None, session=None, cursor=cursor, limit=3, only=both)
    assert [job.source.key for job in page.jobs] == ["6.svs", "5.svs", "4.svs"]
    with pytest.raises(InvalidRequestError):
        jobs.list(state=State.FAILED, session=None, cursor=cursor, limit=3)


@pytest.mark.parametrize("other", [State.QUEUED, State.FAILED], ids=["a state with jobs", "a state without"])
def test_a_job_that_changes_meanwhile_comes_on_no_later_page_of_several_states(jobs: Jobs, other: State) -> None:
    _ten_jobs(jobs)
    both = JobFilter(states=frozenset({State.DONE, other}))
    first = jobs.list(state=None, session=None, cursor=None, limit=1, only=both)
    assert [job.source.key for job in first.jobs] == ["9.svs"]
    assert jobs.move(first.jobs[0], replace(first.jobs[0], state=other, updated_at=1700000100.0))
    page = jobs.list(state=None, session=None, cursor=first.cursor, limit=2, only=both)
    expected = ["8.svs", "7.svs"] if other is State.QUEUED else ["7.svs", "5.svs"]
    assert [job.source.key for job in page.jobs] == expected


def test_pages_of_several_states_go_on_when_one_of_them_has_no_more(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    only = JobFilter(states=frozenset({State.DONE, State.FAILED}), submitted_after=1700000002.0)
    assert _pages(jobs, 2, only=only) == [["9.svs", "7.svs"], ["5.svs", "3.svs"]]


@pytest.mark.parametrize("states", [frozenset[State](), frozenset({State.DONE, State.QUEUED})])
@pytest.mark.parametrize("session", [None, OTHER_SESSION])
def test_a_listing_goes_on_also_within_other_bounds(jobs: Jobs, states: frozenset[State], session: str | None) -> None:
    _ten_jobs(jobs)
    cursor = jobs.list(state=None, session=session, cursor=None, limit=2, only=JobFilter(states=states)).cursor

    def page(**bounds: float) -> list[str]:
        only = JobFilter(states=states, **bounds)
        found = jobs.list(state=None, session=session, cursor=cursor, limit=9, only=only)
        return [job.source.key for job in found.jobs]

    assert page(submitted_after=1700000009.0) == []
    assert page(submitted_before=1700000002.0) == ["1.svs", "0.svs"]
    assert page(submitted_after=1700000001.0, submitted_before=1700000002.0) == ["1.svs"]


def test_jobs_are_counted_up_to_a_bound(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    assert [jobs.count(State.DONE, limit=most) for most in (1, 4, 5, 6, 100)] == [1, 4, 5, 5, 5]
    assert jobs.count(State.FAILED, limit=3) == 0
    job = a_job("4.svs", session=OTHER_SESSION, now=1700000004.0)
    jobs.move(job, replace(job, state=State.FAILED, updated_at=1700000100.0))
    assert (jobs.count(State.QUEUED, limit=100), jobs.count(State.FAILED, limit=100)) == (4, 1)


def test_the_longest_silent_jobs_of_a_state_come_first(jobs: Jobs) -> None:
    _ten_jobs(jobs)
    found = jobs.silent(State.QUEUED, before=1700000006.0, limit=2)
    assert [job.source.key for job in found] == ["0.svs", "2.svs"]
    found = jobs.silent(State.QUEUED, before=1700000006.0, limit=10)
    assert [job.source.key for job in found] == ["0.svs", "2.svs", "4.svs"]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_silent_jobs_are_told_page_by_page_none_twice_and_none_left_out(jobs: Jobs, limit: int) -> None:
    made = {jobs.create(a_job(f"{number}.svs", updated_at=100.5 + number // 3)).id for number in range(7)}
    jobs.create(a_job("later.svs", updated_at=200.0))
    found: list[str] = []
    last = None
    while page := jobs.silent(State.QUEUED, before=200.0, limit=limit, after=last):
        found += [job.id for job in page]
        last = page[-1]
        # Who was rescued is elsewhere by now: the next page begins behind where it was.
        assert jobs.count_rescue(last, now=300.0)
    assert len(found) == len(made) == 7
    assert set(found) == made


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_jobs_that_are_due_for_the_sweeper_are_told_page_by_page(jobs: Jobs, limit: int) -> None:
    for number in range(7):
        jobs.create(an_ended_job(f"{number}.svs", cleanup_at=100.5 + number // 3))
    jobs.create(an_ended_job("later.svs", cleanup_at=200.0))
    found: list[Any] = []
    while page := jobs.due_for_cleanup(now=150.0, limit=limit, after=found[-1] if found else None):
        found += page
    assert [job.cleanup_at for job in found] == [100.5] * 3 + [101.5] * 3 + [102.5]
    assert len({job.id for job in found}) == 7


def test_another_source_is_another_job(jobs: Jobs) -> None:
    one, other = a_job(source=a_source(etag='"one"')), a_job(source=a_source(etag='"two"'))
    jobs.create(one)
    assert jobs.create(other) == other
    assert jobs.get(one.id) == one
