"""Slides by id (core.web.slide_ids): their description and their tiles, natively, as DZI and as IIIF Image API 3,
level 0."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chalice.app import Request, Response

from chalicelib.core.errors import BadAddressError, NotFoundError
from chalicelib.core.web.auth import Caller
from chalicelib.core.web.slide_ids import Address, exact_address, is_kept, mark_of, read_address
from chalicelib.core.web.tile_protocols import (
    NoSuchPieceError,
    PyramidShape,
    TileRequest,
    dzi_document,
    dzi_piece,
    iiif_document,
    iiif_piece,
    our_piece,
)
from chalicelib.entrypoints.http.auth import may_read, sees_image
from chalicelib.entrypoints.http.responses import Headers
from chalicelib.entrypoints.http.service_url import service_url, stage_of
from chalicelib.entrypoints.http.tile_responses import caching, piece_of_tile
from chalicelib.ports.archive import PublishedImage
from chalicelib.services import Services

DZI, DZI_TILES, INFO = ".dzi", "_files", "info.json"
# A viewer asks for dozens of tiles at once: which image a view shows is looked up for the first of them.
TILE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A slide as it was found: under which address, in which image."""

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
    def is_kept(self) -> bool:
        """Whether what stands under this very address stays as it is."""
        return self.address.mark is not None and is_kept(self.image, self.published.claim)


def show_slide(request: Request, system: Services, slide: str) -> Response:
    """What a viewer needs to know of a slide; as a DZI descriptor if the address ends so."""
    caller = may_read(request, system, limited=True)
    shown = _shown(caller, system, slide.removesuffix(DZI))
    if not slide.endswith(DZI):
        return _description(request, system, _dump(_slide(request, shown)), "application/json")
    tiles_url = f"{service_url(request, system)}/slides/{shown.exact}{DZI_TILES}/"
    with _or_not_found():
        descriptor = dzi_document(shown.shape, tiles_url)
    return _description(request, system, descriptor, "application/xml")


def show_slide_tile(request: Request, system: Services, slide: str, level: str, tile: str) -> Response:
    """A tile: whole and by our levels, or, below `_files`, cut and by those of DZI."""
    caller = may_read(request, system, limited=True)
    shown = _shown(caller, system, slide.removesuffix(DZI_TILES), most_seconds_old=TILE_SECONDS)
    number = dzi_piece if slide.endswith(DZI_TILES) else our_piece
    with _or_not_found():
        piece = number(shown.shape, level, tile)
    return _tile(request, system, shown, piece)


def redirect_to_info(request: Request, system: Services, slide: str) -> Response:
    """IIIF: what is at the base URI is told by info.json."""
    may_read(request, system, limited=True)
    location = f"{service_url(request, system)}/iiif/{_address(slide)}/{INFO}"
    return Response(body="", status_code=303, headers={"Location": location, "Content-Type": "text/plain"})


def show_info(request: Request, system: Services, slide: str) -> Response:
    """IIIF: info.json. Its `id` is the exact address, so that tiles of two generations are never mixed."""
    caller = may_read(request, system, limited=True)
    shown = _shown(caller, system, slide)
    base_uri = f"{service_url(request, system)}/iiif/{shown.exact}"
    return _description(request, system, _dump(iiif_document(shown.shape, base_uri)), "application/json")


def show_region(
    request: Request, system: Services, slide: str, region: str, size: str, rotation: str, picture: str
) -> Response:
    """IIIF: a tile, or the whole slide at a size that info.json lists."""
    caller = may_read(request, system, limited=True)
    shown = _shown(caller, system, slide, most_seconds_old=TILE_SECONDS)
    if (rotation, picture) != ("0", "default.jpg"):
        raise BadAddressError(f"{rotation:.20}/{picture:.40} is not answered, only 0/default.jpg")
    try:
        piece = iiif_piece(shown.shape, region, size)
    except NoSuchPieceError as error:
        raise BadAddressError(str(error)) from error
    return _tile(request, system, shown, piece)


def _address(text: str) -> Address:
    found = read_address(text)
    if found is None:
        raise NotFoundError(
            f"{text:.80} is no address of a slide",
            hint="A slide is addressed by its view's id, or as <image store>-<image>; a job's `result` has them.",
        )
    return found


def _shown(caller: Caller, system: Services, text: str, *, most_seconds_old: float = 0.0) -> Shown:
    """Return the slide at an address, if it is there for the caller. Raises NotFoundError."""
    address = _address(text)
    place: tuple[str, str] | None = address.image_store, address.image
    if address.view is not None:
        place = system.archive.image_of(address.view, most_seconds_old=most_seconds_old)
    published = system.archive.image(*place, most_seconds_old=most_seconds_old) if place else None
    if place is None or published is None or not sees_image(caller, system, *place):
        raise NotFoundError(f"there is no slide {address}")
    if address.mark not in (None, mark_of(published.claim)):
        raise NotFoundError(
            f"image {address.image} was replaced: it does not hold generation {address.mark} any more",
            hint="Ask for the slide's description again; it tells the present address of its tiles.",
        )
    return Shown(address=address, image_store=place[0], image=place[1], published=published)


def _tile(request: Request, system: Services, shown: Shown, piece: TileRequest) -> Response:
    cache_control = caching(system, kept=shown.is_kept)
    found = piece_of_tile(request, system, shown.image_store, shown.image, piece, cache_control=cache_control)
    if found is None:
        raise NotFoundError(f"the slide has no tile {piece.name}: its file leaves it out, or it could not be read")
    return found


@contextmanager
def _or_not_found() -> Iterator[None]:
    try:
        yield
    except NoSuchPieceError as error:
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


def _dump(document: dict[str, object]) -> str:
    return json.dumps(document)


def _description(request: Request, system: Services, body: str, content_type: str) -> Response:
    """What tells where the present tiles are is asked for each time."""
    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    headers: Headers = {"Content-Type": content_type, "Cache-Control": caching(system, kept=False), "ETag": tag}
    if tag in str(request.headers.get("if-none-match", "")):
        return Response(body="", status_code=304, headers=headers)
    return Response(body=body, status_code=200, headers=headers)
