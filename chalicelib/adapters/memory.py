"""Every port in memory, held to the same contracts as the real ones. Nothing here waits, and nothing is lost by itself.

Where a real adapter writes several times in one call, so does its likeness here, in the same order, and calls
`before_write` before each: whoever wants to see a crash or another worker in between raises or acts there.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING

from chalicelib.adapters.cursor import Place, dump_cursor, listings_of, load_cursor, page_of
from chalicelib.core.callback import Notice
from chalicelib.core.digest import digest_sum, object_id
from chalicelib.core.errors import (
    EmptySourceError,
    ForeignSessionError,
    NoImageStoreError,
    NoSuchCollectionError,
    NoSuchSessionError,
    NoSuchSourceError,
    SourceChangedError,
    SourceGoneError,
    TileConflictError,
    WorkLostError,
)
from chalicelib.core.job import ChunkRecord, Destination, Job, Problem, State, Subscriber
from chalicelib.core.message import Message
from chalicelib.core.selection import EVERY_JOB, Selection
from chalicelib.core.source import Source
from chalicelib.core.sync import Entry, Sync
from chalicelib.core.verification import Stored
from chalicelib.ports import (
    KEPT_REPLACED,
    CollectionFacts,
    Holding,
    ImageFacts,
    JobPage,
    Listing,
    PublishedImage,
    SessionFacts,
    ShownSlide,
    SlidePage,
    Switch,
    Tile,
)

if TYPE_CHECKING:
    from chalicelib import ports

BeforeWrite = Callable[[str], None]


def _go_on(_write: str) -> None:
    """Nothing happens before a write."""


class MemoryClock:
    """Time that stands until it is moved."""

    def __init__(self, now: float = 0.0, remaining_seconds: float = float("inf")) -> None:
        self.instant = now
        self.remaining = remaining_seconds

    def now(self) -> float:
        return self.instant

    def remaining_seconds(self) -> float:
        return self.remaining

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass: also that of the invocation."""
        self.instant += seconds
        self.remaining -= seconds


class MemorySlides:
    """Objects by bucket and key, with ETags and version ids as S3 gives them."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], tuple[Source, bytes]] = {}
        self._versions = count(1)

    def put(self, bucket: str, key: str, data: bytes, *, at: float = 0.0) -> Source:
        """Store an object, over another one if there is one."""
        source = Source(
            bucket=bucket,
            key=key,
            etag=f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"',
            size_bytes=len(data),
            version_id=f"version-{next(self._versions)}",
            last_modified_at=at,
        )
        self._objects[bucket, key] = source, data
        return source

    def delete(self, bucket: str, key: str) -> None:
        self._objects.pop((bucket, key), None)

    def pin(self, bucket: str, key: str, *, first_bytes: int) -> tuple[Source, bytes]:
        if (bucket, key) not in self._objects:
            raise NoSuchSourceError(f"there is no object s3://{bucket}/{key}", pointer="/source")
        source, data = self._objects[bucket, key]
        if not data:
            raise EmptySourceError(f"{source} is empty", pointer="/source")
        return source, data[:first_bytes]

    def read(self, source: Source, start: int, stop: int) -> bytes:
        if not 0 <= start < stop <= source.size_bytes:
            raise ValueError(f"bytes {start} to {stop} of {source}, which has {source.size_bytes}")
        if (source.bucket, source.key) not in self._objects:
            raise SourceGoneError(f"{source} was deleted while it was read")
        present, data = self._objects[source.bucket, source.key]
        if present.etag != source.etag:
            raise SourceChangedError(f"{source} was overwritten while it was read")
        return data[start:stop]

    def list(self, bucket: str, prefix: str, *, cursor: str | None, limit: int) -> Listing:
        found = sorted(
            (key, source)
            for (its, key), (source, _) in self._objects.items()
            if its == bucket and key.startswith(prefix) and key > (cursor or "")
        )
        page = tuple(replace(source, version_id=None) for _, source in found[:limit])
        return Listing(objects=page, cursor=page[-1].key if len(found) > limit else None)


class MemoryWork:
    """Work objects by key. `objects` may be looked at, and emptied to lose them."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        if key not in self.objects:
            raise WorkLostError(f"the work object {key} is gone")
        return self.objects[key][start:stop]


