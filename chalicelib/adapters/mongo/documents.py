"""Documents of SlideAtlas from values, and values from documents. `slidehook` is the sub-document of Slidehook."""

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

NANOMETRES = 1000.0  # in a micrometre

DEFAULT_TILE_SIZE_PX = 256  # SlideAtlas' own, where a document does not say

# A profile, and pictures, may have megabytes.
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
    return document.get("slidehook") or {}


def claim_of(job: Job, generation: int | None = None) -> str:
    """Which generation of which job: what publishing is noted under."""
    return f"{job.id}/{job.generation if generation is None else generation}"


def trace_of(job: Job) -> dict[str, object]:
    """What our sub-document says of the slide: which job and which source it shows, and its order."""
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
    """Return values for an update pipeline, where a text that begins with a dollar sign would name a field."""
    return {name: {"$literal": value} for name, value in values.items()}


def unless_claimed(by: str, claim: str, name: str, value: object) -> dict[str, object]:
    """Return the pipeline's value for our field `name`: what it is, if `by` shows that this very claim wrote it."""
    return {"$cond": [{"$eq": [f"$slidehook.{by}", claim]}, f"$slidehook.{name}", value]}


def list_of(path: str) -> dict[str, object]:
    """Return the pipeline's list of a field's value: empty if there is none."""
    return {"$cond": [{"$eq": [{"$type": path}, "missing"]}, [], [path]]}


def view_id_of(job: Job) -> ObjectId:
    return ObjectId(object_id("view", job.destination.session, job.source.slide))


def image_document(facts: ImageFacts, now: float) -> dict[str, object]:
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
    """Return the distance of pixels in nanometres; SlideAtlas writes 1 where it is not known."""
    x, y = facts.slide.mpp_x, facts.slide.mpp_y
    return [1, 1, 1] if x is None or y is None else [x * NANOMETRES, y * NANOMETRES, 1]


def slide_fields(facts: ImageFacts) -> dict[str, object]:
    """Return the fields of the `slidehook` sub-document of an image. All fields are written, so that nothing of a
    replaced image, such as its label, remains."""
    return {
        "mpp": [facts.slide.mpp_x, facts.slide.mpp_y],
        "levels": facts.levels_published,
        "magnification": facts.slide.magnification,
        "vendor": facts.slide.vendor,
        "icc": Binary(facts.icc_profile),
        "associated": {each.name: Binary(each.jpeg) for each in facts.associated},
    }


def published_image(found: Document) -> PublishedImage | None:
    """Return a published image from its document; None if the document has no size."""
    dimensions: Sequence[Any] = found.get("dimensions") or (0, 0)
    ours = slidehook_of(found)
    if not all(dimensions[:2]) or not found.get("levels"):
        return None
    mpp = ours.get("mpp") or (None, None)
    slide = SlideSummary(mpp_x=mpp[0], mpp_y=mpp[1], magnification=ours.get("magnification"), vendor=ours.get("vendor"))
    facts = ImageFacts(
        file_name=str(found.get("filename", "")),
        width_px=int(dimensions[0]),
        height_px=int(dimensions[1]),
        tile_size_px=int(found.get("TileSize") or DEFAULT_TILE_SIZE_PX),
        levels=int(found["levels"]),
        levels_published=ours.get("levels"),
        slide=slide,
    )
    return PublishedImage(facts=facts, claim=str(ours.get("claim", "")))


def collection_facts(found: Document, sessions: Sequence[SessionFacts]) -> CollectionFacts:
    store = found.get("image_store")
    return CollectionFacts(
        id=str(found["_id"]),
        label=str(found.get("label", "")),
        image_store=None if store is None else str(store),
        sessions=tuple(sessions),
    )


def session_facts(found: Document) -> SessionFacts:
    return SessionFacts(
        id=str(found["_id"]),
        label=str(found.get("label", "")),
        collection=str(found.get("collection", "")),
        views=tuple(str(view) for view in found.get("views", [])),
    )


def shown_slide(view: Document, record: Document, images: Mapping[tuple[Any, Any], Document]) -> ShownSlide:
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
    """Return the facts of an image document; None if it has no size."""
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
    """Return a stored tile. Documents of other programs may have other types."""
    tile, file = document["_id"], document.get("file")
    return Stored(tile.binary if isinstance(tile, ObjectId) else b"", bytes(file) if isinstance(file, bytes) else b"")
