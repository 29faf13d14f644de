"""ports.Archive in memory."""

from chalicelib.adapters.memory.catalog import MemoryCatalog
from chalicelib.adapters.memory.publish import MemoryPublisher
from chalicelib.adapters.memory.tiles import MemoryTileReader


class MemoryArchive(MemoryCatalog, MemoryTileReader, MemoryPublisher):
    """ports.Archive as dictionaries: catalog, tiles and generations."""
