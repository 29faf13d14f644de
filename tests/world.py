"""The whole service over ports in memory, with the queues and the timer that drive it."""

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from chalicelib.adapters.event_recording import EventRecordingJobs
from chalicelib.adapters.memory import (
    MemoryArchive,
    MemoryCallbacks,
    MemoryClock,
    MemoryDeliveries,
    MemoryEvents,
    MemoryIdempotencyStore,
    MemoryJobs,
    MemoryQueue,
    MemorySlides,
    MemorySyncs,
    MemoryUploads,
    MemoryWork,
)
from chalicelib.adapters.memory.access_records import MemoryAccessRecords
from chalicelib.config import Settings
from chalicelib.core.jobs.model import Job
from chalicelib.core.plan.messages import Message
from chalicelib.entrypoints import consumers
from chalicelib.hooks.upload import UploadParameters, upload

if TYPE_CHECKING:
    from chalicelib.services import Services

COLLECTION, OTHER_COLLECTION = "0000000000000000000c0001", "0000000000000000000c0002"
SESSION, OTHER_SESSION = "0000000000000000000e0001", "0000000000000000000e0002"
STORE, DATABASE = "0000000000000000000d0001", "tiles"
BUCKET = "incoming"
TOKEN = "a token"


class Died(BaseException):
    """The death of a worker. It is a BaseException, so that no handler catches it."""


class Port:
    """A port that counts its calls. The worker dies at call number `World.dies_at`."""

    def __init__(self, port: Any, world: "World") -> None:
        self.port, self.world = port, world

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.port, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            return self.world.through(lambda: found(*arguments, **options))

        return call


class DelayQueue(MemoryQueue):
    """A queue that records the delays of messages."""

    def __init__(self) -> None:
        super().__init__()
        self.delayed: list[tuple[str, str, int]] = []

    def delay(self, queue: str, receipt_handle: str, seconds: int) -> None:
        self.delayed.append((queue, receipt_handle, seconds))


class Context:
    """Lambda's context: the remaining time of an invocation."""

    def __init__(self, seconds: float = 60.0) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


