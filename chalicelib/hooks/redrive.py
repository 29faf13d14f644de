"""What a call that retries failed jobs in bulk may say."""

from typing import Annotated

from pydantic import Field

from chalicelib.core.errors import NoProgressError
from chalicelib.hooks import Parameters
from chalicelib.hooks.upload import ObjectIdText


class RedriveParameters(Parameters):
    """By default those whose message the queue gave up on: whatever kept them back may be over."""

    codes: list[Annotated[str, Field(max_length=64)]] = Field(
        default=[NoProgressError.code], min_length=1, max_length=20, description="codes of the errors to try again"
    )
    session: ObjectIdText | None = Field(default=None, description="only jobs of this session")
    cursor: Annotated[str, Field(max_length=2000)] | None = Field(default=None, description="`next` of the last call")
