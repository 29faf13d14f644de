"""Query parameters: the classes that validate them, which the OpenAPI document describes."""

from datetime import datetime
from typing import Annotated, Any, TypeVar

from chalice.app import MultiDict, Request
from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from chalicelib.core.errors import FieldProblem, InvalidRequestError
from chalicelib.core.jobs.events import MAX_EVENTS
from chalicelib.core.jobs.filter import JobFilter
from chalicelib.core.jobs.model import State
from chalicelib.hooks.base import Parameters, validated
from chalicelib.hooks.fields import ObjectIdText

MAX_PAGE = 100
DEFAULT_PAGE = MAX_PAGE // 2
MAX_CURSOR = 2000
MAX_TEXT = 200
MAX_DIGITS = 7


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise ValueError("must be a whole number")
    return int(text)


def _instant(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None or not text.isascii():
            raise ValueError
        return max(0.0, at.timestamp())
    except (ValueError, OverflowError):
        raise ValueError("must be an instant with its offset, such as 2026-11-25T14:30:00Z") from None


def _state(text: str) -> State:
    try:
        return State(text)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(State)}") from None


Instant = Annotated[
    float,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": r"^[1-9]\d{3}-"}),
]
StateText = Annotated[
    State, BeforeValidator(_state), WithJsonSchema({"type": "string", "enum": [state.value for state in State]})
]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CURSOR)]


class Query(Parameters):
    """Query parameters. Every value is text in the URL; a list parameter may be repeated."""


class ListQuery(Query):
    """Filters of the list of jobs. A job is listed if it matches all of them."""

    state: list[StateText] = Field(
        default=[], max_length=len(State), description="jobs in this state; repeat it for several states"
    )
    session: ObjectIdText | None = Field(default=None, description="jobs of this session")
    collection: list[ObjectIdText] = Field(
        default=[], max_length=MAX_PAGE, description="jobs of this collection; repeat it for several collections"
    )
    hook: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        default=None, description="jobs of this hook"
    )
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)] | None = Field(
        default=None, description="jobs whose file name (in any case) or id contains this text"
    )
    submitted_after: Instant | None = Field(default=None, description="jobs submitted at or after this time")
    submitted_before: Instant | None = Field(default=None, description="jobs submitted before this time")
    cursor: Cursor | None = Field(default=None, description="`next` of the previous page")
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE), BeforeValidator(_whole)] = Field(
        default=DEFAULT_PAGE, description="number of jobs in a page"
    )

    def job_filter(self) -> JobFilter:
        return JobFilter(
            states=frozenset(self.state),
            collections=frozenset(self.collection),
            hook=self.hook,
            text=self.text,
            submitted_after=self.submitted_after,
            submitted_before=self.submitted_before,
        )


class EventsQuery(Query):
    """A page of the events of a job."""

    cursor: Cursor | None = Field(default=None, description="`next` of the previous page")
    limit: Annotated[int, Field(ge=1, le=MAX_EVENTS), BeforeValidator(_whole)] = Field(
        default=MAX_EVENTS, description="maximum number of events in a page"
    )


class SlidesQuery(Query):
    """A page of the slides of a session."""

    cursor: Cursor | None = Field(default=None, description="`next` of the previous page")
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE), BeforeValidator(_whole)] = Field(
        default=DEFAULT_PAGE, description="number of slides in a page"
    )


class OrphansQuery(Query):
    """A page of ended jobs."""

    cursor: Annotated[str, StringConstraints(max_length=MAX_CURSOR)] = Field(
        default="", description="`next` of the previous page; empty for the first page"
    )


class SyncQuery(Query):
    """A page of the report of a sync."""

    page: Annotated[int, Field(ge=0, le=10**MAX_DIGITS - 1), BeforeValidator(_whole)] | None = Field(
        default=None, description="number of the page of the report to include, from 0"
    )


class TileQuery(Query):
    """SlideAtlas' query parameters of a tile."""

    db: str = Field(default="", description="id of the image store")
    img: str = Field(default="", description="id of the image")
    name: str = Field(default="", description="name of the tile: `t`, a letter of `qrst` for each level, `.jpg`")


class ThumbnailQuery(Query):
    """SlideAtlas' query parameters of a thumbnail."""

    db: str = Field(default="", description="id of the image store")
    img: str = Field(default="", description="id of the image")


Kind = TypeVar("Kind", bound=Query)


def parse_query(kind: type[Kind], request: Request) -> Kind:
    """Return the query parameters of a request.

    Raises InvalidRequestError, which names every parameter that is invalid, unknown, or repeated without being a list.
    """
    given: dict[str, Any] = {}
    problems = []
    query = request.query_params or MultiDict({})
    for name in query:
        values = query.getlist(name)
        field = kind.model_fields.get(name)
        if field is not None and isinstance(field.default, list):
            given[name] = values
        elif field is not None and len(values) > 1:
            problems.append(FieldProblem(f"/{name}", "is repeated"))
        else:
            given[name] = values[-1]
    if problems:
        raise InvalidRequestError("a parameter is repeated", problems)
    return validated(kind, given)
