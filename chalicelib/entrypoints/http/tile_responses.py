"""Tiles as responses, for every tile protocol: ETag, caching, and the size limit of API Gateway.

An ETag contains the tile's id, which is the digest of its name and bytes. Whether a client's copy is current is
therefore decided by an index, without reading the tile.
"""

from chalice.app import Request, Response

from chalicelib.core.errors import CorruptTileError, NotFoundError, ResponseTooLargeError
from chalicelib.core.ids import tile_id
from chalicelib.core.web.tile_protocols import TileRequest
from chalicelib.core.web.tile_render import render_tile
from chalicelib.entrypoints.http.responses import Headers
from chalicelib.services import Services

# A response of Lambda has 6 MB at most; an image is encoded in base64, four bytes for three.
MAX_RESPONSE_BYTES = 4_400_000
MAX_TAGS = 4
# A week: a removed slide should not stay in browser caches, and revalidation costs a 304 for each tile.
CACHE_SECONDS = 7 * 24 * 3600


def cache_control_of(services: Services, *, immutable: bool) -> str:
    """Return the Cache-Control of a response whose URL always has the same content (`immutable`), or may change."""
    who = "public" if services.settings.allow_anonymous_local_reads else "private"
    return f"{who}, max-age={CACHE_SECONDS}, immutable" if immutable else f"{who}, no-cache"


def tile_response(
    request: Request, services: Services, image_store: str, image: str, requested: TileRequest, *, cache_control: str
) -> Response | None:
    """Return a tile, or a part of it, as a response; None if there is no such tile.

    Raises ResponseTooLargeError, and NotFoundError for a tile that is damaged in MongoDB.
    """
    headers: Headers = {"Content-Type": "image/jpeg", "Cache-Control": cache_control}
    known = str(request.headers.get("if-none-match", ""))
    for tile in requested.tiles_of(known)[:MAX_TAGS]:
        if services.archive.has_tile(image_store, image, tile):
            return Response(body=b"", status_code=304, headers={**headers, "ETag": requested.tag(tile)})
    jpeg = services.archive.tile(image_store, image, requested.name)
    if jpeg is None:
        return None
    tag = requested.tag(tile_id(requested.name, jpeg))
    headers["ETag"] = tag
    if known.strip() == "*" or tag in known:  # a tile that another program stored, with another id
        return Response(body=b"", status_code=304, headers=headers)
    try:
        body = render_tile(jpeg, requested)
    except CorruptTileError as error:
        raise NotFoundError(f"tile {requested.name} of image {image} is damaged: {error}") from error
    if len(body) > MAX_RESPONSE_BYTES:
        raise ResponseTooLargeError(
            f"tile {requested.name} of image {image} has {len(body)} bytes; a response has at most {MAX_RESPONSE_BYTES}"
        )
    return Response(body=body, status_code=200, headers=headers)
