"""Builds the adapter of each port from the settings.

A process creates one `Services`. Adapters and their clients are created on first use, which keeps cold starts short.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.clock import SystemClock
from chalicelib.config import Settings

if TYPE_CHECKING:
    from botocore.session import Session
    from pymongo import MongoClient

    from chalicelib.adapters.callbacks import HttpCallbacks
    from chalicelib.adapters.dynamodb.access_records import AccessRecordTable
    from chalicelib.adapters.dynamodb.deliveries import DeliveryTable
    from chalicelib.adapters.dynamodb.events import EventTable
    from chalicelib.adapters.dynamodb.idempotency import IdempotencyTable
    from chalicelib.adapters.dynamodb.schema import TableSchema
    from chalicelib.adapters.dynamodb.syncs import SyncTable
    from chalicelib.adapters.event_recording import EventRecordingJobs
    from chalicelib.adapters.mongo.archive import MongoArchive
    from chalicelib.adapters.mongo.schema import MongoSchema
    from chalicelib.adapters.s3 import S3Slides, S3Uploads, S3Work
    from chalicelib.adapters.sqs import JobQueues

CONNECTIONS = 16


@dataclass(frozen=True)
class Services:
    """The ports of the service, each with its adapter."""

    settings: Settings
    # botocore's clients are thread-safe, its sessions are not.
    _session_lock: Lock = field(default_factory=Lock, repr=False)
    # Cache: (image store, image) -> expiry, and the collections that show the image.
    image_collections: dict[tuple[str, str], tuple[float, frozenset[str]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def _session(self) -> "Session":
        # boto3 adds transfers and resources, which are not used, and a tenth of a cold start.
        from botocore.session import get_session

        return get_session()

    def _aws(self, service: str, *, seconds: float = 30, tries: int = 4) -> Any:
        from botocore.config import Config

        # Short timeouts: the queue retries the message, so that a worker does not hang.
        bounded = Config(
            connect_timeout=min(3, seconds),
            read_timeout=seconds,
            retries={"mode": "standard", "total_max_attempts": tries},
            max_pool_connections=CONNECTIONS,
        )
        with self._session_lock:
            return self._session.create_client(
                service,
                region_name=self.settings.region,
                endpoint_url=self.settings.aws_endpoint,
                config=bounded,
            )

    @cached_property
    def _s3(self) -> Any:
        return self._aws("s3")

    @cached_property
    def slides(self) -> "S3Slides":
        from chalicelib.adapters.s3 import S3Slides

        return S3Slides(self._s3)

    @cached_property
    def uploads(self) -> "S3Uploads":
        from botocore.config import Config

        from chalicelib.adapters.s3 import S3Uploads

        # The regional endpoint is never redirected. entrypoints.pages allows pages to connect to the same origin.
        style: Any = {"addressing_style": "path" if self.settings.aws_endpoint else "virtual"}
        with self._session_lock:
            signer: Any = self._session.create_client(
                "s3",
                region_name=self.settings.region,
                endpoint_url=self.settings.aws_endpoint or f"https://s3.{self.settings.region}.amazonaws.com",
                config=Config(signature_version="s3v4", s3=style),
            )
        return S3Uploads(self._s3, self.settings.incoming_bucket, signer=signer)

    @cached_property
    def work(self) -> "S3Work":
        from chalicelib.adapters.s3 import S3Work

        return S3Work(self._s3, self.settings.work_bucket)

    @cached_property
    def jobs(self) -> "EventRecordingJobs":
        from chalicelib.adapters.dynamodb.events import EventTable
        from chalicelib.adapters.event_recording import EventRecordingJobs
        from chalicelib.adapters.metrics import MeasuredJobTable

        # Without retries: a job does not wait for its events.
        events = EventTable(self._aws("dynamodb", seconds=1, tries=1), self.settings.jobs_table)
        stores_notifications = bool(self.settings.callback_secrets)
        table = MeasuredJobTable(self._dynamodb, self.settings.jobs_table, stores_notifications=stores_notifications)
        return EventRecordingJobs(table, events, clock=self.clock, worker=self.settings.worker)

    @cached_property
    def events(self) -> "EventTable":
        from chalicelib.adapters.dynamodb.events import EventTable

        return EventTable(self._dynamodb, self.settings.jobs_table)

    @cached_property
    def deliveries(self) -> "DeliveryTable":
        from chalicelib.adapters.dynamodb.deliveries import DeliveryTable

        return DeliveryTable(self._dynamodb, self.settings.jobs_table)

    @cached_property
    def callbacks(self) -> "HttpCallbacks":
        from chalicelib.adapters.callbacks import HttpCallbacks

        return HttpCallbacks(loopback=self.settings.callback_loopback)

    @cached_property
    def syncs(self) -> "SyncTable":
        from chalicelib.adapters.dynamodb.syncs import SyncTable

        return SyncTable(self._dynamodb, self.settings.jobs_table)

    @cached_property
    def idempotency(self) -> "IdempotencyTable":
        from chalicelib.adapters.dynamodb.idempotency import IdempotencyTable

        return IdempotencyTable(self._dynamodb, self.settings.jobs_table)

    @cached_property
    def access_records(self) -> "AccessRecordTable":
        from chalicelib.adapters.dynamodb.access_records import AccessRecordTable

        return AccessRecordTable(self._dynamodb, self.settings.jobs_table)

    @property
    def schemas(self) -> tuple["TableSchema", "MongoSchema"]:
        """Return the schemas of all stores, for `slidehook migrate`."""
        from chalicelib.adapters.dynamodb.schema import TableSchema
        from chalicelib.adapters.mongo.schema import MongoSchema

        settings = self.settings
        return TableSchema(self._dynamodb, settings.jobs_table), MongoSchema(self._mongo, settings.admin_db)

    @cached_property
    def _dynamodb(self) -> Any:
        return self._aws("dynamodb")

    @cached_property
    def _sqs(self) -> Any:
        return self._aws("sqs")

    @cached_property
    def probes(self) -> Mapping[str, Callable[[], object]]:
        """Return a probe for each dependency of the service. A probe raises if its dependency does not respond."""
        from chalicelib.adapters import probes

        settings = self.settings
        # MongoDB does not report its limit, so that a setting names it.
        files = probes.open_files(self._mongo, settings.mongo_open_files)
        return {
            "table": probes.table(self._dynamodb, settings.jobs_table),
            "jobs queue": probes.queue(self._sqs, settings.jobs_queue),
            "chunks queue": probes.queue(self._sqs, settings.chunks_queue),
            "incoming bucket": probes.bucket(self._s3, settings.incoming_bucket),
            "work bucket": probes.bucket(self._s3, settings.work_bucket),
            "database": self.archive.ping,
        } | ({"database files": files} if settings.mongo_open_files else {})

    @cached_property
    def queue(self) -> "JobQueues":
        from chalicelib.adapters.sqs import JobQueues

        return JobQueues(self._sqs, jobs_queue=self.settings.jobs_queue, chunks_queue=self.settings.chunks_queue)

    @cached_property
    def _mongo(self) -> "MongoClient[dict[str, Any]]":
        from pymongo import MongoClient

        return MongoClient(
            self.settings.mongo_uri,
            maxPoolSize=CONNECTIONS,
            serverSelectionTimeoutMS=5000,
            connectTimeoutMS=5000,
            socketTimeoutMS=60000,
            appname="slidehook",
        )

    def close(self) -> None:
        """Close the connections to MongoDB. Lambda functions keep them open; commands close them before they exit."""
        if "_mongo" in vars(self):
            self._mongo.close()

    @cached_property
    def archive(self) -> "MongoArchive":
        from chalicelib.adapters.mongo.archive import MongoArchive

        return MongoArchive(self._mongo, self.settings.admin_db)

    @property
    def clock(self) -> SystemClock:
        """Return the clock of an invocation without a time limit."""
        return SystemClock()

    def clock_until(self, remaining_millis: Callable[[], int]) -> SystemClock:
        """Return the clock of an invocation that Lambda ends after `remaining_millis()` milliseconds."""
        return SystemClock(remaining_millis)

    @property
    def jitter(self) -> float:
        """Return a random number in [0, 1) for retry delays. Not for cryptography."""
        return random.random()  # noqa: S311
