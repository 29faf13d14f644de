"""Published slides: the description for viewers, and the slides of a session."""

from chalicelib.hooks.base import Document
from chalicelib.hooks.fields import Count, Id, MaybeObjectId, ObjectId, Px
from chalicelib.ports.archive import ShownSlide


class DescribedLevel(Document):
    """A published level."""

    level: Count
    width_px: Px
    height_px: Px
    columns: Count
    rows: Count


class SlideDescription(Document):
    """A published slide, for viewers. `tiles` is a URL template."""

    id: str
    view: ObjectId | None
    image_store: ObjectId
    image: ObjectId
    generation: str | None
    job: Id | None
    file_name: str
    width_px: Px
    height_px: Px
    tile_size_px: Px
    mpp_x: float | None
    mpp_y: float | None
    magnification: float | None
    vendor: str | None
    levels: list[DescribedLevel]
    tiles: str
    links: dict[str, str | None]


class ShownFacts(Document):
    """Metadata of a published slide; null where the file has none."""

    width_px: Px
    height_px: Px
    tile_size_px: Px
    levels: Count
    mpp_x: float | None
    mpp_y: float | None
    magnification: float | None
    vendor: str | None
    icc_profile_bytes: Count
    associated: list[str]


class ShownSlideDocument(Document):
    """A slide of a session. `slide` is null if the image has no metadata.

    `links.thumbnail` is null if no published level has a single tile.
    """

    view: ObjectId
    title: str
    image_store: MaybeObjectId
    image: MaybeObjectId
    job: Id | None
    slide: ShownFacts | None
    links: dict[str, str | None]


class SlideList(Document):
    """A page of the slides of a session. `next` is the cursor of the next page."""

    slides: list[ShownSlideDocument]
    next: str | None


class TileError(Document):
    """The body of an error of a tile route, as SlideAtlas' viewer expects it."""

    error: str


def shown_slide(slide: ShownSlide) -> dict[str, object]:
    """Return a `ShownSlideDocument` as JSON."""
    facts = slide.facts
    metadata = {
        "width_px": facts.width_px,
        "height_px": facts.height_px,
        "tile_size_px": facts.tile_size_px,
        "levels": facts.levels,
        "mpp_x": facts.slide.mpp_x,
        "mpp_y": facts.slide.mpp_y,
        "magnification": facts.slide.magnification,
        "vendor": facts.slide.vendor,
        "icc_profile_bytes": facts.slide.icc_profile_bytes,
        "associated": list(facts.slide.associated),
    } if facts else None  # fmt: skip
    has_thumbnail = facts is None or facts.levels_published in (None, facts.levels)
    return {
        "view": slide.view,
        "title": slide.title,
        "image_store": slide.image_store,
        "image": slide.image,
        "job": slide.job,
        "slide": metadata,
        "links": {
            "thumbnail": f"/thumb?img={slide.image}&db={slide.image_store}" if has_thumbnail else None,
            **({"job": f"/jobs/{slide.job}"} if slide.job else {}),
        },
    }
