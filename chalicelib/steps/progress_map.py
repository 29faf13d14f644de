"""Progress map: stored and damaged tiles of a job by level, for display."""

from chalicelib.core.errors import PlanExpiredError
from chalicelib.core.jobs.model import Job, State
from chalicelib.core.jobs.transitions import MAX_BAD_TILES
from chalicelib.core.jobs.verification import MAX_FAULTS
from chalicelib.core.plan.estimate import spent
from chalicelib.core.plan.messages import coverage_key, plan_key
from chalicelib.core.plan.plan_format import load_plan
from chalicelib.core.plan.progress_map import LevelProgress, ProgressMap, filled, uniform_map
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.work import Work


def build_map(job: Job, *, jobs: Jobs, work: Work) -> ProgressMap:
    """Return the current map of a job. It has no levels before the job is planned."""
    bad, faults = job.bad_tiles, job.findings.faults if job.findings else ()
    if job.state is State.TILING and (job.tiles_bad or job.verifies):
        # Only an ended job contains them. Until then, they are in the chunk records.
        records = jobs.chunk_records(job)
        bad = tuple(each for record in records for each in record.bad_tiles)[:MAX_BAD_TILES]
        faults = tuple(each for record in records for each in record.faults)[:MAX_FAULTS]
    return ProgressMap(levels=_levels(job, work), bad=bad, faults=faults, cost=spent(job))


def _levels(job: Job, work: Work) -> tuple[LevelProgress, ...]:
    # The map of a done job is complete, also after the plan has expired.
    is_done = job.state in (State.FINISHING, State.DONE)
    if job.plan_digest is None:
        return uniform_map(job.levels, is_done=is_done)
    try:
        plan = load_plan(work.get(plan_key(job, job.plan_digest)))
        packed = work.get(coverage_key(job, job.plan_digest))
    except PlanExpiredError:
        return uniform_map(job.levels, is_done=is_done)
    done = frozenset(chunk.number for chunk in plan.chunks) if is_done else job.chunks_done
    return filled(plan, packed, done)
