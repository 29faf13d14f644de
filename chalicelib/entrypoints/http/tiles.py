"""Tiles as SlideAtlas' viewer asks for them, and what is kept beside a slide."""

import re
from collections.abc import Mapping
from contextlib import suppress

from chalice.app import Request, Response

from chalicelib.core.errors import AnswerTooLargeError, NotFoundError
from chalicelib.core.jobs.source import OBJECT_ID
from chalicelib.core.web.tile_protocols import TileRequest
from chalicelib.entrypoints.http.auth import may_read, may_read_image
from chalicelib.entrypoints.http.responses import Headers, answered
from chalicelib.entrypoints.http.tile_responses import caching, piece_of_tile
from chalicelib.services import Services

TILE_NAME = re.compile(r"t[qrst]{0,31}\.jpg")


def show_tile(request: Request, system: Services, image_store: str, image: str, name: str) -> Response:
    """A tile, or 404 with an `error`, as SlideAtlas' viewer expects it."""
    tile = None
    with suppress(NotFoundError):  # told as this dialect has it
        if _is_readable(request, system, image_store, image) and TILE_NAME.fullmatch(name):
            # What lies behind such an address changes when an image is replaced in place: caches ask, and get a 304.
            cache_control = caching(system, kept=False)
            try:
                tile = piece_of_tile(
                    request, system, image_store, image, TileRequest(name=name), cache_control=cache_control
                )
            except AnswerTooLargeError as error:
                return answered({"error": str(error)}, status=413)
    return tile or answered({"error": f"no tile {name:.40} of image {image:.40}"}, status=404)


def show_tile_by_query(request: Request, system: Services) -> Response:
    query: Mapping[str, str] = request.query_params or {}
    return show_tile(request, system, query.get("db", ""), query.get("img", ""), query.get("name", ""))


def show_thumbnail(request: Request, system: Services) -> Response:
    query: Mapping[str, str] = request.query_params or {}
    return show_tile(request, system, query.get("db", ""), query.get("img", ""), "t.jpg")


def show_beside(request: Request, system: Services, image_store: str, image: str, name: str) -> Response:
    """What is kept beside a slide: an associated image, or its ICC profile."""
    kept = None
    with suppress(NotFoundError):  # in the same words whether there is no such image or not for the caller
        if _is_readable(request, system, image_store, image) and name in BESIDE:
            kept = system.archive.beside(image_store, image, name)
    if kept is None:
        raise NotFoundError(f"image {image} has no {name:.64}", hint=f"There may be: {', '.join(BESIDE)}.")
    headers: Headers = {"Content-Type": BESIDE[name], "Cache-Control": "private, no-cache"}
    return Response(body=kept, status_code=200, headers=headers)


def _is_readable(request: Request, system: Services, image_store: str, image: str) -> bool:
    """Tell whether these can be ids of a store and an image. Raises what keeps the caller from this one, and
    NotFoundError if it is not there for them."""
    if not OBJECT_ID.fullmatch(image_store) or not OBJECT_ID.fullmatch(image):
        may_read(request, system, limited=True)
        return False
    may_read_image(request, system, image_store, image)
    return True


BESIDE = {
    "label": "image/jpeg",
    "macro": "image/jpeg",
    "thumbnail": "image/jpeg",
    "icc": "application/octet-stream",
}
