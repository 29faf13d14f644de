"""What a call that makes a session of a collection, or of the page, may say."""

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from chalicelib.hooks import Parameters

MAX_LABEL = 200


def _label(text: str) -> str:
    label = text.strip()
    if not 0 < len(label) <= MAX_LABEL or not text.isprintable():
        raise ValueError(f"must be a text of 1 to {MAX_LABEL} printable characters")
    return label


class SessionParameters(Parameters):
    """A session of a collection. One of this label may be there already."""

    label: Annotated[
        str,
        AfterValidator(_label),
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_LABEL, "pattern": r"\S"}),
    ] = Field(description="how people call it")


class SignInParameters(Parameters):
    """What signs a browser in: a token, or the code of a sign-in link. Exactly one of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["token"], "properties": {"token": {"type": "string"}, "code": {"const": None}}},
                {"required": ["code"], "properties": {"code": {"type": "string"}, "token": {"const": None}}},
            ]
        }
    )

    token: str | None = Field(default=None, description="a token of the service")
    code: str | None = Field(default=None, description="the code of a sign-in link; it works once")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.token is None) == (self.code is None):
            raise ValueError("either token or code must be given")
        return self
