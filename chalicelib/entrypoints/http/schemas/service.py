"""The service itself: health, readiness, client settings and signing in."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from chalicelib.core.web.auth import Caller, Scope
from chalicelib.hooks.base import Document, Parameters
from chalicelib.hooks.fields import At, ObjectId


class Health(Document):
    """The service runs."""

    status: Literal["ok"]


class PartDocument(Document):
    """A part that the service depends on. `ok` is null if it was not measured; `detail` says why, or what to do.
    `seconds` is the duration of the check."""

    ok: bool | None
    seconds: float
    detail: str = ""


class Readiness(Document):
    """Whether all parts respond. A degraded service works, but a part of it needs attention."""

    status: Literal["ready", "degraded", "not ready"]
    parts: dict[str, PartDocument]


class ClientSettings(Document):
    """The settings that a client needs to upload a local slide."""

    incoming_bucket: str
    region: str
    aws_endpoint: str | None


class SignInParameters(Parameters):
    """What signs a browser in: exactly one of a token and the code of a sign-in link."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["token"], "properties": {"token": {"type": "string"}, "code": {"const": None}}},
                {"required": ["code"], "properties": {"code": {"type": "string"}, "token": {"const": None}}},
            ]
        }
    )

    token: str | None = Field(default=None, description="a token of the service")
    code: str | None = Field(default=None, description="the code of a sign-in link; it can be used once")

    @model_validator(mode="after")
    def _has_exactly_one(self) -> Self:
        if (self.token is None) == (self.code is None):
            raise ValueError("either `token` or `code` is required")
        return self


class SignedIn(Document):
    """The caller and its permissions. `collections` is null for all collections."""

    name: str
    scopes: list[Scope]
    collections: list[ObjectId] | None


class SignInLink(Document):
    """A link that signs one browser in, once, until it expires."""

    url: Annotated[str, Field(pattern="^https?://")]
    expires_at: At


class SignedOut(Document):
    """The session of the page has ended."""

    status: Literal["signed out"]


class DoneBefore(Document):
    """A signed webhook was accepted before, and its response names no resource."""

    status: Literal["done before"]


def signed_in(caller: Caller) -> dict[str, object]:
    """Return a `SignedIn` as JSON."""
    return {
        "name": caller.name,
        "scopes": sorted(caller.scopes),
        "collections": None if caller.collections is None else sorted(caller.collections),
    }
