"""Publication of generations in memory."""

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.adapters.memory.databases import MemoryImage, MemoryTrace, MemoryView, claim_of, trace_of
from chalicelib.adapters.memory.generations import MemoryGenerations
from chalicelib.core.ids import object_id
from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import KEPT_REPLACED, CollectionStats, ImageFacts, PublishResult


class MemoryPublisher(MemoryGenerations):
    """Publication of generations."""

    def publish(
        self,
        job: Job,
        facts: ImageFacts,
        *,
        now: float,  # noqa: ARG002 - the upload time is not stored
        verified: CollectionStats | None = None,
    ) -> PublishResult:
        candidates = self._candidates(job, facts.file_name)
        newer = next((view for view in candidates if self._is_newer(view, job)), None)
        if newer is not None:
            return PublishResult(won=False, view=newer)
        if job.destination.mongo_collection is None:
            self._put_image(job, MemoryImage(facts=facts, trace=trace_of(job)))
        elif not self._replace_image(job, facts, verified):
            return PublishResult(won=False, view="")
        view = candidates[0] if candidates else object_id("view", job.destination.session, job.source.slide)
        others = candidates[1:]
        traces = [self.views[other].trace for other in others if other in self.views]
        trace = self._switch(job, view, facts, others, sorted({other.job for other in traces if other is not None}))
        if trace is None:
            return PublishResult(won=False, view=view)
        self._remove_views(job, trace.takes_out)
        self._put_first(job, view)
        return PublishResult(won=True, view=view, replaced=tuple(sorted(set(trace.replaced) - {job.id})))

    def has_newer_publication(self, job: Job) -> bool:
        if job.destination.mongo_collection is None:
            return False
        image = self.images.get((job.destination.database, job.image), MemoryImage())
        return (image.publishing_at or 0.0) > job.submitted_at

    def _candidates(self, job: Job, file_name: str) -> list[str]:
        """Return the views that the job may replace: those of its slide, then (with `overwrite`) those of its file
        name."""
        with self._lock:
            listed = list(self._listed(job.destination.session))
            own = object_id("view", job.destination.session, job.source.slide)
            existing = [view for view in dict.fromkeys([*listed, own]) if view in self.views]
            slides = {view: trace.slide for view in existing if (trace := self.views[view].trace)}
            same_slide = [view for view in existing if slides.get(view) == job.source.slide]
            same_slide.sort(key=lambda view: (view not in listed, view != own))
            if not job.options.overwrite:
                return same_slide
            return same_slide + [
                view
                for view in existing
                if view not in same_slide and view in listed and self._file_name(view) == file_name
            ]

    def _is_newer(self, view: str, job: Job) -> bool:
        trace = self.views[view].trace if view in self.views else None
        if trace is None:
            return False
        if trace.slide == job.source.slide:
            return trace.order > job.order
        return trace.submitted_at > job.submitted_at

    def _put_image(self, job: Job, image: MemoryImage) -> None:
        self._before_write("image document")
        self.images[job.destination.database, job.image] = image

    def _replace_image(self, job: Job, facts: ImageFacts, verified: CollectionStats | None) -> bool:
        """Rename the staging collection to the image that the caller named. Return whether this job may.

        A later submitted job takes over the claim and drops the staging collection of this job.
        """
        key = (job.destination.database, job.image)
        if not self._is_renamed(job, verified):
            if not self._claim_image(job):
                return False
            if overtook := self.images[key].overtook:
                self._before_write("drop the superseded staging collection")
                self._drop((job.destination.database, overtook))
            self._rename(job, verified)
            if verified is not None and self._stats_of(job, job.image) != verified:
                return False
        self._before_write("image document")
        with self._lock:
            image = self.images[key]
            if image.publishing != claim_of(job):
                return False
            self.images[key] = replace(image, facts=facts, trace=trace_of(job), published=claim_of(job))
        return True

    def _claim_image(self, job: Job) -> bool:
        self._before_write("claim of the image")
        key, claim = (job.destination.database, job.image), claim_of(job)
        with self._lock:
            image = self.images.get(key, MemoryImage())
            if image.publishing_at is not None and image.publishing_at > job.submitted_at:
                return False
            self.images[key] = replace(
                image,
                publishing=claim,
                publishing_at=job.submitted_at,
                publishing_from=job.staging(),
                overtook=image.overtook if image.publishing == claim else image.publishing_from,
            )
        return True

    def _rename(self, job: Job, verified: CollectionStats | None) -> None:
        if verified is not None and self._stats_of(job, job.staging()) != verified:
            return  # a late worker has created the staging collection again after the rename
        self._before_write("rename")
        staging, target = ((job.destination.database, name) for name in (job.staging(), job.image))
        with self._lock:
            if staging not in self.tiles:
                return  # another run of this step has renamed it, or a later job has dropped it
            is_indexed = staging in self._indexed
            self.tiles[target] = self._drop(staging)
            (self._indexed.add if is_indexed else self._indexed.discard)(target)

    def _switch(
        self, job: Job, view: str, facts: ImageFacts, others: Sequence[str], other_jobs: Sequence[str]
    ) -> MemoryTrace | None:
        """Switch a view to the image of the job, unless it shows a newer generation. Return its trace, else None.

        The view stores the replaced jobs and the views to remove, so that a rerun after a crash finds them.
        """
        self._before_write("switch")
        with self._lock:
            if self._is_newer(view, job):
                return None
            shown = self.views[view].trace if view in self.views else None
            if shown is not None and shown.claim == claim_of(job):
                replaced, takes_out = shown.replaced, shown.takes_out
            else:
                previous_job = () if shown is None else (shown.job,)
                earlier_jobs = () if shown is None else shown.replaced[:KEPT_REPLACED]
                replaced = (*previous_job, *other_jobs, *earlier_jobs)
                takes_out = tuple(others)
            trace = replace(trace_of(job), replaced=replaced, takes_out=takes_out)
            self.views[view] = MemoryView(
                image=job.image, image_store=job.destination.image_store, title=facts.file_name, trace=trace
            )
        return trace

    def _remove_views(self, job: Job, views: Sequence[str]) -> None:
        """Remove the other views of the same slide or file name from the session, and delete them."""
        if not views:
            return
        self._before_write("remove views from session")
        with self._lock:
            listed = self._listed(job.destination.session)
            listed[:] = [view for view in listed if view not in views]
        self._before_write("delete views")
        self._delete(views)

    def _put_first(self, job: Job, view: str) -> None:
        self._before_write("session entry")
        with self._lock:
            listed = self._listed(job.destination.session)
            if view not in listed:
                listed.insert(0, view)

    def replaced(self, job: Job) -> tuple[str, ...]:
        with self._lock:
            traces = [view.trace for view in self.views.values() if view.trace and view.trace.claim == claim_of(job)]
        return tuple(sorted({replaced for trace in traces for replaced in trace.replaced} - {job.id}))

    def shows(self, job: Job) -> bool:
        with self._lock:
            image = self.images.get((job.destination.database, job.image), MemoryImage())
            if image.trace is None or image.trace.claim != claim_of(job):
                return False
            listed = self._listed(job.destination.session)
            return any(self.views[view].image == job.image for view in listed if view in self.views)
