"""Collections and sessions of SlideAtlas."""

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from chalicelib.hooks.base import Document, Parameters
from chalicelib.hooks.fields import Count, ObjectId
from chalicelib.ports.archive import CollectionFacts, SessionFacts

MAX_LABEL = 200


def _label(text: str) -> str:
    label = text.strip()
    if not 0 < len(label) <= MAX_LABEL or not text.isprintable():
        raise ValueError(f"must be a text of 1 to {MAX_LABEL} printable characters")
    return label


class SessionParameters(Parameters):
    """A session to create, unless the collection has one with this label."""

    label: Annotated[
        str,
        AfterValidator(_label),
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_LABEL, "pattern": r"\S"}),
    ] = Field(description="name of the session")


class SessionDocument(Document):
    """A session of a collection."""

    id: ObjectId
    label: str
    collection: ObjectId


class SessionWithViews(SessionDocument):
    """A session with the ids of its views."""

    views: list[ObjectId]


class EmptiedSession(SessionDocument):
    """A session whose slides were removed."""

    views_removed: Count


class SessionOfCollection(Document):
    """A session in the list of its collection. `views` is the number of its views."""

    id: ObjectId
    label: str
    views: Count


class CollectionDocument(Document):
    """A collection with its sessions."""

    id: ObjectId
    label: str
    image_store: ObjectId | None
    sessions: list[SessionOfCollection]


class CollectionList(Document):
    """The collections that the caller may see."""

    collections: list[CollectionDocument]


def session_document(facts: SessionFacts) -> dict[str, object]:
    """Return a `SessionDocument` as JSON."""
    return {"id": facts.id, "label": facts.label, "collection": facts.collection}


def collection_document(facts: CollectionFacts) -> dict[str, object]:
    """Return a `CollectionDocument` as JSON."""
    return {
        "id": facts.id,
        "label": facts.label,
        "image_store": facts.image_store,
        "sessions": [{"id": each.id, "label": each.label, "views": len(each.views)} for each in facts.sessions],
    }
