"""What a fresh SlideAtlas database needs before a slide can be published into it.

Every id is fixed and every write is an upsert, so that a second start finds its own documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.database import Database
from pymongo.uri_parser import parse_uri

STORE = ObjectId("51de0000a11ce0000000da7a")
COLLECTION = ObjectId("51de0000a11ce00000c011ec")
SESSION = ObjectId("51de0000a11ce0000005e551")
STORE_CLASS = "ImageStore.MultipleDatabaseImageStore.MongoImageStore"
SLIDES_DB = "slides"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """The ids that a first slide needs, as text."""

    collection: str
    session: str
    image_store: str


def seed(mongo_uri: str, admin_db: str) -> Seeded:
    """Make one image store, one collection and one session, unless they are there."""
    client: pymongo.MongoClient[dict[str, Any]]
    with pymongo.MongoClient(mongo_uri, serverSelectionTimeoutMS=10_000) as client:
        _image_store(client, admin_db, mongo_uri)
        _collection_and_session(client, admin_db)
        index_catalogue(client[admin_db])
        _index_images(client)
    return Seeded(collection=str(COLLECTION), session=str(SESSION), image_store=str(STORE))


def _image_store(client: pymongo.MongoClient[dict[str, Any]], admin_db: str, mongo_uri: str) -> None:
    # The address is set on every start: the port of a server of ours is another one each time.
    client[admin_db].databases.update_one(
        {"_id": STORE},
        {
            "$set": {"_cls": STORE_CLASS, "dbname": SLIDES_DB, **address(mongo_uri)},
            "$setOnInsert": {"label": "Slides on this machine"},
        },
        upsert=True,
    )


def address(mongo_uri: str) -> dict[str, str]:
    """Return the fields of an image store that say where its server is.

    A plain URI is taken apart into SlideAtlas' own fields. One with options that have no field
    there (TLS, or names looked up in DNS) is kept whole, which a MongoDB driver takes as a host.
    """
    if mongo_uri.startswith("mongodb+srv:"):
        return {"host": mongo_uri}
    parsed = parse_uri(mongo_uri)
    options = {name.lower(): value for name, value in parsed["options"].items()}
    if {"tls", "ssl"} & set(options):
        return {"host": mongo_uri}
    fields = {
        "host": ",".join(f"{host}:{port}" for host, port in parsed["nodelist"]),
        "replica_set": options.get("replicaset"),
        "username": parsed["username"],
        "password": parsed["password"],
        "auth_db": options.get("authsource") or (parsed["database"] if parsed["username"] else None),
    }
    return {name: str(value) for name, value in fields.items() if value}


def _collection_and_session(client: pymongo.MongoClient[dict[str, Any]], admin_db: str) -> None:
    client[admin_db].collections.update_one(
        {"_id": COLLECTION},
        {"$setOnInsert": {"image_store": STORE, "label": "Local slides", "copyright": "", "creator_codes": []}},
        upsert=True,
    )
    client[admin_db].sessions.update_one(
        {"_id": SESSION},
        {
            "$setOnInsert": {
                "collection": COLLECTION,
                "image_store": STORE,
                "label": "First session",
                "views": [],
                "attachments": [],
                "imagefiles": [],
            }
        },
        upsert=True,
    )


def index_catalogue(admin: Database[dict[str, Any]]) -> None:
    """Make the indexes of the catalogue that requests are answered from, unless they are there."""
    admin.sessions.create_index("collection")
    # In whose collections an image is shown is asked for each tile that a limited token wants.
    admin.sessions.create_index("views")
    admin.views.create_index("ViewerRecords.Image")


def _index_images(client: pymongo.MongoClient[dict[str, Any]]) -> None:
    images = client[SLIDES_DB].images
    images.create_index("filename")
    images.create_index("sha512", unique=True, sparse=True)
