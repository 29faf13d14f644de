"""Slides by id (core.web.slide_ids): description and tiles, by Slidehook's own routes, as DZI and as IIIF Image API 3
level 0.

The tile routes do not load the classes that validate other requests.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chalice.app import Request, Response

from chalicelib.core.errors import BadAddressError, NotFoundError
from chalicelib.core.web.slide_ids import Address, exact_address, is_kept, mark_of, read_address
from chalicelib.core.web.tile_protocols import (
    NoSuchTileError,
    PyramidShape,
    TileRequest,
    dzi_document,
    dzi_tile,
    iiif_document,
    iiif_tile,
    slidehook_tile,
)
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.responses import Headers
from chalicelib.entrypoints.http.service_url import service_url, stage_of
from chalicelib.entrypoints.http.tile_responses import cache_control_of, tile_response
from chalicelib.entrypoints.http.visibility import is_visible_image
from chalicelib.ports.archive import PublishedImage

DZI, DZI_TILES, INFO = ".dzi", "_files", "info.json"
# A viewer requests dozens of tiles at once: the image of a view is looked up for the first of them.
TILE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A slide, the address in the request, and its published image."""

    address: Address
    image_store: str
    image: str
    published: PublishedImage

    @property
    def shape(self) -> PyramidShape:
        facts = self.published.facts
        return PyramidShape(
            width_px=facts.width_px,
            height_px=facts.height_px,
            tile_size_px=facts.tile_size_px,
            depth=facts.levels,
            published=min(facts.levels, facts.levels_published or facts.levels),
        )

    @property
    def exact(self) -> Address:
        return exact_address(self.image_store, self.image, self.published.claim)

    @property
    def is_immutable(self) -> bool:
        """Whether the content of this address never changes."""
        return self.address.mark is not None and is_kept(self.image, self.published.claim)


def show_slide(call: Call, slide: str) -> Response:
    """Return the description of a slide for viewers, or its DZI descriptor."""
    shown = _shown(call, slide.removesuffix(DZI))
    if not slide.endswith(DZI):
        return _description(call, json.dumps(_slide(call.request, shown)), "application/json")
    tiles_url = f"{service_url(call.request, call.services)}/slides/{shown.exact}{DZI_TILES}/"
    with _or_not_found():
        descriptor = dzi_document(shown.shape, tiles_url)
    return _description(call, descriptor, "application/xml")


def show_slide_tile(call: Call, slide: str, level: str, tile: str) -> Response:
    """Return a tile by Slidehook's levels or, below `_files`, by those of DZI."""
    shown = _shown(call, slide.removesuffix(DZI_TILES), max_age_seconds=TILE_SECONDS)
    number = dzi_tile if slide.endswith(DZI_TILES) else slidehook_tile
    with _or_not_found():
        requested = number(shown.shape, level, tile)
    return _tile(call, shown, requested)


def redirect_to_info(call: Call, slide: str) -> Response:
    """Redirect the IIIF base URI to info.json."""
    location = f"{service_url(call.request, call.services)}/iiif/{_address(slide)}/{INFO}"
    return Response(body="", status_code=303, headers={"Location": location, "Content-Type": "text/plain"})


def show_info(call: Call, slide: str) -> Response:
    """Return info.json. Its `id` names the generation, so that a viewer never mixes tiles of two generations."""
    shown = _shown(call, slide)
    base_uri = f"{service_url(call.request, call.services)}/iiif/{shown.exact}"
    return _description(call, json.dumps(iiif_document(shown.shape, base_uri)), "application/json")


def show_region(call: Call, slide: str, region: str, size: str, rotation: str, picture: str) -> Response:
    """Return a tile, or the full slide at a size that info.json lists."""
    shown = _shown(call, slide, max_age_seconds=TILE_SECONDS)
    if (rotation, picture) != ("0", "default.jpg"):
        raise BadAddressError(f"{rotation:.20}/{picture:.40} is not supported, only 0/default.jpg")
    try:
        requested = iiif_tile(shown.shape, region, size)
    except NoSuchTileError as error:
        raise BadAddressError(str(error)) from error
    return _tile(call, shown, requested)


