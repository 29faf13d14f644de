"""Which jobs of a listing are wanted."""

from dataclasses import dataclass

from chalicelib.core.jobs.model import Job, State


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """The conditions of a listing. Empty and None conditions match all jobs.

    `text` is part of the file name (case-insensitive) or of the id. Instants bound `submitted_at`: not before
    `submitted_after`, and before `submitted_before`.
    """

    states: frozenset[State] = frozenset()
    collections: frozenset[str] = frozenset()
    hook: str | None = None
    text: str | None = None
    submitted_after: float | None = None
    submitted_before: float | None = None

    def takes(self, job: Job) -> bool:
        """Tell whether a job is wanted."""
        return (
            (not self.states or job.state in self.states)
            and (not self.collections or job.destination.collection in self.collections)
            and self.hook in (None, job.hook)
            and (self.text is None or self.text.casefold() in searched(job) or self.text.lower() in job.id)
            and (self.submitted_after is None or job.submitted_at >= self.submitted_after)
            and (self.submitted_before is None or job.submitted_at < self.submitted_before)
        )


EVERY_JOB = JobFilter()


def searched(job: Job) -> str:
    """Return the text of a job in which words are looked for."""
    return job.source.file_name.casefold()
