"""Tiles, and what is kept beside a slide."""

import hashlib
from collections.abc import Mapping

from chalice.app import Request, Response

from chalicelib.core.errors import NotFoundError
from chalicelib.core.source import OBJECT_ID
from chalicelib.entrypoints.http.access import may_read
from chalicelib.entrypoints.http.answers import Headers, answered
from chalicelib.wiring import System


def show_tile(request: Request, system: System, image_store: str, image: str, name: str) -> Response:
    """A tile, or 404 with an `error`, as SlideAtlas' viewer expects it."""
    may_read(request, system)
    jpeg = None
    if OBJECT_ID.fullmatch(image_store) and OBJECT_ID.fullmatch(image):
        jpeg = system.archive.tile(image_store, image, name)
    if jpeg is None:
        return answered({"error": f"no tile {name} of image {image}"}, status=404)
    etag = f'"{hashlib.sha256(jpeg).hexdigest()[:32]}"'
    # The tiles behind an address change when an image is replaced in place: caches ask each time, and get a 304.
    caching = "public, no-cache" if system.settings.open_reads else "private, no-cache"
    headers: Headers = {"Content-Type": "image/jpeg", "Cache-Control": caching, "ETag": etag}
    if etag in str(request.headers.get("if-none-match", "")):
        return Response(body=b"", status_code=304, headers=headers)
    return Response(body=jpeg, status_code=200, headers=headers)


def show_tile_by_query(request: Request, system: System) -> Response:
    query: Mapping[str, str] = request.query_params or {}
    return show_tile(request, system, query.get("db", ""), query.get("img", ""), query.get("name", ""))


def show_thumbnail(request: Request, system: System) -> Response:
    query: Mapping[str, str] = request.query_params or {}
    return show_tile(request, system, query.get("db", ""), query.get("img", ""), "t.jpg")


def show_beside(request: Request, system: System, image_store: str, image: str, name: str) -> Response:
    """What is kept beside a slide: an associated image, or its ICC profile."""
    may_read(request, system)
    kept = None
    if OBJECT_ID.fullmatch(image_store) and OBJECT_ID.fullmatch(image) and name in BESIDE:
        kept = system.archive.beside(image_store, image, name)
    if kept is None:
        raise NotFoundError(f"image {image} has no {name:.64}", hint=f"There may be: {', '.join(BESIDE)}.")
    headers: Headers = {"Content-Type": BESIDE[name], "Cache-Control": "private, no-cache"}
    return Response(body=kept, status_code=200, headers=headers)


BESIDE = {
    "label": "image/jpeg",
    "macro": "image/jpeg",
    "thumbnail": "image/jpeg",
    "icc": "application/octet-stream",
}