class MemoryQueue:
    """A queue that keeps what was sent, in order. Nobody receives from it but by looking at `sent`."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, messages: Sequence[Message]) -> None:
        self.sent += messages


class MemoryJobs:
    """The job table as a dictionary. A lock makes each write one."""

    def __init__(self, *, before_write: BeforeWrite = _go_on) -> None:
        self._before_write = before_write
        self._lock = RLock()
        self._jobs: dict[str, Job] = {}
        self._records: dict[tuple[str, int, int], tuple[int, ChunkRecord]] = {}
        # By job and attempt: when it ended, and how many subscribers were known of then.
        self._notices: dict[Notice, tuple[float, int]] = {}

    def create(self, job: Job) -> Job:
        self._before_write("create")
        with self._lock:
            stored = self._jobs.setdefault(job.id, job)
            if stored is job and not job.is_live:
                self._leave_notice(job)
            return stored

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def move(self, was: Job, now: Job) -> bool:
        self._before_write("move")
        with self._lock:
            stored = self._jobs.get(was.id)
            if stored is None or _standing(stored) != _standing(was):
                return False
            # Between two looks of the sweeper somebody may have asked for another one: that is not forgotten.
            if not was.is_live and not now.is_live and stored.sweep_at != was.sweep_at:
                return False
            if was.is_live and not now.is_live:
                self._leave_notice(now)
            self._jobs[now.id] = replace(
                now,
                subscribers=stored.subscribers,
                chunks_done=stored.chunks_done if now.chunks_done == was.chunks_done else now.chunks_done,
                tiles_done=stored.tiles_done if now.tiles_done == was.tiles_done else now.tiles_done,
                bytes_done=stored.bytes_done if now.bytes_done == was.bytes_done else now.bytes_done,
                tiles_bad=stored.tiles_bad if now.tiles_bad == was.tiles_bad else now.tiles_bad,
            )
            return True

    def subscribe(self, job: Job, subscriber: Subscriber) -> bool:
        self._before_write("subscribe")
        with self._lock:
            stored = self._jobs.get(job.id)
            expected = (job.is_live, job.attempt, job.subscribers)
            if stored is None or (stored.is_live, stored.attempt, stored.subscribers) != expected:
                return False
            self._jobs[job.id] = subscribed = replace(stored, subscribers=(*stored.subscribers, subscriber))
            if not subscribed.is_live:
                self._leave_notice(subscribed)
            return True

    def _leave_notice(self, ended: Job) -> None:
        notice = Notice(job=ended.id, attempt=ended.attempt)
        self._notices[notice] = (ended.ended_at or ended.updated_at, len(ended.subscribers))

    def untold(self, *, before: float, limit: int) -> tuple[Notice, ...]:
        with self._lock:
            found = [(at, notice) for notice, (at, _) in self._notices.items() if at < before]
        return tuple(notice for _, notice in sorted(found, key=lambda each: each[0])[:limit])

    def told(self, notice: Notice, *, subscribers: int) -> None:
        self._before_write("told")
        with self._lock:
            if notice in self._notices and self._notices[notice][1] <= subscribers:
                del self._notices[notice]

    def finish_chunk(self, job: Job, record: ChunkRecord) -> Job | None:
        self._before_write("chunk record")
        with self._lock:
            place = (job.id, job.generation, record.number)
            # A worker of an earlier attempt writes no more over a later one's.
            if self._records.get(place, (0, record))[0] <= job.attempt:
                self._records[place] = (job.attempt, record)
        self._before_write("chunk done")
        with self._lock:
            stored = self._jobs.get(job.id)
            if stored is None or _standing(stored) != (State.TILING, job.attempt, job.generation):
                return None
            if record.number not in stored.chunks_done:
                self._jobs[job.id] = replace(
                    stored,
                    chunks_done=stored.chunks_done | {record.number},
                    tiles_done=stored.tiles_done + record.tiles,
                    bytes_done=stored.bytes_done + record.source_bytes,
                    tiles_bad=stored.tiles_bad + record.tiles_bad,
                    updated_at=record.ended_at,
                    rescues=0,
                )
            return self._jobs[job.id]

    def chunk_records(self, job: Job) -> tuple[ChunkRecord, ...]:
        with self._lock:
            stored = self._jobs.get(job.id)
            if stored is None or stored.generation != job.generation:
                return ()
            places = [(job.id, job.generation, number) for number in sorted(stored.chunks_done)]
            return tuple(self._records[place][1] for place in places if place in self._records)

    def note_trouble(self, job: Job, trouble: Problem) -> None:
        self._before_write("note trouble")
        self._change(job.id, lambda stored: stored.is_live and stored.attempt == job.attempt, {"trouble": trouble})

    def count_rescue(self, job: Job, *, now: float) -> bool:
        self._before_write("count rescue")
        expected = (job.state, job.attempt, job.rescues)
        return self._change(
            job.id,
            lambda stored: (stored.state, stored.attempt, stored.rescues) == expected,
            {"rescues": job.rescues + 1, "updated_at": now},
        )

    def schedule_sweep(self, job_id: str, at: float) -> None:
        self._before_write("schedule sweep")
        self._change(job_id, lambda stored: not stored.is_live and (stored.sweep_at or 0.0) < at, {"sweep_at": at})

    def _change(self, job_id: str, condition: Callable[[Job], bool], changes: dict[str, object]) -> bool:
        with self._lock:
            stored = self._jobs.get(job_id)
            if stored is None or not condition(stored):
                return False
            self._jobs[job_id] = replace(stored, **changes)  # type: ignore[arg-type]
            return True

    def list(
        self, *, state: State | None, session: str | None, cursor: str | None, limit: int, only: Selection = EVERY_JOB
    ) -> JobPage:
        listings = listings_of(state, session, only.states)
        places = load_cursor(listings, cursor)
        found = sorted(
            ((listing, Place(listing.at(job), job.id)) for job in self._all() for listing in listings
             if listing.holds(job) and state in (None, job.state) and only.takes(job)),
            key=lambda each: _newest_first(each[1]),
        )  # fmt: skip
        waiting = [each for each in found if _is_behind(each[1], places.get(each[0]))]
        page = waiting[:limit]
        following = dump_cursor({**places, **dict(page)}) if len(waiting) > limit else None
        return JobPage(jobs=tuple(self._jobs[place.job] for _, place in page), cursor=following)

    def count(self, state: State, *, most: int) -> int:
        return min(most, sum(job.state is state for job in self._all()))

    def silent(self, state: State, *, before: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        behind = (after.updated_at, after.id) if after is not None else (float("-inf"), "")
        found = {(job.updated_at, job.id): job for job in self._all() if job.state is state and job.updated_at < before}
        return tuple(found[place] for place in sorted(place for place in found if place > behind)[:limit])

    def to_sweep(self, *, now: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        behind = (after.sweep_at or 0.0, after.id) if after is not None else (float("-inf"), "")
        due = [(job.sweep_at, job.id) for job in self._all() if job.sweep_at is not None and job.sweep_at <= now]
        return tuple(self._jobs[job_id] for at, job_id in sorted(due) if (at, job_id) > behind)[:limit]

    def _all(self) -> tuple[Job, ...]:
        with self._lock:
            return tuple(self._jobs.values())


class MemorySyncs:
    """The syncs as a dictionary."""

    def __init__(self, *, before_write: BeforeWrite = _go_on) -> None:
        self._before_write = before_write
        self._lock = RLock()
        self._syncs: dict[str, Sync] = {}
        self._pages: dict[tuple[str, int, int], tuple[Entry, ...]] = {}

    def create(self, sync: Sync) -> Sync:
        self._before_write("create sync")
        with self._lock:
            return self._syncs.setdefault(sync.id, sync)

    def get(self, sync_id: str) -> Sync | None:
        return self._syncs.get(sync_id)

    def move(self, was: Sync, now: Sync) -> bool:
        self._before_write("move sync")
        with self._lock:
            stored = self._syncs.get(was.id)
            if stored is None or (stored.run, stored.pages, stored.ended_at) != (was.run, was.pages, was.ended_at):
                return False
            self._syncs[now.id] = now
            return True

    def put_page(self, sync: Sync, entries: Sequence[Entry]) -> None:
        self._before_write("page of a sync")
        self._pages[sync.id, sync.run, sync.pages] = tuple(entries)

    def page(self, sync: Sync, number: int) -> tuple[Entry, ...]:
        return self._pages.get((sync.id, sync.run, number), ())

    def latest(self, *, live: bool, limit: int) -> tuple[Sync, ...]:
        found = [sync for sync in self._syncs.values() if sync.is_live is live]
        return tuple(sorted(found, key=lambda sync: -sync.updated_at)[:limit])


def _standing(job: Job) -> tuple[State, int, int]:
    return job.state, job.attempt, job.generation


def _is_behind(place: Place, other: Place | None) -> bool:
    return other is None or _newest_first(place) > _newest_first(other)


def _newest_first(place: Place) -> tuple[float, str]:
    return -place.at, place.job


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTrace:
    """What our sub-document of a view or an image says: what it shows, and who published it."""

    job: str
    claim: str
    slide: str
    order: str
    submitted_at: float
    replaced: tuple[str, ...] = ()
    takes_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryView:
    """A view. Without `trace` it is SlideAtlas' own."""

    image: str
    image_store: str
    title: str
    trace: MemoryTrace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryImage:
    """An image document. `publishing` and `published` tell how far replacing a named image has come."""

    facts: ImageFacts | None = None
    trace: MemoryTrace | None = None
    publishing: str | None = None
    publishing_at: float | None = None
    publishing_from: str | None = None
    overtook: str | None = None
    published: str | None = None


