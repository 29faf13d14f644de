from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import CorruptTileError, NoSuchSourceError
from chalicelib.core.jobs import model
from chalicelib.core.jobs import transitions as moves
from chalicelib.core.jobs.backoff import retry_after_seconds, silence_seconds
from chalicelib.core.jobs.model import (
    ENDED,
    LIVE,
    Destination,
    Job,
    LevelSummary,
    Options,
    Problem,
    Published,
    SlideSummary,
    State,
)
from chalicelib.core.jobs.source import Source
from chalicelib.core.jobs.transitions import LEGAL_MOVES, IllegalMoveError
from chalicelib.core.plan.chunks import Chunk, Plan
from chalicelib.core.plan.messages import Message, messages_for, pixels_key, plan_key, records_key

SOURCE = Source(bucket="b", key="f/a.svs", etag='"1"', size_bytes=10, last_modified_at=1000.0)
PLACE = Destination(collection="c" * 24, session="5" * 24, image_store="1" * 24, database="slides")
LEVELS = (
    LevelSummary(
        level=0, width_px=2220, height_px=2967, columns=10, rows=13, tiles=130, sparse=0, method="passthrough"
    ),
    LevelSummary(level=1, width_px=1110, height_px=1484, columns=5, rows=7, tiles=35, sparse=0, method="downsampled"),
)
ERROR = Problem(code="x", message="m", hint="h")


def queued(**changes: Any) -> Job:
    return replace(model.new_job("upload", SOURCE, PLACE, Options(), now=5.0), **changes)


def tiling(job: Job, digest: str = "d") -> Job:
    return moves.tiling(
        job,
        plan_digest=digest,
        tile_size_px=240,
        levels=LEVELS,
        chunks_total=2,
        tiles_total=165,
        bytes_total=9,
        slide=SlideSummary(mpp_x=0.5),
        now=8.0,
    )


def test_job_id_depends_on_source_destination_and_options() -> None:
    job = queued()
    assert len(job.id) == 32
    assert (
        model.new_job("upload", replace(SOURCE, version_id="v", last_modified_at=9.0), PLACE, Options(), now=77.0).id
        == job.id
    )
    assert (
        model.new_job("upload", SOURCE, replace(PLACE, database="other", image_store="2" * 24), Options(), now=5.0).id
        == job.id
    )
    others = [
        ("verify", SOURCE, PLACE, Options()),
        ("upload", replace(SOURCE, etag='"2"'), PLACE, Options()),
        ("upload", replace(SOURCE, key="f/b.svs"), PLACE, Options()),
        ("upload", SOURCE, replace(PLACE, session="6" * 24), Options()),
        ("upload", SOURCE, replace(PLACE, mongo_collection="7" * 24), Options()),
        ("upload", SOURCE, PLACE, Options(base_only=True)),
        ("upload", SOURCE, PLACE, Options(overwrite=True)),
        ("upload", SOURCE, PLACE, Options(tile_size=240)),
    ]
    assert len({job.id, *(model.job_id(*other) for other in others)}) == 9


def test_job_moves_from_queued_to_done() -> None:
    job = tiling(moves.planning(queued(), now=6.0))
    assert (job.state, job.depth, job.tile_size_px, job.tiling_at) == (State.TILING, 5, 240, 8.0)
    job = moves.finishing(replace(job, chunks_done=frozenset({0, 1})), bad_tiles=(), now=9.0)
    job = moves.done(job, Published(image="i", view="v", image_store="s", database="d"), now=10.0)
    assert (job.state, job.ended_at, job.error) == (State.DONE, 10.0, None)
    assert [(each.attempt, each.outcome, each.started_at, each.ended_at) for each in job.history] == [
        (1, State.DONE, 5.0, 10.0)
    ]


def test_all_chunks_done_requires_complete_set() -> None:
    job = tiling(moves.planning(queued(), now=6.0))
    assert [replace(job, chunks_done=frozenset(done)).all_chunks_done for done in ((), (1,), (0, 1))] == [
        False,
        False,
        True,
    ]
    assert not queued().all_chunks_done


ENDINGS: list[Callable[[Job], Job]] = [
    lambda job: moves.failed(job, ERROR, now=9.0, cleanup_at=9.0),
    lambda job: moves.superseded(job, ERROR, now=9.0, cleanup_at=9.0),
    lambda job: moves.cancelled(job, now=9.0, cleanup_at=9.0),
]


