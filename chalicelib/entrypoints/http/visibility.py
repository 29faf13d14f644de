"""Whether a caller may see an image, with a cache: a viewer requests dozens of tiles at once."""

from chalicelib.core.errors import NotFoundError
from chalicelib.core.web.auth import Caller
from chalicelib.services import Services

CACHE_SECONDS = 60.0
MAX_CACHED = 10_000


def require_visible_image(caller: Caller, services: Services, image_store: str, image: str) -> None:
    """Raise NotFoundError unless the caller may see the image. Both ids are ObjectIds."""
    if not is_visible_image(caller, services, image_store, image):
        raise NotFoundError(f"there is no image {image}")


def is_visible_image(caller: Caller, services: Services, image_store: str, image: str) -> bool:
    """Return whether a session of the caller's collections shows the image.

    A positive result is cached for a minute; a negative one is not cached.
    """
    if not caller.is_limited:
        return True
    now, cached = services.clock.now(), services.image_collections
    until, collections = cached.get((image_store, image), (0.0, frozenset()))
    if until > now and any(map(caller.sees, collections)):
        return True
    collections = services.archive.collections_of(image_store, image)
    if len(cached) >= MAX_CACHED:
        cached.clear()
    cached[image_store, image] = (now + CACHE_SECONDS, collections)
    return any(map(caller.sees, collections))