def _address(text: str) -> Address:
    found = read_address(text)
    if found is None:
        raise NotFoundError(
            f"{text:.80} is not the address of a slide",
            hint="Use the id of its view, or <image store>-<image>: a job's `result` has them.",
        )
    return found


def _shown(call: Call, text: str, *, max_age_seconds: float = 0.0) -> Shown:
    """Return the slide at an address, if the caller may see it. Raises NotFoundError."""
    archive = call.services.archive
    address = _address(text)
    place: tuple[str, str] | None = address.image_store, address.image
    if address.view is not None:
        place = archive.image_of(address.view, max_age_seconds=max_age_seconds)
    published = archive.image(*place, max_age_seconds=max_age_seconds) if place else None
    if place is None or published is None or not is_visible_image(call.caller, call.services, *place):
        raise NotFoundError(f"there is no slide {address}")
    if address.mark not in (None, mark_of(published.claim)):
        raise NotFoundError(
            f"image {address.image} was replaced: generation {address.mark} no longer exists",
            hint="Get the description of the slide again; it has the current address of its tiles.",
        )
    return Shown(address=address, image_store=place[0], image=place[1], published=published)


def _tile(call: Call, shown: Shown, requested: TileRequest) -> Response:
    found = tile_response(
        call.request, call.services, shown.image_store, shown.image, requested,
        cache_control=cache_control_of(call.services, immutable=shown.is_immutable),
    )  # fmt: skip
    if found is None:
        raise NotFoundError(f"the slide has no tile {requested.name}: the file omits it, or it could not be read")
    return found


@contextmanager
def _or_not_found() -> Iterator[None]:
    try:
        yield
    except NoSuchTileError as error:
        raise NotFoundError(str(error)) from error


def _slide(request: Request, shown: Shown) -> dict[str, object]:
    facts, shape, exact, here = shown.published.facts, shown.shape, shown.exact, stage_of(request)
    grids = [(level, shape.grid(level)) for level in range(shape.published)]
    return {
        "id": str(shown.address),
        "view": shown.address.view,
        "image_store": shown.image_store,
        "image": shown.image,
        "generation": exact.mark,
        "job": shown.published.claim.partition("/")[0] or None,
        "file_name": facts.file_name,
        "width_px": facts.width_px,
        "height_px": facts.height_px,
        "tile_size_px": facts.tile_size_px,
        "mpp_x": facts.slide.mpp_x,
        "mpp_y": facts.slide.mpp_y,
        "magnification": facts.slide.magnification,
        "vendor": facts.slide.vendor,
        "levels": [
            {
                "level": level,
                "width_px": grid.width_px,
                "height_px": grid.height_px,
                "columns": grid.columns,
                "rows": grid.rows,
            }
            for level, grid in grids
        ],
        "tiles": f"{here}/slides/{exact}/{{level}}/{{column}}_{{row}}.jpg",
        "links": {
            "self": f"{here}/slides/{shown.address}",
            "dzi": f"{here}/slides/{shown.address}{DZI}",
            "iiif": f"{here}/iiif/{shown.address}/{INFO}",
            "thumbnail": f"{here}/slides/{exact}/{shape.root}/0_0.jpg" if shape.is_complete else None,
        },
    }


def _description(call: Call, body: str, content_type: str) -> Response:
    """Return a document with the current addresses of tiles, which clients must revalidate."""
    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    cache_control = cache_control_of(call.services, immutable=False)
    headers: Headers = {"Content-Type": content_type, "Cache-Control": cache_control, "ETag": tag}
    if tag in str(call.request.headers.get("if-none-match", "")):
        return Response(body="", status_code=304, headers=headers)
    return Response(body=body, status_code=200, headers=headers)