@pytest.mark.parametrize("end", ENDINGS)
def test_next_attempt_resets_state_and_keeps_history(end: Callable[[Job], Job]) -> None:
    running = replace(
        tiling(moves.planning(queued(), now=6.0)),
        chunks_done=frozenset({1}),
        tiles_done=35,
        rescues=3,
        last_transient_error=ERROR,
    )
    ended = end(running)
    newer = replace(SOURCE, last_modified_at=2000.0)
    again = moves.next_attempt(ended, newer, now=20.0)
    assert (again.state, again.attempt, again.submitted_at, again.source) == (State.QUEUED, 2, 20.0, newer)
    assert (again.error, again.ended_at, again.cleanup_at, again.rescues, again.last_transient_error) == (
        None,
        None,
        None,
        0,
        None,
    )
    assert len(again.history) == 1
    # The same plan keeps the finished chunks; another plan starts without them.
    assert tiling(moves.planning(again, now=21.0)).chunks_done == frozenset({1})
    assert tiling(moves.planning(again, now=21.0), "other").chunks_done == frozenset()
    assert again.order > running.order


def test_next_attempt_in_other_database_starts_new_generation() -> None:
    ended = moves.failed(tiling(moves.planning(queued(), now=6.0)), ERROR, now=9.0, cleanup_at=None)
    elsewhere = replace(ended.destination, database="another")
    again = moves.next_attempt(ended, SOURCE, now=10.0, destination=elsewhere)
    assert (again.destination, again.plan_digest, again.chunks_done) == (elsewhere, None, frozenset())
    assert (again.generation, again.discarded) == (ended.generation + 1, (*ended.discarded, ended.generation))


def test_history_is_bounded() -> None:
    job = queued()
    for _ in range(30):
        job = moves.next_attempt(moves.failed(job, ERROR, now=9.0, cleanup_at=None), SOURCE, now=10.0)
    assert (len(job.history), job.history[-1].attempt, job.attempt) == (20, 30, 31)


def test_discarded_generation_is_never_written_again() -> None:
    ended = moves.failed(
        replace(tiling(moves.planning(queued(), now=6.0)), chunks_done=frozenset({1})), ERROR, now=9.0, cleanup_at=9.0
    )
    given_up = moves.discarding(ended, next_cleanup_at=99.0)
    assert (given_up.generation, given_up.discarded, given_up.chunks_done, given_up.cleanup_at) == (
        1,
        (0,),
        frozenset(),
        99.0,
    )
    assert given_up.staging() != ended.staging()
    assert given_up.staging(0) == ended.staging()
    twice = moves.discarding(given_up, next_cleanup_at=100.0)
    assert (twice.generation, twice.discarded) == (2, (0, 1))
    assert moves.cleaned_up(given_up).discarded == ()
    assert moves.cleaned_up(given_up).cleanup_at is None


def test_image_is_staging_unless_collection_is_named() -> None:
    assert queued().image == queued().staging()
    named = queued(destination=replace(PLACE, mongo_collection="7" * 24))
    assert named.image == "7" * 24
    assert len(named.staging()) == 24


def test_order_prefers_newer_object_then_later_submission() -> None:
    orders = [
        queued(source=replace(SOURCE, last_modified_at=at), submitted_at=now).order
        for at, now in ((999.0, 9.0), (1000.0, 3.0), (1000.0, 20.0), (10000.0, 1.0))
    ]
    assert orders == sorted(orders)
    assert len(set(orders)) == 4


def test_legal_moves_equal_documented_table() -> None:
    ended = {"failed", "cancelled", "superseded"}
    assert {str(state): {str(target) for target in targets} for state, targets in LEGAL_MOVES.items()} == {
        "queued": {"planning", *ended},
        "planning": {"planning", "tiling", *ended},
        "tiling": {"finishing", *ended},
        "finishing": {"done", "failed", "superseded"},
        "done": {"done", "queued"},
        "failed": {"failed", "queued"},
        "cancelled": {"cancelled", "queued"},
        "superseded": {"superseded", "queued"},
    }


def in_state(state: State) -> Job:
    return queued(state=state, levels=LEVELS, chunks_total=1, chunks_done=frozenset({0}))


