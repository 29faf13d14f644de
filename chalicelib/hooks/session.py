"""What a call that makes a session of a collection, or of the page, may say."""

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

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
    """A token, for a session of the page."""

    token: str = Field(description="a token of the service")
