"""Jobs in the states that the tests of the steps start from, and the calls that change them."""

from dataclasses import replace
from typing import Any, NoReturn

from chalicelib.core.jobs.model import Job, State
from chalicelib.steps.cleanup import cancel
from chalicelib.steps.submit import retry
from tests.contracts.samples import a_job
from tests.slides import Slide, write
from tests.world import Died, World

SLIDE = write(Slide(width_px=300, height_px=200))
OTHER = write(Slide(width_px=300, height_px=200, seed=9))
# The ports of the functions that end a job or clean up after it.
CLEANUP_PORTS = ("jobs", "archive", "clock")


def ports(world: World, *names: str) -> dict[str, Any]:
    return {name: getattr(world, name) for name in names}


def world_with(data: bytes = SLIDE) -> World:
    world = World()
    world.put(data)
    return world


def tiling_job(world: World) -> Job:
    """Submit the slide and run its plan and its first chunk. Returns the job as it was submitted."""
    job = world.submit()
    for _ in range(2):
        world.deliver(world.memory_queue.sent.pop(0))
    assert world.job(job).state is State.TILING
    assert world.job(job).tiles_done > 0
    return job


def world_with_tiling_job() -> tuple[World, Job]:
    """Return a world and its job, whose first chunk is done."""
    world = world_with()
    job = tiling_job(world)
    return world, world.job(job)


def create_jobs(world: World, state: State, count: int, **changes: Any) -> list[Job]:
    """Store many jobs of one state."""
    jobs = [replace(a_job(f"{state}{number}.svs"), state=state, **changes) for number in range(count)]
    for job in jobs:
        world.memory_jobs.create(job)
    return jobs


def cancel_job(world: World, job: Job) -> Job:
    return cancel(job.id, **ports(world, *CLEANUP_PORTS))


def retry_job(world: World, job: Job, buckets: frozenset[str] | None = None) -> Job:
    world.clock.advance(1)
    source_buckets = world.settings.source_buckets if buckets is None else buckets
    return retry(job.id, source_buckets=source_buckets, **ports(world, "slides", "jobs", "archive", "queue", "clock"))


def run_cleanup(world: World, seconds: float) -> None:
    """Let time pass until cleanup is due, and run it."""
    world.clock.advance(seconds)
    world.minute()


def die(*_: object, **__: object) -> NoReturn:
    raise Died
