"""Published slides and their addresses."""

import io
from typing import Any

from chalice.test import HTTPResponse
from PIL import Image

from chalicelib.core.jobs.model import Job, State
from chalicelib.core.web.slide_ids import mark_of
from tests.world import STORE, World

NOWHERE = "0123456789abcdef01234567"
NAMED = "0000000000000000000a0001"
WEEK = "public, max-age=604800, immutable"


def publish(world: World, **options: Any) -> Job:
    found = world.finish(world.submit(**options))
    assert found.state is State.DONE
    return found


def view_of(job: Job) -> str:
    assert job.published is not None
    return job.published.view


def exact(job: Job) -> str:
    return f"{STORE}-{job.image}-{mark_of(f'{job.id}/{job.generation}')}"


def size_of(answer: HTTPResponse) -> tuple[int, int]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    return Image.open(io.BytesIO(answer.body)).size


PATHS = [
    "/slides/{0}/0/4_3.jpg",
    "/slides/{0}_files/9/4_3.jpg",
    "/slides/{0}_files/2/0_0.jpg",
    "/iiif/{0}/full/38,25/0/default.jpg",
]