@dataclass(slots=True, kw_only=True)
class _Session:
    label: str
    collection: str
    image_store: str | None
    views: list[str] = field(default_factory=list)


class MemoryArchive:
    """SlideAtlas' databases as dictionaries. `add_...` put there what SlideAtlas itself would have made."""

    def __init__(self, *, before_write: BeforeWrite = _go_on) -> None:
        self._before_write = before_write
        self._lock = RLock()
        self._stores: dict[str, str] = {}
        self._collections: dict[str, tuple[str, str | None]] = {}
        self._sessions: dict[str, _Session] = {}
        self.views: dict[str, MemoryView] = {}
        self.images: dict[tuple[str, str], MemoryImage] = {}
        self.tiles: dict[tuple[str, str], dict[str, Tile]] = {}

    # -- what is there already ---------------------------------------------------------------------------------------

    def add_store(self, image_store: str, *, database: str) -> None:
        self._stores[image_store] = database

    def add_collection(self, collection: str, *, label: str = "", image_store: str | None = None) -> None:
        self._collections[collection] = label, image_store

    def add_session(self, session: str, *, collection: str, label: str = "", image_store: str | None = None) -> None:
        self._sessions[session] = _Session(label=label, collection=collection, image_store=image_store)

    def add_view(self, view: str, *, session: str, image: str, image_store: str, facts: ImageFacts) -> None:
        """Add a view and its image as SlideAtlas' own uploader leaves them, at the head of the session."""
        self.images[self._stores[image_store], image] = MemoryImage(facts=facts)
        self.views[view] = MemoryView(image=image, image_store=image_store, title=facts.file_name)
        self._sessions[session].views.insert(0, view)

    # -- where a slide goes ------------------------------------------------------------------------------------------

    def locate(self, collection: str, session: str, mongo_collection: str | None) -> Destination:
        if collection not in self._collections:
            raise NoSuchCollectionError(f"there is no collection {collection}", pointer="/collection")
        if session not in self._sessions:
            raise NoSuchSessionError(f"there is no session {session}", pointer="/session")
        found = self._sessions[session]
        if found.collection != collection:
            raise ForeignSessionError(
                f"session {session} does not belong to collection {collection}", pointer="/session"
            )
        image_store = found.image_store or self._collections[collection][1]
        if image_store is None or image_store not in self._stores:
            raise NoImageStoreError(f"collection {collection} has no image store", pointer="/collection")
        return Destination(
            collection=collection,
            session=session,
            image_store=image_store,
            database=self._stores[image_store],
            mongo_collection=mongo_collection,
        )

    # -- tiles -------------------------------------------------------------------------------------------------------

    def stage(self, job: Job) -> None:
        self._before_write("stage")
        self.tiles.setdefault((job.destination.database, job.staging()), {})

    def write(self, job: Job, generation: int, tiles: Sequence[Tile]) -> None:
        self._before_write("tiles")
        with self._lock:
            stored = self.tiles.setdefault((job.destination.database, job.staging(generation)), {})
            refused = [tile.name for tile in tiles if stored.setdefault(tile.name, tile).id != tile.id]
        if refused:
            raise TileConflictError(f"two contents for tile {refused[0]} of job {job.id}")

    def holding(self, job: Job, expected: Holding | None = None) -> Holding:
        is_renamed = job.destination.mongo_collection is not None and self._is_renamed(job, expected)
        return self._held(job, job.image if is_renamed else job.staging())

    def _held(self, job: Job, collection: str) -> Holding:
        with self._lock:
            tiles = list(self.tiles.get((job.destination.database, collection), {}).values())
        depths = [len(tile.name) - len(".jpg") for tile in tiles]
        return Holding(
            tiles_by_depth={depth: depths.count(depth) for depth in set(depths)},
            digest=digest_sum(tile.id for tile in tiles),
        )

    # -- publishing --------------------------------------------------------------------------------------------------

    def publish(
        self,
        job: Job,
        facts: ImageFacts,
        *,
        now: float,  # noqa: ARG002 - when it was uploaded is not kept
        verified: Holding | None = None,
    ) -> Switch:
        candidates = self._candidates(job, facts.file_name)
        newer = next((view for view in candidates if self._is_newer(view, job)), None)
        if newer is not None:
            return Switch(won=False, view=newer)
        if job.destination.mongo_collection is None:
            self._put_image(job, MemoryImage(facts=facts, trace=_trace(job)))
        elif not self._replace_image(job, facts, verified):
            return Switch(won=False, view="")
        view = candidates[0] if candidates else object_id("view", job.destination.session, job.source.slide)
        trace = self._switch(job, view, facts, candidates[1:])
        if trace is None:
            return Switch(won=False, view=view)
        self._take_out(job, trace.takes_out)
        self._put_first(job, view)
        return Switch(won=True, view=view, replaced=tuple(sorted(set(trace.replaced) - {job.id})))

    def is_overtaken(self, job: Job) -> bool:
        if job.destination.mongo_collection is None:
            return False
        image = self.images.get((job.destination.database, job.image), MemoryImage())
        return (image.publishing_at or 0.0) > job.submitted_at

    def _candidates(self, job: Job, file_name: str) -> list[str]:
        """Return the views the job may take over: this slide's, then (to overwrite) those of the same file name."""
        with self._lock:
            listed = list(self._sessions[job.destination.session].views)
            own = object_id("view", job.destination.session, job.source.slide)
            known = [view for view in dict.fromkeys([*listed, own]) if view in self.views]
            slides = {view: trace.slide for view in known if (trace := self.views[view].trace)}
            ours = [view for view in known if slides.get(view) == job.source.slide]
            ours.sort(key=lambda view: (view not in listed, view != own))
            if not job.options.overwrite:
                return ours
            return ours + [
                view for view in known if view not in ours and view in listed and self._file_name(view) == file_name
            ]

    def _file_name(self, view: str) -> str | None:
        shown = self.views[view]
        image = self.images.get((self._stores.get(shown.image_store, ""), shown.image))
        return image.facts.file_name if image and image.facts else None

    def _is_newer(self, view: str, job: Job) -> bool:
        trace = self.views[view].trace if view in self.views else None
        if trace is None:
            return False
        if trace.slide == job.source.slide:
            return trace.order > job.order
        return trace.submitted_at > job.submitted_at

    def _put_image(self, job: Job, image: MemoryImage) -> None:
        self._before_write("image document")
        self.images[job.destination.database, job.image] = image

    def _replace_image(self, job: Job, facts: ImageFacts, verified: Holding | None) -> bool:
        """Put the staged tiles in the place of those of the image that the caller named, unless a job that was
        submitted later has claimed it."""
        place = (job.destination.database, job.image)
        if not self._is_renamed(job, verified):
            if not self._claim_image(job):
                return False
            if overtook := self.images[place].overtook:
                self._before_write("drop of what was overtaken")
                self.tiles.pop((job.destination.database, overtook), None)
            self._rename(job, verified)
            if verified is not None and self._held(job, job.image) != verified:
                return False
        self._before_write("image document")
        with self._lock:
            image = self.images[place]
            if image.publishing != _claim(job):
                return False
            self.images[place] = replace(image, facts=facts, trace=_trace(job), published=_claim(job))
        return True

    def _claim_image(self, job: Job) -> bool:
        self._before_write("claim of the image")
        place, claim = (job.destination.database, job.image), _claim(job)
        with self._lock:
            image = self.images.get(place, MemoryImage())
            if image.publishing_at is not None and image.publishing_at > job.submitted_at:
                return False
            self.images[place] = replace(
                image,
                publishing=claim,
                publishing_at=job.submitted_at,
                publishing_from=job.staging(),
                overtook=image.overtook if image.publishing == claim else image.publishing_from,
            )
        return True

    def _rename(self, job: Job, verified: Holding | None) -> None:
        self._before_write("rename")
        database = job.destination.database
        with self._lock:
            if verified is not None and self._held(job, job.staging()) != verified:
                return  # a late worker has staged a part of it again
            staged = self.tiles.pop((database, job.staging()), None)
            if staged is not None:  # else another run of this step has renamed it, or a later job has dropped it
                self.tiles[database, job.image] = staged

    def _is_renamed(self, job: Job, verified: Holding | None = None) -> bool:
        database = job.destination.database
        image = self.images.get((database, job.image), MemoryImage())
        if image.published == _claim(job):
            return True
        # Claimed, and it is there, or the staging collection is gone: the crash came before the note of the rename.
        if verified is not None:
            return image.publishing == _claim(job) and self._held(job, job.image) == verified
        return image.publishing == _claim(job) and (database, job.staging()) not in self.tiles

    def _switch(self, job: Job, view: str, facts: ImageFacts, others: Sequence[str]) -> MemoryTrace | None:
        """Let one view show the job's image, unless it shows something newer by now.

        It keeps the jobs it replaced and the views that are to go with them: a rerun after a crash still knows them.
        """
        self._before_write("switch")
        with self._lock:
            if self._is_newer(view, job):
                return None
            shown = self.views[view].trace if view in self.views else None
            if shown is not None and shown.claim == _claim(job):
                replaced, takes_out = shown.replaced, shown.takes_out
            else:
                traces = (shown, *(self.views[other].trace for other in others if other in self.views))
                before = () if shown is None else shown.replaced[:KEPT_REPLACED]
                replaced = (*(trace.job for trace in traces if trace is not None), *before)
                takes_out = tuple(others)
            trace = replace(_trace(job), replaced=replaced, takes_out=takes_out)
            self.views[view] = MemoryView(
                image=job.image, image_store=job.destination.image_store, title=facts.file_name, trace=trace
            )
        return trace

    def _take_out(self, job: Job, views: Sequence[str]) -> None:
        """Take the other views of the same slide or name out of the session."""
        if not views:
            return
        self._before_write("take out of the session")
        with self._lock:
            listed = self._sessions[job.destination.session].views
            listed[:] = [view for view in listed if view not in views]
        self._before_write("delete views")
        self._delete(views)

    def _delete(self, views: Iterable[str]) -> set[str]:
        """Delete views; return the jobs whose generations they showed."""
        deleted = [self.views.pop(view, None) for view in views]
        return {view.trace.job for view in deleted if view is not None and view.trace is not None}

    def _put_first(self, job: Job, view: str) -> None:
        self._before_write("session entry")
        with self._lock:
            listed = self._sessions[job.destination.session].views
            if view not in listed:
                listed.insert(0, view)

    def replaced(self, job: Job) -> tuple[str, ...]:
        with self._lock:
            ours = [view.trace for view in self.views.values() if view.trace and view.trace.claim == _claim(job)]
        return tuple(sorted({before for trace in ours for before in trace.replaced} - {job.id}))

    def shows(self, job: Job) -> bool:
        with self._lock:
            image = self.images.get((job.destination.database, job.image), MemoryImage())
            if image.trace is None or image.trace.claim != _claim(job):
                return False
            listed = self._sessions[job.destination.session].views
            return any(self.views[view].image == job.image for view in listed if view in self.views)

    def discard(self, job: Job, generation: int) -> bool:
        name = job.staging(generation)
        with self._lock:
            claim = _claim(job, generation)
            showing = {view for view, shown in self.views.items() if shown.image == name}
            made = {view for view, shown in self.views.items() if shown.trace and shown.trace.claim == claim}
            listed = {view for session in self._sessions.values() for view in session.views}
            if any(view in listed or self.views[view].trace is None for view in showing):
                return False
        if unlisted := (showing | made) - listed:
            self._before_write("delete views that nobody lists")
            self._delete(unlisted)
        for database in sorted({job.destination.database, *self._stores.values()}):
            self._before_write("drop the tiles")
            self.tiles.pop((database, name), None)
            self._before_write("drop the image document")
            image = self.images.get((database, name), MemoryImage())
            if image.trace is not None and image.trace.job == job.id:
                del self.images[database, name]
        return not made & listed

    def staged(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        return frozenset(place for place in self.tiles if place[1] in names and place[0] in self._stores.values())

    # -- reading -----------------------------------------------------------------------------------------------------

    def stored(self, database: str, image: str, names: Sequence[str]) -> Mapping[str, Sequence[Stored]]:
        tiles = self.tiles.get((database, image), {})
        return {name: [Stored(tiles[name].id, tiles[name].jpeg)] for name in names if name in tiles}

    def documents(self, database: str, image: str) -> int:
        return len(self.tiles.get((database, image), {}))

    def tile(self, image_store: str, image: str, name: str) -> bytes | None:
        found = self.tiles.get((self._stores.get(image_store, ""), image), {}).get(name)
        return None if found is None else found.jpeg

    def has_tile(self, image_store: str, image: str, tile: bytes) -> bool:
        tiles = self.tiles.get((self._stores.get(image_store, ""), image), {})
        return any(each.id == tile for each in tiles.values())

    def image_of(
        self,
        view: str,
        *,
        most_seconds_old: float = 0.0,  # noqa: ARG002 - always the latest
    ) -> tuple[str, str] | None:
        found = self.views.get(view)
        return None if found is None else (found.image_store, found.image)

    def image(
        self,
        image_store: str,
        image: str,
        *,
        most_seconds_old: float = 0.0,  # noqa: ARG002 - always the latest
    ) -> PublishedImage | None:
        found = self.images.get((self._stores.get(image_store, ""), image))
        if found is None or found.facts is None:
            return None
        bare = replace(found.facts, icc_profile=b"", associated=())
        bare = replace(bare, slide=replace(bare.slide, icc_profile_bytes=0, associated=()))
        return PublishedImage(facts=bare, claim=found.trace.claim if found.trace else "")

    def staged_tile(self, job: Job, name: str) -> bytes | None:
        found = self.tiles.get((job.destination.database, job.staging()), {}).get(name)
        return None if found is None else found.jpeg

    def beside(self, image_store: str, image: str, name: str) -> bytes | None:
        found = self.images.get((self._stores.get(image_store, ""), image))
        if found is None or found.facts is None:
            return None
        kept = {each.name: each.jpeg for each in found.facts.associated} | {"icc": found.facts.icc_profile}
        return kept.get(name) or None

    def collections_of(self, image_store: str, image: str) -> frozenset[str]:
        showing = {
            view for view, shown in self.views.items() if (shown.image_store, shown.image) == (image_store, image)
        }
        return frozenset(session.collection for session in self._sessions.values() if showing & set(session.views))

    def collections(self) -> tuple[CollectionFacts, ...]:
        found = [self.collection(each) for each in self._collections]
        return tuple(sorted(found, key=lambda each: (each.label, each.id)))

    def collection(self, collection: str) -> CollectionFacts:
        if collection not in self._collections:
            raise NoSuchCollectionError(f"there is no collection {collection}")
        label, image_store = self._collections[collection]
        sessions = [self.session(each) for each, found in self._sessions.items() if found.collection == collection]
        return CollectionFacts(
            id=collection,
            label=label,
            image_store=image_store,
            sessions=tuple(sorted(sessions, key=lambda session: session.label)),
        )

    def session(self, session: str) -> SessionFacts:
        if session not in self._sessions:
            raise NoSuchSessionError(f"there is no session {session}")
        found = self._sessions[session]
        return SessionFacts(id=session, label=found.label, collection=found.collection, views=tuple(found.views))

    def make_session(self, collection: str, label: str) -> tuple[SessionFacts, bool]:
        known = next((session for session in self.collection(collection).sessions if session.label == label), None)
        if known is not None:
            return known, False
        self._before_write("make session")
        session = object_id("session", collection, label)
        made = _Session(label=label, collection=collection, image_store=None)
        is_new = self._sessions.setdefault(session, made) is made
        return self.session(session), is_new

    def shown(self, session: str) -> Mapping[str, str | None]:
        listed = self.session(session).views
        there = {view: self.views[view].trace for view in listed if view in self.views}
        return {view: trace.job if trace else None for view, trace in there.items()}

    def shown_slides(self, session: str) -> Mapping[str, str]:
        listed = self.session(session).views
        traces = [self.views[view].trace for view in listed if view in self.views]
        return {trace.slide: trace.job for trace in traces if trace is not None}

    def slides(self, session: str, *, cursor: str | None, limit: int) -> SlidePage:
        page, following = page_of(self.session(session).views, cursor, limit)
        return SlidePage(slides=tuple(self._shown(view) for view in page if view in self.views), cursor=following)

    def _shown(self, view: str) -> ShownSlide:
        found = self.views[view]
        image = self.images.get((self._stores.get(found.image_store, ""), found.image))
        facts = image.facts if image else None
        return ShownSlide(
            view=view,
            title=found.title,
            image_store=found.image_store,
            image=found.image,
            job=found.trace.job if found.trace else None,
            facts=None if facts is None else replace(facts, icc_profile=b"", associated=()),
        )

    def take_out(self, session: str, views: Sequence[str] | None) -> int:
        self.session(session)
        self._before_write("session without views")
        with self._lock:
            listed = self._sessions[session].views
            kept = [view for view in listed if views is not None and view not in views]
            self._sessions[session].views = kept
        self._before_write("delete views")
        self._delete(set(listed) - set(kept))
        return len(listed) - len(kept)

    def ping(self) -> None:
        pass


def _claim(job: Job, generation: int | None = None) -> str:
    """Which generation of which job: what publishing is noted under."""
    return f"{job.id}/{job.generation if generation is None else generation}"


def _trace(job: Job) -> MemoryTrace:
    return MemoryTrace(
        job=job.id,
        claim=_claim(job),
        slide=job.source.slide,
        order=job.order,
        submitted_at=job.submitted_at,
    )


if TYPE_CHECKING:  # signatures are held to the ports here, behaviour by tests/contracts
    _PORTS: tuple[ports.Clock, ports.Slides, ports.Work, ports.Queue, ports.Jobs, ports.Archive, ports.Syncs] = (
        MemoryClock(),
        MemorySlides(),
        MemoryWork(),
        MemoryQueue(),
        MemoryJobs(),
        MemoryArchive(),
        MemorySyncs(),
    )
