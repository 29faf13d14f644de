"""A small slide that takes several chunks in several stages."""

from functools import cache
from typing import Any

from chalicelib.core.jobs.model import Job
from tests.slides import Slide, write
from tests.world import World

NAMED = "0000000000000000000a0001"


@cache
def small(seed: int = 0) -> bytes:
    return write(Slide(width_px=300, height_px=200, levels=(0, 2), seed=seed))


def published(**options: Any) -> tuple[World, Job]:
    world = World()
    world.put(small())
    job = world.submit(**options)
    return world, world.finish(job)
