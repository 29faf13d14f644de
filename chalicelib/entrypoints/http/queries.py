"""What addresses may ask for behind their `?`: the classes that check it, and of which the API's document is made."""

from datetime import datetime
from typing import Annotated, Any, TypeVar

from chalice.app import MultiDict, Request
from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from chalicelib.core.errors import FieldProblem, InvalidRequestError
from chalicelib.core.jobs.events import MAX_EVENTS
from chalicelib.core.jobs.filter import JobFilter
from chalicelib.core.jobs.model import State
from chalicelib.hooks import Parameters, validated
from chalicelib.hooks.upload import ObjectIdText

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
    """What is asked for in an address. Every value is text there; fields that are lists may be given several times."""


class ListQuery(Query):
    """Which jobs are listed: those that all filters take."""

    state: list[StateText] = Field(
        default=[], max_length=len(State), description="in this state; several times: in any of these"
    )
    session: ObjectIdText | None = Field(default=None, description="of this session")
    collection: list[ObjectIdText] = Field(default=[], max_length=MAX_PAGE, description="of these collections")
    hook: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        default=None, description="begun by this hook"
    )
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)] | None = Field(
        default=None, description="whose file name, in whatever case, or id holds this"
    )
    submitted_after: Instant | None = Field(default=None, description="submitted at this instant or later")
    submitted_before: Instant | None = Field(default=None, description="submitted before this instant")
    cursor: Cursor | None = Field(default=None, description="`next` of the page before")
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE), BeforeValidator(_whole)] = Field(
        default=DEFAULT_PAGE, description="jobs on a page"
    )

    def selection(self) -> JobFilter:
        return JobFilter(
            states=frozenset(self.state),
            collections=frozenset(self.collection),
            hook=self.hook,
            text=self.text,
            submitted_after=self.submitted_after,
            submitted_before=self.submitted_before,
        )


class EventsQuery(Query):
    """Which lines of a job's history are told."""

    after: Cursor | None = Field(default=None, description="`after` of the last answer: lines behind those")
    limit: Annotated[int, Field(ge=1, le=MAX_EVENTS), BeforeValidator(_whole)] = Field(
        default=MAX_EVENTS, description="so many lines at most"
    )


class SlidesQuery(Query):
    """Which of a session's slides are listed."""

    cursor: Cursor | None = Field(default=None, description="`next` of the page before")
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE), BeforeValidator(_whole)] = Field(
        default=DEFAULT_PAGE, description="slides on a page"
    )


class OrphansQuery(Query):
    """Which ended jobs are looked at."""

    cursor: Annotated[str, StringConstraints(max_length=MAX_CURSOR)] = Field(
        default="", description="`next` of the last answer; empty: from the beginning"
    )


class SyncQuery(Query):
    """Which page of a sync's report is told with it."""

    page: Annotated[int, Field(ge=0, le=10**MAX_DIGITS - 1), BeforeValidator(_whole)] | None = Field(
        default=None, description="each object of this page of the report, counted from 0"
    )


class TileQuery(Query):
    """A tile, as SlideAtlas asks for it."""

    db: str = Field(default="", description="id of the image store")
    img: str = Field(default="", description="id of the image")
    name: str = Field(default="", description="name of the tile: `t`, and a letter of `qrts` a level, `.jpg`")


class ThumbnailQuery(Query):
    """The smallest tile, as SlideAtlas asks for it."""

    db: str = Field(default="", description="id of the image store")
    img: str = Field(default="", description="id of the image")


Kind = TypeVar("Kind", bound=Query)


def asked(kind: type[Kind], request: Request) -> Kind:
    """Return what a request's address asks for. Raises InvalidRequestError that names every wrong parameter: one that
    is not known, or given twice where it has one meaning."""
    given: dict[str, Any] = {}
    problems = []
    query = request.query_params or MultiDict({})
    for name in query:
        values = query.getlist(name)
        field = kind.model_fields.get(name)
        if field is not None and isinstance(field.default, list):
            given[name] = values
        elif field is not None and len(values) > 1:
            problems.append(FieldProblem(f"/{name}", "is given more than once"))
        else:
            given[name] = values[-1]
    if problems:
        raise InvalidRequestError("a parameter is given more than once", problems)
    return validated(kind, given)
