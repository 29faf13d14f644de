"""ports.Archive in MongoDB."""

from chalicelib.adapters.mongo.catalog import MongoCatalog
from chalicelib.adapters.mongo.publish import MongoPublisher
from chalicelib.adapters.mongo.tiles import MongoTileReader


class MongoArchive(MongoCatalog, MongoTileReader, MongoPublisher):
    """ports.Archive: catalog, tiles and generations over one connection."""
