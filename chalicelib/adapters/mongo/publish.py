"""Publication: one atomic switch lets readers see a generation."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import (
    DuplicateKeyError,
    OperationFailure,
)

from chalicelib.adapters.mongo.client import NAMESPACE_NOT_FOUND, Document, translate_transient_errors
from chalicelib.adapters.mongo.contents import stats_of
from chalicelib.adapters.mongo.documents import (
    claim_of,
    image_document,
    list_of,
    literal,
    slide_fields,
    slidehook_of,
    trace_of,
    unless_claimed,
    view_id_of,
)
from chalicelib.adapters.mongo.generations import MongoGenerations
from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import KEPT_REPLACED, CollectionStats, ImageFacts, PublishResult


class MongoPublisher(MongoGenerations):
    """Publication of generations."""

    def publish(
        self, job: Job, facts: ImageFacts, *, now: float, verified: CollectionStats | None = None
    ) -> PublishResult:
        with translate_transient_errors(f"publishing job {job.id}"):
            candidates = self._candidates(job, facts.file_name)
            blocked = next((view for view in candidates if self._is_newer(view, job)), None)
            if blocked is not None:
                return PublishResult(won=False, view=str(blocked["_id"]))
            if job.destination.mongo_collection is None:
                self._put_image(job, facts, now)
            elif not self._replace_image(job, facts, now, verified):
                return PublishResult(won=False, view="")
            switch, others = self._switch(job, facts, candidates)
            if switch.won:
                self._take_out(job, others)
                self._list(job, switch.view)
            return switch

    def has_newer_publication(self, job: Job) -> bool:
        if job.destination.mongo_collection is None:
            return False
        with translate_transient_errors(f"image {job.image}"):
            image = self._store(job.destination.database).images.find_one({"_id": ObjectId(job.image)})
        return float(slidehook_of(image or {}).get("publishing_at", 0.0)) > job.submitted_at

    def _candidates(self, job: Job, file_name: str) -> list[dict[str, Any]]:
        """Return the views the job may take over: this slide's, then (to overwrite) those of the same file name."""
        session = self._admin.sessions.find_one({"_id": ObjectId(job.destination.session)}) or {}
        listed: list[ObjectId] = session.get("views", [])
        own_id = view_id_of(job)
        views = {view["_id"]: view for view in self._admin.views.find({"_id": {"$in": [*listed, own_id]}})}
        ours = [view for view in views.values() if slidehook_of(view).get("slide") == job.source.slide]
        ours.sort(key=lambda view: (view["_id"] not in listed, view["_id"] != own_id))
        if not job.options.overwrite:
            return ours
        names = self._file_names(views.values())
        same_name = [
            views[view_id]
            for view_id in listed
            if view_id in views and views[view_id] not in ours and file_name in names.get(view_id, ())
        ]
        return ours + same_name

    def _file_names(self, views: Any) -> dict[ObjectId, set[str]]:
        """Return the file names that each view shows, ours or not: its image document knows."""
        names: dict[ObjectId, set[str]] = {}
        for view in views:
            for record in view.get("ViewerRecords", [])[:1]:
                store = self._admin.databases.find_one({"_id": record.get("Database")})
                image = self._store(store["dbname"]).images.find_one({"_id": record.get("Image")}) if store else None
                if image is not None:
                    names[view["_id"]] = {str(image.get("filename", "")).rsplit("/", 1)[-1]}
        return names

    def _is_newer(self, view: Document, job: Job) -> bool:
        shown = slidehook_of(view)
        if shown.get("slide") == job.source.slide:
            return str(shown.get("order", "")) > job.order
        return float(shown.get("submitted_at", 0.0)) > job.submitted_at

    def _put_image(self, job: Job, facts: ImageFacts, now: float) -> None:
        self._store(job.destination.database).images.update_one(
            {"_id": ObjectId(job.image)},
            {"$set": {**image_document(facts, now), "slidehook": {**trace_of(job), **slide_fields(facts)}}},
            upsert=True,
        )

    def _replace_image(self, job: Job, facts: ImageFacts, now: float, verified: CollectionStats | None) -> bool:
        """Rename the staging collection onto the image the caller named; return whether this job may.

        The image document says who is publishing before the rename and what is published after it: a rerun knows where
        it stood. A later submitted job takes the claim over, and drops what the other was about to rename.
        """
        database = self._store(job.destination.database)
        image_id, claim = ObjectId(job.image), claim_of(job)
        if not self._is_renamed(database, job, verified):
            claimed = self._claim_image(database, job)
            if claimed is None:
                return False
            if overtook := slidehook_of(claimed).get("overtook"):
                database.drop_collection(overtook)
            self._rename(database, job, verified)
            if verified is not None and stats_of(database[job.image]) != verified:
                return False
        facts_and_trace: dict[str, object] = dict(image_document(facts, now))
        ours = {**trace_of(job), **slide_fields(facts), "published": claim}
        facts_and_trace |= {f"slidehook.{name}": value for name, value in ours.items()}
        stored = database.images.update_one({"_id": image_id, "slidehook.publishing": claim}, {"$set": facts_and_trace})
        return stored.matched_count == 1

    def _rename(self, database: "Database[dict[str, Any]]", job: Job, verified: CollectionStats | None) -> None:
        # A worker that comes late may have staged a part of it again, after another run of this step has renamed it.
        if verified is not None and stats_of(database[job.staging()]) != verified:
            return
        try:
            database[job.staging()].rename(job.image, dropTarget=True)
        except OperationFailure as error:
            # Another run of this step has renamed it, or a later job has dropped it. The claim decides.
            if error.code != NAMESPACE_NOT_FOUND:
                raise

    def _claim_image(self, database: "Database[dict[str, Any]]", job: Job) -> Document | None:
        """Note that this job is publishing the image; return its document, None if a later submitted job is at it."""
        claim = claim_of(job)
        not_later = [
            {"slidehook.publishing_at": {"$exists": False}},
            {"slidehook.publishing_at": {"$lte": job.submitted_at}},
        ]
        ours = {"publishing": claim, "publishing_at": job.submitted_at, "publishing_from": job.staging()}
        update = [
            {
                "$set": {
                    **{f"slidehook.{name}": value for name, value in literal(ours).items()},
                    "slidehook.overtook": unless_claimed("publishing", claim, "overtook", "$slidehook.publishing_from"),
                }
            }
        ]
        try:
            return database.images.find_one_and_update(
                {"_id": ObjectId(job.image), "$or": not_later},
                update,
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            return None

    def _switch(
        self, job: Job, facts: ImageFacts, candidates: Sequence[Document]
    ) -> tuple[PublishResult, Sequence[ObjectId]]:
        """Let one view show the job's image: one atomic update, whose filter refuses to go back.

        The view keeps the jobs it replaced and the views that are to go with them, so that a rerun after a crash still
        knows them. Returns the outcome and those views.
        """
        view_id = candidates[0]["_id"] if candidates else view_id_of(job)
        others = candidates[1:]
        other_jobs = sorted({slidehook_of(view)["job"] for view in others if slidehook_of(view).get("job")})
        claim = claim_of(job)
        # Includes the jobs that the replaced job has replaced: their cleanup may not be scheduled yet.
        before = {"$slice": [{"$ifNull": ["$slidehook.replaced", []]}, KEPT_REPLACED]}
        replaced = {"$concatArrays": [list_of("$slidehook.job"), {"$literal": other_jobs}, before]}
        shown = {"Image": ObjectId(job.image), "Database": ObjectId(job.destination.image_store)}
        update = [
            {
                "$set": {
                    "slidehook": {
                        **literal(trace_of(job)),
                        "replaced": unless_claimed("claim", claim, "replaced", replaced),
                        "takes_out": unless_claimed(
                            "claim", claim, "takes_out", {"$literal": [view["_id"] for view in others]}
                        ),
                    },
                    "ViewerRecords": [shown],
                    **literal({"Title": facts.file_name, "Type": "Note", "CoordinateSystem": "Pixel"}),
                }
            }
        ]
        not_newer = {
            "$or": [
                {"slidehook.slide": {"$exists": False}},
                {"slidehook.slide": job.source.slide, "slidehook.order": {"$lte": job.order}},
                {"slidehook.slide": {"$ne": job.source.slide}, "slidehook.submitted_at": {"$lte": job.submitted_at}},
            ]
        }
        try:
            after = self._admin.views.find_one_and_update(
                {"_id": view_id, **not_newer}, update, upsert=True, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:  # the view is there, and newer
            return PublishResult(won=False, view=str(view_id)), ()
        kept = slidehook_of(after or {})
        gone = tuple(sorted(set(kept.get("replaced") or ()) - {job.id}))
        return PublishResult(won=True, view=str(view_id), replaced=gone), kept.get("takes_out") or ()

    def _take_out(self, job: Job, views: Sequence[ObjectId]) -> None:
        """Take the other views of the same slide or file name out of the session."""
        if views:
            self._admin.sessions.update_one(
                {"_id": ObjectId(job.destination.session)}, {"$pull": {"views": {"$in": list(views)}}}
            )
            self._admin.views.delete_many({"_id": {"$in": list(views)}})

    def _list(self, job: Job, view: str) -> None:
        """Put the view at the head of its session, once. The list is never rewritten: others add to it, too."""
        self._admin.sessions.update_one(
            {"_id": ObjectId(job.destination.session), "views": {"$ne": ObjectId(view)}},
            {"$push": {"views": {"$each": [ObjectId(view)], "$position": 0}}},
        )
