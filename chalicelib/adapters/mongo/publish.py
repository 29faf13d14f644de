"""Publication of a generation by one atomic update of a view."""

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure

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
            newer = next((view for view in candidates if self._is_newer(view, job)), None)
            if newer is not None:
                return PublishResult(won=False, view=str(newer["_id"]))
            if job.destination.mongo_collection is None:
                self._put_image(job, facts, now)
            elif not self._replace_image(job, facts, now, verified):
                return PublishResult(won=False, view="")
            result, others = self._switch(job, facts, candidates)
            if result.won:
                self._remove_views(job, others)
                self._put_first(job, result.view)
            return result

    def has_newer_publication(self, job: Job) -> bool:
        if job.destination.mongo_collection is None:
            return False
        with translate_transient_errors(f"image {job.image}"):
            image = self._store(job.destination.database).images.find_one({"_id": ObjectId(job.image)})
        return float(slidehook_of(image or {}).get("publishing_at", 0.0)) > job.submitted_at

    def _candidates(self, job: Job, file_name: str) -> list[dict[str, Any]]:
        """Return the views that the job may replace: those of its slide, then (with `overwrite`) those of its file
        name."""
        session = self._admin.sessions.find_one({"_id": ObjectId(job.destination.session)}) or {}
        listed: list[ObjectId] = session.get("views", [])
        own_id = view_id_of(job)
        views = {view["_id"]: view for view in self._admin.views.find({"_id": {"$in": [*listed, own_id]}})}
        same_slide = [view for view in views.values() if slidehook_of(view).get("slide") == job.source.slide]
        same_slide.sort(key=lambda view: (view["_id"] not in listed, view["_id"] != own_id))
        if not job.options.overwrite:
            return same_slide
        names = self._file_names(views.values())
        same_name = [
            views[view_id]
            for view_id in listed
            if view_id in views and views[view_id] not in same_slide and file_name in names.get(view_id, ())
        ]
        return same_slide + same_name

    def _file_names(self, views: Any) -> dict[ObjectId, set[str]]:
        """Return the file name of each view, from its image document, also for views of other programs."""
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
        """Rename the staging collection to the image that the caller named. Return whether this job may.

        The image document has `publishing` before the rename and `published` after it, so that a rerun can continue. A
        later submitted job takes over the claim and drops the staging collection of this job.
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
        document: dict[str, object] = dict(image_document(facts, now))
        extra = {**trace_of(job), **slide_fields(facts), "published": claim}
        document |= {f"slidehook.{name}": value for name, value in extra.items()}
        stored = database.images.update_one({"_id": image_id, "slidehook.publishing": claim}, {"$set": document})
        return stored.matched_count == 1

    def _rename(self, database: "Database[dict[str, Any]]", job: Job, verified: CollectionStats | None) -> None:
        # After another run of this step has renamed it, a late worker may have created the staging collection again,
        # with a part of the tiles.
        if verified is not None and stats_of(database[job.staging()]) != verified:
            return
        try:
            database[job.staging()].rename(job.image, dropTarget=True)
        except OperationFailure as error:
            # Another run of this step has renamed it, or a later job has dropped it. The claim decides which.
            if error.code != NAMESPACE_NOT_FOUND:
                raise

    def _claim_image(self, database: "Database[dict[str, Any]]", job: Job) -> Document | None:
        """Record that this job is publishing the image. Return the image document, None if a later submitted job has
        claimed it."""
        claim = claim_of(job)
        not_later = [
            {"slidehook.publishing_at": {"$exists": False}},
            {"slidehook.publishing_at": {"$lte": job.submitted_at}},
        ]
        fields = {"publishing": claim, "publishing_at": job.submitted_at, "publishing_from": job.staging()}
        update = [
            {
                "$set": {
                    **{f"slidehook.{name}": value for name, value in literal(fields).items()},
                    "slidehook.overtook": unless_claimed("publishing", claim, "overtook", "$slidehook.publishing_from"),
                }
            }
        ]
        return _update_or_insert(database.images, {"_id": ObjectId(job.image), "$or": not_later}, update)

    def _switch(
        self, job: Job, facts: ImageFacts, candidates: Sequence[Document]
    ) -> tuple[PublishResult, Sequence[ObjectId]]:
        """Switch a view to the image of the job by one atomic update. Its filter rejects an older generation.

        The view stores the replaced jobs and the views to remove, so that a rerun after a crash finds them. Return the
        result and the views to remove.
        """
        view_id = candidates[0]["_id"] if candidates else view_id_of(job)
        others = candidates[1:]
        other_jobs = sorted({slidehook_of(view)["job"] for view in others if slidehook_of(view).get("job")})
        claim = claim_of(job)
        # Includes the jobs that the replaced job has replaced: their cleanup may not be scheduled yet.
        earlier_jobs = {"$slice": [{"$ifNull": ["$slidehook.replaced", []]}, KEPT_REPLACED]}
        replaced = {"$concatArrays": [list_of("$slidehook.job"), {"$literal": other_jobs}, earlier_jobs]}
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
        after = _update_or_insert(self._admin.views, {"_id": view_id, **not_newer}, update)
        if after is None:  # the view exists and is newer
            return PublishResult(won=False, view=str(view_id)), ()
        trace = slidehook_of(after)
        replaced_jobs = tuple(sorted(set(trace.get("replaced") or ()) - {job.id}))
        return PublishResult(won=True, view=str(view_id), replaced=replaced_jobs), trace.get("takes_out") or ()

    def _remove_views(self, job: Job, views: Sequence[ObjectId]) -> None:
        """Remove the other views of the same slide or file name from the session, and delete them."""
        if views:
            self._admin.sessions.update_one(
                {"_id": ObjectId(job.destination.session)}, {"$pull": {"views": {"$in": list(views)}}}
            )
            self._admin.views.delete_many({"_id": {"$in": list(views)}})

    def _put_first(self, job: Job, view: str) -> None:
        """Add the view to the start of its session unless it is listed. One atomic update, because other programs add
        views as well."""
        self._admin.sessions.update_one(
            {"_id": ObjectId(job.destination.session), "views": {"$ne": ObjectId(view)}},
            {"$push": {"views": {"$each": [ObjectId(view)], "$position": 0}}},
        )


def _update_or_insert(
    collection: "Collection[dict[str, Any]]", condition: Mapping[str, Any], update: Sequence[Mapping[str, Any]]
) -> Document | None:
    """Update the document of `condition`, or insert it if its `_id` does not exist. Return the document, None if it
    exists and does not match.

    A concurrent insert of the same `_id` also raises DuplicateKeyError: the server does not retry an upsert with such
    a filter (MongoDB manual, "Upsert with Duplicate Values"). The second try finds that document and compares it.
    """
    for _ in range(2):
        try:
            return collection.find_one_and_update(condition, update, upsert=True, return_document=ReturnDocument.AFTER)
        except DuplicateKeyError:
            continue
    return None
