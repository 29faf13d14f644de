"""A webhook, and the base classes of its parameters and documents."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from chalicelib.core.errors import CallbacksDisabledError, FieldProblem, InvalidRequestError, SlidehookError
from chalicelib.core.jobs.model import Job, Method
from chalicelib.core.jobs.sync import Sync
from chalicelib.core.web.auth import Scope
from chalicelib.core.web.callback_url import parse_callback_url
from chalicelib.hooks.fields import Count, Px

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

CALLBACK_FIELD = "callback_url"


class Parameters(BaseModel):
    """The body of a request. Unknown fields are refused, and values are not converted from another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Document(BaseModel):
    """The body of a response: exactly these fields."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=False)


class JobError(Document):
    """An error of a job: stable code, what happened, what to do."""

    code: str
    message: str
    hint: str


class LevelDocument(Document):
    """A level of the pyramid; level 0 has the full resolution."""

    level: Count
    width_px: Px
    height_px: Px
    columns: Count
    rows: Count
    tiles: Count
    sparse: Count
    method: Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook, which is called as `POST /hooks/<name>`.

    `authorize(parameters, caller, *, ...)` raises if the caller may not act on what the parameters name.
    `run(parameters, *, ...)` does the work and returns a Job, a Sync or a JSON object. Both receive the ports and
    settings that they name as keyword-only parameters (`chalicelib.binding`). `result` is what `run` returns: `Job`,
    `Sync`, or the classes of the JSON object. `errors` lists the errors that this hook adds to those of every hook,
    each with its subclasses.
    """

    name: str
    # One sentence in the imperative, for the API document.
    summary: str
    parameters: type[Parameters]
    scope: Scope
    authorize: Callable[..., None]
    run: Callable[..., object]
    result: type[Job] | type[Sync] | tuple[type[Document], ...]
    errors: tuple[type[SlidehookError], ...] = ()

    @property
    def has_callback(self) -> bool:
        """Whether a call may name a callback URL."""
        return CALLBACK_FIELD in self.parameters.model_fields


Kind = TypeVar("Kind", bound=Parameters)


def validated(kind: type[Kind], body: object) -> Kind:
    """Return the parameters in the body of a request. Raises InvalidRequestError, which names every invalid field."""
    if not isinstance(body, dict):
        raise InvalidRequestError("the body must be a JSON object", hint='Send an object: {"source": ...}.')
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        problems = [
            FieldProblem("".join(f"/{step}" for step in found["loc"]), _sentence(found, kind))
            for found in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    problems.sort(key=lambda found: found.pointer)
    names = ", ".join(sorted({found.pointer.lstrip("/") or "the body" for found in problems}))
    raise InvalidRequestError(f"invalid fields: {names}", problems)


def _sentence(found: "ErrorDetails", kind: type[Parameters]) -> str:
    if found["type"] == "extra_forbidden":
        similar = get_close_matches(str(found["loc"][-1]), kind.model_fields, n=1)
        return f"unknown field; did you mean {similar[0]!r}?" if similar else "unknown field"
    text = found["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def check_callback(url: str | None, *, is_enabled: bool, loopback: bool) -> None:
    """Raise InvalidRequestError for a forbidden callback URL, CallbacksDisabledError if callbacks are disabled."""
    if url is None:
        return
    pointer = f"/{CALLBACK_FIELD}"
    if not is_enabled:
        raise CallbacksDisabledError("this service has no secret to sign callbacks with", pointer=pointer)
    try:
        parse_callback_url(url, loopback=loopback)
    except ValueError as error:
        problem = FieldProblem(pointer, str(error))
        hint = "Use an https URL of a public host."
        raise InvalidRequestError(f"the callback URL {error}", [problem], hint=hint) from None
