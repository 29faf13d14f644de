"""One history: users, scanners and the service on a machine that fails, and what must hold all the while.

Safety is checked after every effect: readers see one complete generation and its bytes are the reference's, states move
as the table says, progress neither runs back nor over, the session lists a slide once, a view never goes back to older
bytes, nothing fails for a reason that is not there, and receivers of callbacks hear of what happened only, each outcome
under one id. Liveness at the end: without further faults every job ends, queues run empty, nothing is left over, and
every outcome was heard by all who wanted to.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from chalicelib.adapters.event_recording import EventRecordingJobs
from chalicelib.adapters.memory import (
    MemoryArchive,
    MemoryDeliveries,
    MemoryEvents,
    MemoryJobs,
    MemorySlides,
    MemorySyncs,
    MemoryWork,
)
from chalicelib.config import Settings
from chalicelib.core.errors import SlidehookError, SourceChangedError, TransientError
from chalicelib.core.jobs.model import ENDED, Job, Options, State
from chalicelib.core.jobs.source import Source
from chalicelib.core.jobs.transitions import LEGAL_MOVES
from chalicelib.entrypoints import consumers
from chalicelib.hooks.upload import UploadParameters, upload
from chalicelib.hooks.verify import VerifyParameters, verify
from chalicelib.steps import control
from chalicelib.steps.cleanup import cancel
from chalicelib.steps.orphans import orphans
from chalicelib.steps.submit import retry
from tests.simulation.choices import Choices
from tests.simulation.machine import (
    TIMEOUT_SECONDS,
    Actor,
    Archive,
    Clock,
    Faults,
    Letter,
    Machine,
    Port,
    Queue,
    Receivers,
)
from tests.slides import Slide, write
from tests.world import BUCKET, COLLECTION, DATABASE, SESSION, STORE, World

KEYS = (f"{COLLECTION}/{SESSION}/a.svs", f"{COLLECTION}/{SESSION}/b.svs")
NAMED = "00000000000000000000aaaa"
STEPS = (500, 250)
UNASKED_STEPS = 300
# What users of a history do mostly: submit, submit to a named image, submit overwriting, empty the session, cancel,
# retry, submit by force, remove a slide, verify one, verify and repair one.
HABITS = (
    (6, 3, 1, 0.3, 1.5, 2, 1, 0.3, 0.3, 0.3),
    (0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
    (3, 0, 0, 0, 4, 6, 0, 1, 0, 0),
    (2, 0, 0, 0, 3, 1, 8, 0, 0, 0),
    (4, 0, 0, 1, 0, 0, 0, 8, 0, 0),
    (4, 1, 0, 0, 0.5, 0, 1, 0.2, 3, 3),
    (3, 0, 0, 0.5, 0, 0, 2, 3, 8, 1),
    (1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
)
# Who asks to be told of a job's end, and who hears of every verification.
RECEIVERS = ("https://one.example/hook", "https://two.example/hook")
OVERSEER = "https://overseer.example/hook"
# In the last kind of history versions overtake each other: users are few, and workers only fall asleep.
OVERTAKING = len(HABITS) - 1
# Long enough for the last rescue (three days) and the sweeper's second look.
LONGEST_SECONDS = 14 * 24 * 3600.0
MOST_ROUNDS = 6000
# To what the dates of objects are rounded.
DATED_SECONDS = 300.0

FAULTS = {
    "killed": 0.04, "asleep": 0.02, "refused": 0.04, "answer_lost": 0.04, "half_inserted": 0.5, "doubled": 0.2,
    "delayed": 0.15, "acknowledgement_lost": 0.3, "reordered": 0.5, "short_of_time": 0.2, "rolled_back": 0.08,
    "away": 0.02, "clock_jumps": 0.02, "spoilt": 0.04, "overtaken": 0.02,
    "receiver_refuses": 0.1, "receiver_answer_lost": 0.1,
}  # fmt: skip

# What a job may fail for in a history, beside what its bytes are to blame for.
REASONS = frozenset({"retries_exhausted", "source_gone", "source_changed", "newer_generation", "no_such_source"})


class Violation(AssertionError):  # noqa: N818 - it is not an error of the program that finds it
    """Something that must hold did not."""


@cache
def slides() -> tuple[bytes, ...]:
    """Return the versions that scanners write: sound ones, one of which lacks a level, and a damaged one."""
    small: dict[str, Any] = {"width_px": 150, "height_px": 100, "tile_size_px": 64}
    sound = [write(Slide(**small, levels=(0, 1, 2), seed=seed)) for seed in (1, 2, 4, 5)]
    return (*sound, write(Slide(**small, levels=(0, 1), seed=3)), sound[0][: len(sound[0]) // 3])


def etag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


@cache
def reference(version: int) -> Mapping[str, bytes] | None:
    """Return the tiles of a version by name, made without any fault; None if it cannot be published."""
    world = World(chunk_bytes=CHUNK_BYTES)
    world.put(slides()[version])
    logger = logging.getLogger("slidehook")
    logger.disabled = True  # that one of them is damaged is no news
    try:
        ended = world.finish(world.submit())
    finally:
        logger.disabled = False
    return world.tiles(ended) if ended.state is State.DONE else None


def compute_references() -> None:
    """Compute the reference tiles of every version, which are cached for the process."""
    for version in range(len(slides())):
        reference(version)


CHUNK_BYTES = 6000


def _version_number(source: Source) -> int:
    """Return which of all writes made an object."""
    return int(str(source.version_id).rsplit("-", 1)[-1])


@cache
def _versions() -> Mapping[str, int]:
    return {etag_of(data): version for version, data in enumerate(slides())}


class _Alarm(logging.Handler):
    """Hears what the entry points report as a fault of the program."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, TransientError):
            self.heard.append(f"{record.getMessage()[:200]}: {error!r}")


