"""Errors as problem details (RFC 9457). `chalicelib.entrypoints.http.responses.problem` builds them."""

from typing import Annotated

from pydantic import Field

from chalicelib.hooks.base import Document


class InvalidField(Document):
    """An invalid field: `pointer` is a JSON pointer into the body, or `/` and the name of a query parameter."""

    pointer: str
    detail: str


class ProblemDetails(Document):
    """An error (RFC 9457). `code` is stable, `hint` says what to do."""

    type: Annotated[str, Field(pattern="^urn:slidehook:problem:")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    code: str
    hint: str
    errors: list[InvalidField] = Field(default_factory=list)
