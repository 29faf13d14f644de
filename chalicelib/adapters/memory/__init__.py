"""Every port in memory, held to the same contracts as the real ones. Nothing here waits, and nothing is lost by itself.

Where a real adapter writes several times in one call, so does its likeness here, in the same order, and calls
`before_write` before each: whoever wants to see a crash or another worker in between raises or acts there.
"""

from typing import TYPE_CHECKING

from chalicelib.adapters.memory.answers import MemoryAnswers
from chalicelib.adapters.memory.archive import MemoryArchive, MemoryImage, MemoryTrace, MemoryView
from chalicelib.adapters.memory.before import BeforeWrite
from chalicelib.adapters.memory.callbacks import MemoryCallbacks, MemoryDeliveries
from chalicelib.adapters.memory.clock import MemoryClock
from chalicelib.adapters.memory.doorbook import MemoryDoorbook
from chalicelib.adapters.memory.events import MemoryEvents
from chalicelib.adapters.memory.jobs import MemoryJobs
from chalicelib.adapters.memory.queue import MemoryQueue
from chalicelib.adapters.memory.slides import MemorySlides
from chalicelib.adapters.memory.syncs import MemorySyncs
from chalicelib.adapters.memory.uploads import MemoryUploads
from chalicelib.adapters.memory.work import MemoryWork

if TYPE_CHECKING:
    from chalicelib import ports

__all__ = [
    "BeforeWrite",
    "MemoryAnswers",
    "MemoryArchive",
    "MemoryCallbacks",
    "MemoryClock",
    "MemoryDeliveries",
    "MemoryDoorbook",
    "MemoryEvents",
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

if TYPE_CHECKING:  # signatures are held to the ports here, behaviour by tests/contracts
    _CLOCK: ports.Clock = MemoryClock()
    _SLIDES: ports.Slides = MemorySlides()
    _UPLOADS: ports.Uploads = MemoryUploads(MemorySlides(), "bucket")
    _WORK: ports.Work = MemoryWork()
    _QUEUE: ports.Queue = MemoryQueue()
    _JOBS: ports.Jobs = MemoryJobs()
    _EVENTS: ports.Events = MemoryEvents()
    _ANSWERS: ports.Answers = MemoryAnswers()
    _DELIVERIES: ports.Deliveries = MemoryDeliveries()
    _CALLBACKS: ports.Callbacks = MemoryCallbacks()
    _SYNCS: ports.Syncs = MemorySyncs()
    _ARCHIVE: ports.Archive = MemoryArchive()
    _DOORBOOK: ports.Doorbook = MemoryDoorbook()
