"""Every port in memory, held to the same contracts as the real ones. Nothing here waits, and nothing is lost by itself.

Where a real adapter writes several times in one call, so does its likeness here, in the same order, and calls
`before_write` before each: whoever wants to see a crash or another worker in between raises or acts there.
"""

from typing import TYPE_CHECKING

from chalicelib.adapters.memory.archive import MemoryArchive, MemoryImage, MemoryTrace, MemoryView
from chalicelib.adapters.memory.before import BeforeWrite
from chalicelib.adapters.memory.clock import MemoryClock
from chalicelib.adapters.memory.jobs import MemoryJobs
from chalicelib.adapters.memory.queue import MemoryQueue
from chalicelib.adapters.memory.slides import MemorySlides
from chalicelib.adapters.memory.syncs import MemorySyncs
from chalicelib.adapters.memory.work import MemoryWork

if TYPE_CHECKING:
    from chalicelib import ports

__all__ = [
    "BeforeWrite",
    "MemoryArchive",
    "MemoryClock",
    "MemoryImage",
    "MemoryJobs",
    "MemoryQueue",
    "MemorySlides",
    "MemorySyncs",
    "MemoryTrace",
    "MemoryView",
    "MemoryWork",
]

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
