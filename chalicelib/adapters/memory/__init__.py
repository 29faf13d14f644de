"""Every port in memory, for tests. The contract tests run against these adapters and the real ones.

An adapter in memory makes the same writes in the same order as the real adapter. It calls `before_write` before each
write, where tests raise to simulate a crash, or act as a concurrent worker.
"""

from typing import TYPE_CHECKING

from chalicelib.adapters.memory.access_records import MemoryAccessRecords
from chalicelib.adapters.memory.archive import MemoryArchive
from chalicelib.adapters.memory.before import BeforeWrite
from chalicelib.adapters.memory.callbacks import MemoryCallbacks, MemoryDeliveries
from chalicelib.adapters.memory.clock import MemoryClock
from chalicelib.adapters.memory.databases import MemoryImage, MemoryTrace, MemoryView
from chalicelib.adapters.memory.events import MemoryEvents
from chalicelib.adapters.memory.idempotency import MemoryIdempotencyStore
from chalicelib.adapters.memory.jobs import MemoryJobs
from chalicelib.adapters.memory.queue import MemoryQueue
from chalicelib.adapters.memory.slides import MemorySlides
from chalicelib.adapters.memory.syncs import MemorySyncs
from chalicelib.adapters.memory.uploads import MemoryUploads
from chalicelib.adapters.memory.work import MemoryWork

if TYPE_CHECKING:
    from chalicelib.ports.access_records import AccessRecords
    from chalicelib.ports.archive import Archive
    from chalicelib.ports.callbacks import Callbacks
    from chalicelib.ports.clock import Clock
    from chalicelib.ports.deliveries import Deliveries
    from chalicelib.ports.events import Events
    from chalicelib.ports.idempotency import IdempotencyStore
    from chalicelib.ports.jobs import Jobs
    from chalicelib.ports.queue import Queue
    from chalicelib.ports.slides import Slides
    from chalicelib.ports.syncs import Syncs
    from chalicelib.ports.uploads import Uploads
    from chalicelib.ports.work import Work

__all__ = [
    "BeforeWrite",
    "MemoryAccessRecords",
    "MemoryArchive",
    "MemoryCallbacks",
    "MemoryClock",
    "MemoryDeliveries",
    "MemoryEvents",
    "MemoryIdempotencyStore",
    "MemoryImage",
    "MemoryJobs",
    "MemoryQueue",
    "MemorySlides",
    "MemorySyncs",
    "MemoryTrace",
    "MemoryUploads",
    "MemoryView",
    "MemoryWork",
]

if TYPE_CHECKING:  # mypy compares the signatures with the ports
    _CLOCK: Clock = MemoryClock()
    _SLIDES: Slides = MemorySlides()
    _UPLOADS: Uploads = MemoryUploads(MemorySlides(), "bucket")
    _WORK: Work = MemoryWork()
    _QUEUE: Queue = MemoryQueue()
    _JOBS: Jobs = MemoryJobs()
    _EVENTS: Events = MemoryEvents()
    _IDEMPOTENCY: IdempotencyStore = MemoryIdempotencyStore()
    _DELIVERIES: Deliveries = MemoryDeliveries()
    _CALLBACKS: Callbacks = MemoryCallbacks()
    _SYNCS: Syncs = MemorySyncs()
    _ARCHIVE: Archive = MemoryArchive()
    _ACCESS_RECORDS: AccessRecords = MemoryAccessRecords()