@dataclass(slots=True, frozen=True)
class _Context:
    machine: Machine
    deadline: float

    def get_remaining_time_in_millis(self) -> int:
        return int((self.deadline - self.machine.now) * 1000)


class Story:
    """The service over ports in memory, on a machine. It has what the entry points take for the wired system."""

    def __init__(self, choices: Choices, *, faults: tuple[str, ...] = tuple(FAULTS)) -> None:
        self.choices = choices
        self.machine = Machine(choices)
        machine = self.machine
        self.memory_jobs = MemoryJobs(before_write=machine.give_way)
        self.memory_archive = MemoryArchive(before_write=machine.give_way)
        self.memory_slides, self.memory_work = MemorySlides(), MemoryWork()
        self.memory_archive.add_store(STORE, database=DATABASE)
        self.memory_archive.add_collection(COLLECTION, image_store=STORE)
        self.memory_archive.add_session(SESSION, collection=COLLECTION)
        self.slides: Any = Port(machine, "slides", self.memory_slides)
        self.clock = Clock(machine)
        self.events = MemoryEvents()
        self.jobs: Any = EventRecordingJobs(
            Port(machine, "jobs", self.memory_jobs), self.events, clock=self.clock, worker="w"
        )  # type: ignore[arg-type]
        self.work: Any = Port(machine, "work", self.memory_work)
        self.archive: Any = Archive(machine, "archive", self.memory_archive)
        self.syncs: Any = Port(machine, "syncs", MemorySyncs(before_write=machine.give_way))
        self.memory_deliveries = MemoryDeliveries(before_write=machine.give_way)
        self.deliveries: Any = Port(machine, "deliveries", self.memory_deliveries)
        self.callbacks: Any = Receivers(machine, self._hear)
        self.queue: Any = Queue(machine)
        self.settings = Settings(
            source_buckets=frozenset({BUCKET}), incoming_bucket=BUCKET, work_bucket="work", jobs_table="jobs",
            jobs_queue="jobs", chunks_queue="chunks", mongo_uri="mongodb://nowhere", admin_db="slideatlas",
            token_hashes=frozenset(), allow_anonymous_local_reads=True, chunk_bytes=CHUNK_BYTES, threads=1, cores=1,
            region="us-east-1", aws_endpoint=None,
            callback_secrets=(bytes(24),), callback_urls={"verify": OVERSEER},
        )  # fmt: skip
        self._wanted = faults
        self._known: dict[str, Job] = {}
        self._shown: dict[str, Job] = {}
        self._was_emptied = False
        self._last: Actor | None = None
        self._named_last: Job | None = None
        # Which bytes stood under a key from when on, and the number of the version; none after it was deleted.
        self._written: dict[str, list[tuple[float, str, int]]] = {key: [] for key in KEYS}
        # Which tiles of published images somebody has spoilt, and when.
        self._spoilt: dict[str, dict[str, float]] = {}
        self._rolled_back: set[str] = set()
        # What receivers heard: (job, attempt, state, URL) and the id under which; and what they should not have.
        self._heard: dict[tuple[str, int, str, str], str] = {}
        self._misheard: str | None = None
        self._hurry = (0.12, 0.3)[self.choices.pick((3, 1))]
        kind = self.choices.pick((3, 2, 1, 1, 1, 1, 1, 1))
        self._habit, self._is_overtaking = HABITS[kind], kind == OVERTAKING

    @property
    def jitter(self) -> float:
        return (0.1, 0.5, 0.9)[self.choices.pick((1, 1, 1))]

    def clock_until(self, remaining_millis: Callable[[], int]) -> Clock:
        return Clock(self.machine, lambda: self.machine.now + remaining_millis() / 1000)

    # -- the history ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the history. Raises Violation."""
        alarm = _Alarm()
        logger = logging.getLogger("slidehook")
        before = logger.propagate, logger.level
        logger.propagate = False
        logger.setLevel(logging.ERROR)
        logger.addHandler(alarm)
        try:
            # Twice: the second time everything has long settled, and the sweeper has been there.
            for steps in STEPS:
                self._arm()
                for _ in range(steps):
                    self._step()
                    self._check(alarm)
                # Nobody asks for more: now jobs reach their ends, and the faults meet them there.
                for _ in range(UNASKED_STEPS):
                    self._step(asked=False)
                    self._check(alarm)
                self._calm()
                self._end(alarm)
            self._mend(alarm)
            # Long after, everything is replaced: what was kept for readers is not kept for ever.
            for key in KEYS:
                self._write(key, version=4)
                self._submit(key, overwrite=True)
            self._end(alarm)
        finally:
            logger.removeHandler(alarm)
            logger.propagate, logger.level = before
            for actor in list(self.machine.actors):
                self.machine._switch(actor, die=True)

    def _arm(self) -> None:
        """Choose the faults of this history."""
        for name in self._wanted:
            rate = (0.0, FAULTS[name] / 3, FAULTS[name], min(0.6, FAULTS[name] * 6))[self.choices.pick((4, 2, 2, 1))]
            if self._is_overtaking:
                rate = 0.4 if name == "overtaken" else 0.0
            setattr(self.machine.faults, name, rate)

    def _step(self, *, asked: bool = True) -> None:
        """Let one thing happen; with `asked`, users and scanners may be at it."""
        machine = self.machine
        awake = machine.awake()
        letters = machine.deliverable()
        busy = 12 if awake else 0
        # Where somebody is at work time passes seldom in leaps: it would only end them.
        # Between two writes of somebody else is when a user is most unwelcome.
        user = 2.0 if True in [actor.is_between for actor in awake] else 0.5
        # Who sleeps in the middle of publishing may be overtaken by a newer version.
        sleeps = len(awake) < len(machine.actors) and any(
            actor.publishes and actor.asleep_until > machine.now for actor in machine.actors
        )
        user, scanner = (user, 4 * self._hurry if sleeps else self._hurry) if asked else (0.0, 0.0)
        if self._is_overtaking:
            user /= 10
            # One version after the other: when all is quiet, or somebody sleeps who may be overtaken.
            scanner = (0.3 if sleeps or not busy else 0.01) if asked else 0.0
        kind = self.choices.pick((busy, 4 if letters else 0, user, 0.5, scanner, 0.06 if awake else 1.0, 0.15))
        if kind == 0 and awake:
            # Who was at it last is likely to go on: with all in step, nobody would get far.
            actor = awake[self.choices.pick([6 if each is self._last else 1 for each in awake])]
            self._last = actor
            machine.resume(actor)
        elif kind == 1 or (kind == 0 and letters):
            self._deliver(letters)
        elif kind == 2 or (kind == 0 and asked):
            self._user()
        elif kind in (0, 3):
            self._pass(1.0)
        elif kind == 4:
            self._scanner()
        elif kind == 5:
            self._pass((10.0, 60.0, 1200.0, 2400.0)[self.choices.pick((4, 2, 1, 1))])
            self._minute()
        else:
            self._misfortune()

    def _pass(self, seconds: float) -> None:
        self.machine.now += seconds

    def _misfortune(self) -> None:
        machine, faults = self.machine, self.machine.faults
        if self.choices.chance(faults.away * 10):
            machine.away_until = machine.now + (20.0, 600.0)[self.choices.pick((1, 1))]
            machine.note("away", f"MongoDB until {machine.away_until:.0f}")
        if self.choices.chance(faults.clock_jumps * 10):
            self._pass(7200.0)
            machine.note("clock jumps", "two hours on")
        if self.choices.chance(faults.rolled_back * 10):
            self._roll_back()
        if self.choices.chance(faults.spoilt * 10):
            self._spoil()

    def _spoil(self) -> None:
        """Take a tile of a published slide away, or put other bytes into it: what `verify` is for."""
        archive = self.memory_archive
        shown = [archive.views[view] for view in archive.session(SESSION).views if view in archive.views]
        jobs = [job for view in shown if view.trace and (job := self.memory_jobs.get(view.trace.job))]
        images = sorted({job.image for job in jobs if job.state is State.DONE} - {NAMED})
        tiles = archive.tiles[DATABASE, images[self.choices.pick([1] * len(images))]] if images else None
        if tiles:
            name = sorted(tiles)[self.choices.pick([1] * len(tiles))]
            image = next(place for place, found in archive.tiles.items() if found is tiles)[1]
            if self.choices.chance(0.5):
                tiles[name] = replace(tiles[name], jpeg=b"spoilt")
            else:
                del tiles[name]
            self._spoilt.setdefault(image, {}).setdefault(name, self.machine.now)
            self.machine.note("spoilt", f"{image} {name}")

    def _roll_back(self) -> None:
        """Lose tiles that were acknowledged: a primary whose writes did not reach the others. Only while a slide is
        tiled: what is lost after the check that precedes publishing is for `verify` to find. An attempt that goes on
        with tiles which readers see already, because its finisher died after the switch, is past that check."""
        seen = {view.image for view in self.memory_archive.views.values()}
        writing = [job for job in self.memory_jobs._jobs.values() if job.state is State.TILING]
        places = [(job.destination.database, job.staging()) for job in writing if job.staging() not in seen]
        staged = [(place, tiles) for place in places if (tiles := self.memory_archive.tiles.get(place))]
        if staged:
            place, tiles = staged[self.choices.pick([1] * len(staged))]
            name = sorted(tiles)[self.choices.pick([1] * len(tiles))]
            del tiles[name]
            self._rolled_back.add(place[1])
            self.machine.note("rolled back", f"{place[1]} {name}")

    # -- who does something --------------------------------------------------------------------------------------------

    def _scanner(self) -> None:
        """Write, overwrite or delete an object; S3 may tell of it late, twice, or not at all."""
        machine = self.machine
        key = KEYS[self.choices.pick((3, 1))]
        version = self.choices.pick((4, 3, 2, 2, 2, 1))
        machine.now += (0.01, 1.0)[self.choices.pick((1, 2))]
        if self.choices.chance(0.15):
            self.memory_slides.delete(BUCKET, key)
            machine.note("deleted", key)
            self._written[key].append((machine.now, "", 0))
            return
        source = self._write(key, version)
        if self.choices.chance(0.3):
            machine.note("event lost", key)
            return
        at = datetime.fromtimestamp(machine.now, UTC).isoformat().replace("+00:00", "Z")
        thing = {
            "key": key,
            "eTag": source.etag.strip('"'),
            "size": source.size_bytes,
            "sequencer": f"{machine.sent:016X}",
        }
        record = {
            "eventName": "ObjectCreated:Put",
            "eventTime": at,
            "s3": {"bucket": {"name": BUCKET}, "object": thing},
        }
        machine.post("arrivals", json.dumps({"Records": [record]}))

    def _write(self, key: str, version: int) -> Source:
        machine = self.machine
        if (BUCKET, key) in self.memory_slides._objects:
            machine.seen["overwritten"] += 1
        machine.note("written", f"{key} version {version}")
        # S3 dates objects in whole seconds, in which a small slide may be published: here it takes longer.
        at = machine.now // DATED_SECONDS * DATED_SECONDS
        source = self.memory_slides.put(BUCKET, key, slides()[version], at=at)
        self._written[key].append((machine.now, source.etag, _version_number(source)))
        return source

    def _user(self) -> None:
        key = KEYS[self.choices.pick((3, 1))]
        kind = self.choices.pick(self._habit)
        known = sorted(self.memory_jobs._jobs.values(), key=lambda job: job.id)
        # Most want what can be granted; some come too late.
        likely = [1 + 4 * self._suits(kind, job) for job in known]
        job = known[self.choices.pick(likely)].id if known else ""
        calls: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("submit", lambda: self._submit(key)),
            ("submit to a named image", lambda: self._submit(key, mongo_collection=NAMED)),
            ("submit, overwriting", lambda: self._submit(key, overwrite=True)),
            ("empty the session", self._recreate),
            ("cancel", lambda: self._cancel(job)),
            ("retry", lambda: self._retry(job)),
            ("submit by force", lambda: self._submit(key, force=True)),
            ("remove", self._remove),
            ("verify", lambda: self._verify(job, repair=False)),
            ("verify and repair", lambda: self._verify(job, repair=True)),
        )
        name, call = calls[kind]
        self.machine.start(name, lambda: self._asked(name, call), seconds=29)

    @staticmethod
    def _suits(kind: int, job: Job) -> bool:
        if kind >= 8:
            return job.state is State.DONE and job.verifies is None
        return (kind == 4) == job.is_live

    def _asked(self, name: str, call: Callable[[], Any]) -> None:
        """A user's call: an error is an answer."""
        try:
            call()
        except SlidehookError as error:
            self.machine.note("answered", f"{name}: {error.code}")

    def _submit(self, key: str, **options: Any) -> Job:
        address = {"source": f"s3://{BUCKET}/{key}", "collection": COLLECTION, "session": SESSION}
        if receiver := self.choices.pick((4, 2, 1)):
            options["callback_url"] = RECEIVERS[receiver - 1]
        return upload(
            UploadParameters(**(address | options)), source_buckets=self.settings.source_buckets,
            slides=self.slides, jobs=self.jobs, archive=self.archive, queue=self.queue, clock=self.clock,
        )  # fmt: skip

    def _cancel(self, job: str) -> None:
        ended = cancel(job, jobs=self.jobs, archive=self.archive, clock=self.clock)
        self.machine.seen["cancel granted"] += ended.state is State.CANCELLED

    def _retry(self, job: str) -> None:
        retry(
            job, source_buckets=self.settings.source_buckets,
            slides=self.slides, jobs=self.jobs, archive=self.archive, queue=self.queue, clock=self.clock,
        )  # fmt: skip
        self.machine.seen["retry granted"] += 1

    def _verify(self, job: str, *, repair: bool) -> None:
        verify(
            VerifyParameters(job=job or "0" * 32, repair=repair), source_buckets=self.settings.source_buckets,
            jobs=self.jobs, archive=self.archive, queue=self.queue, clock=self.clock,
        )  # fmt: skip
        self.machine.seen["verify granted"] += 1

    def _remove(self) -> None:
        listed = self.memory_archive.session(SESSION).views
        if listed:
            view = listed[self.choices.pick([1] * len(listed))]
            control.remove(SESSION, [view], jobs=self.jobs, archive=self.archive, clock=self.clock)
            self._was_emptied = True

    def _recreate(self) -> None:
        control.recreate_session(SESSION, jobs=self.jobs, archive=self.archive, clock=self.clock)
        self._was_emptied = True

    def _minute(self) -> None:
        def look() -> None:
            # The timer that fails is called again a minute later.
            with suppress(TransientError):
                consumers.on_minute(self)  # type: ignore[arg-type]

        self.machine.start("minute", look, seconds=60)

    def _deliver(self, letters: list[Letter]) -> None:
        """Give a message to its function."""
        machine = self.machine
        chosen = 0
        if machine.faults.reordered:
            chosen = self.choices.pick([1] * len(letters))
            machine.seen["reordered"] += chosen > 0
        letter = letters[chosen]
        receipt = machine.receive(letter)
        if not receipt:
            return
        seconds = TIMEOUT_SECONDS[letter.queue]
        if machine.choices.chance(machine.faults.short_of_time):
            machine.note("short of time", letter.body)
            seconds = 2.0
        context = _Context(machine, machine.now + seconds)
        record = {
            "messageId": f"m{letter.number}", "receiptHandle": f"{letter.number}/{receipt}", "body": letter.body,
            "attributes": {"ApproximateReceiveCount": str(receipt)}, "eventSourceARN": letter.queue,
        }  # fmt: skip
        event = {"Records": [record]}
        handlers: dict[str, Callable[[], Any]] = {
            "arrivals": lambda: consumers.on_arrivals(event, self),  # type: ignore[arg-type]
            "jobs": lambda: consumers.on_work(event, context, self),  # type: ignore[arg-type]
            "chunks": lambda: consumers.on_work(event, context, self),  # type: ignore[arg-type]
            "dead": lambda: consumers.on_dead_letters(event, self),  # type: ignore[arg-type]
        }

        def invoke() -> None:
            failures = handlers[letter.queue]()["batchItemFailures"]
            if not failures:
                machine.acknowledge(letter, receipt)

        machine.start(f"{letter.queue} m{letter.number}/{receipt}", invoke, seconds=seconds)

    # -- what must hold ------------------------------------------------------------------------------------------------

    def _check(self, alarm: _Alarm) -> None:
        if alarm.heard:
            raise Violation(f"a fault of the program: {alarm.heard[0]}")
        if self._misheard is not None:
            raise Violation(self._misheard)
        touched = self.machine.touched
        if "jobs" in touched:
            self._check_jobs()
        if "archive" in touched:
            self._check_readers()
        touched.clear()

    def _hear(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """What reaches a receiver: of something that happened, which it wanted to know, and always under one id."""
        recorded = json.loads(body)["data"]
        outcome = (recorded["id"], recorded["attempt"], recorded["state"], url)
        message_id = headers["webhook-id"]
        self.machine.seen["heard again"] += outcome in self._heard
        if self._heard.setdefault(outcome, message_id) != message_id:
            self._misheard = f"two ids for one outcome: {outcome} was told as {self._heard[outcome]} and {message_id}"
        elif list(self._heard.values()).count(message_id) != 1:
            self._misheard = f"one id for two outcomes: {message_id}"
        job = self.memory_jobs.get(recorded["id"])
        assert job is not None
        if outcome not in self._wanted_outcomes(job):
            self._misheard = f"a receiver heard what did not happen, or what it did not want to know: {outcome}"

    @staticmethod
    def _wanted_outcomes(job: Job) -> set[tuple[str, int, str, str]]:
        """Return what is to be heard of a job, and by whom."""
        wanted = [(each.url, each.since) for each in job.subscribers]
        if job.verifies is not None:
            wanted.append((OVERSEER, 1))
        return {
            (job.id, ended.attempt, ended.outcome.value, url)
            for ended in job.history
            for url, since in wanted
            if since <= ended.attempt
        }

    def _check_jobs(self) -> None:
        stored = self.memory_jobs._jobs
        moved = [job for job in stored.values() if self._known.get(job.id) is not job]
        for job in moved:
            self._check_move(self._known.get(job.id), job)
            self._known[job.id] = job
        live: dict[tuple[object, ...], str] = {}
        for job in stored.values() if moved else ():
            if job.is_live:
                asked = (job.hook, job.verifies, job.source.key, job.source.etag, job.destination, job.options)
                if live.setdefault(asked, job.id) != job.id:
                    raise Violation(f"two jobs do the same: {job.id} and {live[asked]}")

    def _check_move(self, before: Job | None, job: Job) -> None:
        what = f"job {job.id}"
        if before is None:
            return
        self._check_state(what, before, job)
        self._check_progress(what, before, job)
        if job.state is not before.state and job.state in ENDED:
            self.machine.seen[f"job {job.state}"] += 1
        if job.attempt > before.attempt:
            self.machine.seen["job retried"] += 1
        if job.state is State.DONE and job.destination.mongo_collection:
            self._named_last = max(self._named_last or job, job, key=lambda each: each.submitted_at)
        if job.state is State.FAILED and before.state is not State.FAILED:
            self._check_reason(job)
        if job.verifies is not None:
            if job.state is State.DONE and before.state is not State.DONE:
                self._check_findings(job)
            return
        if job.error is not None and job.error.code == SourceChangedError.code and before.is_live:
            self._check_followed(job)
        if job.state is State.SUPERSEDED and before.state is State.FINISHING and not job.destination.mongo_collection:
            self._check_shown(job)

    @staticmethod
    def _check_state(what: str, before: Job, job: Job) -> None:
        if job.state is not before.state and job.state not in LEGAL_MOVES[before.state]:
            raise Violation(f"{what} went from {before.state} to {job.state}")
        if job.attempt not in (before.attempt, before.attempt + 1) or job.generation < before.generation:
            raise Violation(f"{what} went from attempt {before.attempt} to {job.attempt}")
        if job.attempt == before.attempt and before.state in ENDED and job.state is not before.state:
            raise Violation(f"{what} began again without a new attempt")

    @staticmethod
    def _check_progress(what: str, before: Job, job: Job) -> None:
        if job.tiles_done > job.tiles_total or job.bytes_done > job.bytes_total:
            raise Violation(f"{what} did {job.tiles_done} of {job.tiles_total} tiles")
        same = (job.attempt, job.generation, job.plan_digest) == (before.attempt, before.generation, before.plan_digest)
        if same and job.tiles_done < before.tiles_done:
            raise Violation(f"{what} went back from {before.tiles_done} tiles to {job.tiles_done}")

    def _check_reason(self, job: Job) -> None:
        if job.error is None:
            raise Violation(f"job {job.id} failed without a reason")
        is_sound = reference(_versions()[job.source.etag]) is not None if job.source.etag in _versions() else True
        allowed = job.error.code in REASONS or not is_sound
        if job.error.code == "retries_exhausted":
            allowed = any(job.id in body for body in self.machine.buried)
        # Who submits a slide again that was taken out goes on with the tiles that are still there.
        if job.error.code == "verification_failed":
            allowed = job.staging() in self._rolled_back or job.staging() in self._spoilt
        if not allowed:
            raise Violation(f"job {job.id} failed for no reason: {job.error.code}, {job.error.message}")

    def _check_findings(self, job: Job) -> None:
        """What a verification says is what was done to the image: what it found is wrong, and what was wrong before it
        began it has found."""
        assert job.verifies is not None
        assert job.findings is not None
        spoilt = self._spoilt.get(job.verifies.image, {})
        found = {fault.name for fault in job.findings.faults}
        if found - spoilt.keys() or job.findings.doubled or job.findings.unexpected:
            raise Violation(f"job {job.id} found faults that nobody made: {job.findings}")
        # A very late worker of the upload may have put a tile back.
        wrong = self._is_wrong(job.verifies.image, job.source.etag)
        if missed := {name for name, at in spoilt.items() if at < job.started_at and name in wrong} - found:
            raise Violation(f"job {job.id} did not find {sorted(missed)}")
        self.machine.seen["fault found"] += bool(found)
        self.machine.seen["found intact"] += not found

    def _is_wrong(self, image: str, etag: str) -> set[str]:
        """Return the names of the tiles of an image that are not those of its source."""
        tiles = self.memory_archive.tiles.get((DATABASE, image), {})
        expected = reference(_versions()[etag]) or {}
        return {name for name, jpeg in expected.items() if name not in tiles or tiles[name].jpeg != jpeg}

    def _check_readers(self) -> None:
        archive = self.memory_archive
        listed = archive.session(SESSION).views
        shown = [archive.views[view] for view in listed if view in archive.views]
        slides_shown = [view.trace.slide for view in shown if view.trace]
        if len(set(listed)) != len(listed) or len(set(slides_shown)) != len(slides_shown):
            raise Violation(f"the session lists a slide twice: {listed}")
        # A slide that was taken out may come back with older bytes.
        self._shown = {slide: job for slide, job in self._shown.items() if slide in slides_shown}
        for name in listed:
            view = archive.views.get(name)
            if view is None or view.trace is None:
                continue
            job = self.memory_jobs.get(view.trace.job)
            if job is None:
                raise Violation(f"view {name} shows the unknown job {view.trace.job}")
            self._check_tiles(name, view.image, job)
            before = self._shown.get(view.trace.slide, job)
            if self._is_older(job, before):
                raise Violation(f"view {name} went back to older bytes: from {before.source.etag} to {job.source.etag}")
            self._shown[view.trace.slide] = job

    def _is_older(self, one: Job, other: Job) -> bool:
        """Tell whether the bytes of one job were overwritten before those of the other were pinned, and not written
        again since."""
        if one.source.etag == other.source.etag:
            return False
        last = max(number for _, etag, number in self._written[one.source.key] if etag == one.source.etag)
        return last < _version_number(other.source)

    def _check_tiles(self, view: str, image: str, job: Job) -> None:
        tiles = {name: tile.jpeg for name, tile in self.memory_archive.tiles.get((DATABASE, image), {}).items()}
        if image == NAMED:
            # Its tiles change by the rename, the view after that: in between it shows any complete generation.
            if not any(tiles == reference(version) for version in range(len(slides()))):
                raise Violation(f"view {view} shows {len(tiles)} tiles that are no version of its slide")
            return
        expected = dict(reference(_versions()[job.source.etag]) or {})
        for name in self._spoilt.get(image, ()):
            tiles.pop(name, None)
            expected.pop(name, None)
        if tiles != expected:
            raise Violation(f"view {view} shows {len(tiles)} tiles that are not those of {job.source} (job {job.id})")

    # -- how it must end -----------------------------------------------------------------------------------------------

    def _calm(self) -> None:
        """No more faults, no more calls."""
        self.machine.note("calm", "")
        self.machine.faults = Faults()
        self.machine.away_until = 0.0

    def _end(self, alarm: _Alarm) -> None:
        """Let everything come to rest. Raises Violation if it does not."""
        machine = self.machine
        begun, last_minute = machine.now, machine.now
        for _ in range(MOST_ROUNDS):
            self._drain(alarm)
            if self._is_at_rest():
                break
            if machine.now - begun > LONGEST_SECONDS:
                raise Violation(f"after {LONGEST_SECONDS / 86400:.0f} days {self._unrest()}")
            due = [letter.visible_at for letter in machine.letters] + [actor.asleep_until for actor in machine.actors]
            soonest = min([at for at in due if at > machine.now], default=float("inf"))
            # Nothing happens for a while: then the minutes need not be told one by one.
            idle = 60.0 if machine.letters or machine.actors else 1800.0
            machine.now = max(machine.now + 0.5, min(soonest, last_minute + idle))
            if machine.now - last_minute >= 60.0:
                last_minute = machine.now
                self._minute()
        else:
            raise Violation(f"it does not come to rest: {self._unrest()}")
        self._check_left_over()

    def _drain(self, alarm: _Alarm) -> None:
        """Let everybody do what can be done now."""
        machine = self.machine
        while True:
            if awake := machine.awake():
                machine.resume(awake[0])
            elif letters := machine.deliverable():
                self._deliver(letters)
            else:
                return
            self._check(alarm)

    def _is_at_rest(self) -> bool:
        stored = self.memory_jobs._jobs.values()
        pending = any(each.state == "pending" for each in self.memory_deliveries._deliveries.values())
        busy = self.machine.actors or self.machine.letters or self.memory_jobs._notifications or pending
        return not busy and all(not job.is_live and job.cleanup_at is None for job in stored)

    def _unrest(self) -> str:
        stored = self.memory_jobs._jobs.values()
        jobs = [
            f"{job.id} {job.state} cleanup {job.cleanup_at}"
            for job in stored
            if job.is_live or job.cleanup_at is not None
        ]
        pending = [each.id for each in self.memory_deliveries._deliveries.values() if each.state == "pending"]
        pending_notifications = list(self.memory_jobs._notifications)
        busy = f"{len(self.machine.letters)} messages, {len(self.machine.actors)} at work"
        return f"{busy}, jobs {jobs}, deliveries {pending}, pending_notifications {pending_notifications}"

    def _check_left_over(self) -> None:
        archive = self.memory_archive
        listed = archive.session(SESSION).views
        if unlisted := set(archive.views) - set(listed):
            raise Violation(f"left over: views {sorted(unlisted)}")
        shown = {archive.views[view].image for view in listed if view in archive.views}
        # A named image keeps its tiles, as the user's own collection, also when no view shows it.
        left = [place for place in (*archive.tiles, *archive.images) if place[1] not in shown | {NAMED}]
        if left:
            raise Violation(f"left over: {sorted(set(left))}")
        # What is left over is so by the table's word too: who has to look for orphans finds them all, and no other.
        if found := orphans(drop=False, cursor=None, jobs=self.memory_jobs, archive=archive).found:
            raise Violation(f"orphans: {found}")
        for job in self.memory_jobs._jobs.values():
            is_new = job.destination.mongo_collection is None and job.verifies is None
            if job.state is State.DONE and is_new and not self._was_emptied:
                self._check_shown(job)
            if unheard := self._wanted_outcomes(job) - self._heard.keys():
                raise Violation(f"never heard: {sorted(unheard)}")
        if self._named_last is not None:
            self._check_named(self._named_last)

    def _mend(self, alarm: _Alarm) -> None:
        """Ask for the repair of what is spoilt and shown. Raises Violation if readers still see it afterwards."""
        archive = self.memory_archive

        def spoilt() -> list[str]:
            listed = archive.session(SESSION).views
            shown = {archive.views[view] for view in listed if view in archive.views}
            jobs = [job for view in shown if view.trace and (job := self.memory_jobs.get(view.trace.job))]
            done = [job for job in jobs if job.state is State.DONE and job.image in self._spoilt]
            return sorted(job.id for job in done if self._is_wrong(job.image, job.source.etag))

        asked = spoilt()
        for job_id in asked:
            job = self.memory_jobs.get(job_id)
            assert job is not None
            version = _versions()[job.source.etag]
            # What it is mended from.
            if self._written[job.source.key][-1][1] != job.source.etag:
                self._write(job.source.key, version)
            self.machine.start("mend", lambda job_id=job_id: self._verify(job_id, repair=True), seconds=29)  # type: ignore[misc]
            self.machine.seen["mended"] += 1
        if asked:
            self._end(alarm)
        if left := spoilt():
            raise Violation(f"readers see what is spoilt: {left}")

    def _check_followed(self, job: Job) -> None:
        """What took the place of a job's bytes has a job of its own, whether or not S3 told of it."""
        asked = (job.source.key, job.destination, job.options)
        newer = [
            each
            for each in self.memory_jobs._jobs.values()
            if (each.source.key, each.destination, each.options) == asked and each.id != job.id
        ]
        written = self._written[job.source.key]
        before = [etag for at, etag, _ in written if at <= job.started_at][-1:]
        since = {*before, *(etag for at, etag, _ in written if at > job.started_at)}
        if "" not in since and not any(each.source.etag in since for each in newer):
            raise Violation(f"nobody submitted what took the place of the bytes of job {job.id}")

    def _check_named(self, latest: Job) -> None:
        """A named image holds the slide that was submitted for it last: done, or replaced in its view between the
        rename and the switch."""
        image = self.memory_archive.images[DATABASE, NAMED]
        holder = self.memory_jobs.get(image.trace.job) if image.trace else None
        if holder is not None and holder.submitted_at > latest.submitted_at:
            latest = holder
        tiles = {name: tile.jpeg for name, tile in self.memory_archive.tiles.get((DATABASE, NAMED), {}).items()}
        if tiles != reference(_versions()[latest.source.etag]):
            raise Violation(f"the named image does not hold what was submitted last (job {latest.id})")

    def _check_shown(self, done: Job) -> None:
        """What is done, or has given way, is what readers see, or something newer, unless it was taken out."""
        for view in self.memory_archive.views.values():
            if view.trace is None or view.trace.slide != done.source.slide:
                continue
            shown = self.memory_jobs.get(view.trace.job)
            assert shown is not None
            if self._is_older(shown, done):
                raise Violation(f"job {done.id} is {done.state}, and readers see something older")


def warm() -> None:
    """Make the slides and their tiles, which all histories share."""
    for version in range(len(slides())):
        reference(version)


def recorded(seed: int | None = None, given: list[int] | None = None, **options: Any) -> tuple[Story, Violation | None]:
    """Run one history; return it, and what did not hold."""
    story = Story(Choices(seed, given or ()), **options)
    try:
        story.run()
    except Violation as violation:
        return story, violation
    except Exception as error:
        return story, Violation(f"a fault of the program: {error!r}")
    return story, None


__all__ = ["FAULTS", "Options", "Story", "Violation", "recorded"]
