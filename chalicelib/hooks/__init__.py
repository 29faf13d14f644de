"""One module a webhook: a name, the class of its parameters, and what is done with them."""

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from chalicelib.core.errors import CallbacksOffError, FieldProblem, InvalidRequestError
from chalicelib.core.jobs.source import parse_s3_url
from chalicelib.core.plan.pyramid import MAX_TILE_SIZE_PX, MIN_TILE_SIZE_PX, TILE_SIZE_STEP_PX, check_tile_size
from chalicelib.core.web.callback_url import LONGEST_URL, parse_endpoint

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def _s3_url(text: str) -> str:
    parse_s3_url(text)
    return text


# The schemas say what the functions check, as far as a schema can.
S3Url = Annotated[
    str,
    AfterValidator(_s3_url),
    WithJsonSchema({"type": "string", "pattern": r"^s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]/[\s\S]{1,1024}$"}),
]
TileSize = Annotated[
    int,
    AfterValidator(check_tile_size),
    WithJsonSchema(
        {"type": "integer", "minimum": MIN_TILE_SIZE_PX, "maximum": MAX_TILE_SIZE_PX, "multipleOf": TILE_SIZE_STEP_PX}
    ),
]


CallbackUrl = Annotated[str, Field(max_length=LONGEST_URL)]


class Parameters(BaseModel):
    """The body of a hook's request: unknown fields are mistakes, and nothing is guessed from another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Kind = TypeVar("Kind", bound=Parameters)


def validated(kind: type[Kind], body: object) -> Kind:
    """Return the parameters that a request's body holds. Raises InvalidRequestError that names every wrong field."""
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
    raise InvalidRequestError(f"wrong in the request: {names}", problems)


def _sentence(found: "ErrorDetails", kind: type[Parameters]) -> str:
    if found["type"] == "extra_forbidden":
        meant = get_close_matches(str(found["loc"][-1]), kind.model_fields, n=1)
        return f"there is no such field; did you mean {meant[0]!r}?" if meant else "there is no such field here"
    text = found["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def check_callback(url: str | None, *, is_on: bool, loopback: bool) -> None:
    """Raise InvalidRequestError for a callback URL that is never called, CallbacksOffError if none is."""
    if url is None:
        return
    if not is_on:
        raise CallbacksOffError("this service has no secret to sign callbacks with", pointer=CALLBACK_FIELD)
    try:
        parse_endpoint(url, loopback=loopback)
    except ValueError as error:
        problem = FieldProblem(CALLBACK_FIELD, str(error))
        hint = "Give an https URL of a host that everybody can reach."
        raise InvalidRequestError(f"the callback URL {error}", [problem], hint=hint) from None


CALLBACK_FIELD = "/callback_url"
