"""Guards of the service, each of which can be switched off: the simulator must find out.

A mutant is a change of the real code for as long as a context lasts. Its name says which promise it breaks.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from chalicelib.adapters import memory
from chalicelib.core.ids import object_id
from chalicelib.core.jobs import deliveries as callback
from chalicelib.core.jobs import model
from chalicelib.core.jobs import transitions as moves
from chalicelib.core.jobs.model import ChunkRecord, Job, State
from chalicelib.core.jobs.source import Source
from chalicelib.entrypoints import consumers
from chalicelib.ports.archive import Tile
from chalicelib.steps import cleanup as cleanup_steps
from chalicelib.steps import control, finish, rescue
from chalicelib.steps import plan as planning
from chalicelib.steps import tile as tiling
from chalicelib.steps import verify as verifying
from chalicelib.steps.tile import chunk_context as handing
from tests.simulation.story import compute_references

Mutant = Callable[[], AbstractContextManager[Any]]


def ids_are_drawn() -> AbstractContextManager[Any]:
    numbers = itertools.count()
    return patch.object(model, "job_id", lambda *_: f"{next(numbers):032x}")


def done_is_a_counter() -> AbstractContextManager[Any]:
    real = memory.MemoryJobs.finish_chunk
    numbers = itertools.count(1000)

    def counted(self: Any, job: Job, record: ChunkRecord) -> Job | None:
        stored = self.get(job.id)
        if stored is not None and record.number in stored.chunks_done:
            number = next(numbers)
            self._jobs[job.id] = replace(
                stored, chunks_done=stored.chunks_done | {number}, tiles_done=stored.tiles_done + record.tiles
            )
        return real(self, job, record)

    return patch.object(memory.MemoryJobs, "finish_chunk", counted)


def moves_are_not_conditional() -> AbstractContextManager[Any]:
    def move(self: Any, was: Job, now: Job) -> bool:
        self._before_write("move")
        self._jobs[now.id] = now
        return True

    return patch.object(memory.MemoryJobs, "move", move)


def reads_are_not_pinned() -> AbstractContextManager[Any]:
    def read(self: Any, source: Source, start: int, stop: int) -> bytes:
        _, data = self._objects.get((source.bucket, source.key), (None, b""))
        return bytes(data[start:stop])

    return patch.object(memory.MemorySlides, "read", read)


def generations_share_a_place() -> AbstractContextManager[Any]:
    return patch.object(Job, "staging", lambda self, _generation=None: object_id("image", self.source.slide))


def generations_are_never_given_up() -> AbstractContextManager[Any]:
    real = moves._next_generation
    return patch.object(moves, "_next_generation", lambda job: replace(real(job), generation=job.generation))


def tiles_are_not_verified() -> AbstractContextManager[Any]:
    return patch.object(finish, "_verify", lambda *_: None)


def order_is_not_looked_at() -> AbstractContextManager[Any]:
    return patch.object(memory.MemoryArchive, "_is_newer", lambda *_: False)


def the_session_entry_is_not_idempotent() -> AbstractContextManager[Any]:
    def put_first(self: Any, job: Job, view: str) -> None:
        self._before_write("session entry")
        self._sessions[job.destination.session].views.insert(0, view)

    return patch.object(memory.MemoryArchive, "_put_first", put_first)


def a_stored_tile_is_a_failure() -> AbstractContextManager[Any]:
    real = memory.MemoryArchive.write

    def write(self: Any, job: Job, generation: int, tiles: Sequence[Tile]) -> None:
        stored = self.tiles.get((job.destination.database, job.staging(generation)), {})
        if any(tile.name in stored for tile in tiles):
            raise memory.TileConflictError("a tile is there already")
        real(self, job, generation, tiles)

    return patch.object(memory.MemoryArchive, "write", write)


def a_chunk_is_marked_before_it_is_stored() -> AbstractContextManager[Any]:
    real = tiling._process

    class Later:
        """Stores nothing yet: the worker dies between the mark and the tiles."""

        def write(self, *_: Any) -> None: ...

    def process(hand: Any) -> None:
        if hand.chunk.number == 0:
            hand.archive = Later()
        real(hand)

    return patch.object(tiling, "_process", process)


def a_rename_is_not_looked_for() -> AbstractContextManager[Any]:
    return patch.object(memory.MemoryArchive, "_is_renamed", lambda *_: False)


def a_sweep_asked_for_meanwhile_is_forgotten() -> AbstractContextManager[Any]:
    real = memory.MemoryJobs.move

    def move(self: Any, was: Job, now: Job) -> bool:
        stored = self.get(was.id)
        if stored is not None and not stored.is_live and not now.is_live:
            self._jobs[was.id] = replace(stored, cleanup_at=was.cleanup_at)
        return real(self, was, now)

    return patch.object(memory.MemoryJobs, "move", move)


def nobody_rescues() -> AbstractContextManager[Any]:
    return patch.object(consumers, "silent_jobs", lambda **_: [])


def the_sweeper_looks_once() -> AbstractContextManager[Any]:
    real = moves.discarding
    return patch.object(
        cleanup_steps, "discarding", lambda job, **look: replace(real(job, **look), cleanup_at=None, discarded=())
    )


def replaced_slides_are_kept() -> AbstractContextManager[Any]:
    return patch.object(memory.MemoryJobs, "schedule_cleanup", lambda *_: None)


def the_sweeper_does_not_look_at_views() -> AbstractContextManager[Any]:
    @contextmanager
    def both() -> Iterator[None]:
        def discard(self: Any, job: Job, generation: int) -> bool:
            self.tiles.pop((job.destination.database, job.staging(generation)), None)
            self.images.pop((job.destination.database, job.staging(generation)), None)
            return True

        with (
            patch.object(memory.MemoryArchive, "discard", discard),
            patch.object(memory.MemoryArchive, "shows", lambda *_: False),
        ):
            yield

    return both()


def a_late_publisher_of_a_named_image_wins() -> AbstractContextManager[Any]:
    @contextmanager
    def both() -> Iterator[None]:
        real = memory.MemoryArchive._claim_image

        def claim(self: Any, job: Job) -> bool:
            place = (job.destination.database, job.image)
            image = self.images.get(place)
            if image is not None:
                self.images[place] = replace(image, publishing_at=None)
            return real(self, job)

        with (
            patch.object(memory.MemoryArchive, "_claim_image", claim),
            patch.object(memory.MemoryArchive, "has_newer_publication", lambda *_: False),
        ):
            yield

    return both()


def a_message_that_comes_again_is_not_forwarded() -> AbstractContextManager[Any]:
    @contextmanager
    def both() -> Iterator[None]:
        with (
            patch.object(tiling, "_send_next_stage", lambda *_: None),
            patch.object(rescue, "LIVE", frozenset({State.QUEUED, State.PLANNING, State.FINISHING})),
        ):
            yield

    return both()


def a_plan_that_comes_again_sends_nothing() -> AbstractContextManager[Any]:
    @contextmanager
    def both() -> Iterator[None]:
        with (
            patch.object(planning, "messages_for", lambda *_: []),
            patch.object(rescue, "messages_for", lambda *_: []),
        ):
            yield

    return both()


def newer_bytes_wait_for_an_event() -> AbstractContextManager[Any]:
    return patch.object(consumers, "_submit_newer_version", lambda *_: None)


def what_a_forced_job_made_before_is_forgotten() -> AbstractContextManager[Any]:
    real = moves.cleaned_up
    return patch.object(cleanup_steps, "cleaned_up", lambda job, **_: real(job))


def the_sweeper_is_told_after_the_removal() -> AbstractContextManager[Any]:
    def remove(session: str, views: Any, *, jobs: Any, archive: Any, clock: Any) -> int:
        shown = archive.shown(session)
        removed: int = archive.remove_views(session, views)
        for job in shown.values():
            if job and (views is None or any(shown.get(view) == job for view in views)):
                jobs.schedule_cleanup(job, clock.now() + control.LATE_SECONDS)
        return removed

    return patch.object(control, "remove", remove)


def tiles_are_not_compared() -> AbstractContextManager[Any]:
    return patch.object(handing, "judge", lambda *_, **__: None)


def a_replaced_slide_is_judged() -> AbstractContextManager[Any]:
    return patch.object(verifying, "_is_still_shown", lambda *_: True)


def delivery_ids_are_drawn() -> AbstractContextManager[Any]:
    numbers = itertools.count()
    return patch.object(callback, "delivery_id", lambda *_: f"msg_{next(numbers):032x}")


def outcomes_are_announced_without_an_outbox() -> AbstractContextManager[Any]:
    return patch.object(memory.MemoryJobs, "_store_notification", lambda *_: None)


def _with_references(mutant: Mutant) -> Mutant:
    """Return a mutant that computes the reference tiles before it switches its guard off.

    They are cached for the whole process: computed with a guard off they would make every later history wrong.
    """

    @contextmanager
    def entered() -> Iterator[None]:
        compute_references()
        with mutant():
            yield

    return entered


_MUTANTS: dict[str, Mutant] = {
    "the sweeper is told before a slide is removed": the_sweeper_is_told_after_the_removal,
    "newer bytes have a job by themselves": newer_bytes_wait_for_an_event,
    "what a forced job made before is swept once it is replaced": what_a_forced_job_made_before_is_forgotten,
    "content-derived job id": ids_are_drawn,
    "done is a set": done_is_a_counter,
    "every move is conditional": moves_are_not_conditional,
    "If-Match on every read": reads_are_not_pinned,
    "a place of its own for each generation": generations_share_a_place,
    "a generation given up is not written again": generations_are_never_given_up,
    "verification before publishing": tiles_are_not_verified,
    "order of versions": order_is_not_looked_at,
    "order of jobs for a named image": a_late_publisher_of_a_named_image_wins,
    "session entry once": the_session_entry_is_not_idempotent,
    "a tile that is there counts as stored": a_stored_tile_is_a_failure,
    "finish looks before it acts": a_rename_is_not_looked_for,
    "a sweep that was asked for is not forgotten": a_sweep_asked_for_meanwhile_is_forgotten,
    "stored before it is marked": a_chunk_is_marked_before_it_is_stored,
    "rescue": nobody_rescues,
    "the sweeper's second look": the_sweeper_looks_once,
    "what was replaced is swept": replaced_slides_are_kept,
    "what is shown is not swept": the_sweeper_does_not_look_at_views,
    "next stage is sent again": a_message_that_comes_again_is_not_forwarded,
    "verify compares": tiles_are_not_compared,
    "a slide that was replaced is not judged": a_replaced_slide_is_judged,
    "chunks are sent": a_plan_that_comes_again_sends_nothing,
    "content-derived delivery id": delivery_ids_are_drawn,
    "an end leaves a notice": outcomes_are_announced_without_an_outbox,
}
MUTANTS: dict[str, Mutant] = {name: _with_references(mutant) for name, mutant in _MUTANTS.items()}
