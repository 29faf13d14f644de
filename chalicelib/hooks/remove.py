"""The `remove` hook: takes slides out of a session. Their tiles are dropped half an hour later."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from chalicelib.core.errors import DestinationError
from chalicelib.core.web.auth import Caller, Scope
from chalicelib.hooks.base import Document, Hook, Parameters
from chalicelib.hooks.fields import Count, ObjectId, ObjectIdText
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.steps.control import remove as remove_views
from chalicelib.steps.visibility import require_session


class RemoveParameters(Parameters):
    """Either some views of the session or, explicitly, the whole session."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["views"], "properties": {"views": {"type": "array"}, "whole_session": {"const": False}}},
                {
                    "required": ["whole_session"],
                    "properties": {"views": {"const": None}, "whole_session": {"const": True}},
                },
            ]
        }
    )

    session: ObjectIdText = Field(description="id of the session")
    views: Annotated[list[ObjectIdText], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="ids of the views to remove: `result.view` of a job"
    )
    whole_session: bool = Field(default=False, description="remove all views")

    @model_validator(mode="after")
    def _has_exactly_one(self) -> Self:
        if (self.views is None) is not self.whole_session:
            raise ValueError("either `views` or `whole_session: true` is required")
        return self


class Removed(Document):
    """The slides that were removed. Slides that had been removed before are not counted."""

    session: ObjectId
    views_removed: Count


def authorize(parameters: RemoveParameters, caller: Caller, *, archive: Archive) -> None:
    """Raises NoSuchSessionError."""
    require_session(caller, parameters.session, archive=archive)


def remove(parameters: RemoveParameters, *, jobs: Jobs, archive: Archive, clock: Clock) -> dict[str, object]:
    """Return a `Removed` as JSON. The objects in S3 are not deleted. Raises NoSuchSessionError."""
    removed = remove_views(parameters.session, parameters.views, jobs=jobs, archive=archive, clock=clock)
    return {"session": parameters.session, "views_removed": removed}


hook = Hook(
    name="remove",
    summary="Remove slides from a session",
    parameters=RemoveParameters,
    scope=Scope.ADMIN,
    authorize=authorize,
    run=remove,
    result=(Removed,),
    errors=(DestinationError,),
)
