"""Converts values to documents of SlideAtlas and back. `slidehook` is the sub-document of Slidehook."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from bson.binary import Binary

from chalicelib.adapters.mongo.client import Document
from chalicelib.core.ids import object_id
from chalicelib.core.jobs.model import Job, SlideSummary
from chalicelib.core.jobs.verification import Stored
from chalicelib.ports.archive import CollectionFacts, ImageFacts, PublishedImage, SessionFacts, ShownSlide

NANOMETERS = 1000.0  # in a micrometer

DEFAULT_TILE_SIZE_PX = 256  # of SlideAtlas, for documents without `TileSize`

# The projection of an image document without ICC profile and associated images, which can have megabytes.
WITHOUT_CONTENTS = {
    "filename": 1,
    "dimensions": 1,
    "TileSize": 1,
    "levels": 1,
    "slidehook.levels": 1,
    "slidehook.mpp": 1,
    "slidehook.magnification": 1,
    "slidehook.vendor": 1,
    "icc_profile_bytes": {
        "$cond": [{"$eq": [{"$type": "$slidehook.icc"}, "binData"]}, {"$binarySize": "$slidehook.icc"}, 0]
    },
    "associated": {"$map": {"input": {"$objectToArray": "$slidehook.associated"}, "in": "$$this.k"}},
}


def slidehook_of(document: Document) -> dict[str, Any]:
    """Return the sub-document `slidehook` of a view or image, {} if it does not exist."""
    return document.get("slidehook") or {}


def claim_of(job: Job, generation: int | None = None) -> str:
    """Return the key of a generation: `job/generation`. None: the current generation of the job."""
    return f"{job.id}/{job.generation if generation is None else generation}"


def trace_of(job: Job) -> dict[str, object]:
    """Return the fields of `slidehook` that views and images of a job have in common."""
    return {
        "job": job.id,
        "claim": claim_of(job),
        "slide": job.source.slide,
        "source": f"s3://{job.source.bucket}/{job.source.key}",
        "etag": job.source.etag,
        "order": job.order,
        "submitted_at": job.submitted_at,
    }


def literal(values: Mapping[str, object]) -> dict[str, object]:
    """Return values for an update pipeline as literals. In a pipeline, a string that starts with `$` names a field."""
    return {name: {"$literal": value} for name, value in values.items()}


def unless_claimed(by: str, claim: str, name: str, value: object) -> dict[str, object]:
    """Return a pipeline expression for `slidehook.<name>`: `value`, or the current value if `slidehook.<by>` is already
    this claim."""
    return {"$cond": [{"$eq": [f"$slidehook.{by}", claim]}, f"$slidehook.{name}", value]}


def list_of(path: str) -> dict[str, object]:
    """Return a pipeline expression for a list with the value of a field, [] if the field is missing."""
    return {"$cond": [{"$eq": [{"$type": path}, "missing"]}, [], [path]]}


def view_id_of(job: Job) -> ObjectId:
    """Return the id of the view that Slidehook creates for the slide of a job in its session."""
    return ObjectId(object_id("view", job.destination.session, job.source.slide))


def image_document(facts: ImageFacts, now: float) -> dict[str, object]:
    """Return the fields of SlideAtlas' image document. `now` is the upload time in seconds since the Unix epoch."""
    return {
        "filename": facts.file_name,
        "label": facts.file_name,
        "origin": [0, 0, 0],
        "spacing": _spacing(facts),
        "dimensions": [facts.width_px, facts.height_px, 1],
        "levels": facts.levels,
        "components": 3,
        "TileSize": facts.tile_size_px,
        "CoordinateSystem": "Pixel",
        "bounds": [0, facts.width_px, 0, facts.height_px],
        "metadataready": True,
        "uploaded_at": datetime.fromtimestamp(now, UTC),
    }


def _spacing(facts: ImageFacts) -> list[float]:
    """Return the pixel spacing [x, y, z] in nanometers. Unknown: 1, as in SlideAtlas."""
    x, y = facts.slide.mpp_x, facts.slide.mpp_y
    return [1, 1, 1] if x is None or y is None else [x * NANOMETERS, y * NANOMETERS, 1]


def slide_fields(facts: ImageFacts) -> dict[str, object]:
    """Return the additional fields of `slidehook` of an image.

    All fields are written, so that fields of a replaced image, such as its label, are overwritten.
    """
    return {
        "mpp": [facts.slide.mpp_x, facts.slide.mpp_y],
        "levels": facts.levels_published,
        "magnification": facts.slide.magnification,
        "vendor": facts.slide.vendor,
        "icc": Binary(facts.icc_profile),
        "associated": {each.name: Binary(each.jpeg) for each in facts.associated},
    }


def published_image(found: Document) -> PublishedImage | None:
    """Return the published image of an image document, None if the document has no size."""
    dimensions: Sequence[Any] = found.get("dimensions") or (0, 0)
    extra = slidehook_of(found)
    if not all(dimensions[:2]) or not found.get("levels"):
        return None
    mpp = extra.get("mpp") or (None, None)
    slide = SlideSummary(
        mpp_x=mpp[0], mpp_y=mpp[1], magnification=extra.get("magnification"), vendor=extra.get("vendor")
    )
    facts = ImageFacts(
        file_name=str(found.get("filename", "")),
        width_px=int(dimensions[0]),
        height_px=int(dimensions[1]),
        tile_size_px=int(found.get("TileSize") or DEFAULT_TILE_SIZE_PX),
        levels=int(found["levels"]),
        levels_published=extra.get("levels"),
        slide=slide,
    )
    return PublishedImage(facts=facts, claim=str(extra.get("claim", "")))


def collection_facts(found: Document, sessions: Sequence[SessionFacts]) -> CollectionFacts:
    """Return the facts of a collection document."""
    store = found.get("image_store")
    return CollectionFacts(
        id=str(found["_id"]),
        label=str(found.get("label", "")),
        image_store=None if store is None else str(store),
        sessions=tuple(sessions),
    )


def session_facts(found: Document) -> SessionFacts:
    """Return the facts of a session document."""
    return SessionFacts(
        id=str(found["_id"]),
        label=str(found.get("label", "")),
        collection=str(found.get("collection", "")),
        views=tuple(str(view) for view in found.get("views", [])),
    )


def shown_slide(view: Document, record: Document, images: Mapping[tuple[Any, Any], Document]) -> ShownSlide:
    """Return the slide of a view. `record` is its first viewer record, `images` are image documents by (store, id)."""
    store, image = record.get("Database"), record.get("Image")
    found = images.get((store, image))
    return ShownSlide(
        view=str(view["_id"]),
        title=str(view.get("Title", "")),
        image_store=str(store),
        image=str(image),
        job=slidehook_of(view).get("job"),
        facts=None if found is None else image_facts(found),
    )


def image_facts(image: Document) -> ImageFacts | None:
    """Return the facts of an image document, None if it has no size."""
    published = published_image(image)
    if published is None:
        return None
    slide = replace(
        published.facts.slide,
        icc_profile_bytes=int(image.get("icc_profile_bytes") or 0),
        associated=tuple(image.get("associated") or ()),
    )
    return replace(published.facts, slide=slide)


def stored_tile(document: Document) -> Stored:
    """Return the id and JPEG of a tile document. Fields of other types, from other programs, become b""."""
    tile, file = document["_id"], document.get("file")
    return Stored(tile.binary if isinstance(tile, ObjectId) else b"", bytes(file) if isinstance(file, bytes) else b"")
