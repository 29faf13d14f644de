"""Tiles by SlideAtlas' names, and the associated images of a slide.

The tile routes are called most often. They do not load the classes that validate other requests.
"""

import re
from collections.abc import Mapping
from contextlib import suppress

from chalice.app import Response

from chalicelib.core.errors import NotFoundError, ResponseTooLargeError
from chalicelib.core.jobs.source import OBJECT_ID
from chalicelib.core.web.tile_protocols import TileRequest
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.responses import Headers, json_response
from chalicelib.entrypoints.http.tile_responses import cache_control_of, tile_response
from chalicelib.entrypoints.http.visibility import require_visible_image

TILE_NAME = re.compile(r"t[qrst]{0,31}\.jpg")
ASSOCIATED = {
    "label": "image/jpeg",
    "macro": "image/jpeg",
    "thumbnail": "image/jpeg",
    "icc": "application/octet-stream",
}


def show_tile(call: Call, image_store: str, image: str, name: str) -> Response:
    """Return a tile, or 404 with an `error`, as SlideAtlas' viewer expects it."""
    tile = None
    with suppress(NotFoundError):
        if _is_visible(call, image_store, image) and TILE_NAME.fullmatch(name):
            # An image can be replaced in place, so caches must revalidate.
            cache_control = cache_control_of(call.services, immutable=False)
            requested = TileRequest(name=name)
            try:
                tile = tile_response(
                    call.request, call.services, image_store, image, requested, cache_control=cache_control
                )
            except ResponseTooLargeError as error:
                return json_response({"error": str(error)}, status=413)
    return tile or json_response({"error": f"no tile {name:.40} of image {image:.40}"}, status=404)


def show_tile_by_query(call: Call) -> Response:
    return show_tile(call, _parameter(call, "db"), _parameter(call, "img"), _parameter(call, "name"))


def show_thumbnail(call: Call) -> Response:
    return show_tile(call, _parameter(call, "db"), _parameter(call, "img"), "t.jpg")


def show_associated(call: Call, image_store: str, image: str, name: str) -> Response:
    """Return an associated image of a slide, or its ICC profile."""
    stored = None
    with suppress(NotFoundError):  # one message, whether the image does not exist or is not visible
        if _is_visible(call, image_store, image) and name in ASSOCIATED:
            stored = call.services.archive.associated_image(image_store, image, name)
    if stored is None:
        raise NotFoundError(f"image {image} has no {name:.64}", hint=f"Possible names: {', '.join(ASSOCIATED)}.")
    headers: Headers = {"Content-Type": ASSOCIATED[name], "Cache-Control": "private, no-cache"}
    return Response(body=stored, status_code=200, headers=headers)


def _is_visible(call: Call, image_store: str, image: str) -> bool:
    """Return whether both are ObjectIds. Raises NotFoundError if the caller may not see the image."""
    if not OBJECT_ID.fullmatch(image_store) or not OBJECT_ID.fullmatch(image):
        return False
    require_visible_image(call.caller, call.services, image_store, image)
    return True


def _parameter(call: Call, name: str) -> str:
    parameters: Mapping[str, str] = call.request.query_params or {}
    return parameters.get(name, "")
