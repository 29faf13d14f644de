"""The `remove` hook: slides are taken out of a session, at once for readers, their tiles half an hour later."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from chalicelib.hooks import Parameters
from chalicelib.hooks.upload import ObjectIdText
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.steps.control import remove as remove_views

name = "remove"


class RemoveParameters(Parameters):
    """Either some views of the session, or all of it: that has to be said."""

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
        default=None, description="ids of its views to take out: `result.view` of a job"
    )
    whole_session: bool = Field(default=False, description="take all views out")

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if (self.views is None) is not self.whole_session:
            raise ValueError("name `views`, or say `whole_session: true`")
        return self


def remove(parameters: RemoveParameters, *, jobs: Jobs, archive: Archive, clock: Clock) -> int:
    """Return how many slides were taken out; those that were gone already are not counted.

    The objects in S3 stay. Raises NoSuchSessionError.
    """
    return remove_views(parameters.session, parameters.views, jobs=jobs, archive=archive, clock=clock)