FUNCTIONS: dict[State, Callable[[Job], Job]] = {
    State.PLANNING: lambda job: moves.planning(job, now=9.0),
    State.TILING: tiling,
    State.FINISHING: lambda job: moves.finishing(job, bad_tiles=(), now=9.0),
    State.DONE: lambda job: moves.done(job, Published(image="i", view="v", image_store="s", database="d"), now=9.0),
    State.FAILED: ENDINGS[0],
    State.SUPERSEDED: ENDINGS[1],
    State.CANCELLED: ENDINGS[2],
    State.QUEUED: lambda job: moves.next_attempt(job, SOURCE, now=9.0),
}


@given(st.sampled_from(list(State)), st.sampled_from(list(FUNCTIONS)))
def test_transition_succeeds_only_if_table_allows_it(state: State, target: State) -> None:
    if target in LEGAL_MOVES[state]:
        assert FUNCTIONS[target](in_state(state)).state is target
    elif target is not State.QUEUED or state in LIVE:
        with pytest.raises(IllegalMoveError):
            FUNCTIONS[target](in_state(state))


def test_cancel_of_finishing_job_is_refused() -> None:
    with pytest.raises(IllegalMoveError):
        moves.cancelled(in_state(State.FINISHING), now=1.0, cleanup_at=1.0)
    assert frozenset(State) == LIVE | ENDED
    assert {state for state in State if in_state(state).is_live} == LIVE
    assert not LIVE & ENDED


def test_problem_keeps_code_message_and_hint() -> None:
    kept = model.problem(NoSuchSourceError("there is no object s3://b/k"))
    assert (kept.code, kept.message) == ("no_such_source", "there is no object s3://b/k")
    assert "Check the bucket" in kept.hint
    assert model.problem(CorruptTileError("m", hint="mine")).hint == "mine"


def test_messages_continue_job_from_current_state() -> None:
    chunk = Chunk(number=0, stage=0, kind="copy", first=0, last=1, source_bytes=1, tiles=1)
    plan = Plan(
        width_px=1,
        height_px=1,
        tile_size_px=64,
        depth=1,
        levels=(),
        chunks=(chunk, replace(chunk, number=1), replace(chunk, number=2, stage=1)),
    )
    job = tiling(moves.planning(queued(attempt=3), now=6.0))

    def sent(*done: int) -> list[Message]:
        return messages_for(replace(job, chunks_done=frozenset(done)), plan)

    assert sent() == [Message(step="tile", job=job.id, attempt=3, chunk=number) for number in (0, 1)]
    assert sent(1) == [Message(step="tile", job=job.id, attempt=3, chunk=0)]
    assert sent(0, 1) == [Message(step="tile", job=job.id, attempt=3, chunk=2)]
    assert sent(0, 1, 2) == [Message(step="finish", job=job.id, attempt=3)]


def test_work_bucket_keys_contain_job_and_plan_digest() -> None:
    job = tiling(moves.planning(queued(), now=6.0), "digest")
    assert plan_key(job, "digest") == f"jobs/{job.id}/digest/plan.json"
    assert records_key(job, "digest") == f"jobs/{job.id}/digest/records.bin"
    assert pixels_key(job, 3, 1, 2) == f"jobs/{job.id}/digest/pixels/3/1_2"


def test_backoff_grows_with_jitter_up_to_limit() -> None:
    assert [retry_after_seconds(receives, jitter=0.5) for receives in (1, 2, 3, 20)] == [2.0, 4.0, 8.0, 150.0]
    assert retry_after_seconds(1, jitter=0.0) == 1.0
    assert [silence_seconds(rescues) for rescues in (0, 1, 2, 50)] == [90.0, 180.0, 360.0, 3600.0]


def test_long_problem_message_is_shortened() -> None:
    recorded = Problem(code="internal", message="ä" * 2001, hint="Look.")
    assert model.shortened(recorded) == Problem(code="internal", message="ä" * 1999 + "…", hint="Look.")
    assert model.shortened(replace(recorded, message="ä" * 2000)).message == "ä" * 2000


def test_states_have_their_documented_names() -> None:
    assert [state.value for state in State] == [
        "queued", "planning", "tiling", "finishing", "done", "failed", "cancelled", "superseded",
    ]  # fmt: skip
