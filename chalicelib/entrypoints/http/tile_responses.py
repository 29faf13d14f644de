"""Tiles as answers, whichever dialect asks for them: ETag, caching, what API Gateway bears.

An ETag holds the tile's id, which is the digest of its name and bytes. So whether a client's copy is still right is
told by an index, and no tile is read to say 304.
"""

from chalice.app import Request, Response

from chalicelib.core.errors import AnswerTooLargeError, CorruptTileError, NotFoundError
from chalicelib.core.ids import tile_id
from chalicelib.core.web.tile_protocols import TileRequest
from chalicelib.core.web.tile_render import excerpt
from chalicelib.entrypoints.http.responses import Headers
from chalicelib.services import Services

# Lambda answers with 6 MB at most, in which a picture is written as base64, four bytes for three.
MAX_ANSWER_BYTES = 4_400_000
MAX_TAGS = 4
# A week, not for ever: what is removed should not stay on a reader's disk, and asking again then costs a 304 a tile.
KEPT_SECONDS = 7 * 24 * 3600


def caching(system: Services, *, kept: bool) -> str:
    """Return the Cache-Control of what stays as it is under its address (`kept`), or may be another thing tomorrow."""
    who = "public" if system.settings.open_reads else "private"
    return f"{who}, max-age={KEPT_SECONDS}, immutable" if kept else f"{who}, no-cache"


def piece_of_tile(
    request: Request, system: Services, image_store: str, image: str, piece: TileRequest, *, cache_control: str
) -> Response | None:
    """Return a piece of a tile as an answer, None if there is no such tile.

    Raises AnswerTooLargeError, and NotFoundError for a tile that is damaged where it is kept.
    """
    headers: Headers = {"Content-Type": "image/jpeg", "Cache-Control": cache_control}
    known = str(request.headers.get("if-none-match", ""))
    for tile in piece.tiles_of(known)[:MAX_TAGS]:
        if system.archive.has_tile(image_store, image, tile):
            return Response(body=b"", status_code=304, headers={**headers, "ETag": piece.tag(tile)})
    jpeg = system.archive.tile(image_store, image, piece.name)
    if jpeg is None:
        return None
    tag = piece.tag(tile_id(piece.name, jpeg))
    headers["ETag"] = tag
    if known.strip() == "*" or tag in known:  # of a tile that somebody else has put there, under an id of their own
        return Response(body=b"", status_code=304, headers=headers)
    try:
        body = excerpt(jpeg, piece)
    except CorruptTileError as error:
        raise NotFoundError(f"tile {piece.name} of image {image} is damaged: {error}") from error
    if len(body) > MAX_ANSWER_BYTES:
        raise AnswerTooLargeError(
            f"tile {piece.name} of image {image} has {len(body)} bytes; at most {MAX_ANSWER_BYTES} can be answered"
        )
    return Response(body=body, status_code=200, headers=headers)