class World:
    """Ports in memory, two collections with a session each, and the messages between the steps."""

    jitter = 0.5

    def __init__(self, *, chunk_bytes: int = 20_000, dies_at: int | None = None, after: bool = False) -> None:
        self.calls = 0
        self.dies_at, self.after = dies_at, after
        self.memory_archive = MemoryArchive()
        self.memory_archive.add_store(STORE, database=DATABASE)
        for collection, session in ((COLLECTION, SESSION), (OTHER_COLLECTION, OTHER_SESSION)):
            self.memory_archive.add_collection(collection, label="Teaching", image_store=STORE)
            self.memory_archive.add_session(session, collection=collection, label="Lung")
        self.memory_slides, self.memory_jobs = MemorySlides(), MemoryJobs()
        self.memory_queue, self.memory_work = DelayQueue(), MemoryWork()
        self.slides: Any = Port(self.memory_slides, self)
        self.clock = MemoryClock(1_000_000.0)
        self.events = MemoryEvents()
        self.jobs: Any = EventRecordingJobs(
            Port(self.memory_jobs, self), self.events, clock=self.clock, worker="worker-1"
        )
        self.queue: Any = Port(self.memory_queue, self)
        self.work: Any = Port(self.memory_work, self)
        self.memory_syncs = MemorySyncs()
        self.syncs: Any = Port(self.memory_syncs, self)
        self.memory_uploads = MemoryUploads(self.memory_slides, BUCKET)
        self.uploads: Any = Port(self.memory_uploads, self)
        self.memory_idempotency = MemoryIdempotencyStore()
        self.idempotency: Any = Port(self.memory_idempotency, self)
        self.archive: Any = Port(self.memory_archive, self)
        self.probes: dict[str, Callable[[], object]] = {"table": lambda: None, "database": self.memory_archive.ping}
        self.memory_deliveries, self.memory_callbacks = MemoryDeliveries(), MemoryCallbacks()
        self.deliveries: Any = Port(self.memory_deliveries, self)
        self.callbacks: Any = Port(self.memory_callbacks, self)
        self.memory_access_records = MemoryAccessRecords()
        self.access_records: Any = Port(self.memory_access_records, self)
        self.image_collections: dict[tuple[str, str], tuple[float, frozenset[str]]] = {}
        self.settings = Settings(
            source_buckets=frozenset({BUCKET}),
            incoming_bucket=BUCKET,
            work_bucket="work",
            jobs_table="jobs",
            jobs_queue="jobs",
            chunks_queue="chunks",
            mongo_uri="mongodb://nowhere",
            admin_db="slideatlas",
            token_hashes=frozenset({hashlib.sha256(TOKEN.encode()).hexdigest()}),
            allow_anonymous_local_reads=True,
            chunk_bytes=chunk_bytes,
            threads=1,
            cores=1,
            region="us-east-1",
            aws_endpoint=None,
        )

    @property
    def services(self) -> "Services":
        """The same object as the type that the entry points take: it has each port and setting that they read."""
        return cast("Services", self)

    def through(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls == self.dies_at and not self.after:
            raise Died
        found = call()
        if self.calls == self.dies_at:
            raise Died
        return found

    def clock_until(self, remaining_millis: Callable[[], int]) -> MemoryClock:
        return MemoryClock(self.clock.now(), remaining_millis() / 1000)

    # -- users ---------------------------------------------------------------------------------------------------------

    def put(self, data: bytes, key: str = "slide.svs") -> None:
        self.clock.advance(1)
        self.memory_slides.put(BUCKET, key, data, at=self.clock.now())

    def submit(self, key: str = "slide.svs", **options: Any) -> Job:
        self.clock.advance(1)
        place = {"source": f"s3://{BUCKET}/{key}", "collection": COLLECTION, "session": SESSION}
        return upload(
            UploadParameters(**(place | options)),
            source_buckets=self.settings.source_buckets,
            slides=self.slides,
            jobs=self.jobs,
            archive=self.archive,
            queue=self.queue,
            clock=self.clock,
        )

    def job(self, job: Job) -> Job:
        found = self.memory_jobs.get(job.id)
        assert found is not None
        return found

    def tiles(self, job: Job) -> dict[str, bytes]:
        stored = self.memory_archive.tiles.get((DATABASE, self.job(job).image), {})
        return {name: tile.jpeg for name, tile in stored.items()}

    def views(self) -> tuple[str, ...]:
        return self.memory_archive.session(SESSION).views

    # -- queues and timer ----------------------------------------------------------------------------------------------

    def deliver(self, message: Message, *, seconds: float = 60.0) -> list[str]:
        """Deliver a message to its consumer. Returns the ids of the messages that failed."""
        fields = {"step": message.step, "job": message.job, "attempt": message.attempt, "chunk": message.chunk}
        body = json.dumps(fields | ({"delivery": message.delivery} if message.delivery else {}))
        return self.deliver_bodies([body], seconds=seconds)

    def deliver_bodies(self, bodies: list[str], *, seconds: float = 60.0, receives: int = 1) -> list[str]:
        answer = consumers.on_work(sqs_event(bodies, receives=receives), Context(seconds), self.services)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def run(self, *, most: int = 500) -> None:
        """Deliver messages until the queue is empty. A message whose worker dies returns to the queue."""
        while self.memory_queue.sent:
            most -= 1
            assert most > 0, "the messages do not come to an end"
            message = self.memory_queue.sent.pop(0)
            try:
                if self.deliver(message):
                    self.memory_queue.sent.append(message)
            except Died:
                self.memory_queue.sent.append(message)

    def minute(self) -> None:
        consumers.on_minute(self.services)

    def finish(self, job: Job, *, minutes: int = 30) -> Job:
        """Deliver messages and advance the timer until the job has ended."""
        for _ in range(minutes):
            self.run()
            if not self.job(job).is_live:
                return self.job(job)
            self.clock.advance(60)
            try:
                self.minute()
            except Died:
                continue
        raise AssertionError(f"the job is still {self.job(job).state}")


def sqs_event(bodies: list[str], *, receives: int = 1) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"message-{index}",
                "receiptHandle": f"receipt-{index}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(receives)},
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:slidehook-chunks",
            }
            for index, body in enumerate(bodies)
        ]
    }
